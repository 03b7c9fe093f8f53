"""Run an ML Program's function with torch on the CPU, operation by operation: the reference executor.

    program = Program(read_package(path).function("plain"), path)
    program.load()
    outputs = program.run({"hidden": hidden, ...})

Precision is the package's own: every result is rounded to the type that the program declares for it. What lies between
is this executor's choice: an operation's sums are in float32, also where its inputs and outputs are float16. A compute
unit of a phone may sum in float16, so its results lie farther from float32 than these.

Nothing is skipped or guessed: an operation that is not known, or whose result has another shape than declared, ends the
run with a PackageError that names it and where it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Argument, Constant, Function, Operation, Value
from ondevice_sora.runtime.coreml.package.types import TensorType, ValueType
from ondevice_sora.runtime.coreml.program.operations import OPERATIONS, TORCH_DTYPES, Arguments, Implementation

CONSTEXPR = "constexpr_"
Held = Tensor | str


class Program:
    """One function of a package. Between `load` and `evict` its weights are in memory, decompressed."""

    def __init__(self, function: Function, path: Path) -> None:
        """Raises PackageError, naming the first, if there are operations or types that are not done here."""
        self.function, self.path = function, path
        self._done = [self._implementation(index, each) for index, each in enumerate(function.operations)]
        for value in function.inputs:
            self._tensor_type(value, f"input {value.name!r}")
        self._outputs = {output.name: output for output in function.outputs}
        self._dies = self._last_uses()
        self._held: dict[Argument, Held] | None = None

    @property
    def held(self) -> dict[Hashable, int]:
        """Bytes of each tensor that a load brings into memory, decompressed; equal keys are one tensor on disk."""
        found: dict[Hashable, int] = {}
        for each in self.function.operations:
            if each.type.startswith(CONSTEXPR):
                found[_key(each)] = sum(_num_bytes(value.type) for value in each.outputs)
                continue
            found.update((_key(c), _num_bytes(c.type)) for c in _arguments(each) if isinstance(c, Constant))
        return found

    def load(self, cache: dict[Hashable, list[Held]] | None = None) -> None:
        """Read the constants and make the weights. Functions that load with one cache share the tensors they share.

        Raises PackageError if the weight file has changed.
        """
        made = {} if cache is None else cache
        self._held = None
        held: dict[Argument, Held] = {}
        for index, each in enumerate(self.function.operations):
            if each.type.startswith(CONSTEXPR):
                key = _key(each)
                if key not in made:
                    given = held.copy()
                    given.update((c, _value_of(c)) for c in _arguments(each) if isinstance(c, Constant))
                    made[key] = list(self._outcome(index, given).values())
                held.update(zip(each.outputs, made[key], strict=True))
        used = [c for each in self.function.operations if not each.type.startswith(CONSTEXPR) for c in _arguments(each)]
        for constant in (*used, *self.function.outputs):
            if isinstance(constant, Constant) and constant not in held:
                key = _key(constant)
                if key not in made:
                    made[key] = [_value_of(constant)]
                held[constant] = made[key][0]
        self._held = held

    def evict(self) -> None:
        self._held = None

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs by name. Inputs are rounded to the types declared for them.

        Raises PackageError for an input that is missing or of another shape; RuntimeError if not loaded.
        """
        if self._held is None:
            raise RuntimeError(f"{self.path}: run before it is loaded")
        live: dict[Argument, Held] = dict(self._held)
        for value in self.function.inputs:
            given = inputs.get(value.name)
            if given is None:
                raise self._error(f"input {value.name!r} is not given")
            live[value] = self._as_declared(given, value, f"input {value.name!r}")
        for index, each in enumerate(self.function.operations):
            if not each.type.startswith(CONSTEXPR):
                live.update(self._outcome(index, live))
            for argument in self._dies[index]:
                del live[argument]
        outputs = {name: live[output] for name, output in self._outputs.items()}
        return {name: output for name, output in outputs.items() if isinstance(output, Tensor)}

    def _outcome(self, index: int, live: Mapping[Argument, Held]) -> dict[Argument, Held]:
        each, done = self.function.operations[index], self._done[index]
        arguments = {name: [live[used] for used in several] for name, several in _named(each).items()}
        if done.computes:
            arguments = {name: [_widened(value) for value in values] for name, values in arguments.items()}
        try:
            result = done.function(Arguments(arguments))
        except PackageError as error:
            raise self._error(f"{self._label(index)}: {error.what}") from None
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise self._error(f"{self._label(index)} failed: {error}") from error
        results = [result] if isinstance(result, Tensor) else result
        if len(results) != len(each.outputs):
            raise self._error(f"{self._label(index)} has {len(results)} results for {len(each.outputs)} outputs")
        return {
            value: self._as_declared(tensor, value, self._label(index))
            for value, tensor in zip(each.outputs, results, strict=True)
        }

    def _as_declared(self, tensor: Tensor, value: Value, what: str) -> Tensor:
        declared = self._tensor_type(value, what)
        shape = declared.shape
        fits = shape is None or (
            len(shape) == tensor.dim() and all(a in (None, b) for a, b in zip(shape, tensor.shape, strict=True))
        )
        if not fits:
            raise self._error(f"{what}: the value has shape {list(tensor.shape)}, declared is {declared}")
        return tensor.to(TORCH_DTYPES[declared.dtype])

    def _tensor_type(self, value: Value, what: str) -> TensorType:
        if not isinstance(value.type, TensorType) or value.type.dtype not in TORCH_DTYPES:
            raise self._error(f"{what} is {value.type}, which is not computed with here")
        return value.type

    def _implementation(self, index: int, each: Operation) -> Implementation:
        found = OPERATIONS.get(each.type)
        if found is None:
            known = ", ".join(sorted(OPERATIONS))
            raise PackageError(f"{self._label(index)} is not done here", self._place, f"Known: {known}.")
        for value in each.outputs:
            self._tensor_type(value, self._label(index))
        return found

    def _last_uses(self) -> list[list[Value]]:
        """For each operation, the values that nothing reads after it."""
        last: dict[Value, int] = {}
        for index, each in enumerate(self.function.operations):
            if each.type.startswith(CONSTEXPR):
                continue
            for used in (*each.outputs, *_arguments(each)):
                if isinstance(used, Value):
                    last[used] = index
        weights = {v for each in self.function.operations if each.type.startswith(CONSTEXPR) for v in each.outputs}
        kept = {*weights, *self.function.outputs}
        dies: list[list[Value]] = [[] for _ in self.function.operations]
        for value, index in last.items():
            if value not in kept:
                dies[index].append(value)
        return dies

    @property
    def _place(self) -> str:
        return f"{self.path}: function {self.function.name!r}"

    def _label(self, index: int) -> str:
        each = self.function.operations[index]
        return f"operation {index}, {each.type!r}, which makes {each.name!r},"

    def _error(self, what: str) -> PackageError:
        return PackageError(what, self._place)


def _named(each: Operation) -> Mapping[str, Sequence[Argument]]:
    """What an operation is given by name. Older ones that make weights have theirs among the attributes."""
    if not each.type.startswith(CONSTEXPR):
        return each.inputs
    return {**each.inputs, **{name: (constant,) for name, constant in each.attributes.items()}}


def _arguments(each: Operation) -> list[Argument]:
    return [argument for several in _named(each).values() for argument in several]


def _key(made: Constant | Operation) -> Hashable:
    """Equal for what comes out of the same bytes in the same way; what else a weight is made from is its own alone."""
    if isinstance(made, Constant):
        return (made.extent, made.type) if made.extent is not None else made
    given = sorted(_named(made).items())
    if any(isinstance(argument, Value) for _, several in given for argument in several):
        return id(made)
    constants = [(name, _key(c)) for name, several in given for c in several if isinstance(c, Constant) and c.extent]
    small = [
        (name, str(c.array().tolist()))
        for name, several in given
        for c in several
        if isinstance(c, Constant) and not c.extent and name != "name"
    ]
    return made.type, tuple(constants), tuple(small), tuple(value.type for value in made.outputs)


def _num_bytes(kind: ValueType) -> int:
    return (kind.num_bytes or 0) if isinstance(kind, TensorType) else 0


def _value_of(constant: Constant) -> Held:
    if isinstance(constant.type, TensorType) and constant.type.dtype == "string":
        return str(constant.item())
    array = constant.array()
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _widened(value: Held) -> Held:
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.float16 else value
