"""What the system charges this process: resident bytes now, and the most since a moment.

Linux only (/proc); elsewhere the answers are None, never a guess.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from functools import cache
from typing import Any


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


def physical_bytes() -> int:
    """Bytes of memory in this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
