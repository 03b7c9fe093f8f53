"""What a loop and a conditional are made of, to tell them from what only looks like one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ondevice_sora.runtime.coreml.package.package import Argument, Body
from ondevice_sora.runtime.coreml.package.types import StateType, TensorType, ValueType

CONTROL_FLOW = ("while_loop", "cond")


def what_is_wrong(
    kind: str, inputs: Mapping[str, Sequence[Argument]], outputs: Sequence[ValueType], bodies: Sequence[Body]
) -> str | None:
    """Why these bodies are not those of an operation of this kind; None if they are.

    A loop's first body takes its variables and gives one truth value; its second takes and gives them. Those of a
    conditional take nothing and both give what it gives. Sizes may change from round to round, data types may not.
    """
    if kind not in CONTROL_FLOW:
        return None
    if len(bodies) != 2:
        return f"{kind!r} has {len(bodies)} bodies where two are expected"
    given = [_types(body.outputs) for body in bodies]
    wanted = [_type(output) for output in outputs]
    taken: list[str] = []
    if kind == "while_loop":
        taken = _types(inputs.get("loop_vars", ()))
        if taken != wanted:
            return f"{kind!r} has variables of {taken} and gives {wanted}"
        if given[0] != ["bool"]:
            return f"the condition of {kind!r} gives {given[0]}, not one truth value"
    for body, made in zip(bodies, given, strict=True):
        if _types(body.inputs) != taken:
            return f"a body of {kind!r} takes {_types(body.inputs)} where {taken} is expected"
        if made != wanted and not (kind == "while_loop" and body is bodies[0]):
            return f"a body of {kind!r} gives {made} where {wanted} is expected"
    return None


def _types(arguments: Sequence[Argument]) -> list[str]:
    return [_type(argument.type) for argument in arguments]


def _type(kind: ValueType) -> str:
    if isinstance(kind, TensorType):
        return kind.dtype
    return f"state of {kind.tensor.dtype}" if isinstance(kind, StateType) else kind.kind
