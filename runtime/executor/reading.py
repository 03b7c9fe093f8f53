"""Reading block files into buffers: directly from the disk where the system can, else through the page cache.

Direct reads (O_DIRECT) copy nothing, leave the processor and the page cache alone, and are always cold. The portable
way reads through the cache into the same buffer; with `drop_cache` the pages are dropped after each read, so that every
load is cold. Both read in requests of REQUEST_BYTES and ask between two whether the load is still wanted.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from pathlib import Path
from typing import Literal, Protocol

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.opening import open_regular, reason
from ondevice_sora.base.units import format_bytes
from ondevice_sora.runtime.executor.backend import Progress
from ondevice_sora.runtime.executor.buffers import READ_ALIGNMENT
from ondevice_sora.runtime.executor.store import Store, StoredBlock, block_error, header_bytes

REQUEST_BYTES = 128 << 20
"""Large: after each request the loader waits for a processor that runs are busy on, about 2 ms of a load."""
F_NOCACHE = 48
"""macOS: do not keep the pages of this file (fcntl.h)."""

Way = Literal["direct", "buffered"]


class Reader(Protocol):
    """Where blocks come from. `read` fills the view with the data section and calls `progress` after every request.

    `progress` raises CancelledLoadError; whatever `read` raises, the view may have been written in part.
    """

    def read(self, block: StoredBlock, view: memoryview, progress: Progress) -> None: ...


class FileReader:
    """Reads from a store's files. `ways` counts how the loads went."""

    def __init__(self, store: Store, *, direct: bool = True, drop_cache: bool = False, verify: bool = False) -> None:
        self.store = store
        self.direct = direct and hasattr(os, "O_DIRECT") and hasattr(os, "preadv")
        self.drop_cache = drop_cache
        self.verify = verify
        self.ways: dict[Way, int] = {"direct": 0, "buffered": 0}
        self._checked: set[str] = set()

    def read(self, block: StoredBlock, view: memoryview, progress: Progress) -> None:
        """Raises UserError naming the block if its file is missing, of the wrong size, altered, or unreadable."""
        path = self.store.path(block)
        try:
            self._check(block, path)
            if self.direct and self._read_direct(block, path, view, progress):
                self.ways["direct"] += 1
            else:
                self._read_buffered(block, path, view, progress)
                self.ways["buffered"] += 1
        except FileNotFoundError:
            raise block_error(block, path, "is missing") from None
        except OSError as error:
            raise block_error(block, path, f"cannot be read: {reason(error)}") from None
        if self.verify and block.file not in self._checked:
            digest = hashlib.sha256(header_bytes(block.tensors))
            digest.update(view[: block.data_bytes])
            if digest.hexdigest() != block.checksum:
                raise block_error(block, path, "is not as it was written (checksum)")
        self._checked.add(block.file)

    def _check(self, block: StoredBlock, path: Path) -> None:
        """Size at every load, header at the first."""
        with self.store.opened(block) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size != block.file_bytes:
                what = f"has {format_bytes(size)} ({size} bytes) instead of {block.file_bytes} bytes"
                raise block_error(block, path, what + (": it is cut off" if size < block.file_bytes else ""))
            if block.file not in self._checked:
                if stream.read(block.data_start) != header_bytes(block.tensors):
                    raise block_error(block, path, "is not as it was written (header)")
                _drop(stream.fileno())

    def _read_direct(self, block: StoredBlock, path: Path, view: memoryview, progress: Progress) -> bool:
        """False where the file system has no direct reads."""
        try:
            stream = self.store.opened(block, direct=True)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
                self.direct = False
                return False
            raise
        with stream:
            done = 0
            while done < block.data_bytes:
                want = min(REQUEST_BYTES, -(-(block.data_bytes - done) // READ_ALIGNMENT) * READ_ALIGNMENT)
                try:
                    got = os.preadv(stream.fileno(), [view[done : done + want]], block.data_start + done)
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        raise
                    self.direct = False
                    return False
                if got <= 0:
                    raise block_error(block, path, f"ends after {done} of {block.data_bytes} bytes")
                done = min(done + got, block.data_bytes)
                if done < block.data_bytes and done % READ_ALIGNMENT:
                    done -= done % READ_ALIGNMENT
                progress(got)
        return True

    def _read_buffered(self, block: StoredBlock, path: Path, view: memoryview, progress: Progress) -> None:
        with self.store.opened(block) as stream:
            if self.drop_cache and sys.platform == "darwin":
                import fcntl

                fcntl.fcntl(stream.fileno(), F_NOCACHE, 1)
            stream.seek(block.data_start)
            done = 0
            try:
                while done < block.data_bytes:
                    got = stream.readinto(view[done : min(done + REQUEST_BYTES, block.data_bytes)])
                    if not got:
                        raise block_error(block, path, f"ends after {done} of {block.data_bytes} bytes")
                    done += got
                    progress(got)
            finally:
                if self.drop_cache:
                    _drop(stream.fileno())


def drop_pages(path: Path) -> None:
    """Drop a file's pages from the page cache, where the system lets one. Raises UserError if it cannot be opened."""
    try:
        with open_regular(path, follows_links=False) as stream:
            _drop(stream.fileno())
    except OSError as error:
        raise UserError(f"cannot be read: {reason(error)}", str(path)) from None


def _drop(descriptor: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
