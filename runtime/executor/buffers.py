"""Memory that blocks are read into: allocated once, reused, and given back at will.

A buffer is an anonymous private mapping, aligned to huge pages and advised to use them: reading into fresh 4 KiB pages
costs more page faults than the read itself takes. Where the system has no such advice the mapping is an ordinary one.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes
from ondevice_sora.runtime.executor.footprint import MORE_ROOM
from ondevice_sora.runtime.executor.store import DTYPES, StoredTensor

HUGE_PAGE_BYTES = 1 << 21
READ_ALIGNMENT = 4096


class Buffer:
    """`size` bytes, rounded up for direct reads, aligned to HUGE_PAGE_BYTES. `view` is all of it as writable bytes."""

    def __init__(self, size: int) -> None:
        """Raises UserError if the system has no address space or memory left."""
        self.capacity = max(1, -(-size // READ_ALIGNMENT)) * READ_ALIGNMENT
        self._map, self._offset, self._address = _mapping(self.capacity)
        self.view: memoryview | None = memoryview(self._map)[self._offset : self._offset + self.capacity]

    def tensors(self, stored: Sequence[StoredTensor], offset: int = 0) -> list[Tensor]:
        """Views of a file's tensors, in the order given, where a read of its data section to `offset` put them."""
        assert self.view is not None, "the buffer was released"
        found = []
        for entry in stored:
            dtype = DTYPES[entry.dtype]
            count = (entry.end - entry.start) // dtype.itemsize
            if count == 0:
                found.append(torch.empty(entry.shape, dtype=dtype))
                continue
            flat = torch.frombuffer(self.view, dtype=dtype, count=count, offset=offset + entry.start)
            found.append(flat.reshape(entry.shape))
        return found

    def contains(self, tensor: Tensor) -> bool:
        """Whether the tensor's memory lies in this buffer, and will change with the next block read into it."""
        return self._address <= tensor.data_ptr() < self._address + self.capacity

    def populate(self) -> None:
        """Have the system provide all pages now, by writing to each, rather than during the first read."""
        assert self.view is not None, "the buffer was released"
        self.view[::READ_ALIGNMENT] = bytes(self.capacity // READ_ALIGNMENT)

    def give_back(self, keep_bytes: int = 0) -> None:
        """Return the pages past the first `keep_bytes` to the system; they read as zero until written again."""
        start = -(-keep_bytes // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
        if start < self.capacity and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, self._offset + start, self.capacity - start)

    def release(self) -> None:
        """Give all memory back; the mapping itself goes with the last tensor that views it."""
        if self.view is not None:
            self.give_back()
            self.view = None


def placed(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where the data of files of these sizes lie in a buffer, one after the other, and where the last one ends."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(-(-end // READ_ALIGNMENT) * READ_ALIGNMENT)
        end = offsets[-1] + size
    return offsets, end


def _mapping(capacity: int) -> tuple[mmap.mmap, int, int]:
    size = capacity + HUGE_PAGE_BYTES
    try:
        if hasattr(mmap, "MAP_ANONYMOUS"):
            mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        else:
            mapping = mmap.mmap(-1, size)
    except (OSError, MemoryError) as error:
        what = f"no memory for a buffer of {format_bytes(capacity)}: {getattr(error, 'strerror', None) or error}"
        raise UserError(what, mend=MORE_ROOM) from None
    anchor = ctypes.c_char.from_buffer(mapping)
    address = ctypes.addressof(anchor)
    offset = -address % HUGE_PAGE_BYTES
    del anchor
    huge = capacity // HUGE_PAGE_BYTES * HUGE_PAGE_BYTES
    if huge and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages: slower, not wrong
            mapping.madvise(mmap.MADV_HUGEPAGE, offset, huge)
    return mapping, offset, address + offset
