"""Files that a page carries, to be saved from a link."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote

SAFE = ",;:/()*!$@=+?~"
"""What may stand in a link as it is."""


class Download(NamedTuple):
    """The name to save it by, and a link that holds it."""

    name: str
    link: str


def data_link(kind: str, content: bytes) -> str:
    """A link that holds a picture or a video, of that media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def yaml_download(stem: str, text: str) -> Download:
    return Download(f"{stem}.yaml", f"data:text/yaml;charset=utf-8,{quote(text, safe=SAFE)}")


def csv_text(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; what is None is an empty cell."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return stream.getvalue()


def csv_download(stem: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Download:
    return Download(f"{stem}.csv", f"data:text/csv;charset=utf-8,{quote(csv_text(heads, rows), safe=SAFE)}")
