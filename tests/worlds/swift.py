"""The Swift package's command line, built where there is Swift."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from worlds.paths import ROOT

PACKAGE = ROOT / "ondevice_sora" / "runtime" / "ios"
SERVING = f"{sys.executable} -m ondevice_sora.runtime.coreml.program.serving"
"""What the stand-in for Core ML starts to evaluate packages."""


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


def ran(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`env` is added to this process's environment."""
    settings = None if env is None else {**os.environ, **env}
    return subprocess.run([sora(), *arguments], capture_output=True, text=True, check=False, env=settings)


def target() -> str:
    """The triple that this Linux machine's modules are built for."""
    return f"{platform.machine()}-unknown-linux-gnu"
