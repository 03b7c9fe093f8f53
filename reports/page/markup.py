"""Write HTML so that text cannot become markup: whatever is not made by `el` is escaped."""

from __future__ import annotations

import html
import json
import re
from typing import Any

_QUANTITY = re.compile(r"(?<=\d) (?=(?:h|min|s|ms|us|GB|MB|kB|B|%)(?!\w))|(?<=\d h) (?=\d)|(?<=\d min) (?=\d)")
VOID = frozenset({"br", "col", "meta", "link", "hr"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: object) -> Html:
    """A value as HTML: escaped, unless it is Html. A number stays on one line with its unit."""
    return value if isinstance(value, Html) else Html(html.escape(_QUANTITY.sub("\u00a0", str(value)), quote=True))


def el(name: str, *children: object, **attributes: object) -> Html:
    """An element. Attributes: `class_` for class, `data_x` for data-x; True gives a bare one, None and False none."""
    written = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        written += f" {key}" if value is True else f' {key}="{text(value)}"'
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Any) -> Html:
    """Children one after the other; None is nothing."""
    return Html("".join(text(child) for child in children if child is not None))


def json_for_script(data: Any) -> Html:
    """JSON that may stand inside a <script> element: nothing in it can end the element or open a comment."""
    written = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return Html(written)
