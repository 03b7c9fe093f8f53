"""Functions over columns are the same compiled, and compiled anew when any source that they are made of changes."""

import subprocess
import sys

import pytest

from ondevice_sora.base.compiled import HAS_COMPILER, compiled, ints

needs_numba = pytest.mark.skipif(not HAS_COMPILER, reason="numba is not installed")


def doubled(column):
    found = ints(len(column), 0)
    for index in range(len(column)):
        found[index] = 2 * column[index]
    return found


def test_without_numba_a_function_is_taken_as_it_is(monkeypatch):
    monkeypatch.setattr("ondevice_sora.base.compiled.HAS_COMPILER", False)
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
