"""Which processes there are (Linux)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ondevice_sora.base import children

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
    """The processes that a process, by default this one, has started with base/children.py and that have not ended.

    Not counted: a browser of the same session, and multiprocessing's resource tracker, which outlives its test.
    """
    pid = os.getpid() if pid is None else pid
    found = [int(each.name) for each in Path("/proc").glob("[0-9]*")]
    return sorted(each for each in found if parents_of(each)[:1] == [pid] and children.__name__ in command_of(each))


def command_of(pid: int) -> list[str]:
    """What a process was started with; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def shared_memory_of(pid: int) -> list[str]:
    """The files in /dev/shm that a process has mapped, semaphores among them; one that is killed may leave them."""
    return [line for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "/dev/shm/" in line]


def ended(pid: int) -> bool:
    """Whether the process ends; waits for it."""
    began = time.monotonic()
    while parents_of(pid):
        if time.monotonic() - began > GUARD_S:
            return False
        time.sleep(0.01)
    return True
