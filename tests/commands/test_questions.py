"""docs/questions.md: each command runs as it stands there, and its verdict is the one that the page tells."""

from __future__ import annotations

import re
import shlex

import pytest
from worlds.paths import ROOT

from ondevice_sora.commands.main import main

PAGE = (ROOT / "docs/questions.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (simulate .*)$", PAGE, re.MULTILINE)
ROWS = re.findall(r"^\| \[.*\|$", PAGE, re.MULTILINE)


def test_each_question_has_its_command():
    assert len(COMMANDS) == len(ROWS) == 12
    plans = {path.name for path in (ROOT / "docs/questions").glob("*.yaml") if not path.stem.endswith("-model")}
    assert plans == set(re.findall(r"docs/questions/([\w-]+\.yaml)", " ".join(COMMANDS)))


@pytest.mark.parametrize(("command", "row"), list(zip(COMMANDS, ROWS, strict=True)), ids=lambda text: text[-30:])
def test_the_command_runs_and_its_verdict_is_the_pages(command, row, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    status = main(shlex.split(command))
    predicted = row.split(" | ")[3]
    assert status == (3 if predicted.startswith("killed") else 0)
    assert capsys.readouterr().out
