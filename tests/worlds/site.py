"""The documentation, built as a site."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from worlds.paths import ROOT


def build_site(folder: Path) -> str:
    """Build it into a folder, warnings as errors; what the builder said. Raises AssertionError if it fails."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stderr
