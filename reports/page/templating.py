"""Pages from their templates: text cannot become markup, and what the figures need is in the file, packed.

Quantities are written by Python (filters over base/units.py), laid out by the templates, and drawn by the scripts in
assets/. plotly.js would be most of a page, so it and the figures' data are deflated; assets/draw.js unpacks them. A
page without figures has neither.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import groupby
from operator import attrgetter
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ondevice_sora.base.units import (
    format_bytes,
    format_change,
    format_count,
    format_percent,
    format_probability,
    format_seconds,
)
from ondevice_sora.reports.rows import UNKNOWN

_QUANTITY = re.compile(r"(?<=\d) (?=(?:h|min|s|ms|\u00b5s|GB|MB|kB|B|%)(?!\w))|(?<=\d h) (?=\d)|(?<=\d min) (?=\d)")
_PARTS = re.compile(r"(?<=\w\w\.)(?=[^\W\d]{2})|(?<=\w\.\.)(?=\w)|(?<=\w/)(?=\w\w)|(?<=://)(?=\w)")
"""Between the parts of an identifier: loads.|read, res_0..|res_3, docs/|plan."""
_MAY_END = "\N{ZERO WIDTH SPACE}"
_WIDE = re.compile(rf"[^\s{_MAY_END}-]{{17,}}")
"""A part that is too long for a narrow column: broken after its words, or, having none, such as a digest, anywhere."""
_WORDS = re.compile(r"(?<=\w_)(?=[^\W\d_])")
_LETTERS = re.compile(rf"[^{_MAY_END}]{{16}}(?=[^{_MAY_END}])")
_OPTION = re.compile(r"(?<!\S)--?[a-z][a-z-]*")
"""Of a command, such as --memory-limit: a line may not end at its hyphens."""
LEVEL = 9
"""zlib's: a tenth of a second more than its fastest levels, and 1 % less."""
NO_BREAK = "\N{NO-BREAK SPACE}"


def page(template: str, title: str, assets: Sequence[str], figures: dict[str, Any], **content: Any) -> str:
    """The whole page as text. `assets` are its styles and scripts, besides those that every page has.

    `figures` is what its scripts draw from, by the name of the figure; one that is None is not drawn. Only the page's
    own script and plotly.js may run: the content security policy names both by their digests.
    """
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    plotly = _plotly() if drawn else None
    styles = ["style.css", "tools.css", *(name for name in assets if name.endswith(".css"))]
    scripts = ["draw.js", "tools.js", *(name for name in assets if name.endswith(".js"))]
    script = '\n(() => {\n"use strict";\n' + "".join(_asset(name) for name in scripts) + "})();\n"
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            contents=[],
            style=Markup("".join(_asset(name) for name in styles)),
            data=packed(json.dumps(drawn, separators=(",", ":"), allow_nan=False)) if plotly else None,
            plotly=plotly[0] if plotly else None,
            script=Markup(script),
            script_digests=Markup(" ".join(f"'{each}'" for each in (digest(script), *(plotly[1:] if plotly else ())))),
            **content,
        )
    )


def packed(text: str) -> Markup:
    """Text as base 85 of a raw deflate stream: a sixteenth less than in base 64.

    There is no "<" in it, which could end the element that it stands in: "." stands for it.
    """
    return Markup(
        base64.b85encode(zlib.compress(text.encode(), LEVEL, wbits=-zlib.MAX_WBITS)).decode().replace("<", ".")
    )


def digest(script: str) -> str:
    """A script's name in a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def unbroken(text: str) -> str:
    """The text with every number on one line with its unit."""
    return _QUANTITY.sub(NO_BREAK, text)


def breakable(text: str) -> Markup:
    """The text, with the places where a line may end in an identifier; browsers find those between words.

    Columns are then as wide as the longest part, and no part is broken.
    """
    marked = _WIDE.sub(lambda part: _narrowed(part[0]), _PARTS.sub(_MAY_END, unbroken(str(text))))
    safe = str(escape(marked)).replace(_MAY_END, "<wbr>")
    return Markup(_OPTION.sub(r'<span class="option">\g<0></span>', safe))


def _narrowed(part: str) -> str:
    return _LETTERS.sub(rf"\g<0>{_MAY_END}", _WORDS.sub(_MAY_END, part))


def known(value: float | None, write: str) -> str:
    """The value through a filter, or the dash of what is not known."""
    return UNKNOWN if value is None else str(FILTERS[write](value))


def runs_of(rows: Iterable[Any], field: str) -> Iterator[tuple[Any, list[Any]]]:
    """Rows that follow each other with the same value in a field, and that value; the order stays."""
    return ((value, list(some)) for value, some in groupby(rows, key=attrgetter(field)))


def css_share(share: float) -> str:
    """A share of one as CSS writes it."""
    return f"{share * 100:.3f}%"


class AsIs(str):
    """Text whose spaces stay as they are, because it is to be copied."""


FILTERS: dict[str, Callable[..., Any]] = {
    "seconds": format_seconds,
    "bytes": format_bytes,
    "percent": format_percent,
    "probability": format_probability,
    "change": lambda change: format_change(change, format_seconds),
    "css": css_share,
    "count": format_count,
    "groupby_run": runs_of,
    "known": known,
    "as_is": AsIs,
    "breakable": breakable,
}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ondevice_sora.reports.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: unbroken(value) if type(value) is str else value,
    )
    environment.filters.update(FILTERS)
    return environment


@cache
def _asset(name: str) -> str:
    return (files("ondevice_sora.reports.page") / "assets" / name).read_text(encoding="utf-8")


@cache
def _plotly() -> tuple[Markup, str]:
    """plotly.js as the plotly package ships it, packed, and its digest."""
    from plotly.offline import get_plotlyjs

    source = str(get_plotlyjs())
    return packed(source), digest(source)
