"""From a recorded forward pass to units: parameters, tables, and the work of one run.

The conventions are those of profiles/models/operators.py, by which the devices' costs were fitted. In short: products
and convolutions cost FLOPs, everything else the elements that it reads and writes; chains of pointwise arithmetic are
one operator, and so is a normalisation; views are free and copies are not; nothing is computed in place, and a tensor
lives from the operator that writes it to the last one that reads it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from ondevice_sora.profiles.models.configured import Attention, InChunks
from ondevice_sora.profiles.models.model import Unit, Work
from ondevice_sora.profiles.models.operators import alive_at_steps
from ondevice_sora.runtime.describe.trace import Operator, Trace
from ondevice_sora.runtime.describe.units import INPUT, OUTPUT, assigned, readable, walks


@dataclass
class _Step:
    """Operators that are done as one."""

    unit: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    moved: float = 0.0
    flops: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Counted:
    """A component's units in the order in which they first run, and how often they are walked in one forward pass.

    waiting   for each unit, the elements that are there before it runs: what another branch would have waiting
    """

    units: tuple[Unit, ...]
    walks: int
    waiting: tuple[int, ...] = ()


def counted(
    trace: Trace,
    layers: Sequence[str],
    attention: Attention,
    *,
    unread: dict[str, int] | None = None,
    given_rows: bool = False,
) -> Counted:
    """The units of a recorded forward pass.

    layers      paths of the modules at which it can be cut
    unread      parameters that no operator reads, and yet belong to it: path -> elements
    given_rows  embedding tables stay outside: their rows are given, and only those are held
    """
    owners = assigned(trace.operators, layers)
    num_walks = walks(owners)
    scores = _scores(trace, attention)
    steps = _fused(trace, owners, scores)
    sizes = {value: round(elements * scores.get(value, (1.0, 1.0))[0]) for value, elements in trace.elements.items()}
    during = alive_at_steps(
        trace.inputs, [(step.reads, step.writes) for step in steps], trace.outputs, defaultdict(int, sizes)
    )
    order = list(dict.fromkeys(step.unit for step in steps))
    flops: dict[str, dict[str, int]] = {unit: defaultdict(int) for unit in order}
    moved, working, waiting = dict.fromkeys(order, 0.0), dict.fromkeys(order, 0), dict[str, int]()
    for step, alive in zip(steps, during, strict=True):
        waiting.setdefault(step.unit, alive - sum(sizes.get(value, 0) for value in step.writes))
        moved[step.unit] += step.moved
        working[step.unit] = max(working[step.unit], alive)
        for kind, count in step.flops.items():
            flops[step.unit][kind] += count
    parameters, tables = _stored(trace, owners, given_rows)
    for path, elements in (unread or {}).items():
        home = next((unit for unit in order if path.startswith(f"{unit}.")), order[-1])
        parameters[home] = parameters.get(home, 0) + elements
    names = readable([unit for unit in order if unit not in (INPUT, OUTPUT)])
    units = tuple(
        Unit(
            names.get(unit, unit),
            parameters.get(unit, 0),
            Work(
                matmul_flops=flops[unit]["matmul"] / num_walks,
                attention_flops=flops[unit]["attention"] / num_walks,
                convolution_flops=flops[unit]["convolution"] / num_walks,
                moved_elements=moved[unit] / num_walks,
                working_elements=float(working[unit]),
            ),
            None,
            tables.get(unit, 0),
        )
        for unit in order
    )
    return Counted(units, num_walks, tuple(waiting[unit] for unit in order))


def in_turn(unit: Unit, runs: int, waiting: int) -> Unit:
    """A unit that does its work so many times, one after the other; what the others start from waits beside it."""
    return msgspec.structs.replace(unit, plain=unit.plain.in_turn(runs, waiting))


def _scores(trace: Trace, attention: Attention) -> dict[int, tuple[float, float]]:
    """Value -> the share of it that is alive at a time, and the share that is moved, for the scores of attention.

    Scores are what a product of two activations writes, all that is pointwise of it, and the softmax thereof.
    """
    readers: dict[int, list[Operator]] = defaultdict(list)
    for operator in trace.operators:
        for value in operator.reads:
            readers[value].append(operator)
    found: dict[int, tuple[float, float]] = {}
    for operator in trace.operators:
        if operator.kind != "attention":
            continue
        chain, at, is_normalised = list(operator.writes), operator, False
        while len(at.writes) == 1 and len(readers[at.writes[0]]) == 1:
            at = readers[at.writes[0]][0]
            if at.kind not in ("pointwise", "softmax") or len(at.writes) != 1:
                break
            is_normalised = is_normalised or at.kind == "softmax"
            chain += at.writes
        if is_normalised:
            share = 1.0
            if attention == "fused":
                share = 0.0
            elif isinstance(attention, InChunks):
                share = min(1.0, attention.chunk / operator.queries)
            found.update(dict.fromkeys(chain, (share, 0.0 if attention == "fused" else 1.0)))
    return found


def _fused(trace: Trace, owners: Sequence[str], scores: dict[int, tuple[float, float]]) -> list[_Step]:
    """The operators as steps, each at the place of its last operator."""
    operators = trace.operators
    group = list(range(len(operators)))
    maker = {value: index for index, operator in enumerate(operators) for value in operator.writes}
    readers: dict[int, set[int]] = defaultdict(set)
    for index, operator in enumerate(operators):
        for value in operator.reads:
            readers[value].add(index)

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = group[index]
        return index

    norms: dict[int, int] = {}
    returned = set(trace.outputs)
    for index, operator in enumerate(operators):
        if operator.is_norm:
            group[root(norms.setdefault(operator.call, index))] = index
            norms[operator.call] = index
            continue
        if operator.kind != "pointwise":
            continue
        extent = max((trace.elements[value] for value in operator.writes), default=max(operator.reads.values()))
        for value in operator.reads:
            before = maker.get(value)
            if (
                before is not None
                and operators[before].kind == "pointwise"
                and not operators[before].is_norm
                and owners[before] == owners[index]
                and readers[value] == {index}
                and value not in returned
                and trace.elements[value] <= extent
            ):
                group[root(before)] = index
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(operators)):
        members[root(index)].append(index)
    return [_step(trace, owners[at], members[at], readers, scores) for at in sorted(members)]


def _step(
    trace: Trace,
    unit: str,
    members: Sequence[int],
    readers: dict[int, set[int]],
    scores: dict[int, tuple[float, float]],
) -> _Step:
    own, returned = set(members), set(trace.outputs)
    made = {value for index in members for value in trace.operators[index].writes}
    reads: dict[int, int] = {}
    step = _Step(unit, (), ())
    from_tables = 0
    for index in members:
        operator = trace.operators[index]
        for value, elements in operator.reads.items():
            if value not in made:
                reads[value] = max(reads.get(value, 0), elements)
        if operator.kind in ("matmul", "attention", "convolution"):
            step.flops[operator.kind] = step.flops.get(operator.kind, 0) + operator.flops
        elif operator.kind == "gather":
            from_tables += sum(trace.elements[value] for value in operator.writes)
        elif not operator.is_norm:
            from_tables += sum(operator.tables.values())
    writes = tuple(value for value in made if not readers[value] or readers[value] - own or value in returned)
    if not step.flops:
        step.moved = from_tables + sum(
            elements * scores.get(value, (1.0, 1.0))[1]
            for value, elements in [*reads.items(), *((value, trace.elements[value]) for value in writes)]
        )
    step.reads, step.writes = tuple(reads), writes
    return step


def _stored(trace: Trace, owners: Sequence[str], given_rows: bool) -> tuple[dict[str, int], dict[str, int]]:
    """Parameters and tables by unit. Each is stored once, by the first unit that reads it.

    A constant that is worked out from parameters is stored instead of them, unless they are read themselves as well.
    """
    parameters: dict[str, int] = defaultdict(int)
    tables: dict[str, int] = defaultdict(int)
    sizes = {
        next(iter(names)): trace.table_elements[constant]
        for constant, names in trace.made_of.items()
        if len(names) == 1 and constant <= trace.num_parameters
    }
    met: set[int] = set()
    homes: dict[str, str] = {}
    read_itself: set[str] = set()
    for operator, unit in zip(trace.operators, owners, strict=True):
        for constant in operator.tables:
            names = trace.made_of[constant]
            is_parameter = constant <= trace.num_parameters
            for name in names:
                homes.setdefault(name, unit)
            if is_parameter and not (given_rows and operator.kind == "gather"):
                read_itself |= names
            elif is_parameter:
                tables[unit] += sum(trace.elements[value] for value in operator.writes)
            elif constant not in met:
                tables[unit] += trace.table_elements[constant]
            met.add(constant)
    for name, unit in homes.items():
        parameters[unit] += sizes[name]
        if name not in read_itself:
            tables[unit] -= sizes[name]
    return parameters, tables
