"""Tensors in a package's weight file: a 64-byte header, then for each tensor 64 bytes that describe it, and its data.

As coremltools' MILBlob storage, version 2. Descriptions are read and checked at once, data when asked for.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice_sora.base.files.opening import reason
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.files import POINTER_BYTES, StoredFile
from ondevice_sora.runtime.coreml.package.types import DTYPE_BITS, NUMPY_DTYPES, TensorType

BLOB_DTYPES = {
    1: "fp16", 2: "fp32", 3: "uint8", 4: "int8", 5: "bf16", 6: "int16", 7: "uint16", 8: "int4", 9: "uint1", 10: "uint2",
    11: "uint4", 12: "uint3", 13: "uint6", 14: "int32", 15: "uint32", 16: "fp8e4m3fn", 17: "fp8e5m2",
}  # fmt: skip
HEADER = struct.Struct("<II")
DESCRIPTION = struct.Struct("<IIQQ")
DESCRIPTION_BYTES = 64
SENTINEL = 0xDEADBEEF
VERSION = 2


@dataclass(frozen=True)
class BlobExtent:
    """Where a tensor's bytes lie in a file, checked against its size when the package was read."""

    path: Path
    start: int
    num_bytes: int
    file: StoredFile = field(compare=False, repr=False)

    def read(self) -> bytes:
        """Raises PackageError if the file has changed since it was checked."""
        data = self.file.read(self.start, self.num_bytes)
        if len(data) < self.num_bytes:
            raise PackageError(f"ends {self.num_bytes - len(data)} bytes early", str(self.path))
        return data


class BlobFile:
    """A weight file that is open for looking tensors up."""

    def __init__(self, file: StoredFile) -> None:
        """Raises PackageError if it is not a file of this format."""
        self.file = file
        self.path = file.path
        self.num_bytes = file.num_bytes
        header = file.read(0, POINTER_BYTES)
        file.refuse_pointer(header)
        if len(header) < HEADER.size or HEADER.unpack_from(header)[1] != VERSION:
            raise PackageError(f"not a weight file of version {VERSION}", str(self.path))
        try:
            self._stream = file.open()
        except OSError as error:
            raise PackageError(f"cannot be read: {reason(error)}", str(self.path)) from None

    def close(self) -> None:
        self._stream.close()

    def extent(self, offset: int, kind: TensorType) -> BlobExtent:
        """The tensor described at `offset`. Raises PackageError if it is not of this type, or not within the file."""
        where = f"{self.path}: byte {offset}"
        if offset > self.num_bytes - DESCRIPTION_BYTES:
            raise PackageError(f"a tensor is said to be here, but the file has {self.num_bytes} bytes", where)
        self._stream.seek(self.file.start + offset)
        sentinel, code, num_bytes, start = DESCRIPTION.unpack(
            self._stream.read(DESCRIPTION.size).ljust(DESCRIPTION.size, b"\0")
        )
        if sentinel != SENTINEL:
            raise PackageError("a tensor is said to be here, but there is none", where)
        if BLOB_DTYPES.get(code) != kind.dtype:
            raise PackageError(f"the tensor here is {BLOB_DTYPES.get(code, f'of type {code}')}, not {kind}", where)
        if num_bytes != kind.num_bytes:
            raise PackageError(f"the tensor here has {num_bytes} bytes, {kind} has {kind.num_bytes}", where)
        if start > self.num_bytes or num_bytes > self.num_bytes - start:
            raise PackageError(f"the tensor here ends beyond the file's {self.num_bytes} bytes", where)
        return BlobExtent(self.path, start, num_bytes, self.file)


def unpack(data: bytes, kind: TensorType) -> NDArray[Any]:
    """Stored bytes of a fixed shape as an array; integers below 8 bits come as int8 or uint8, bf16 as float32.

    Raises PackageError for a type that cannot be computed with here.
    """
    shape = [size for size in kind.shape or () if size is not None]
    dtype = NUMPY_DTYPES.get(kind.dtype)
    if dtype is not None:
        values: NDArray[Any] = np.frombuffer(data, dtype)
    elif kind.dtype == "bf16":
        values = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    elif kind.dtype.lstrip("u").startswith("int"):
        values = _unpack_bits(data, DTYPE_BITS[kind.dtype], math.prod(shape), is_signed=kind.dtype.startswith("int"))
    else:
        raise PackageError(f"values of type {kind.dtype} are not read here")
    return values.reshape(shape)


def _unpack_bits(data: bytes, width: int, count: int, *, is_signed: bool) -> NDArray[Any]:
    """Integers of `width` bits, lowest bit first, one after the other."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count * width, bitorder="little").reshape(count, width)
    values = np.packbits(bits, axis=1, bitorder="little").reshape(count)
    if is_signed:
        return ((values.astype(np.int16) ^ (1 << (width - 1))) - (1 << (width - 1))).astype(np.int8)
    return values
