"""What operations read and write: values, their shapes and their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Argument, Constant, Operation, Value
from ondevice_sora.runtime.coreml.package.types import StateType, TensorType


def arguments_of(operation: Operation) -> Iterator[Argument]:
    for arguments in operation.inputs.values():
        yield from arguments


def values_of(operation: Operation) -> Iterator[Value]:
    return (argument for argument in arguments_of(operation) if isinstance(argument, Value))


def read_inside(operation: Operation) -> Iterator[Value]:
    """What the bodies inside an operation read of what lies outside them."""
    for body in operation.bodies:
        own = {value.name for value in body.inputs}
        for each in body.operations:
            yield from (value for value in (*values_of(each), *read_inside(each)) if value.name not in own)
            own.update(output.name for output in each.outputs)
        yield from (out for out in body.outputs if isinstance(out, Value) and out.name not in own)


def viewed(operation: Operation) -> Value | None:
    """What a view is a view of: its input `x` (or `input`), else any."""
    for name in ("x", "input"):
        for argument in operation.inputs.get(name, ()):
            if isinstance(argument, Value):
                return argument
    return next(values_of(operation), None)


def written_to_state(operation: Operation) -> str:
    """The value that is written to a state."""
    return next((argument.name for argument in operation.inputs.get("data", ())), "")


def constant_bytes(operation: Operation) -> int:
    """Weights that an operation reads; numbers and shapes in the program are nothing."""
    return sum(a.stored_bytes for a in arguments_of(operation) if isinstance(a, Constant) and a.extent is not None)


def num_bytes(argument: Argument, where: str) -> int:
    """Bytes of a value. Raises PackageError if its shape is open."""
    kind = argument.type.tensor if isinstance(argument.type, StateType) else argument.type
    if not isinstance(kind, TensorType) or kind.dtype == "string":
        return 0
    if kind.num_bytes is None:
        what = f"the shape of {argument.name!r} is open ({kind}), so its work cannot be counted"
        raise PackageError(what, where, "Convert the model with fixed shapes.")
    return kind.num_bytes


def sizes_of(argument: Argument) -> tuple[int, ...]:
    num_bytes(argument, "")
    kind = argument.type
    if not isinstance(kind, TensorType) or kind.shape is None:
        raise ValueError(f"{argument.name!r} is not a tensor")
    return tuple(size or 0 for size in kind.shape)


def shape_of(operation: Operation, name: str) -> tuple[int, ...]:
    argument = operation.argument(name)
    if argument is None:
        raise ValueError(f"input {name!r} is missing")
    return sizes_of(argument)


def broadcast(*shapes: Sequence[int]) -> list[int]:
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return [max(sizes) for sizes in zip(*padded, strict=True)]


def flag(operation: Operation, name: str) -> bool:
    argument = operation.argument(name)
    return isinstance(argument, Constant) and bool(argument.item())
