"""Where there is no Swift, the Python tests pass, and what is not tested is said."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from worlds.paths import ROOT

HERE = Path(__file__)
HIDES_SWIFT = """
import shutil
found = shutil.which
shutil.which = lambda name, *rest, **named: None if name == "swift" else found(name, *rest, **named)
"""


def test_tests_that_need_swift_are_skipped_with_a_reason_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "hides_swift.py").write_text(HIDES_SWIFT)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    folder = str(HERE.parent.relative_to(ROOT))
    asked = [folder, f"--ignore={HERE.relative_to(ROOT)}", "-p", "hides_swift", "-p", "no:cacheprovider", "-rs"]
    command = [sys.executable, "-m", "pytest", *asked]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = [int(number) for number in re.findall(r"SKIPPED \[(\d+)\].*runtime/ios is NOT tested", done.stdout)]
    assert sum(numbers) > 30, done.stdout
    assert " passed" in done.stdout, "the app's project is tested all the same"


def ran_without_swift(script: str) -> subprocess.CompletedProcess[str]:
    """`command -v` finds nothing there."""
    environment = {**os.environ, "BASH_FUNC_command%%": "() { return 1; }"}
    called = [ROOT / "scripts" / script]
    return subprocess.run(called, env=environment, capture_output=True, text=True, check=False)


def test_the_check_of_the_package_says_that_it_is_skipped() -> None:
    done = ran_without_swift("check-swift")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("SKIPPED: there is no swift")


@pytest.mark.skipif(sys.platform == "darwin", reason="it would run")
def test_what_needs_a_mac_says_so_elsewhere() -> None:
    done = ran_without_swift("check-on-mac")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "scripts/check-on-mac needs a Mac: this is Linux. scripts/check-swift checks what Linux can.\n"
    )
