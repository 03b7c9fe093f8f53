"""How many rounds a loop has, where its program says so: a counter from a constant, by a constant, up to a constant."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Argument, Body, Constant, Operation
from ondevice_sora.runtime.coreml.package.types import TensorType

MAX_ROUNDS = 10**9
SAME = ("cast", "identity", "squeeze", "expand_dims", "reshape")
"""What leaves a counter as it is."""
TURNED = {"less": "greater", "less_equal": "greater_equal", "greater": "less", "greater_equal": "less_equal"}
"""Comparisons, and what each is with its sides exchanged."""


def rounds_of(loop: Operation) -> int | None:
    """Rounds of a `while_loop`; None where they depend on values that only a run knows."""
    variables = loop.inputs.get("loop_vars", ())
    if len(loop.bodies) != 2 or len(loop.bodies[0].outputs) != 1:
        return None
    condition, body = loop.bodies
    if not len(variables) == len(condition.inputs) == len(body.inputs) == len(body.outputs):
        return None
    found = _comparison(condition, condition.outputs[0])
    if found is None:
        return None
    kind, counter, limit = found
    names = [value.name for value in condition.inputs]
    if counter not in names:
        return None
    at = names.index(counter)
    start, step = _number(variables[at]), _step(body, at)
    return None if start is None or step is None else _rounds(kind, start, step, limit)


def _rounds(kind: str, start: float, step: float, limit: float) -> int | None:
    """While `counter <kind> limit` holds."""
    if kind.startswith("greater"):
        kind, start, step, limit = TURNED[kind], -start, -step, -limit
    if step <= 0 or not math.isfinite(limit - start) or (limit - start) / step > MAX_ROUNDS:
        return None
    distance = (limit - start) / step
    return max(0, math.floor(distance) + 1 if kind == "less_equal" else math.ceil(distance))


def _comparison(body: Body, output: Argument) -> tuple[str, str, float] | None:
    """(comparison, counter's name, limit) of a condition; true on one side of an `and` leaves the other."""
    made = {each.name: operation for operation in body.operations for each in operation.outputs}
    operation = made.get(_origin(made, output))
    if operation is None:
        return None
    x, y = operation.argument("x"), operation.argument("y")
    if x is None or y is None:
        return None
    if operation.type == "logical_and":
        other = y if _number(x) == 1 else x if _number(y) == 1 else None
        return None if other is None else _comparison(body, other)
    if operation.type not in TURNED:
        return None
    left, right = _number(x), _number(y)
    if left is None and right is not None:
        return operation.type, _origin(made, x), right
    return None if left is None or right is not None else (TURNED[operation.type], _origin(made, y), left)


def _step(body: Body, at: int) -> float | None:
    """What a round adds to a loop's variable."""
    made = {each.name: operation for operation in body.operations for each in operation.outputs}
    operation = made.get(_origin(made, body.outputs[at]))
    if operation is None or operation.type not in ("add", "sub"):
        return None
    x, y = operation.argument("x"), operation.argument("y")
    if x is None or y is None:
        return None
    counter = body.inputs[at].name
    left, right = _number(x), _number(y)
    if _origin(made, x) == counter and right is not None:
        return right if operation.type == "add" else -right
    return left if operation.type == "add" and _origin(made, y) == counter else None


def _origin(made: Mapping[str, Operation], argument: Argument) -> str:
    """The name of what a value is the same as."""
    name = argument.name
    for _ in range(len(made)):
        operation = made.get(name)
        source = None if operation is None or operation.type not in SAME else operation.argument("x")
        if source is None:
            break
        name = source.name
    return name


def _number(argument: Argument) -> float | None:
    """A constant's one number."""
    kind = argument.type
    if not isinstance(argument, Constant) or not isinstance(kind, TensorType) or kind.num_elements != 1:
        return None
    try:
        return float(argument.item())
    except (PackageError, TypeError, ValueError):
        return None
