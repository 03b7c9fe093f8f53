"""What a verb's interruption comes to: one line that says what is kept, and exit status 130 or 143."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import check, keeping
from ondevice_sora.commands.common import guarded, needing
from ondevice_sora.commands.progress import progress_bar

pytestmark = pytest.mark.usefixtures("ctrl_c")


@pytest.fixture(autouse=True)
def usual_sigterm() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_status_says_which_signal_and_the_line_what_is_kept(
    number: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        signal.raise_signal(number)
        with keeping("two rows are kept"):
            check()
        return 0

    assert guarded(work) == status
    assert capsys.readouterr().err == "interrupted: two rows are kept\n"


def test_a_signal_that_comes_when_all_is_done_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        signal.raise_signal(signal.SIGINT)
        return 3

    assert guarded(work) == 3
    assert capsys.readouterr().err == ""


def test_a_complaint_that_comes_of_an_interruption_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        signal.raise_signal(signal.SIGINT)
        raise UserError("the video cannot be written", mend="Free some space.")

    assert guarded(work) == 130
    assert capsys.readouterr().err == "interrupted: nothing was written yet\n"


def test_a_signal_while_the_program_takes_itself_down_ends_it_without_a_word() -> None:
    program = (
        "import atexit, signal; from ondevice_sora.commands.common import guarded\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "atexit.register(signal.raise_signal, signal.SIGINT)\n"
        "guarded(lambda: 0, is_program=True)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def imports() -> None:
    with needing("torch"):
        signal.raise_signal(signal.SIGTERM)


def advances() -> None:
    with progress_bar("videos", 2) as advance:
        signal.raise_signal(signal.SIGTERM)
        advance(1)


@pytest.mark.parametrize("work", [imports, advances])
def test_long_imports_and_every_step_of_a_bar_are_safe_points(work: Callable[[], None]) -> None:
    done = []

    def verb() -> int:
        work()
        done.append("never")
        return 0

    assert guarded(verb) == 143
    assert not done
