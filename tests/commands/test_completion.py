"""Shells are told what could follow, by the command itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from worlds.paths import ROOT

from ondevice_sora.commands.main import main

argcomplete = pytest.importorskip("argcomplete")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_code_for_a_shell_is_about_both_commands(shell, capsys):
    assert main(["completion", shell]) == 0
    code = capsys.readouterr().out
    assert "ondevice-sora" in code and "simulate" in code and "_ARGCOMPLETE" in code


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ondevice-sora plan exp", {"explain"}),
        ("ondevice-sora plan explain ours-", {"ours-192", "ours-256"}),
        ("ondevice-sora plan search --bud", {"--budget"}),
        ("simulate --device iphone15", {"iphone15", "iphone15pro"}),
        ("simulate --therm", {"--thermal"}),
    ],
)
def test_what_could_follow_is_offered(tmp_path, line, offered):
    program = "main" if line.startswith("ondevice-sora") else "simulate"
    told = tmp_path / "told"
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line,
        "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": str(told), "_ARGCOMPLETE_SHELL": "bash",
    }  # fmt: skip
    command = [sys.executable, "-m", f"ondevice_sora.commands.{program}"]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True)
    assert {word.strip() for word in told.read_text().splitlines()} == offered
