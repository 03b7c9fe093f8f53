"""The Swift package's command line, built where there is Swift."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from worlds.paths import ROOT

PACKAGE = ROOT / "ondevice_sora" / "runtime" / "ios"


def swift() -> str | None:
    """The `swift` that scripts/check-swift takes, too."""
    return shutil.which("swift") or shutil.which("swift", path="/opt/swift/usr/bin")


needs_swift = pytest.mark.skipif(swift() is None, reason="no swift on PATH or in /opt/swift: runtime/ios is NOT tested")


@cache
def built() -> Path:
    """The folder of the package's programs, built as scripts/check-swift builds them: nothing is built twice."""
    done = subprocess.run([ROOT / "scripts" / "check-swift", "--build"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return PACKAGE / ".build" / "debug"


def program(name: str) -> Path:
    return built() / name


def sora() -> Path:
    return program("sora")


def ran(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sora(), *arguments], capture_output=True, text=True, check=False)
