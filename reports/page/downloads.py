"""Files that a page carries, to be saved from a link."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote


class Download(NamedTuple):
    """The name to save it by, and a link that holds it."""

    name: str
    link: str


def yaml_download(stem: str, text: str) -> Download:
    return Download(f"{stem}.yaml", _link("yaml", text))


def csv_download(stem: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Download:
    """A table; what is None is an empty cell."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return Download(f"{stem}.csv", _link("csv", stream.getvalue()))


def _link(kind: str, text: str) -> str:
    return f"data:text/{kind};charset=utf-8,{quote(text, safe=',;:/+()')}"
