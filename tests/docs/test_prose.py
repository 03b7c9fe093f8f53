"""Pages are written in short sentences. (Spelling: `codespell`, in scripts/check.)"""

from __future__ import annotations

import re

import pytest
from worlds.paths import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
MOST_WORDS = 40
"""In a sentence. Fifteen to twenty read well; nobody follows more than this."""


def sentences(text: str) -> list[str]:
    """Of the running text: no code, tables, headings or comments, each item of a list for itself."""
    text = re.sub(r"^```.*?^```|<!--.*?-->|^( {4,}|\t).*?$|^[|#].*?$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`]*`", "code", re.sub(r"\]\([^)]*\)", "]", text))
    paragraphs = re.split(r"\n\s*\n|\n(?=(?:[-*:]|\d+\.) )", text)
    return [part for each in paragraphs for part in re.split(r"(?<=[.!?:;])\s+", " ".join(each.split())) if part]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_sentence_is_too_long(page):
    long = [each for each in sentences(page.read_text(encoding="utf-8")) if len(each.split()) > MOST_WORDS]
    assert long == []


ABBREVIATIONS = {
    "CI-DL": "Concurrent Inference with Dynamic Loading",
    "LPL": "Linear Proportional Leap",
    "TDTM": "Temporal Dimension Token Merging",
}
"""Those of the paper, which nobody else knows."""


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda path: path.name)
def test_an_abbreviation_of_the_paper_is_spelled_out_on_each_page(page):
    """Wherever the text or what a command prints has it."""
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert [
        short for short, long in ABBREVIATIONS.items() if re.search(rf"\b{short}\b", text) and long not in text
    ] == []


def test_sentences_are_told_apart_from_code_and_tables():
    page = "# A title\n\nOne. Two `a. b` words:\n\n- three\n- four\n\n    code\n\n| a | b |\n\n```sh\ncode\n```\n"
    assert sentences(page) == ["One.", "Two code words:", "- three", "- four"]
