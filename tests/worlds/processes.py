"""Which processes there are (Linux)."""

from __future__ import annotations

import os
import time
from pathlib import Path

GUARD_S = 60.0
"""How long a broken test waits before it fails."""


def parents_of(pid: int) -> list[int]:
    """The process's parent, its parent, and so on; empty if there is no such process, or only its status is left."""
    found: list[int] = []
    while pid > 1:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return found
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state in "ZX":
            return found
        pid = int(parent)
        found.append(pid)
    return found


def children_of(pid: int | None = None) -> list[int]:
    """The processes that a process, by default this one, has started and that have not ended."""
    pid = os.getpid() if pid is None else pid
    return [int(each.name) for each in Path("/proc").glob("[0-9]*") if parents_of(int(each.name))[:1] == [pid]]


def ended(pid: int) -> bool:
    """Whether the process ends; waits for it."""
    began = time.monotonic()
    while parents_of(pid):
        if time.monotonic() - began > GUARD_S:
            return False
        time.sleep(0.01)
    return True
