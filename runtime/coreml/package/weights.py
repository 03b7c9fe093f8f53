"""The weights of a package: how many, how stored, and what each choice of compute units holds of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.profiles.models.model import Precision
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Constant, Function, Operation, Package
from ondevice_sora.runtime.coreml.package.types import DTYPE_BITS, FLOATS, TensorType

COMPRESSED = "constexpr_"
MAX_FILLER_BYTES = 1_000_000
PACKED, SPARSE = "indices", ("nonzero_data", "indices_nonzero_data")
PAYLOADS = ("quantized_data", "data", PACKED, *SPARSE, "source_val")
"""Inputs of `constexpr_...` operations that hold the compressed weights; the others are scales, tables and masks."""


@dataclass(frozen=True)
class Weights:
    """All weights of a package, each once.

    stored_bytes       on disk, scales and tables included
    parameters         as many numbers as there are once unpacked
    filler             of those, what conversion adds: tensors of one value, such as zeros for a bias, and of whole
                       numbers, such as paddings
    filler_bytes       what these take on disk
    plain_bytes        of those that are not compressed
    compressed_count   numbers that are stored compressed
    zeros              of those, what is not stored, since it is zero
    precision          of most of the bytes
    """

    stored_bytes: int
    parameters: int
    filler: int
    filler_bytes: int
    plain_bytes: int
    compressed_count: int
    zeros: int
    precision: Precision

    def held_bytes(self, compressed_held_bytes: float) -> dict[ComputeUnits, int]:
        """Once loaded. CPU and GPU hold so many bytes for each compressed weight, the Neural Engine what is stored."""
        unpacked = self.plain_bytes + round(self.compressed_count * compressed_held_bytes)
        return {
            "cpu_only": unpacked,
            "cpu_and_gpu": unpacked,
            "cpu_and_ne": self.stored_bytes,
            "all": self.stored_bytes,
        }


def weights_of(packages: Sequence[Package]) -> Weights:
    """The weights of packages together; what a package's functions share counts once.

    Raises PackageError if tensors lie over each other, so that they come to more than the file has.
    """
    stored = parameters = plain = compressed = zeros = filler = filler_bytes = 0
    by_precision: Counter[Precision] = Counter()
    for constant, unpacking, name in _unique(packages):
        size = constant.stored_bytes
        stored += size
        kind = constant.type
        assert isinstance(kind, TensorType)
        if unpacking is None:
            plain += size
            parameters += kind.num_elements or 0
            if is_filler(constant):
                filler += kind.num_elements or 0
                filler_bytes += size
            by_precision["float16" if DTYPE_BITS.get(kind.dtype, 32) == 16 else "float32"] += size
        elif name in PAYLOADS:
            made = unpacking.outputs[0].type if unpacking.outputs else None
            count = (made.num_elements or 0) if isinstance(made, TensorType) else 0
            parameters += count
            compressed += count
            zeros += max(0, count - (kind.num_elements or 0)) if name in SPARSE else 0
            by_precision[_stored_as(name, kind, size, count)] += size
    if stored > sum(package.weight_bytes + package.model_bytes for package in packages):
        raise PackageError(f"its weights come to {stored} bytes, more than their file has", str(packages[0].path))
    precision: Precision = max(by_precision, key=lambda each: by_precision[each], default="float32")
    return Weights(stored, parameters, filler, filler_bytes, plain, compressed, zeros, precision)


def _stored_as(name: str, kind: TensorType, size: int, count: int) -> Precision:
    """The format of a compressed payload; indices into a table may be packed into bytes, so many numbers in so many."""
    width = DTYPE_BITS.get(kind.dtype, 32)
    if kind.dtype in FLOATS and width >= 16:
        return "float16" if width == 16 else "float32"
    formats: tuple[tuple[int, Precision], ...] = ((2, "int2"), (3, "int3"), (4, "int4"), (6, "int6"))
    bits = size * 8 / max(count, 1) if name == PACKED else width
    return next((name for most, name in formats if bits <= most), "int8")


def is_filler(constant: Constant) -> bool:
    """Whether a tensor that is not compressed is no weight. Large ones are, unread."""
    assert isinstance(constant.type, TensorType)
    if constant.stored_bytes > MAX_FILLER_BYTES:
        return False
    if constant.type.dtype not in FLOATS:
        return True
    values = constant.array().reshape(-1)
    return values.size > 1 and bool((values == values[0]).all())


def _uses_in_unpacking(function: Function) -> dict[str, set[str]]:
    """By which inputs operations that unpack weights read each value: a table that is itself unpacked, by `lut`."""
    uses: dict[str, set[str]] = {}
    for operation in function.walk():
        for name, given in operation.inputs.items() if operation.type.startswith(COMPRESSED) else ():
            for argument in given:
                uses.setdefault(argument.name, set()).add(name)
    return uses


def _unique(packages: Sequence[Package]) -> list[tuple[Constant, Operation | None, str]]:
    """Each tensor of weights once, with the operation that unpacks it and by which input; none for what a table or a
    scale is unpacked from.

    Weights are what is in the weight file, and short vectors of floats, which conversion leaves in the program.
    """
    found: dict[tuple[str, int], tuple[Constant, Operation | None, str]] = {}

    def note(constant: object, unpacking: Operation | None, name: str) -> None:
        if not isinstance(constant, Constant) or not isinstance(constant.type, TensorType):
            return
        if constant.extent is not None:
            found.setdefault((str(constant.extent.path), constant.extent.start), (constant, unpacking, name))
        elif constant.type.dtype in FLOATS and constant.type.shape:
            found.setdefault(("", id(constant)), (constant, unpacking, name))

    for function in (function for package in packages for function in package.functions.values()):
        uses = _uses_in_unpacking(function)
        for operation in function.walk():
            unpacking = operation if operation.type.startswith(COMPRESSED) else None
            own = {use for output in operation.outputs if unpacking for use in uses.get(output.name, ())}
            is_table = bool(own) and own.isdisjoint(PAYLOADS)
            for name, arguments in operation.inputs.items():
                for argument in arguments:
                    note(argument, unpacking, "" if is_table else name)
            for name, constant in operation.attributes.items():
                note(constant, unpacking, name)
        for output in function.outputs:
            note(output, None, "")
    return list(found.values())
