"""Fetching a model's files so that a name means a whole file: each has its own name only when its checksum is right.

Until then its bytes lie beside it, hidden, under a name with the checksum in it, and the next download goes on from
them. Files that are there already are compared with what is published, never replaced.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from threading import Event

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.folders import locked
from ondevice_sora.base.files.opening import open_regular, reason
from ondevice_sora.base.interrupts import check
from ondevice_sora.base.units import format_bytes
from ondevice_sora.base.waiting import waited_for
from ondevice_sora.runtime.published import hub
from ondevice_sora.runtime.published.catalogue import SOURCES, Source
from ondevice_sora.runtime.published.hub import RemoteFile

PARTIAL = ".partial"
READ_BYTES = 1 << 23
CHECKSUM_LETTERS = 12
"""Of a checksum, in the name of a partial file."""
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Wanted:
    """A file, the folder that it goes to, and how much of it is there under its name or a partial one's."""

    remote: RemoteFile
    folder: Path
    have: int

    @property
    def path(self) -> Path:
        return self.folder / self.remote.name

    @property
    def partial(self) -> Path:
        return _partial(self.folder, self.remote)


@dataclass(frozen=True)
class Download:
    """What a model's folder is made of."""

    directory: Path
    sources: tuple[Source, ...]
    wanted: tuple[Wanted, ...]

    @property
    def num_bytes(self) -> int:
        """Of all files, those too that are there."""
        return sum(each.remote.num_bytes for each in self.wanted)


def plan_download(model: str, directory: Path) -> Download:
    """Ask for sizes and checksums, and see that there is room for what is missing. Writes nothing.

    Raises UserError: no such model, a file that its repository does not have, something in a file's place, no room.
    """
    if model not in SOURCES:
        raise UserError(f"no weights of '{model}' are published", mend=nearest(model, list(SOURCES)))
    if os.path.lexists(directory) and not os.path.isdir(directory):
        raise UserError("this is a file; a folder is needed", str(directory))
    wanted = []
    for source in SOURCES[model]:
        files = hub.listed(source.repository, source.revision)
        if missing := [name for name in source.files if name not in files]:
            raise UserError(
                f"{', '.join(missing)}: not among its files at {source.revision}",
                source.repository,
                "The repository has changed, or HF_ENDPOINT names a server that lacks a part of it.",
            )
        folder = directory / source.folder
        wanted += [Wanted(files[name], folder, _have(folder, files[name])) for name in source.files]
    download = Download(directory, SOURCES[model], tuple(wanted))
    _check_room(download)
    return download


def _partial(folder: Path, file: RemoteFile) -> Path:
    checksum = (file.sha256 or file.git_sha1 or file.commit)[:CHECKSUM_LETTERS]
    return folder / f".{file.name}.{checksum}{PARTIAL}"


def _have(folder: Path, file: RemoteFile) -> int:
    """Bytes of a file that need not be fetched. Raises UserError where something else has its place."""
    for path in (folder / file.name, _partial(folder, file)):
        try:
            with open_regular(path, follows_links=path.name == file.name) as stream:
                return min(os.fstat(stream.fileno()).st_size, file.num_bytes)
        except FileNotFoundError:
            if os.path.islink(path):
                raise UserError("this is a link that leads nowhere", str(path), "Remove it.") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise UserError(reason(error), str(path), "Remove it, or choose another folder.") from None
    return 0


def _check_room(download: Download) -> None:
    """Raises UserError for a disk that cannot take what goes to it; component folders may be links to other disks."""
    needed: dict[int, int] = {}
    places: dict[int, Path] = {}
    for each in download.wanted:
        place = next(path for path in (each.folder, *each.folder.absolute().parents) if path.is_dir())
        disk = place.stat().st_dev
        places.setdefault(disk, place)
        needed[disk] = needed.get(disk, 0) + each.remote.num_bytes - each.have
    for disk, num_bytes in needed.items():
        free = shutil.disk_usage(places[disk]).free
        if num_bytes > free:
            raise UserError(
                f"no room: {format_bytes(num_bytes)} are still to come, and {format_bytes(free)} are free",
                str(download.directory),
                f"Free {format_bytes(num_bytes - free)} more, or choose a folder on another disk.",
            )


def run_download(download: Download, advance: Advance) -> None:
    """Fetch what is missing, compare what is there; `advance` is told every byte that is done.

    Raises UserError: what the server or the disk refuses, a checksum that is wrong, another process in the folder.
    """
    directory = download.directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory):
            for each in download.wanted:
                each.folder.mkdir(exist_ok=True)
                if os.path.lexists(each.path):
                    _compare(each, advance)
                else:
                    _fetch(each, advance)
    except OSError as error:
        mend = f"Make room. {hub.GOES_ON}" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        raise UserError(f"cannot be written: {reason(error)}", str(error.filename or directory), mend) from None


class _Checksum:
    """That of a file, while its bytes go by: SHA-256, or git's hash of a blob, where the repository tells one."""

    def __init__(self, file: RemoteFile) -> None:
        self.kind = "SHA-256" if file.sha256 is not None else "git hash"
        self.wanted = file.sha256 or file.git_sha1
        blob = f"blob {file.num_bytes}\0".encode()
        self._digest = hashlib.sha256() if file.sha256 is not None else hashlib.sha1(blob, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        self._digest.update(data)

    @property
    def wrong(self) -> str | None:
        """What it is, where that is not what it should be."""
        found = self._digest.hexdigest()
        return None if self.wanted in (None, found) else found


def _compare(each: Wanted, advance: Advance) -> None:
    """See that a file that is there is the published one."""
    mend = "Move it away to have it fetched, or choose another folder."
    with open_regular(each.path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size != each.remote.num_bytes:
            what = f"this is not the published file: {size} bytes, {each.remote.num_bytes} published"
            raise UserError(what, str(each.path), mend)
        checksum = _Checksum(each.remote)
        _read_through(stream, checksum, advance)
    if checksum.wrong is not None:
        what = f"this is not the published file: its {checksum.kind} is {checksum.wrong}, published {checksum.wanted}"
        raise UserError(what, str(each.path), mend)


def _read_through(stream: FileIO, checksum: _Checksum, advance: Advance) -> int:
    """Take up what is in a file; how many bytes that was. Raises Interrupted."""
    length = 0
    while data := stream.read(READ_BYTES):
        checksum.update(data)
        advance(len(data))
        length += len(data)
        check()
    return length


def _fetch(each: Wanted, advance: Advance) -> None:
    """Fetch what is missing of a file, and give it its name if it is the right one."""
    with _opened(each.partial) as stream:
        if os.fstat(stream.fileno()).st_size > each.remote.num_bytes:
            stream.truncate(0)
        arriving = _Arriving(stream, each.remote, advance)
        have = arriving.take_up()

        def work(stopped: Event) -> None:
            arriving.stopped = stopped
            hub.fetch(each.remote, arriving, have)

        try:
            waited_for(work)
        except OSError as error:
            if error.errno is not None:
                raise
            _remove(each.partial)  # the library's: another length than was listed
            what = f"{each.remote.name} arrived with another length than it is listed with"
            raise UserError(what, each.remote.repository, "Try again later.") from None
        os.fsync(stream.fileno())
    wrong = arriving.checksum.wrong
    if wrong is not None:
        _remove(each.partial)
        raise UserError(
            f"{each.remote.name} arrived wrong: its {arriving.checksum.kind} is {wrong}, "
            f"published {arriving.checksum.wanted}",
            each.remote.repository,
            "It was removed; the same command fetches it again. If that ends so too, something on the way alters it.",
        )
    os.replace(each.partial, each.path)
    for left in each.folder.glob(f".{each.remote.name}.*{PARTIAL}"):  # of other commits
        _remove(left)


def _opened(path: Path) -> FileIO:
    """A partial file to read and to write at its end, made if need be; never through a link."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    with suppress(FileNotFoundError):
        open_regular(path, follows_links=False).close()
    return FileIO(os.open(path, flags, 0o666), "r+b")


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()


class _Arriving:
    """A file that the library writes to: sums, counts, and ends it when the user has had enough."""

    def __init__(self, stream: FileIO, file: RemoteFile, advance: Advance) -> None:
        self.stream, self.file, self.advance = stream, file, advance
        self.checksum = _Checksum(file)
        self.stopped = Event()
        self._length = 0

    def take_up(self) -> int:
        """What is there already, in bytes."""
        self.stream.seek(0)
        self._length = _read_through(self.stream, self.checksum, self.advance)
        return self._length

    def write(self, data: bytes) -> int:
        if self.stopped.is_set():
            raise KeyboardInterrupt
        left = memoryview(data)
        while left:
            left = left[self.stream.write(left) :]
        self.checksum.update(data)
        self.advance(len(data))
        self._length += len(data)
        return len(data)

    def seek(self, position: int) -> int:
        return self.stream.seek(position)

    def tell(self) -> int:
        return self.stream.tell()

    def truncate(self) -> int:
        """The server cannot send from the middle: all of it comes again."""
        position = self.stream.tell()
        assert position == 0, "the library takes back a file whole"
        self.stream.truncate()
        self.advance(-self._length)
        self.checksum, self._length = _Checksum(self.file), 0
        return 0
