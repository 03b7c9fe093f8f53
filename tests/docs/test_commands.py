"""The commands that pages show, in blocks or within a sentence, are commands: verb, options and choices exist."""

from __future__ import annotations

import re
import shlex

import pytest
from worlds.paths import ROOT

from ondevice_sora.commands.main import verb_parser

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(text: str) -> list[str]:
    """Those in blocks, without comments, and those within sentences that have an option."""
    blocks = re.findall(r"^    ((?:simulate|ondevice-sora) .*)$", text, re.MULTILINE)
    within = re.findall(r"`((?:simulate|ondevice-sora) [^`]*-[^`]*)`", text.replace("\n", " "))
    return [re.split(r" #| >> | > ", each)[0].strip() for each in [*blocks, *within]]


SHOWN = sorted({(page.name, each) for page in PAGES for each in commands(page.read_text(encoding="utf-8"))})


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_a_command_of_a_page_can_be_typed(page: str, command: str) -> None:
    program, *words = shlex.split(command)
    verb = program if program == "simulate" else words.pop(0)
    if "--help" not in words:
        verb_parser(verb).parse_args(words)


def test_blocks_and_sentences_are_read() -> None:
    text = (
        "    simulate ours-256   # as it is\n\nType `ondevice-sora plan search\nours-256 -o x.yaml`, or `simulate`.\n"
    )
    assert commands(text) == ["simulate ours-256", "ondevice-sora plan search ours-256 -o x.yaml"]
