"""Calls that block are waited for, and a signal ends the waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NoReturn

import pytest

from ondevice_sora.base.interrupts import Interrupted, noted
from ondevice_sora.base.waiting import waited_for


def test_what_it_returns_is_returned_and_what_it_raises_is_raised() -> None:
    def refuse(stopped: threading.Event) -> NoReturn:
        raise KeyError("x")

    assert waited_for(lambda stopped: stopped.is_set()) is False
    with pytest.raises(KeyError, match="x"):
        waited_for(refuse)


def test_a_signal_ends_the_waiting_and_tells_the_work(ctrl_c: Callable[[], None]) -> None:
    seen = threading.Event()

    def block(stopped: threading.Event) -> None:
        ctrl_c()
        if stopped.wait(60):
            seen.set()

    with pytest.raises(Interrupted), noted():
        waited_for(block)
    assert seen.wait(60)
