"""Write files whole or not at all, and never anywhere else than asked.

What is written goes to a scratch folder first: in the same folder, and under a random name, so that nobody can have put
a link there; what a killed process left of those, the next one removes. It then takes its place. A file that was there
keeps its permissions. A link that was there is replaced, and what it led to stays as it was; the command line resolves
a link that a user names as an output beforehand.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import scratch_in
from ondevice_sora.base.files.opening import reason
from ondevice_sora.base.text import printable

STANDARD_STREAMS = {
    "/dev/stdout": 1, "/dev/fd/1": 1, "/proc/self/fd/1": 1, "/dev/stderr": 2, "/dev/fd/2": 2, "/proc/self/fd/2": 2,
}  # fmt: skip
"""What this process has open already: opened anew it would be another place in the same file."""
PURPOSE = "files"


def write_text(path: str | Path, text: str) -> None:
    """Write a whole file or nothing. Raises UserError if it cannot be written.

    Into a pipe or a device such as /dev/stdout the text goes as it is; no file takes its place.
    """
    path = Path(path)
    try:
        if is_stream(path):
            _write_into(path, text.encode())
        else:
            with replaced(path) as stream:
                stream.write(text.encode())
    except OSError as error:
        raise UserError(f"cannot be written: {reason(error)}", str(path)) from None


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A stream for a file's content, which takes the file's place if the block ends well. Raises OSError."""
    with scratch_in(path.parent, PURPOSE) as folder:
        with (folder / path.name).open("xb") as stream:
            yield stream
        _put_in_place(folder / path.name, path)


@contextmanager
def written_together(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Files in a scratch folder, named as `paths`, to write to; they take their places if the block ends well.

    All paths lie in one folder. An interruption leaves the old files or none, never half of one. Raises UserError if
    one cannot be written, or is a pipe or a device: these files are not written from front to back.
    """
    for path in paths:
        if is_stream(path):
            raise UserError("a pipe or a device cannot take this; a file is needed", str(path))
    try:
        with scratch_in(paths[0].parent, PURPOSE) as folder:
            yield [folder / path.name for path in paths]
            for path in paths:
                _put_in_place(folder / path.name, path)
    except OSError as error:
        raise UserError(f"cannot be written: {reason(error)}", str(paths[0])) from None


def _put_in_place(made: Path, path: Path) -> None:
    with suppress(FileNotFoundError):
        before = os.lstat(path)
        if stat.S_ISREG(before.st_mode):
            os.chmod(made, stat.S_IMODE(before.st_mode))
    os.replace(made, path)


def is_stream(path: Path) -> bool:
    """Whether what is written here goes on as it comes: standard output, a pipe, a terminal, /dev/null."""
    if str(path) in STANDARD_STREAMS:
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _write_into(path: Path, data: bytes) -> None:
    """Write to what is_stream. A pipe that nobody reads is an OSError, and not waited for."""
    if str(path) in STANDARD_STREAMS:
        descriptor = os.dup(STANDARD_STREAMS[str(path)])
    else:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
        os.set_blocking(descriptor, True)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def write_json(path: str | Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def write_yaml(path: str | Path, data: Any, comment: str = "") -> None:
    """Write data as YAML under a comment."""
    write_text(path, yaml_text(data, comment))


def yaml_text(data: Any, comment: str = "", *, inline: bool = False) -> str:
    """Data as YAML under a comment, of which every line is a comment whatever stands in it.

    `inline` puts the innermost lists and mappings into one line each.
    """
    heading = "".join(f"# {line}".rstrip() + "\n" for line in printable(comment).split("\n") if comment)
    style = None if inline else False
    return heading + yaml.safe_dump(
        data, sort_keys=False, allow_unicode=True, width=160 if inline else 110, default_flow_style=style
    )
