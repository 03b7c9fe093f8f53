"""What every verb shares: exit statuses, errors in one message, no file overwritten by accident, progress."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.opening import reason
from ondevice_sora.base.files.writing import is_stream
from ondevice_sora.base.installation import how_to_install, missing_in_a_wheel
from ondevice_sora.base.interrupts import Interrupted, check, noted
from ondevice_sora.base.streams import discard, safe_streams
from ondevice_sora.base.units import format_bytes

if TYPE_CHECKING:
    from ondevice_sora.profiles.models.configured import Shape

DEFAULT_DEVICE = "iphone15pro"
EXIT_FITS = 0
EXIT_FAILED = 1
EXIT_UNUSABLE = 2
EXIT_KILLED = 3
EXIT_INTERRUPTED = 130
CASES_HELP = "a cases file, or a shipped one: iphone15pro (default), apple_sdxl, corpus"


def guarded(work: Callable[[], int], *, is_program: bool = False) -> int:
    """Run a verb: a user's mistake becomes one message and exit status 2, Ctrl-C exit status 130, SIGTERM 143.

    So does a verb that only a checkout has, and what the system refuses: memory, open files, larger files: one message,
    exit status 2. Signals are raised where the verb checks for them; one that comes after its work is done changes
    nothing. Output is made safe to show (base/streams.py). `is_program` says that the process ends with the verb.
    """
    status: int | None = None
    with safe_streams():
        try:
            with noted(is_last=is_program):

                def worked() -> None:
                    nonlocal status
                    check()  # what came while modules were imported
                    status = work()

                shown(worked)
                if status is None:  # its reader left early
                    status = EXIT_FITS
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return EXIT_UNUSABLE
        except KeyboardInterrupt as error:
            if status is None:
                kept = "; ".join(getattr(error, "__notes__", ["nothing was written yet"]))
                print(f"interrupted: {kept}", file=sys.stderr)
                return error.status if isinstance(error, Interrupted) else EXIT_INTERRUPTED
        except Exception as error:
            refused = refusal(error)
            if refused is None:
                raise
            print(f"error: {refused}", file=sys.stderr)
            return EXIT_UNUSABLE
    assert status is not None
    return status


SHORTAGES = ("memory", "map segment", "start new thread", "Resource temporarily unavailable")
"""Parts of what libraries say of memory and threads that the system does not give; they have no types for it."""


def refusal(error: Exception) -> UserError | None:
    """What was refused to this process, for people; None for an error of the program."""
    if isinstance(error, ModuleNotFoundError) and missing_in_a_wheel(error):
        return UserError(f"this needs {error.name}, which only a checkout has", mend="Run it in one.")
    if isinstance(error, MemoryError):
        return UserError("there is not enough memory for this", mend="Close other programs, or allow this one more.")
    if isinstance(error, OSError):
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return UserError(reason(error), names[0] if names else None)
    if isinstance(error, (ImportError, RuntimeError)) and any(part in str(error) for part in SHORTAGES):
        return UserError(f"the system gives no more: {str(error).splitlines()[0]}", mend="Allow this program more.")
    return None


def shown(show: Callable[[], None]) -> None:
    """Print something for a reader who may leave early (head, less); that does not change the exit status."""
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)


WITH_TORCH = ("torch", "generate", "evaluate", "coreml", "describe")
TORCH_BYTES = 800_000_000
"""Of address space, for PyTorch's libraries and a little work. With less, imports fail half-way or never end."""


def _check_address_space() -> None:
    """Raises UserError where the system allows this process less (`ulimit -v`) than PyTorch's libraries take."""
    try:
        import resource
    except ImportError:
        return
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < TORCH_BYTES:
        what = (
            f"this process may use {format_bytes(allowed)} of address space; PyTorch takes {format_bytes(TORCH_BYTES)}"
        )
        raise UserError(what, mend="Allow it more, for instance with `ulimit -v unlimited`.")


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Say which extra of ours has a package that is not installed, or cannot be loaded here. Raises UserError."""
    if extra in WITH_TORCH:
        _check_address_space()
    try:
        yield
        check()  # such imports take seconds
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "ondevice_sora":
            raise
        name = "protobuf" if (error.name or "").startswith("google") else error.name  # google.protobuf
        raise UserError(f"this needs {name}, which is not installed", mend=how_to_install(extra)) from None


KINDS = {suffix: frozenset(kinds) for kinds in ((".htm", ".html"), (".yml", ".yaml"), (".json",)) for suffix in kinds}
"""The suffixes that a file of some kind may have."""
OTHER_KINDS = frozenset(
    (".htm", ".html", ".yml", ".yaml", ".json", ".csv", ".parquet", ".pdf", ".png", ".svg", ".mp4", ".gif", ".md")
)
"""Suffixes that say what a file is: nothing else is written under such a name."""


def output_path(given: str, default: str, force: bool, inputs: Sequence[str] = (), kind: str = "") -> Path:
    """Where to write: the path given, or the default name if the option was given without one.

    A name that ends as files of another kind do is refused; the kind is the default's, or that of `kind`, as '.yaml'.

    A link is followed: what it leads to is written, and the link stays. Raises UserError if something is there and must
    not be overwritten, --force or not if it is one of `inputs` (there already or not yet), if it is a link that leads
    nowhere, or if there is no such folder.
    """
    named = Path(given or default)
    if "\0" in str(named):
        raise UserError("a name cannot have a NUL in it", str(named))
    if given == "-":
        raise UserError("'-' is a file's name here, not standard output", mend="Write /dev/stdout, or a file's name.")
    path = named if is_stream(named) else Path(os.path.realpath(named)) if os.path.islink(named) else named
    # os.path answers "no" where Path raises: a name that is too long
    if os.path.isdir(path):
        raise UserError("this is a folder; a file name is needed", str(named))
    if not os.path.isdir(path.parent):
        raise UserError(f"there is no folder {path.parent}", str(named), "Make the folder first.")
    if any(_is_same(name, path) for name in inputs):
        raise UserError("this file is read; it cannot be written as well", str(named), "Choose another name.")
    if is_stream(path):
        return path
    if os.path.islink(named) and not os.path.lexists(path):
        raise UserError(f"this is a link to {path}, which is not there", str(named), "Choose another name.")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise UserError("what is there is not a file", str(named), "Choose another name.")
    if os.path.isfile(path) and not force:
        raise UserError("the file exists already", str(named), "Choose another name, or overwrite it with --force.")
    kinds = KINDS.get(Path(kind or default).suffix.lower())
    if kinds is not None and named.suffix.lower() in OTHER_KINDS - kinds:
        written = max(kinds, key=len)
        what = f"a {written} file is written, and this name ends in {named.suffix}"
        raise UserError(what, str(named), f"Choose a name that ends in {written}.")
    return path


def stem_of(named: str) -> str:
    """How files made of a plan, a grid or a model begin: its name, whose dots stay ('sd1.5-512'), or its file's."""
    path = Path(named)
    return path.stem if path.suffix.lower() in OTHER_KINDS else path.name


def refuse_without_effect(options: argparse.Namespace, names: Iterable[str], why: str, mend: str) -> None:
    """Raises UserError for the first of these options that was given. `why` goes on from 'has no effect'."""
    for name in names:
        if getattr(options, name) not in (None, False):
            raise UserError(f"--{name.replace('_', '-')} has no effect {why}", mend=mend)


def _is_same(name: str, path: Path) -> bool:
    """Whether both are one file, or would be: a file that is not there yet is told by its path."""
    if os.path.exists(name) and os.path.exists(path):
        return os.path.samefile(name, path)
    return os.path.realpath(name) == os.path.realpath(path)


def distinct(outputs: Iterable[Path]) -> None:
    """Raises UserError if two outputs are one file."""
    outputs = list(outputs)
    for number, path in enumerate(outputs):
        if any(_is_same(str(other), path) for other in outputs[:number]):
            raise UserError("two outputs have the same name", mend="Give each its own.")


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A type for argparse: a whole number in this range."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}.")
        return int(text)

    return read


def wrote(*paths: object) -> None:
    """Say what was written, apart from what was printed."""
    for path in paths:
        print(f"Wrote {path}", file=sys.stderr)


def json_text(document: object) -> str:
    """As `--json` prints it."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode()


LEAST_SIZE = 100_000
"""Bytes. Less is a size whose unit was forgotten: 3 for 3 GB."""


def size_argument(text: str) -> int:
    """'3.3 GB' for argparse."""
    from ondevice_sora.base.units import parse_bytes

    try:
        size = parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if size <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size above zero.")
    if size < LEAST_SIZE:
        mend = f"Write '{text} GB' or '{text} MB'." if text.strip().isdigit() else "Nothing runs in so little."
        raise argparse.ArgumentTypeError(f"{text!r} is {size} bytes. {mend}")
    return size


def shape_argument(text: str) -> Shape:
    """'832x480x81' for argparse, or '1024x1024' for a picture."""
    import msgspec

    from ondevice_sora.profiles.models.configured import Shape

    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})(?:x([0-9]{1,5}))?", text)
    try:
        if found is not None:
            width, height, frames = (int(part or 1) for part in found.groups())
            return msgspec.convert({"width": width, "height": height, "frames": frames}, Shape)
    except msgspec.ValidationError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no shape. Write, for instance, 832x480x81.")
