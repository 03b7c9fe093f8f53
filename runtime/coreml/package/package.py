"""What is in a package: functions with operations and constants, whatever form it was read from (reading.py).

Constants are resolved: an operation's input is a Constant or the Value of an earlier operation. Operations named
`constexpr_...` stay: they make weights from compressed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice_sora.runtime.coreml.package.blob import BlobExtent, unpack
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.types import INLINE_DTYPES, InputShapes, TensorType, ValueType


@dataclass(frozen=True, eq=False)
class Constant:
    """A value fixed in the package: in the program itself, or in the weight file (`extent`).

    Two constants with equal `extent` are one tensor on disk. A constant is equal to itself only.
    """

    name: str
    type: ValueType
    extent: BlobExtent | None = None
    immediate: tuple[Any, ...] | bytes = field(default=(), repr=False)

    @property
    def stored_bytes(self) -> int:
        """Bytes on disk: exact in the weight file, without the encoding's overhead in the program."""
        if self.extent is not None:
            return self.extent.num_bytes
        return (self.type.num_bytes or 0) if isinstance(self.type, TensorType) else 0

    def array(self) -> NDArray[Any]:
        """The value, read now. Strings come as objects, integers below 8 bits as int8 or uint8, bf16 as float32.

        Raises PackageError if the weight file has changed, or for a type that cannot be computed with here.
        """
        if not isinstance(self.type, TensorType) or self.type.shape is None:
            raise PackageError(f"constant {self.name!r} is not a tensor")
        if self.extent is not None:
            return unpack(self.extent.read(), self.type)
        if isinstance(self.immediate, bytes):
            return unpack(self.immediate, self.type)
        try:
            values: NDArray[Any] = np.array(self.immediate, INLINE_DTYPES.get(self.type.dtype, np.object_))
        except OverflowError as error:
            raise PackageError(f"constant {self.name!r} is {self.type}: {error}") from None
        return values.reshape([size or 0 for size in self.type.shape])

    def item(self) -> Any:
        """The one value of a scalar, or of a tensor of one element. Raises PackageError if there are more."""
        array = self.array()
        if array.size != 1:
            raise PackageError(f"constant {self.name!r} has {array.size} values where one is expected")
        return array.reshape(-1)[0].item() if array.dtype != np.object_ else array.reshape(-1)[0]


@dataclass(frozen=True)
class Value:
    """What an operation or a function's caller provides, under a name that is unique in its function."""

    name: str
    type: ValueType


Argument = Constant | Value


@dataclass(frozen=True)
class Operation:
    """One operation. Each input is a list: most have one argument, those that join values several."""

    type: str
    inputs: Mapping[str, tuple[Argument, ...]]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Constant]
    bodies: tuple[Body, ...] = ()

    @property
    def name(self) -> str:
        """Of its first output."""
        return self.outputs[0].name if self.outputs else ""

    def argument(self, name: str) -> Argument | None:
        """The one argument of an input; None if it is not given. Raises PackageError if it has several."""
        given = self.inputs.get(name, ())
        if len(given) > 1:
            raise PackageError(f"input {name!r} has {len(given)} values where one is expected")
        return given[0] if given else None


@dataclass(frozen=True)
class Body:
    """Operations in order, with what goes in and comes out. Bodies inside operations see the names around them."""

    inputs: tuple[Value, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[Argument, ...]
    constants: Mapping[str, Constant]

    def walk(self) -> Iterator[Operation]:
        """All operations, those of bodies inside after the one that holds them."""
        for operation in self.operations:
            yield operation
            for body in operation.bodies:
                yield from body.walk()

    def all_constants(self) -> Iterator[Constant]:
        """Constants that operations use, inline ones too; one that several use comes several times."""
        for operation in self.walk():
            for arguments in operation.inputs.values():
                yield from (argument for argument in arguments if isinstance(argument, Constant))
            yield from operation.attributes.values()
        yield from (output for output in self.outputs if isinstance(output, Constant))


@dataclass(frozen=True)
class Function(Body):
    """A function that can be loaded on its own. `opset` is the operations' version, such as CoreML8."""

    name: str
    opset: str


@dataclass(frozen=True)
class Package:
    """A package. `model_bytes` and `weight_bytes` are the sizes of its files: the program, and all weight files.

    `shapes` says of each function's inputs which shapes they may have, and which by default, where that is written.
    """

    path: Path
    functions: Mapping[str, Function]
    default_function: str
    specification_version: int
    model_bytes: int
    weight_bytes: int
    shapes: Mapping[str, Mapping[str, InputShapes]] = field(default_factory=dict)

    def function(self, name: str | None = None) -> Function:
        """A function by name, by default the package's own default. Raises PackageError if there is no such one."""
        wanted = self.default_function if name is None else name
        found = self.functions.get(wanted)
        if found is None:
            raise PackageError(f"there is no function {wanted!r}", str(self.path), f"It has {listed(self.functions)}.")
        return found


def listed(names: Iterable[str]) -> str:
    """'a', 'b'."""
    return ", ".join(repr(name) for name in names)
