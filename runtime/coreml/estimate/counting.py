"""Count what a function does, operation by operation, without running it: FLOPs, bytes moved, bytes alive.

By the conventions of profiles/models/operators.py, so that a package and a description of the same network agree and a
device's fitted costs hold for both:

    products      linear, convolution, matrix product, attention: two operations per multiply-add, nothing moved. A
                  convolution of one tap is a matrix product; a product of two activations counts as attention
    attention     scores are materialised for all heads; a mask is added into a copy, the softmax writes another
    views         reshapes, slices and splits cost nothing; what reads a part reads that part
    copies        transposes, tiles, concatenations and padding read and write; a chain of them is one copy
    pointwise     a chain or tree of pointwise operations and reductions without other readers is one operator, which
                  reads each input once and writes its result; a normalisation ends such a chain
    anything else reads its inputs and writes its outputs once
    loops         their bodies times their rounds if these are constant, else once; of a conditional the larger branch
    states        part of one replaced by `slice_update` and written back is written where it lies (states.py)
    constants     what is computed from constants alone is left out: Core ML does it when it compiles
    weights       making them from compressed ones (`constexpr_...`) costs nothing here: see what a load costs
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ondevice_sora.profiles.models.operators import peak_alive
from ondevice_sora.runtime.coreml.estimate.loops import rounds_of
from ondevice_sora.runtime.coreml.estimate.operations import (
    AFFINE,
    KNOWN,
    POINTWISE,
    PRODUCTS,
    REDUCTIONS,
    VIEWS,
    fused_kind,
)
from ondevice_sora.runtime.coreml.estimate.products import product_flops
from ondevice_sora.runtime.coreml.estimate.states import changed_in_place
from ondevice_sora.runtime.coreml.estimate.values import (
    broadcast,
    constant_bytes,
    num_bytes,
    read_inside,
    shape_of,
    sizes_of,
    values_of,
    viewed,
    written_to_state,
)
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Body, Function, Operation, Value
from ondevice_sora.runtime.coreml.package.types import StateType
from ondevice_sora.runtime.coreml.package.weights import COMPRESSED

Step = tuple[tuple[str, ...], tuple[str, ...]]
"""What is read, and what is written, by name."""


@dataclass
class Counted:
    """One run of a function. Bytes are those of the values' own types; `operations` counts them by type.

    `edge_bytes` are what it is given, or what it hands on, whichever are more.

    `unknown` are types of operations that are not known here, counted as reading and writing; `open_loops` counts loops
    whose body was counted once for want of a number of rounds.
    """

    matmul_flops: int = 0
    attention_flops: int = 0
    convolution_flops: int = 0
    moved_bytes: int = 0
    peak_bytes: int = 0
    edge_bytes: int = 0
    token_merges: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)
    open_loops: int = 0

    @property
    def flops(self) -> int:
        return self.matmul_flops + self.attention_flops + self.convolution_flops

    def add(self, other: Counted, times: int = 1) -> None:
        """Work of a body inside that is done so often; its peak is the caller's affair."""
        self.matmul_flops += times * other.matmul_flops
        self.attention_flops += times * other.attention_flops
        self.convolution_flops += times * other.convolution_flops
        self.moved_bytes += times * other.moved_bytes
        self.token_merges += times * other.token_merges
        self.operations += other.operations
        self.unknown |= other.unknown
        self.open_loops += other.open_loops


def count(function: Function) -> Counted:
    """What one run of the function does. Raises PackageError, naming the operation, if its shapes are open or wrong."""
    try:
        return _Counting(function).counted
    except PackageError as error:
        raise PackageError(error.what, f"function {function.name!r}{error.where or ''}", error.mend) from None


@dataclass
class _Group:
    """Operations that run as one: the sink is the last, whose value they are for."""

    members: list[int]
    kind: str
    is_normalisation: bool = False

    @property
    def sink(self) -> int:
        return self.members[0]


class _Counting:
    """One body. Values are named as in the program; a view stands for its root."""

    def __init__(self, body: Body, fixed: frozenset[str] = frozenset()) -> None:
        self.counted = Counted()
        self.root: dict[str, str] = {}
        self.num_bytes: dict[str, int] = {}
        self.tag: dict[str, str] = {}
        self.fixed = set(fixed)
        """Names of values that do not depend on an input."""
        self.in_place = changed_in_place(body.operations)
        self.operations: list[Operation] = []
        for value in body.inputs:
            self._define(value, ", input ")
        for operation in body.operations:
            self._meet(operation)
        self.readers = self._readers(body)
        self.inner_peak = [self._inside(operation) for operation in self.operations]
        self._weigh(body)
        outputs = [self.num_bytes.get(value.name, 0) for value in body.outputs]
        self.counted.edge_bytes = max(sum(self.num_bytes[value.name] for value in body.inputs), sum(outputs))

    def _define(self, value: Value, where: str) -> None:
        self.root[value.name] = value.name
        self.num_bytes[value.name] = num_bytes(value, where)

    def _meet(self, operation: Operation) -> None:
        """Take note of an operation's values; constants' and views' cost nothing and are not kept."""
        where = f", {operation.type!r} {operation.name!r}"
        self.counted.operations[operation.type] += 1
        inputs = [*values_of(operation), *read_inside(operation)]
        for output in operation.outputs:
            self._define(output, where)
        if (
            operation.type.startswith(COMPRESSED)
            or (not inputs and not operation.type.startswith("random"))
            or (inputs and all(value.name in self.fixed for value in inputs))
        ):
            self.fixed.update(output.name for output in operation.outputs)
            return
        if operation.type not in KNOWN:
            self.counted.unknown.add(operation.type)
        if operation.type == "write_state" and written_to_state(operation) in self.in_place:
            return
        is_view = operation.type in VIEWS
        if (is_view or operation.name in self.in_place) and (source := viewed(operation)) is not None:
            for output in operation.outputs:
                self.root[output.name] = self.root.get(source.name, source.name)
                self.tag[output.name] = self.tag.get(source.name, "")
            if is_view:
                return
        for output in operation.outputs:
            self.tag.setdefault(output.name, self._tag(operation, output))
        self.operations.append(operation)

    def _tag(self, operation: Operation, output: Value) -> str:
        """Whether a value is a statistic of another, or a tensor normalised by one."""
        if operation.type in REDUCTIONS:
            return "statistic"
        if operation.type not in POINTWISE:
            return ""
        inputs = [value for value in values_of(operation) if value.name not in self.fixed]
        tags = [self.tag.get(value.name, "") for value in inputs]
        if all(tag == "statistic" for tag in tags):
            return "statistic"
        if "statistic" in tags:
            return "normalised"
        return "normalised" if tags == ["normalised"] and operation.type in AFFINE else ""

    def _readers(self, body: Body) -> dict[str, set[int]]:
        """For each root, the operations that read it or a view of it; -1 stands for the caller."""
        readers: dict[str, set[int]] = {}
        for index, operation in enumerate(self.operations):
            for value in self._outer_values(operation):
                readers.setdefault(self._root(value.name), set()).add(index)
        for output in body.outputs:
            if isinstance(output, Value):
                readers.setdefault(self._root(output.name), set()).add(-1)
        return readers

    def _outer_values(self, operation: Operation) -> Iterator[Value]:
        """Values of this body that an operation reads, also in bodies inside it."""
        yield from values_of(operation)
        for inner in operation.bodies:
            for each in inner.walk():
                yield from (value for value in values_of(each) if value.name in self.num_bytes)
            yield from (out for out in inner.outputs if isinstance(out, Value) and out.name in self.num_bytes)

    def _root(self, name: str) -> str:
        return self.root.get(name, name)

    def _inside(self, operation: Operation) -> int:
        """Count the bodies of a conditional (the larger one) or a loop; returns their peak in bytes.

        A loop counts once where nothing says how many rounds it has.
        """
        if not operation.bodies:
            return 0
        found = [_Counting(body, frozenset(self.fixed)).counted for body in operation.bodies]
        if operation.type == "cond":
            self.counted.add(max(found, key=lambda counted: counted.flops))
        else:
            rounds = rounds_of(operation)
            self.counted.open_loops += rounds is None
            for index, counted in enumerate(found):
                self.counted.add(counted, 1 if rounds is None else rounds + (index == 0 and len(found) > 1))
        return max(counted.peak_bytes for counted in found)

    def _groups(self) -> list[_Group]:
        """Operations that run as one, in the order of their sinks."""
        group_of: dict[int, _Group] = {}
        groups = []
        for index in reversed(range(len(self.operations))):
            operation = self.operations[index]
            kind = fused_kind(operation)
            readers = {reader for output in operation.outputs for reader in self.readers.get(output.name, ())}
            into = {id(group_of[reader]): group_of[reader] for reader in readers if reader >= 0}
            normalised = any(self.tag.get(output.name) == "normalised" for output in operation.outputs)
            if kind and -1 not in readers and len(into) == 1:
                (group,) = into.values()
                if group.kind == kind and (not normalised or group.is_normalisation):
                    group.members.append(index)
                    group_of[index] = group
                    continue
            group_of[index] = _Group([index], kind, any(self.tag.get(o.name) for o in operation.outputs))
            groups.append(group_of[index])
        return groups[::-1]

    def _weigh(self, body: Body) -> None:
        """Work of all groups, and the most bytes alive at one time."""
        inputs = [value.name for value in body.inputs]
        steps: list[Step] = []
        for group in self._groups():
            members = [self.operations[index] for index in group.members]
            sink = self.operations[group.sink]
            written = tuple(output.name for output in sink.outputs)
            inner = {output.name for member in members for output in member.outputs}
            reads = {value.name: value for member in members for value in self._outer_values(member)}
            outside = [name for name in reads if self._root(name) not in inner]
            alive = self._alive(outside)
            if sink.type in PRODUCTS:
                steps += self._product(sink, alive, written)
                continue
            constants = sum(constant_bytes(member) for member in members)
            read_bytes = sum(num_bytes(reads[name], "") for name in outside)
            if sink.name in self.in_place:
                part = sum(num_bytes(value, "") for value in sink.inputs.get("update", ()))
                self.counted.moved_bytes += 2 * part
                steps.append((alive, ()))
                continue
            if sink.type in ("gather", "gather_along_axis", "gather_nd"):
                read_bytes, constants = sum(self.num_bytes[name] for name in written), 0
            written_bytes = sum(self.num_bytes[name] for name in written)
            self.counted.moved_bytes += read_bytes + constants + written_bytes
            self.counted.token_merges += self._is_token_merge(members, read_bytes, written_bytes)
            if self.inner_peak[group.sink]:
                inside = self._scratch(f"{written[0]} inside", self.inner_peak[group.sink])
                steps.append((alive, inside))
                alive = (*alive, *inside)
            steps.append((alive, written))
        kept = {self._root(output.name) for output in body.outputs if isinstance(output, Value)} - self.fixed
        states = {value.name for value in body.inputs if isinstance(value.type, StateType)}
        self.counted.peak_bytes = peak_alive(inputs, steps, kept | states, self.num_bytes)

    def _alive(self, names: Iterable[str]) -> tuple[str, ...]:
        """The roots that must be in memory for these values to be read; what lies outside this body is not its own."""
        roots = dict.fromkeys(self._root(name) for name in names if name not in self.fixed)
        return tuple(root for root in roots if root in self.num_bytes)

    def _is_token_merge(self, members: Sequence[Operation], read_bytes: int, written_bytes: int) -> bool:
        """Whether operations that run as one are one of TDTM's, as runtime/networks/merging.py converts.

        Merging adds two halves of one tensor; unmerging makes a tensor twice as large by a tile.
        """
        if any(member.type == "tile" for member in members):
            return written_bytes == 2 * read_bytes
        for member in members:
            halves = [value.name for value in values_of(member)]
            if member.type == "add" and len(set(halves)) == 2 and len({self._root(name) for name in halves}) == 1:
                return all(2 * self.num_bytes[name] <= self.num_bytes[self._root(name)] for name in halves)
        return False

    def _scratch(self, name: str, size: int) -> tuple[str]:
        """A tensor that an operation needs for itself."""
        self.num_bytes[name] = size
        return (name,)

    def _product(self, operation: Operation, alive: tuple[str, ...], written: tuple[str, ...]) -> list[Step]:
        """Count a product's operations; returns its steps."""
        try:
            if operation.type == "scaled_dot_product_attention":
                return self._attention(operation, written)
            flops, kind = product_flops(operation, self.fixed)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            told = f": {error}" if isinstance(error, ValueError) else ""
            where = f", {operation.type!r} {operation.name!r}"
            raise PackageError(f"the shapes or inputs of this product make no sense{told}", where) from None
        if kind == "convolution":
            self.counted.convolution_flops += flops
        elif kind == "matmul":
            self.counted.matmul_flops += flops
        else:
            self.counted.attention_flops += flops
        return [(alive, written)]

    def _attention(self, operation: Operation, written: tuple[str, ...]) -> list[Step]:
        """Scores, the mask added to them, their softmax, and the product with the values."""
        query, key, value = (shape_of(operation, name) for name in ("query", "key", "value"))
        rows = math.prod(broadcast(query[:-2], key[:-2], value[:-2])) * query[-2]
        if query[-1] != key[-1] or key[-2] != value[-2]:
            raise ValueError(f"query {query}, key {key}, value {value}")
        self.counted.attention_flops += 2 * rows * key[-2] * (query[-1] + value[-1])
        width = num_bytes(operation.outputs[0], "") // max(1, math.prod(sizes_of(operation.outputs[0])))
        size = rows * key[-2] * width

        def read(*names: str) -> tuple[str, ...]:
            given = [argument for name in names for argument in operation.inputs.get(name, ())]
            return self._alive(argument.name for argument in given if isinstance(argument, Value))

        scores = self._scratch(f"{written[0]} scores", size)
        steps: list[Step] = [(read("query", "key"), scores)]
        if (mask := operation.argument("attn_mask")) is not None:
            masked = self._scratch(f"{written[0]} masked", size)
            steps.append(((*scores, *read("attn_mask")), masked))
            self.counted.moved_bytes += 2 * size + num_bytes(mask, "")
            scores = masked
        softmax = self._scratch(f"{written[0]} softmax", size)
        self.counted.moved_bytes += 2 * size
        return [*steps, (scores, softmax), ((*softmax, *read("value")), written)]
