"""Read the pages that reports write: elements, words, and what is packed in them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any

PLAIN = str.maketrans({"\N{NO-BREAK SPACE}": " "})


class Reader(HTMLParser):
    """Collects elements, and the text outside scripts, styles and the list of the page's sections.

    Text on both sides of a <wbr> is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self._is_in_contents = False
        self._is_going_on = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "wbr":
            self._is_going_on = True
            return
        self.tags.append((tag, dict(attrs)))
        self._is_in_contents = self._is_in_contents or tag == "nav"
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        self._is_in_contents = self._is_in_contents and tag != "nav"

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif not self._inside and not self._is_in_contents:
            if self._is_going_on:
                self.words[-1] += data
            else:
                self.words.append(data)
            self._is_going_on = False


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def words(page: str) -> str:
    """The text of a page, with single spaces."""
    return " ".join(" ".join(read(page).words).split()).translate(PLAIN)


def unpacked(page: str) -> dict[str, Any]:
    """What the page's figures are drawn from."""
    packed = re.search(r'id="data">([^<]*)<', page)
    assert packed is not None
    data: dict[str, Any] = json.loads(inflated(packed[1]))
    return data


def inflated(packed: str) -> str:
    """What `templating.packed` packed."""
    return zlib.decompress(base64.b85decode(packed.replace(".", "<")), wbits=-zlib.MAX_WBITS).decode()


def outside_references(page: str) -> list[tuple[str, str, str]]:
    """(element, attribute, value) of everything that the page would have to fetch, and links to places it lacks."""
    found, tags = [], read(page).tags
    places = {f"#{attributes['id']}" for _, attributes in tags if "id" in attributes}
    for tag, attributes in tags:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            value = attributes.get(name)
            if value is not None and not value.startswith("data:") and value not in places:
                found.append((tag, name, value))
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style is not None
    return [*found, *(("style", "", each) for each in re.findall(r"url\(|@import", style[1]))]
