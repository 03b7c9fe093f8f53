"""Functions over columns run compiled where numba works, compiled anew when a source changes, else as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from worlds.paths import ROOT

from ondevice_sora.base.compiled import compiled, has_compiler, ints

PROGRAM = """
from ondevice_sora.base.compiled import compiled, has_compiler
def double(value): return 2 * value
print(has_compiler(), compiled(double) is double, compiled(double)(3))
"""


def ran(program: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """What a program prints that finds modules in `paths` before those that are installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*paths, ROOT]))}
    command = [sys.executable, "-P", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True)


@pytest.mark.parametrize("error", ['ImportError("needs NumPy 2.3 or less")', 'OSError("needs NumPy 2.3 or less")'])
def test_a_numba_that_does_not_import_is_said_once_and_done_without(tmp_path: Path, error: str) -> None:
    (tmp_path / "numba.py").write_text(f"raise {error}\n")
    done = ran(PROGRAM, tmp_path)
    assert done.stdout == "False True 6\n"
    assert done.stderr == (
        "numba is installed but cannot be imported (needs NumPy 2.3 or less): "
        "the search runs uncompiled, a hundred times slower\n"
    )


def test_without_numba_nothing_is_said(tmp_path: Path) -> None:
    hidden = "import importlib.util as u; find = u.find_spec; u.find_spec = lambda n: None if n == 'numba' else find(n)"
    done = ran(f"{hidden}\n{PROGRAM}")
    assert (done.stdout, done.stderr) == ("False True 6\n", "")


def test_a_search_goes_on_without_a_numba_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text('raise ImportError("broken")\n')
    plan = tmp_path / "small.yaml"
    plan.write_text("name: small\nmodel: opensora\nvideo: {width: 64, height: 64, frames: 5}\nsampler: {steps: 2}\n")
    asked = ["plan", "search", "--plan", str(plan), "--seconds", "1", "-o", str(tmp_path / "found.yaml")]
    done = ran(f"from ondevice_sora.commands.main import main; print(main({asked}))", tmp_path)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr.count("cannot be imported (broken)") == 1
    assert "Traceback" not in done.stderr


needs_numba = pytest.mark.skipif(not has_compiler(), reason="numba is not installed")


def doubled(column):
    found = ints(len(column), 0)
    for index in range(len(column)):
        found[index] = 2 * column[index]
    return found


def test_without_numba_a_function_is_taken_as_it_is(monkeypatch):
    monkeypatch.setattr("ondevice_sora.base.compiled.has_compiler", lambda: False)
    assert compiled(doubled) is doubled


@needs_numba
def test_a_helper_that_changes_in_another_module_is_not_taken_from_the_cache(tmp_path):
    """numba looks only at the file of the function itself, and would go on with what the helper was."""
    (tmp_path / "work.py").write_text("from helper import step\n\ndef work(number):\n    return step(number)\n")
    program = "import helper, work\nfrom ondevice_sora.base.compiled import compiled\n"
    program += "print(compiled(work.work, helper.step)(20))"
    printed = []
    for text in ("number + 1", "number + 2"):
        (tmp_path / "helper.py").write_text(f"def step(number):\n    return {text}\n")
        run = subprocess.run(
            [sys.executable, "-B", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        printed.append(run.stdout.split())
    assert printed == [["21"], ["22"]]


@needs_numba
def test_a_module_that_is_gone_does_not_keep_the_cache_from_being_read(tmp_path):
    """numba's cache names the classes of arguments by module; after an upgrade one may have moved."""
    text = "from typing import NamedTuple\n\nclass Pair(NamedTuple):\n    one: int\n    other: int\n\n"
    text += "def added(pair):\n    return pair.one + pair.other\n"
    printed = []
    for name in ("before", "after"):
        (tmp_path / f"{name}.py").write_text(text)
        program = f"from {name} import Pair, added\nfrom ondevice_sora.base.compiled import compiled\n"
        program += "print(compiled(added)(Pair(1, 2)))"
        run = subprocess.run([sys.executable, "-B", "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        printed.append(run.stdout.split())
        (tmp_path / f"{name}.py").unlink()
    assert printed == [["3"], ["3"]]
