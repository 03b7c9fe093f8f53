"""Whoever meets a word in the terminal, on a page or in a plan finds it in the glossary."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from worlds.paths import ROOT

from ondevice_sora.commands.main import main
from ondevice_sora.plans.schema import Plan
from ondevice_sora.reports.memory import HOLDERS

GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"`([^`]+)`", GLOSSARY))
DYNAMIC = """
extends: app-256
name: leaping when the drifts say so, at a later launch
start: cached
memory: {budget: 2 GB}
lpl: {mode: dynamic, stop_steps: {14: 0.2, 15: 0.8}}
"""
RUNS = ["--memory-limit 2GB", "--plan dynamic.yaml", "--plan small --repeat 2"]
"""Between them a summary has every line: killed, fitting, several numbers of evaluations, several generations."""


def labels(summary: str) -> set[str]:
    """The words at the left of a summary's lines, and the heads of its tables."""
    parts = re.findall(r"^(?:component|limit|what) .*?(?=\n\n|\Z)", summary, re.MULTILINE | re.DOTALL)
    components, facts, memory = (part.splitlines() for part in parts)
    left = {line.partition("  ")[0] for line in [*facts, *memory[1:]] if not line.startswith(" ")}
    heads = {each.partition(",")[0] for each in re.split(r" {2,}", components[0].strip())}
    return {re.sub(r"^.*: | \d+$", "", each) for each in left | heads}


@pytest.mark.parametrize("run", RUNS)
def test_every_label_of_a_summary_is_explained(run: str, tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "dynamic.yaml").write_text(DYNAMIC, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    main(["simulate", *run.split()])
    found = labels(capsys.readouterr().out)
    assert found >= {"time", "stall", "limit", "busy", "most time", "the app itself", "together"}
    assert found - WORDS == set()


def test_every_holder_of_memory_is_explained() -> None:
    assert set(HOLDERS.values()) - WORDS == set()


def test_every_key_at_the_top_of_a_plan_is_explained() -> None:
    keys = GLOSSARY.partition("## Keys of a plan")[2]
    names = {field.encode_name for field in msgspec.structs.fields(Plan)} | {"extends"}
    assert names - set(re.findall(r"`(\w+)`", keys)) == set()


def test_every_heading_of_a_page_is_explained() -> None:
    """Those that templates write out; a few are made of names, such as 'One steady denoiser step'."""
    templates = (ROOT / "reports/page/templates").rglob("*.html")
    wanted = {
        each for page in templates for each in re.findall(r'section\("([^"%]+)"', page.read_text(encoding="utf-8"))
    }
    assert len(wanted) > 20
    assert {
        each for each in wanted if not re.search(rf"^\|.*\b{re.escape(each)}\b.* \|", GLOSSARY, re.MULTILINE)
    } == set()


def test_terms_have_headings_of_their_own() -> None:
    """So that the search and a link find them; each once."""
    terms = re.findall(r"^### (.*)$", GLOSSARY, re.MULTILINE)
    assert len(terms) == len(set(terms)) > 50
