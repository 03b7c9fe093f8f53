"""Give a function with open shapes fixed ones: those that a user chose, or the defaults in the model's description.

What shapes follow inside is worked out by coremltools, which builds each operation anew from inputs of these shapes.
Large weights take no part in that, and are zeros of their type meanwhile. What depends on values that only a run knows
stays open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import (
    Argument,
    Body,
    Constant,
    Function,
    Operation,
    Package,
    Value,
    listed,
)
from ondevice_sora.runtime.coreml.package.types import INLINE_DTYPES, InputShapes, StateType, TensorType, ValueType
from ondevice_sora.runtime.coreml.quiet import quietly

Shape = tuple[int, ...]
LARGEST_READ = 1 << 16
"""Bytes from which on a constant is taken for weights, whose values no shape depends on."""
SEVERAL = ("values", "loop_vars")
"""Inputs that are lists, also where they have one value only."""


def fixed(package: Package, function: Function, chosen: Mapping[str, Shape]) -> tuple[Function, dict[str, Shape]]:
    """The function with fixed shapes, and which were given to what.

    Raises PackageError for a choice that the model does not allow, and where nobody says what a shape is.
    """
    known = package.shapes.get(function.name, {})
    given: dict[str, Shape] = {}
    for value in function.inputs:
        kind = value.type
        if not isinstance(kind, TensorType) or (kind.num_elements is not None and value.name not in chosen):
            continue
        shape = _shape_of(value.name, kind, known.get(value.name), chosen, package)
        if shape != kind.shape:
            given[value.name] = shape
    if not given:
        return function, {}
    return _Fixing(function, given).function, given


def _shape_of(
    name: str, kind: TensorType, allowed: InputShapes | None, chosen: Mapping[str, Shape], package: Package
) -> Shape:
    """What an input's shape shall be. Raises PackageError."""
    written = f"--shape {name}=" + ",".join("N" if size is None else str(size) for size in kind.shape or ("N",))
    if name not in chosen:
        if allowed is None or allowed.default is None or not _fits(allowed.default, kind):
            what = f"the shape of input {name!r} is open ({kind}), and the model names no default"
            raise PackageError(what, str(package.path), f"Choose one: {written}.")
        return allowed.default
    shape = chosen[name]
    if not _fits(shape, kind) or (allowed is not None and not allowed.allows(shape)):
        told = str(kind) if allowed is None or kind.num_elements is not None else f"{allowed} ({kind})"
        what = f"input {name!r} cannot have the shape {','.join(map(str, shape))}; it takes {told}"
        raise PackageError(what, str(package.path), "Choose one of these with --shape.")
    return shape


def _fits(shape: Shape, kind: TensorType) -> bool:
    if kind.shape is None:
        return True
    return len(shape) == len(kind.shape) and all(
        size in (None, own) for own, size in zip(shape, kind.shape, strict=True)
    )


class _Fixing:
    """One function, built in coremltools; `types` are the fixed types of its values by name."""

    def __init__(self, function: Function, given: Mapping[str, Shape]) -> None:
        self.types: dict[str, ValueType] = {}
        self.variables: dict[str, Any] = {}
        self.where = ""
        for value in function.inputs:
            if value.name in given and isinstance(value.type, TensorType):
                self.types[value.name] = TensorType(value.type.dtype, given[value.name])
        with quietly() as ct, np.errstate(all="ignore"):
            from coremltools.converters.mil import Builder
            from coremltools.converters.mil.mil import Function as BuiltFunction

            self.builder = Builder
            try:
                inputs = {value.name: self._placeholder(value) for value in function.inputs}
                target = ct.target[f"iOS{_release(function.opset)}"]
                with BuiltFunction(inputs, opset_version=target) as built:
                    self.variables.update(built.inputs)
                    results = self._body(function)
                    built.set_outputs([each for each in results if not isinstance(each, (np.ndarray, str))])
            except PackageError:
                raise
            except Exception as error:  # whatever coremltools' own checks of an operation raise
                first = (str(error).splitlines() or [type(error).__name__])[0]
                what = f"with these shapes coremltools does not build it: {first}"
                raise PackageError(what, f", {self.where}" if self.where else "") from None
        self.function = replace(
            function,
            inputs=tuple(map(self._value, function.inputs)),
            operations=tuple(map(self._operation, function.operations)),
            outputs=tuple(map(self._argument, function.outputs)),
        )

    def _placeholder(self, value: Value) -> Any:
        from coremltools.converters.mil.mil import Placeholder
        from coremltools.converters.mil.mil.program import StateTensorPlaceholder

        kind = self.types.get(value.name, value.type)
        tensor = kind.tensor if isinstance(kind, StateType) else kind
        if not isinstance(tensor, TensorType) or tensor.num_elements is None:
            raise PackageError(f"input {value.name!r} is no tensor of a fixed shape")
        made = StateTensorPlaceholder if isinstance(kind, StateType) else Placeholder
        return made(_sizes(tensor), dtype=_built_type(tensor.dtype), name=value.name)

    def _body(self, body: Body, arguments: Sequence[Any] = ()) -> list[Any]:
        """Build a body's operations; returns what it gives."""
        for value, variable in zip(body.inputs if arguments else (), arguments, strict=True):
            self._note(value, variable)
        for operation in body.operations:
            self.where = f"{operation.type!r} {operation.name!r}"
            self._build(operation)
        return [self._given(output) for output in body.outputs]

    def _build(self, operation: Operation) -> None:
        if operation.type.startswith("constexpr_"):
            for output in operation.outputs:
                if isinstance(output.type, TensorType):
                    self.variables[output.name] = _zeros(output.type)
            return
        if operation.type == "write_state" or not operation.outputs:
            return
        inputs = {name: self._input(name, given) for name, given in operation.inputs.items()}
        if operation.type == "cond":
            inputs |= {
                f"_{name}_fn": self._inner(body) for name, body in zip(("true", "false"), operation.bodies, strict=True)
            }
        elif operation.type == "while_loop":
            inputs |= {name: self._inner(body) for name, body in zip(("_cond", "_body"), operation.bodies, strict=True)}
        built = getattr(self.builder, operation.type)(**inputs)
        results = built if isinstance(built, (tuple, list)) else [built]
        for output, variable in zip(operation.outputs, results, strict=True):
            self._note(output, variable)

    def _inner(self, body: Body) -> Any:
        def build(*arguments: Any) -> Any:
            results = self._body(body, arguments)
            return results[0] if len(results) == 1 else results

        return build

    def _note(self, value: Value, variable: Any) -> None:
        self.variables[value.name] = variable
        kind = value.type
        shape = tuple(size if isinstance(size, int) else None for size in getattr(variable, "shape", ()) or ())
        if isinstance(kind, TensorType) and kind.num_elements is None and not (kind.shape and not shape):
            self.types[value.name] = TensorType(kind.dtype, shape)

    def _input(self, name: str, given: Sequence[Argument]) -> Any:
        values = [self._given(argument) for argument in given]
        return values if len(values) != 1 or name in SEVERAL else values[0]

    def _given(self, argument: Argument) -> Any:
        if isinstance(argument, Constant):
            return _number(argument)
        if argument.name not in self.variables:
            raise PackageError(f"{argument.name!r} is not known here")
        return self.variables[argument.name]

    def _value(self, value: Value) -> Value:
        return Value(value.name, self.types[value.name]) if value.name in self.types else value

    def _argument(self, argument: Argument) -> Argument:
        return self._value(argument) if isinstance(argument, Value) else argument

    def _operation(self, operation: Operation) -> Operation:
        inputs = {name: tuple(map(self._argument, given)) for name, given in operation.inputs.items()}
        bodies = tuple(
            replace(
                body,
                inputs=tuple(map(self._value, body.inputs)),
                operations=tuple(map(self._operation, body.operations)),
                outputs=tuple(map(self._argument, body.outputs)),
            )
            for body in operation.bodies
        )
        return replace(operation, inputs=inputs, outputs=tuple(map(self._value, operation.outputs)), bodies=bodies)


def _release(opset: str) -> int:
    """The iOS whose operations a function uses: 'CoreML5' was iOS 15; compiled programs name the iOS itself."""
    name, number = opset.rstrip("0123456789"), opset[len(opset.rstrip("0123456789")) :]
    released = {5: 15, 6: 16, 7: 17, 8: 18, 9: 26}.get(int(number or 0)) if name == "CoreML" else int(number or 0)
    if released not in (15, 16, 17, 18, 26):
        raise PackageError(f"operations of {opset!r}", None, f"{listed(['CoreML5', 'CoreML9'])} and between are known.")
    return released


def _built_type(dtype: str) -> Any:
    from coremltools.converters.mil.mil import types

    return types.string_to_builtin(dtype)


def _sizes(kind: TensorType) -> Shape:
    return tuple(size or 0 for size in kind.shape or ())


def _zeros(kind: TensorType) -> NDArray[Any]:
    return np.zeros(_sizes(kind), INLINE_DTYPES.get(kind.dtype, np.float32))


def _number(constant: Constant) -> Any:
    """A constant for coremltools: its value, or zeros where it is large."""
    kind = constant.type
    if not isinstance(kind, TensorType):
        raise PackageError(f"constant {constant.name!r} is no tensor")
    if constant.stored_bytes > LARGEST_READ:
        return _zeros(kind)
    array = constant.array()
    if kind.dtype == "string":
        return constant.item() if array.size == 1 else array
    return array if kind.shape else array.reshape(())[()]
