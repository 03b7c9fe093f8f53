"""Where a package's files are: in a folder, in a cache of the Hugging Face hub, or in a zip archive. None is trusted.

A name out of a package is looked up below it and nowhere else, and a link is not followed. Two kinds of links are a
user's own and are followed: one in place of the whole package, and those of the hub's cache, whose files are links into
its folder `blobs`. Of an archive nothing is extracted by name: what is stored in it is read in place, and what is
compressed is unpacked, within bounds, into a temporary file without a name.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
import weakref
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import IO

from ondevice_sora.base.files.opening import NotAFileError, open_regular, reason
from ondevice_sora.base.interrupts import check
from ondevice_sora.base.units import format_bytes
from ondevice_sora.runtime.coreml.package.errors import PackageError

MAX_ENTRIES = 100_000
MAX_RATIO = 200
RATIO_FROM_BYTES = 1_000_000_000
"""An archive's file above this size that is so many times smaller packed is taken for a bomb."""
COPY_BYTES = 1 << 20
POINTER = b"version https://git-lfs.github.com/spec/v1"
POINTER_BYTES = 1_000
LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a file in an archive: a mark, and at its end the lengths of a name and of what else stands before the data."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a package: `path` is its name for people, `open` gives its bytes, from `start` on.

    An archive's file begins within another one, so a reader adds `start` to where it seeks.
    """

    path: Path
    num_bytes: int
    start: int = 0
    open: Callable[[], IO[bytes] | FileIO] = field(kw_only=True, compare=False, repr=False)

    def read(self, offset: int, count: int) -> bytes:
        """So many bytes, fewer at the end. Raises PackageError if it cannot be read."""
        try:
            with self.open() as stream:
                stream.seek(self.start + offset)
                parts, left = [], min(count, max(0, self.num_bytes - offset))
                while left and (part := stream.read(left)):
                    parts.append(part)
                    left -= len(part)
        except OSError as error:
            raise PackageError(f"cannot be read: {reason(error)}", str(self.path)) from None
        return b"".join(parts)

    def whole(self, max_bytes: int) -> bytes:
        """All of it. Raises PackageError if it has more than `max_bytes`, or is a Git LFS pointer."""
        if self.num_bytes > max_bytes:
            raise PackageError(f"the file is too large; at most {max_bytes} bytes are read", str(self.path))
        data = self.read(0, self.num_bytes)
        self.refuse_pointer(data)
        return data

    def refuse_pointer(self, data: bytes) -> None:
        """Raises PackageError if the file begins as what Git leaves in place of a large file."""
        if not data.startswith(POINTER):
            return
        sizes = [
            line[5:] for line in data[:POINTER_BYTES].decode("utf-8", "replace").splitlines() if line[:5] == "size "
        ]
        told = f" of {format_bytes(int(sizes[0]))}" if sizes and sizes[0].isdecimal() and len(sizes[0]) < 16 else ""
        what = f"this is a Git LFS pointer, and the file{told} that it stands for is not here"
        raise PackageError(what, str(self.path), "Fetch it with `git lfs pull`.")


class PackageFiles(ABC):
    """The files of one package, by their names in it."""

    path: Path
    """Of the package, for people; it exists on disk unless the package lies in an archive."""

    @abstractmethod
    def has(self, relative: str) -> bool:
        """Whether something of this name is there."""

    @abstractmethod
    def file(self, relative: str, where: str) -> StoredFile:
        """Raises PackageError for a name that leads out of the package, or at which there is no regular file."""


def plain_parts(relative: str, where: str) -> tuple[str, ...]:
    """The parts of a path out of a file. Raises PackageError for one that leaves the package."""
    pure = PurePosixPath(relative)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or "\\" in relative or "\0" in relative:
        raise PackageError(f"path {relative!r} leaves the package", where)
    return pure.parts


class DiskFiles(PackageFiles):
    """A package that is a folder."""

    def __init__(self, path: Path) -> None:
        """A link in place of the folder is a user's own and is followed."""
        self.path = path
        self.folder = path.resolve() if path.is_symlink() else path
        self.blobs = _blobs(self.folder)

    def has(self, relative: str) -> bool:
        return os.path.lexists(self.folder / relative)

    def file(self, relative: str, where: str) -> StoredFile:
        parts = plain_parts(relative, where)
        path = self.folder
        try:
            for index, part in enumerate(("", *parts)):
                path = path / part
                if index and stat.S_ISLNK(os.lstat(path).st_mode):
                    if self.blobs is None or index < len(parts):
                        raise PackageError(f"path {relative!r} passes through a link, {path.name!r}", where)
                    path = self._blob(path, relative, where)
            with open_regular(path, follows_links=False) as stream:
                num_bytes = os.fstat(stream.fileno()).st_size
        except NotAFileError as error:
            raise PackageError(reason(error), str(self.folder.joinpath(*parts))) from None
        except OSError as error:
            raise PackageError(f"path {relative!r} cannot be read: {reason(error)}", where) from None
        shown = self.path.joinpath(*parts)
        return StoredFile(shown, num_bytes, open=lambda: open_regular(path, follows_links=False))

    def _blob(self, link: Path, relative: str, where: str) -> Path:
        """What a link of the hub's cache stands for. Raises PackageError if it leads elsewhere, or to nothing."""
        target = Path(os.path.realpath(link))
        if target.parent != self.blobs:
            raise PackageError(f"path {relative!r} is a link that leaves the cache", where)
        if not target.exists():
            what = f"path {relative!r} is not in the cache, so the download is not complete"
            raise PackageError(what, where, "Download it again.")
        return target


def _blobs(folder: Path) -> Path | None:
    """The folder of the files themselves, if this one lies in a cache of the Hugging Face hub."""
    for parent in Path(os.path.abspath(folder)).parents:
        blobs = parent.parent / "blobs"
        if parent.name == "snapshots" and blobs.is_dir() and not blobs.is_symlink():
            return blobs.resolve()
    return None


class ZipFiles(PackageFiles):
    """A package in an archive, below `prefix`, which is empty or ends in a slash."""

    def __init__(self, archive: Archive, prefix: str) -> None:
        self.archive = archive
        self.prefix = prefix
        self.path = archive.path / prefix if prefix else archive.path

    def has(self, relative: str) -> bool:
        name = self.prefix + relative
        return (
            self.archive.has(name)
            or self.archive.has(f"{name}/")
            or any(entry.startswith(f"{name}/") for entry in self.archive.entries)
        )

    def file(self, relative: str, where: str) -> StoredFile:
        return self.archive.file(self.prefix + "/".join(plain_parts(relative, where)), where)


class Archive:
    """A zip archive: its names, and its files once they are asked for."""

    def __init__(self, path: Path) -> None:
        """Raises PackageError if it is no such archive."""
        self.path = path
        stored = DiskFiles(path.parent).file(path.name, str(path)) if not path.is_symlink() else _linked(path)
        stored.refuse_pointer(stored.read(0, POINTER_BYTES))
        self._stored = stored
        try:
            with stored.open() as stream, zipfile.ZipFile(stream) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError, struct.error) as error:
            raise PackageError(f"not a zip archive: {error}", str(path)) from None
        if len(entries) > MAX_ENTRIES:
            raise PackageError(f"more than {MAX_ENTRIES} files in this archive", str(path))
        self.entries = {entry.filename: entry for entry in entries}
        self._unpacked: dict[str, StoredFile] = {}

    def has(self, name: str) -> bool:
        return name in self.entries

    def file(self, name: str, where: str) -> StoredFile:
        """Raises PackageError."""
        entry = self.entries.get(name)
        if entry is None:
            raise PackageError(f"path {name!r} cannot be read: there is no such file in the archive", where)
        mode = entry.external_attr >> 16
        if entry.is_dir() or (mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode)):
            raise PackageError(f"path {name!r} is not a file", where)
        if name not in self._unpacked:
            stored = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1
            self._unpacked[name] = self._in_place(entry) if stored else self._unpack(entry)
        return self._unpacked[name]

    def _in_place(self, entry: zipfile.ZipInfo) -> StoredFile:
        mark, name_bytes, extra_bytes = LOCAL_HEADER.unpack(
            self._stored.read(entry.header_offset, LOCAL_HEADER.size).ljust(LOCAL_HEADER.size, b"\0")
        )
        start = entry.header_offset + LOCAL_HEADER.size + name_bytes + extra_bytes
        if mark != b"PK\3\4" or start + entry.file_size > self._stored.num_bytes:
            raise PackageError("not where the archive says it is", str(self.path / entry.filename))
        return StoredFile(self.path / entry.filename, entry.file_size, start, open=self._stored.open)

    def _unpack(self, entry: zipfile.ZipInfo) -> StoredFile:
        """Into a temporary file without a name, which is gone with the last reader."""
        place = self.path / entry.filename
        if entry.file_size > RATIO_FROM_BYTES and entry.file_size > MAX_RATIO * entry.compress_size:
            raise PackageError(
                f"would unpack to {format_bytes(entry.file_size)}, more than {MAX_RATIO} times its size", str(place)
            )
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if entry.file_size > free // 2:
            what = f"unpacks to {format_bytes(entry.file_size)}, more than half of the {format_bytes(free)} free here"
            raise PackageError(what, str(place), "Unzip it where there is space, and give the folder.")
        unpacked = _Unpacked()
        try:
            with (
                self._stored.open() as stream,
                zipfile.ZipFile(stream) as archive,
                archive.open(entry) as packed,
                unpacked.open() as target,
            ):
                while part := packed.read(COPY_BYTES):
                    check()
                    target.write(part)
                num_bytes = target.tell()
        except (
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            RuntimeError,
            EOFError,
            OSError,
            ValueError,
            struct.error,
        ) as error:
            raise PackageError(f"cannot be unpacked: {error}", str(place)) from None
        return StoredFile(place, num_bytes, open=unpacked.open)


class _Unpacked:
    """A temporary file without a name, which is gone when nothing refers to it."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile(buffering=0) as made:
            self.descriptor = os.dup(made.fileno())
        weakref.finalize(self, os.close, self.descriptor)

    def open(self) -> FileIO:
        return FileIO(os.dup(self.descriptor), "r+b")


def _linked(path: Path) -> StoredFile:
    """An archive in place of which there is a link: people's own, or the hub's."""
    target = path.resolve()
    return DiskFiles(target.parent).file(target.name, str(path))
