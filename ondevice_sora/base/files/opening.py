"""Open what lies on a disk: regular files only, of bounded size, and within a folder only by plain names.

A path that comes from a user may be a link. A name that comes out of a file may not lead anywhere: it is a plain name
(`FileName`), it is looked up in one folder, and what lies there is no link.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Annotated

import msgspec

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.text import END

FILE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.\- ]*"
"""The beginning of a pattern for names of files that we write: no folders, nothing hidden, nothing unprintable."""
FileName = Annotated[
    str, msgspec.Meta(pattern=FILE_NAME + END, max_length=200, description="the name of a file beside this one")
]
NO_SUCH_FILE = "no such file"
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link",
}


class NotAFileError(OSError):
    """What is there is a folder, a pipe, a device, a socket, or a link where none is followed."""


def open_regular(path: Path, *, follows_links: bool = True, direct: bool = False) -> FileIO:
    """A regular file, opened to read bytes, unbuffered; `direct` reads past the page cache.

    Raises NotAFileError for anything else: a device is not even opened, and a pipe without a writer does not hang.
    Raises OSError as the system does.
    """
    _refuse(os.stat(path) if follows_links else os.lstat(path))
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    flags |= 0 if follows_links else getattr(os, "O_NOFOLLOW", 0)
    flags |= os.O_DIRECT if direct else 0
    descriptor = os.open(path, flags)
    try:
        _refuse(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return FileIO(descriptor, "rb")


def _refuse(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise NotAFileError(errno.EPERM, f"this is {kind}, not a file")


def open_beside(folder: Path, name: str, *, direct: bool = False) -> FileIO:
    """A file of a folder by a name out of another file, opened as open_regular does; a link is not followed."""
    return open_regular(plain(folder, name), follows_links=False, direct=direct)


def beneath(folder: Path, *names: str) -> Path:
    """The path of a file or folder some levels below a folder of ours. Raises UserError if one of them is a link."""
    path = folder
    for name in names:
        path = plain(path, name)
        if path.is_symlink():
            raise UserError("this is a link; what is in this folder must lie in it", str(path), "Remove the link.")
    return path


def remove_beside(folder: Path, names: Iterable[str]) -> None:
    """Remove files of a folder: regular ones and no others, and nothing for a name that is not a plain one."""
    for name in names:
        with suppress(FileNotFoundError, NotAFileError):
            path = plain(folder, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                path.unlink()


def plain(folder: Path, name: str) -> Path:
    """The path of a name in a folder. Raises NotAFileError for a name that would lead out of it, or hide in it."""
    if name != os.path.basename(name) or name.startswith(".") or "\\" in name or "\0" in name or not name:
        raise NotAFileError(errno.EPERM, f"{name!r} is not the name of a file in this folder")
    return folder / name


def read_bytes(path: Path, max_bytes: int, *, follows_links: bool = True) -> bytes:
    """All of a regular file. Raises UserError if it is missing, something else, or has more than `max_bytes`."""
    try:
        with open_regular(path, follows_links=follows_links) as stream:
            parts, left = [], max_bytes + 1
            if os.fstat(stream.fileno()).st_size > max_bytes:  # a file may also grow, or be larger than it says
                left = 0
            while left and (part := stream.read(left)):
                parts.append(part)
                left -= len(part)
    except FileNotFoundError:
        raise UserError(NO_SUCH_FILE, str(path)) from None
    except NotAFileError as error:
        raise UserError(reason(error), str(path)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UserError(f"cannot be read: {reason(error)}", str(path)) from None
    if not left:
        raise UserError(f"the file is too large; at most {max_bytes} bytes are read", str(path))
    return b"".join(parts)


def read_text(path: Path, max_bytes: int, *, follows_links: bool = True) -> str:
    """The text of a regular file. Raises UserError as read_bytes, and if it is not UTF-8."""
    try:
        return read_bytes(path, max_bytes, follows_links=follows_links).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 text (byte {error.start})", str(path), "Save it as UTF-8.") from None


def reason(error: OSError | ValueError) -> str:
    """What the system says is wrong, without number and name."""
    return getattr(error, "strerror", None) or str(error)
