"""Calls that block in somebody else's code, where no `check` can stand: made in a thread, and Ctrl-C is seen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from ondevice_sora.base.interrupts import POLL_S, check

T = TypeVar("T")


def waited_for(work: Callable[[threading.Event], T]) -> T:
    """What `work` returns or raises, wherever it blocks.

    A signal is raised here at once, and the event that `work` was given is set: it should end when it sees it, and may
    be left behind in a thread that ends with the process. Raises Interrupted.
    """
    stopped = threading.Event()
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work(stopped))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="waited for", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            check()
            thread.join(POLL_S)
    except BaseException:
        stopped.set()
        raise
    if failures:
        raise failures[0]
    return results[0]
