"""Processes that this one starts: Ctrl-C is not theirs to handle, and none outlives this one.

A child is a module of ours run with `-P`, so that nothing is imported from the user's working folder. SIGINT and
SIGTERM stay blocked in it: a terminal sends them to all processes of a command, and it is the parent that ends its
children. It ends by itself when the parent is gone, however that came about: Linux kills it, and elsewhere it looks now
and then. This module starts it, so that this is so before what it imports is imported.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from ondevice_sora.base.interrupts import POLL_S, check

PR_SET_PDEATHSIG = 1
"""prctl.h"""


def start(module: str, *arguments: str, **settings: Any) -> subprocess.Popen[bytes]:
    """Run a module of ours, as `python -m` does. `settings` are Popen's."""
    command = [sys.executable, "-P", "-m", __name__, str(os.getpid()), module, *arguments]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        return subprocess.Popen(command, **settings)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def finish(process: subprocess.Popen[bytes], timeout_s: float | None = None) -> str:
    """Wait for the end of a process and return what it wrote to `stderr`, if that is a pipe.

    Whatever ends the waiting ends the process. Raises Interrupted, and subprocess.TimeoutExpired after `timeout_s`.
    """
    began = time.monotonic()
    try:
        while True:
            check()
            try:
                _, said = process.communicate(timeout=POLL_S)
            except subprocess.TimeoutExpired:
                if timeout_s is not None and time.monotonic() - began > timeout_s:
                    raise
            else:
                return (said or b"").decode(errors="replace")
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process if it has not ended, with all that it started if it leads a session of its own; close its pipes."""
    if process.poll() is None:
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):  # what it has not read
                stream.close()


def how_it_ended(status: int) -> str:
    """A Popen's `returncode`, in words that go on after the name of a process."""
    if status == -signal.SIGKILL:
        return "was ended by the system (SIGKILL), most likely because memory ran short"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _end_with(parent: int) -> None:
    """End without a word when this process's parent does."""
    leads = os.getpgrp() == os.getpid()
    if sys.platform == "linux" and not leads:  # killed at once, but what it started itself would live on
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent, leads), name="parent watch", daemon=True).start()


def _watch(parent: int, leads: bool) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    if leads:
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _, _parent, _module, *_arguments = sys.argv
    _end_with(int(_parent))
    sys.argv = [_module, *_arguments]
    runpy.run_module(_module, run_name="__main__", alter_sys=True)
