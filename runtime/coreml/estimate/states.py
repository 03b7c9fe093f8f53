"""Which operations change a state where it lies, as a cache of keys and values is filled row by row."""

from __future__ import annotations

from collections.abc import Iterable

from ondevice_sora.runtime.coreml.package.package import Operation


def changed_in_place(operations: Iterable[Operation]) -> frozenset[str]:
    """Names of values that are a state itself with a part replaced.

    Each is what `slice_update` makes of what was read of a state, and what `write_state` writes back to the same one.
    So there is no second cache, and only the part is written. Nobody documents it, but it cannot be otherwise: Apple's
    Llama 3.1 of 8 billion parameters in 4 bits makes 33 tokens a second on an M1 Max, whose memory gives 400 GB/s
    (https://machinelearning.apple.com/research/core-ml-on-device-llama), and copying its two caches of 134 MB at both
    operations in each of 32 layers would alone move 34 GB a token.
    """
    operations = tuple(operations)
    states: dict[str, str] = {}
    updates: dict[str, str] = {}
    for operation in operations:
        source = _name(operation, "input" if operation.type == "read_state" else "x")
        if operation.type == "read_state":
            states[operation.name] = source
        elif operation.type == "slice_update" and source in states:
            states[operation.name], updates[operation.name] = states[source], source
    found: set[str] = set()
    for operation in operations:
        if operation.type == "write_state":
            value = _name(operation, "data")
            while value in updates and states[value] == _name(operation, "input"):
                found.add(value)
                value = updates[value]
    return frozenset(found)


def _name(operation: Operation, name: str) -> str:
    given = operation.inputs.get(name, ())
    return given[0].name if given else ""
