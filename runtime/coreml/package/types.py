"""Types of the values in an ML Program, and their sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DTYPE_CODES = {
    1: "bool", 2: "string", 10: "fp16", 11: "fp32", 12: "fp64", 13: "bf16", 21: "int8", 22: "int16", 23: "int32",
    24: "int64", 25: "int4", 31: "uint8", 32: "uint16", 33: "uint32", 34: "uint64", 35: "uint4", 36: "uint2",
    37: "uint1", 38: "uint6", 39: "uint3", 40: "fp8e4m3fn", 41: "fp8e5m2",
}  # fmt: skip
"""MIL's data types by their number in MIL.proto."""

DTYPE_BITS = {
    "bool": 8, "fp16": 16, "fp32": 32, "fp64": 64, "bf16": 16, "int8": 8, "int16": 16, "int32": 32, "int64": 64,
    "int4": 4, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64, "uint4": 4, "uint2": 2, "uint1": 1, "uint6": 6,
    "uint3": 3, "fp8e4m3fn": 8, "fp8e5m2": 8,
}  # fmt: skip

FLOATS = frozenset({"fp16", "fp32", "fp64", "bf16", "fp8e4m3fn", "fp8e5m2"})

NUMPY_DTYPES = {
    "bool": np.bool_, "fp16": np.float16, "fp32": np.float32, "fp64": np.float64, "int8": np.int8, "int16": np.int16,
    "int32": np.int32, "int64": np.int64, "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32,
    "uint64": np.uint64,
}  # fmt: skip
"""Those that numpy has; of the rest, integers below 8 bits are stored packed."""
INLINE_DTYPES = {
    **NUMPY_DTYPES, "bf16": np.float32, "fp8e4m3fn": np.float32, "fp8e5m2": np.float32, "int4": np.int8,
    "uint1": np.uint8, "uint2": np.uint8, "uint3": np.uint8, "uint4": np.uint8, "uint6": np.uint8,
}  # fmt: skip
"""What numbers written out in a program become."""


@dataclass(frozen=True)
class TensorType:
    """A tensor. A dimension that is not fixed is None; `shape` is None where even the rank is open. () is a scalar."""

    dtype: str
    shape: tuple[int | None, ...] | None

    @property
    def num_elements(self) -> int | None:
        """None if the shape is not fixed."""
        if self.shape is None:
            return None
        known = [size for size in self.shape if size is not None]
        return math.prod(known) if len(known) == len(self.shape) else None

    @property
    def num_bytes(self) -> int | None:
        """Packed size; None if the shape is not fixed, or for strings."""
        elements, bits = self.num_elements, DTYPE_BITS.get(self.dtype)
        return None if elements is None or bits is None else -(-elements * bits // 8)

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.dtype}[?]"
        return f"{self.dtype}[{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class StateType:
    """A tensor that a function keeps between predictions."""

    tensor: TensorType


@dataclass(frozen=True)
class OtherType:
    """What is not a tensor: a list, tuple or dictionary."""

    kind: str


ValueType = TensorType | StateType | OtherType


@dataclass(frozen=True)
class InputShapes:
    """Which shapes an input may have: those listed, or sizes within `ranges` (no upper end: None); else one only.

    `default` is None where nobody wrote one.
    """

    default: tuple[int, ...] | None
    listed: tuple[tuple[int, ...], ...] = ()
    ranges: tuple[tuple[int, int | None], ...] = ()

    def allows(self, shape: tuple[int, ...]) -> bool:
        if shape == self.default or shape in self.listed:
            return True
        if len(shape) != len(self.ranges):
            return False
        return all(
            low <= size <= (size if high is None else high)
            for size, (low, high) in zip(shape, self.ranges, strict=True)
        )

    def __str__(self) -> str:
        if self.listed:
            return " or ".join(_written(shape) for shape in self.listed)
        if self.ranges:
            return ",".join(
                str(low) if low == high else f"{low}..{'' if high is None else high}" for low, high in self.ranges
            )
        return "nothing else" if self.default is None else _written(self.default)


def _written(shape: Sequence[int]) -> str:
    return ",".join(map(str, shape))
