"""What lies in an export's folder: packages and constants, by plain names, and nothing reached through a link."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.opening import NotAFileError, plain, read_bytes

PACKAGE_PARTS = ("Manifest.json", "Data")
"""What every package has."""


def files_of(directory: Path, file: str) -> Iterator[Path]:
    """The files of a package, in the order of their names. Raises NotAFileError if anything is a link or a device."""
    pending = [plain(directory, file)]
    found = []
    while pending:
        path = pending.pop()
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            pending += path.iterdir()
        elif stat.S_ISREG(mode) and path != directory / file:
            found.append(path)
        else:
            raise NotAFileError(errno.EPERM, f"{path.relative_to(directory)} is not a file or a folder of its own")
    return iter(sorted(found))


def put_package(made: Path, directory: Path, file: str) -> None:
    """Put a package in its place, where an older one may lie. Raises UserError if something else does."""
    remove_package(directory, file)
    os.replace(made, plain(directory, file))


def remove_package(directory: Path, file: str) -> None:
    """Remove a package, if there is one. Raises UserError if what is there is not one: then it is somebody's."""
    path = plain(directory, file)
    if not os.path.lexists(path):
        return
    is_package = stat.S_ISDIR(os.lstat(path).st_mode) and all(os.path.lexists(path / part) for part in PACKAGE_PARTS)
    if not is_package:
        raise UserError("is in the way, and is not a package", str(path), "Move it away, or choose another folder.")
    shutil.rmtree(path)


def read_constant(directory: Path, file: str, num_bytes: int) -> bytes:
    """The bytes of a constant. Raises UserError if it is missing, no file, or has more or fewer."""
    path = plain(directory, file)
    data = read_bytes(path, num_bytes, follows_links=False)
    if len(data) < num_bytes:
        raise UserError(f"has {len(data)} bytes instead of {num_bytes}", str(path), "Export the plan again.")
    return data
