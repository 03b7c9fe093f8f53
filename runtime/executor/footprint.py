"""What the system charges this process, resident bytes now and the most since a moment, and what it has left.

Linux only (/proc, control groups); elsewhere the answers are None, never a guess.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""malloc.h"""
MORE_ROOM = "Give the plan a smaller memory.budget, cut its blocks smaller, prefetch or keep fewer, or close programs."
"""How to mend a run that memory is too short for."""
MMAP_THRESHOLD_BYTES, TRIM_THRESHOLD_BYTES = 16 << 20, 64 << 20


def resident_bytes() -> int | None:
    """Bytes of this process in memory now."""
    return _status_bytes("VmRSS")


def peak_bytes() -> int | None:
    """The most bytes in memory since the process began or `reset_peak` was called."""
    return _status_bytes("VmHWM")


def reset_peak() -> bool:
    """Start measuring the peak anew. False if the system does not let one."""
    try:
        with open("/proc/self/clear_refs", "w") as stream:
            stream.write("5")
    except OSError:
        return False
    return True


def settle_heap() -> None:
    """Fix from which size the C library returns freed tensors to the system, where it can be told to (glibc).

    Left alone it raises both thresholds to the sizes it sees, and what a process holds depends on the order of events.
    Lower ones cost time: memory that is returned is zeroed and mapped page by page at the next use. With 1 and 4 MiB
    runs of full width took 1.2 to 1.3 times as long (232 to 1,104 tokens, a virtual machine), for 20 to 80 MB less.
    """
    library = _library()
    if library is not None and hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)


def trim_heap() -> None:
    """Ask the C library to return freed memory to the system, where it has such a call (glibc)."""
    library = _library()
    if library is not None and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _status_bytes(key: str) -> int | None:
    try:
        with open("/proc/self/status") as stream:
            for line in stream:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


@cache
def _library() -> Any:
    if sys.platform != "linux":
        return None
    with contextlib.suppress(OSError):
        return ctypes.CDLL(None)
    return None


def check_room(needed_bytes: int, what: str, mend: str) -> None:
    """Raises UserError if the system has less memory left: it would end the process, without a word."""
    left = available_bytes()
    if left is not None and needed_bytes > left:
        raise UserError(f"{what} {format_bytes(needed_bytes)} of memory; {format_bytes(left)} are free here", mend=mend)


def available_bytes(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still take before the system ends it: of the machine's, and of its control groups'.

    Pages of files count as free, for they are given up first, and so does swap. None where the system does not say.
    """
    left = _fields(root / "proc/meminfo")
    if "MemAvailable:" not in left:
        return None
    machine = (left["MemAvailable:"] + left.get("SwapFree:", 0)) * 1024
    return max(0, min([machine, *_left_in_groups(root)]))


def _left_in_groups(root: Path) -> Iterator[int]:
    """What each control group that limits this process has left, of either version."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, limit, used = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            mount, limit, used = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = mount / path.strip("/")
        for each in (group, *group.parents):
            if not each.is_relative_to(mount):
                break
            try:
                most, taken = int((each / limit).read_text()), int((each / used).read_text())
            except (OSError, ValueError):  # not there, or "max"
                continue
            held = _fields(each / "memory.stat")
            yield most - taken + held.get("inactive_file", 0) + held.get("active_file", 0)


def _fields(path: Path) -> dict[str, int]:
    """The whole numbers of a file of the kernel's, by the word before each."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdecimal()}


def physical_bytes() -> int:
    """Bytes of memory in this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
