"""Buffers: aligned for direct reads, views where a read put them, and memory given back page by page."""

from __future__ import annotations

import sys

import pytest
import torch

from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.buffers import HUGE_PAGE_BYTES, READ_ALIGNMENT, Buffer
from ondevice_sora.runtime.executor.store import StoredTensor

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.parametrize(
    ("size", "capacity"),
    [(0, READ_ALIGNMENT), (1, READ_ALIGNMENT), (READ_ALIGNMENT, READ_ALIGNMENT), (5000, 2 * READ_ALIGNMENT)],
)
def test_a_size_is_rounded_up_to_what_direct_reads_take(size: int, capacity: int) -> None:
    buffer = Buffer(size)
    assert buffer.view is not None
    assert buffer.capacity == len(buffer.view) == capacity
    assert buffer._address % HUGE_PAGE_BYTES == 0


def test_tensors_are_views_of_the_bytes_that_were_read() -> None:
    buffer = Buffer(64)
    assert buffer.view is not None
    buffer.view[:24] = torch.arange(6, dtype=torch.float32).numpy().tobytes()
    matrix, scalar, empty = buffer.tensors(
        [
            StoredTensor("matrix", "F32", (2, 2), 8, 24),
            StoredTensor("scalar", "F32", (), 4, 8),
            StoredTensor("empty", "F32", (0, 3), 24, 24),
        ]
    )
    assert matrix.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert scalar.item() == 1.0
    assert empty.shape == (0, 3)
    buffer.view[4:8] = torch.tensor(9.0).numpy().tobytes()
    assert scalar.item() == 9.0, "nothing is copied"


def test_a_tensor_is_known_to_lie_in_a_buffer_or_not() -> None:
    buffer = Buffer(8192)
    first, last = buffer.tensors([StoredTensor("a", "F32", (1,), 0, 4), StoredTensor("b", "F32", (1,), 8188, 8192)])
    assert buffer.contains(first) and buffer.contains(last)
    assert not buffer.contains(first.clone())
    assert not Buffer(8192).contains(first)


@linux
def test_pages_come_when_they_are_wanted_and_go_when_they_are_not() -> None:
    """Of 64 MiB, with room for what else a process does meanwhile."""
    size, slack = 64 << 20, 16 << 20
    buffer = Buffer(size)
    before = footprint.resident_bytes() or 0

    def taken() -> int:
        return (footprint.resident_bytes() or 0) - before

    assert taken() < slack
    buffer.populate()
    assert abs(taken() - size) < slack
    buffer.give_back(size // 2)
    assert abs(taken() - size // 2) < slack
    buffer.give_back()
    assert taken() < slack


def test_what_is_kept_keeps_its_bytes_and_the_rest_reads_as_zero() -> None:
    buffer = Buffer(2 * HUGE_PAGE_BYTES)
    assert buffer.view is not None
    buffer.view[0] = buffer.view[HUGE_PAGE_BYTES - 1] = buffer.view[HUGE_PAGE_BYTES] = 7
    buffer.give_back(1)
    assert (buffer.view[0], buffer.view[HUGE_PAGE_BYTES - 1], buffer.view[HUGE_PAGE_BYTES]) == (7, 7, 0)


def test_a_released_buffer_is_empty_and_its_tensors_stay_readable() -> None:
    buffer = Buffer(4096)
    assert buffer.view is not None
    buffer.view[:4] = torch.tensor(3.0).numpy().tobytes()
    (tensor,) = buffer.tensors([StoredTensor("a", "F32", (1,), 0, 4)])
    buffer.release()
    buffer.release()
    assert buffer.view is None
    assert tensor.item() == 0.0
    with pytest.raises(AssertionError, match="released"):
        buffer.populate()
