"""Folders that one process has to itself: a result's while it is written, and scratch folders.

Both rest on flock, which the system releases when a process ends, however it ends. On a system or a file system without
it, nothing is locked, and leftovers of scratch folders stay.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ondevice_sora.base.errors import UserError

OURS = ".ondevice-sora-"
"""How the names of scratch folders begin."""
UNLOCKED = f"{OURS}new-"
"""Those that are being made."""
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep others out of a folder that is there, or away from a file, made empty if it is not; readers share it.

    An empty file is removed at the end. Raises UserError if another process has it.
    """
    try:
        descriptor = _taken(path, shared=shared)
    except OSError as error:
        raise UserError(f"cannot be opened: {error.strerror or error}", str(path)) from None
    if descriptor is None:
        kind = "folder" if path.is_dir() else "file"
        what = f"another process is working with this {kind}"
        raise UserError(what, str(path), "Wait until it has ended, or choose another name.")
    try:
        yield
    finally:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_size == 0 and found.st_nlink:
            path.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def scratch_in(folder: Path, purpose: str) -> Iterator[Path]:
    """A new folder of our own inside `folder`, removed at the end with what is in it.

    Those for the same purpose that killed processes have left are removed first. Raises OSError if it cannot be made.
    """
    prefix = f"{OURS}{purpose}-"
    _remove_left(folder, prefix)
    path, descriptor = _made_and_taken(folder, prefix)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def _made_and_taken(folder: Path, prefix: str) -> tuple[Path, int]:
    """It gets its name when it is locked: one of that name without a lock has been left behind."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=UNLOCKED, dir=folder))
        path = folder / made.name.replace(UNLOCKED, prefix)
        with suppress(FileNotFoundError):  # another process took it for a leftover: make one more
            descriptor = os.open(made, os.O_RDONLY | NO_LINKS)
            try:
                _lock(descriptor)
                os.rename(made, path)
            except BaseException:
                os.close(descriptor)
                with suppress(OSError):
                    os.rmdir(made)
                raise
            return path, descriptor


def _remove_left(folder: Path, prefix: str) -> None:
    """Remove what was left, of ours alone: real folders of this user that no process holds."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            if not entry.name.startswith((prefix, UNLOCKED)) or not _is_own_folder(entry):
                continue
            if entry.name.startswith(UNLOCKED):
                with suppress(OSError):
                    os.rmdir(entry.path)
                continue
            with suppress(OSError):
                descriptor = os.open(entry.path, os.O_RDONLY | NO_LINKS)
                try:
                    if _lock(descriptor, unless_sure=False):
                        shutil.rmtree(entry.path, ignore_errors=True)
                finally:
                    os.close(descriptor)


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    found = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _taken(path: Path, *, shared: bool) -> int | None:
    """A descriptor that holds the lock; None if another process has it. Raises OSError."""
    while True:
        if path.is_dir():
            descriptor = os.open(path, os.O_RDONLY)
        else:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o666)
        if not _lock(descriptor, shared=shared):
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)  # removed by its last holder in between


def _lock(descriptor: int, *, shared: bool = False, unless_sure: bool = True) -> bool:
    """Whether it is locked now. `unless_sure` is the answer where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return unless_sure
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unless_sure
    return True
