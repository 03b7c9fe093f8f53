"""The programs that are installed, interrupted while they import what they need: as at any other moment."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib

import pytest
from worlds.paths import ROOT
from worlds.processes import GUARD_S

PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
SENT_BY_AN_IMPORT = """
import importlib, os, signal, sys
from importlib.abc import MetaPathFinder
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)

class Sending(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "msgspec":
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Sending())
sys.argv = ["program", "--version"]
"""


INTERRUPTED = """
import importlib, sys, threading
commands = importlib.import_module("ondevice_sora.commands.{program}")
going_on = threading.Event()

def main():
    threading.Thread(target=going_on.wait).start()
    print("what there is")
    threading.Timer({seconds}, going_on.set).start()
    return {status}

commands.main = main
sys.exit(importlib.import_module({module!r}).{name}())
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_interrupted_program_waits_for_no_thread(program: str) -> None:
    """A search may have begun to compile itself, which takes up to a minute."""
    module, _, name = PROGRAMS[program].partition(":")
    of = "simulate" if program == "simulate" else "main"
    for status, seconds in ((130, GUARD_S), (143, GUARD_S), (0, 0.0)):
        code = INTERRUPTED.format(program=of, module=module, name=name, status=status, seconds=seconds)
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=GUARD_S
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (status, "what there is\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("started", [*PROGRAMS, "python -m ondevice_sora"])
def test_a_signal_while_modules_are_imported(started: str, number: int) -> None:
    module, _, name = PROGRAMS.get(started, "").partition(":")
    starting = (
        f"sys.exit(importlib.import_module({module!r}).{name}())"
        if module
        else "import runpy; runpy.run_module('ondevice_sora', run_name='__main__')"
    )
    code = SENT_BY_AN_IMPORT.format(number=int(number)) + starting
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (128 + number, "interrupted: nothing was written yet\n")
