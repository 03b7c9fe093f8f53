"""What every verb shares: exit statuses, complaints without traceback, files not overwritten by accident."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.installation import how_to_install, missing_in_a_wheel

EXIT_FITS = 0
EXIT_FAILED = 1
EXIT_UNUSABLE = 2
EXIT_KILLED = 3
EXIT_INTERRUPTED = 130
CASES_HELP = "a cases file, or a shipped one: iphone15pro (default), apple_sdxl"


def guarded(work: Callable[[], int]) -> int:
    """Run a verb: a user's mistake becomes one message and exit status 2, Ctrl-C exit status 130.

    So does a verb that only a checkout has.
    """
    status = EXIT_FITS
    try:

        def worked() -> None:
            nonlocal status
            status = work()

        shown(worked)
        return status
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    except ModuleNotFoundError as error:
        if not missing_in_a_wheel(error):
            raise
        print(f"error: this needs {error.name}, which only a checkout has\nRun it in one.", file=sys.stderr)
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def shown(show: Callable[[], None]) -> None:
    """Print something, to a reader who may leave early (head, less): that changes no exit status."""
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Parser(argparse.ArgumentParser):
    """argparse with our exit status and with examples that keep their line breaks."""

    def __init__(self, **settings: object) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        settings.setdefault("allow_abbrev", False)
        super().__init__(**settings)  # type: ignore[arg-type]

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(EXIT_UNUSABLE, f"error: {message}\nSee `{self.prog} --help`.\n")


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Say which extra of ours has a package that is not installed. Raises UserError."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "ondevice_sora":
            raise
        raise UserError(f"this needs {error.name}, which is not installed", mend=how_to_install(extra)) from None


def output_path(given: str, default: str, force: bool, inputs: Sequence[str] = ()) -> Path:
    """Where to write: as given, or the default name where the option stood alone.

    Raises UserError if something is there and must not be overwritten, --force or not if it is one of `inputs`, or if
    there is no such folder.
    """
    path = Path(given or default)
    # os.path answers "no" where Path raises: a name that is too long
    if os.path.isdir(path):
        raise UserError("this is a folder; a file name is needed", str(path))
    if not os.path.isdir(path.parent):
        raise UserError(f"there is no folder {path.parent}", str(path), "Make the folder first.")
    if os.path.exists(path) and any(os.path.exists(name) and os.path.samefile(name, path) for name in inputs):
        raise UserError("this file is read; it cannot be written as well", str(path), "Choose another name.")
    if os.path.isfile(path) and not force:  # not for /dev/stdout, into which one writes
        raise UserError("the file exists already", str(path), "Choose another name, or overwrite it with --force.")
    return path


def refuse_without_effect(options: argparse.Namespace, names: Iterable[str], why: str, mend: str) -> None:
    """Raises UserError for the first of these options that was given. `why` goes on from 'has no effect'."""
    for name in names:
        if getattr(options, name) not in (None, False):
            raise UserError(f"--{name.replace('_', '-')} has no effect {why}", mend=mend)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal, none where nobody is looking; what it gives advances it by a count."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A type for argparse: a whole number in this range."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}.")
        return int(text)

    return read


def size_argument(text: str) -> int:
    """'3.3 GB' for argparse."""
    from ondevice_sora.base.units import parse_bytes

    try:
        size = parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if size <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size above zero.")
    return size
