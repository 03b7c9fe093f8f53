"""Ctrl-C (SIGINT) and SIGTERM, noted when they come and raised where nothing is half done.

    with noted():
        for block in blocks:
            check()             # raises Interrupted, here and nowhere else
            convert(block)

Left to itself Python raises KeyboardInterrupt between any two instructions: while a lock is being taken, which then
stays taken, or in a destructor, where it is lost. A command runs inside `noted` from its first moment, and long work
calls `check` between its pieces. Whatever waits does so for POLL_S at a time, with a `check` in between.

A second Ctrl-C ends the process at once, as it would without us. Signals that the process was started to ignore (a job
put into the background by a script) stay ignored, and handlers that a program has installed itself stay in place.
Outside the main thread, where no signal arrives, both do nothing.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

POLL_S = 0.1
BURST_S = 0.2
"""One Ctrl-C may arrive more than once: from the terminal, and from a program in between that passes it on."""
HANDLED: dict[signal.Signals, Any] = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
"""What is replaced, and only if it is as Python starts with. SIGINT comes last, hence is noted from before the rest."""


class Interrupted(KeyboardInterrupt):
    """A signal, raised by `check`. `status` is the exit status that says so: 130 for SIGINT, 143 for SIGTERM."""

    STATUSES = tuple(128 + number for number in HANDLED)

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def status(self) -> int:
        return 128 + self.number


class _Note:
    """The first signal that came; `is_raised` once a `check` has raised it."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.came_s = 0.0
        self.is_raised = False

    def take(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is None:
            self.number, self.came_s = number, now
        elif number == signal.SIGINT and now - self.came_s >= BURST_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def raise_once(self, cause: BaseException | None = None) -> None:
        if self.number is not None and not self.is_raised:
            self.is_raised = True
            raise Interrupted(self.number) from cause


_note: _Note | None = None
_early: tuple[_Note, list[signal.Signals]] | None = None


def note_from_now() -> None:
    """Note signals already before the next `noted`, which takes over: for a program that has much to import first.

    An import that a signal breaks off ends with a traceback, or crashes: extension modules are not written for it.
    """
    global _early
    _early = _started()


def _started() -> tuple[_Note, list[signal.Signals]]:
    """A note, and the signals that are noted in it from now on."""
    note = _Note()
    replaced = [number for number, usual in HANDLED.items() if signal.getsignal(number) == usual]
    for number in reversed(replaced):
        signal.signal(number, note.take)
    return note, replaced


@contextmanager
def noted(*, is_last: bool = False) -> Iterator[None]:
    """Note signals while the block runs. One that no `check` has raised by its end is raised there.

    `is_last` says that the process ends after it: a signal then ends it at once, while Python takes itself down.
    Inside another `noted` this does nothing: what comes is the outer one's.
    """
    global _note, _early
    if _note is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    (note, replaced), _early = _early or _started(), None
    _note = note
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        _note = None
        for number in replaced:
            signal.signal(number, signal.SIG_DFL if is_last else HANDLED[number])
        if not isinstance(failure, KeyboardInterrupt):
            note.raise_once(failure)


def check() -> None:
    """Raise the signal that has come, if one has; only once. Raises Interrupted."""
    if _note is not None and threading.current_thread() is threading.main_thread():
        _note.raise_once()


def exit_status() -> int:
    """That of the signal noted; SIGINT's where none was, for what else raises KeyboardInterrupt."""
    number = signal.SIGINT if _note is None or _note.number is None else _note.number
    return Interrupted(number).status


@contextmanager
def keeping(what: str) -> Iterator[None]:
    """Say, on an interruption that passes through, what stays of the work and how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(what)
        raise
