"""Signals are noted when they come and raised by `check`; what else a process does with them stays as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from ondevice_sora.base import interrupts
from ondevice_sora.base.interrupts import Interrupted, check, exit_status, keeping, noted

pytestmark = pytest.mark.usefixtures("ctrl_c", "usual_sigterm")


@pytest.fixture
def usual_sigterm() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_raised_by_the_next_check_and_only_once(number: int, status: int) -> None:
    done = []
    with noted():
        check()
        send(number)
        done.append("noted")
        with pytest.raises(Interrupted) as raised:
            check()
        check()
        assert exit_status() == status
    assert done and raised.value.status == status


def test_one_that_no_check_has_raised_is_raised_at_the_end() -> None:
    done = []

    @noted()
    def work() -> None:
        send(signal.SIGINT)
        done.append("the rest of the block")

    with pytest.raises(Interrupted):
        work()
    assert done


def test_it_goes_before_the_failure_that_it_came_with() -> None:
    """As when Ctrl-C also ends a program that the work had started, and the work complains of that."""
    failure = ValueError("a child has ended")

    @noted()
    def work() -> None:
        send(signal.SIGINT)
        raise failure

    with pytest.raises(Interrupted) as raised:
        work()
    assert raised.value.__cause__ is failure


def test_handlers_are_as_before_afterwards() -> None:
    before = handlers()
    with noted():
        assert handlers() != before
    with pytest.raises(Interrupted), noted():
        send(signal.SIGTERM)
    assert handlers() == before


def test_an_inner_one_leaves_the_signal_to_the_outer_one() -> None:
    with noted():
        with noted():
            send(signal.SIGINT)
        with pytest.raises(Interrupted):
            check()


def test_a_second_ctrl_c_ends_the_process_at_once() -> None:
    """But not one that arrives right after the first, as when two programs pass on the same Ctrl-C."""
    program = (
        "import os, signal; from ondevice_sora.base import interrupts\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with interrupts.noted():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    interrupts.BURST_S = 1e9\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here', flush=True)\n"
        "    interrupts.BURST_S = 0.0\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('not here')"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "still here\n", "")


def test_what_the_parent_has_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with noted():
        send(signal.SIGINT)
        check()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_handlers_of_a_program_itself_stay_in_place() -> None:
    came: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    with noted():
        send(signal.SIGTERM)
        check()
    assert came == [signal.SIGTERM]


def test_off_the_main_thread_nothing_is_noted_or_raised(ctrl_c: Callable[[], None]) -> None:
    before, ended = handlers(), []

    def elsewhere() -> None:
        with noted():
            assert handlers() == before
            check()
        ended.append(True)

    with noted():
        before = handlers()
        ctrl_c()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        with pytest.raises(Interrupted):
            check()
    assert ended


def test_what_is_kept_is_told_by_the_exception() -> None:
    with pytest.raises(KeyboardInterrupt) as raised, keeping("nine rows are kept"):
        raise KeyboardInterrupt
    assert raised.value.__notes__ == ["nine rows are kept"]


def test_a_check_outside_does_nothing() -> None:
    check()
    assert interrupts.exit_status() == 130
