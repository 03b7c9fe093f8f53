"""Which blocks a schedule keeps in memory between their runs, and what the largest footprint is made of."""

from __future__ import annotations

from typing import NamedTuple

from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.records.memory import Holder, Kept, Peak, PeakPart, Residents
from ondevice_sora.simulator.engine import Moment
from ondevice_sora.simulator.machine import Machine

ORDER: tuple[Holder, ...] = ("baseline", "resident", "run", "ahead", "loading", "working", "left")


def kept_of(schedule: Schedule) -> list[Kept]:
    """For each block of the schedule whether its package is in memory when it is run again."""
    package = schedule.packages
    visits, loads, last = [0] * len(package), [0] * len(package), [-1] * len(package)
    for number, visit in enumerate(schedule.visits):
        own = package[visit.block]
        visits[own] += 1
        loads[own] += visit.loads
        last[own] = number

    def kept(own: int) -> Kept:
        if loads[own] < visits[own]:
            return "always" if loads[own] <= 1 else "sometimes"
        return "never" if schedule.visits[last[own]].evicts else "always"

    return [kept(own) for own in package]


def residents_of(schedule: Schedule, costs: BlockCosts) -> list[Residents]:
    """What stays of each component, in the order in which they are run: its weights, charged to the app or not."""
    clean = costs.clean_bytes or (0,) * len(schedule.blocks)
    package, kept = schedule.packages, kept_of(schedule)
    rows = []
    for component in dict.fromkeys(block.component for block in schedule.blocks):
        own = [n for n, block in enumerate(schedule.blocks) if block.component == component and package[n] == n]
        always, sometimes = ([n for n in own if kept[n] == how] for how in ("always", "sometimes"))
        passes = [each for each in schedule.passes if _of(schedule, each.first).component == component]
        rows.append(
            Residents(
                component=component,
                num_blocks=len(own),
                num_passes=len(passes),
                always=[_name(schedule, n) for n in always],
                always_bytes=sum(costs.resident_bytes[n] + clean[n] for n in always),
                sometimes=[_name(schedule, n) for n in sometimes],
                sometimes_bytes=sum(costs.resident_bytes[n] + clean[n] for n in sometimes),
            )
        )
    return rows


def peak_of(schedule: Schedule, costs: BlockCosts, machine: Machine, moment: Moment) -> Peak:
    """What is in memory at that moment, by what holds it."""
    charged = moment.charged
    parts: dict[tuple[Holder, str | None], _Sum] = {("baseline", None): _Sum([], charged.baseline)}

    def add(holder: Holder, block: int, size: int) -> None:
        if size:
            part = parts.setdefault((holder, schedule.blocks[block].component), _Sum([], 0))
            name = _name(schedule, block)
            parts[holder, schedule.blocks[block].component] = _Sum([*part.blocks, name], part.bytes + size)

    for number in sorted({*moment.loaded, *(() if moment.loading is None else (moment.loading,))}):
        add(_why(schedule, number, moment.visit), number, costs.resident_bytes[number])
    if moment.loading is not None:
        transient, _ = machine.memory.shares_of(costs.resident_bytes)
        add("loading", moment.loading, transient[moment.loading])
    if moment.running is not None:
        add("working", moment.running, charged.working)
    if charged.residual:
        parts["left", None] = _Sum([], charged.residual)
    turn = min(moment.visit, len(schedule.visits) - 1)
    block = _of(schedule, turn)
    return Peak(
        charged.time_s,
        block.component,
        schedule.visits[turn].step,
        block.name,
        [
            PeakPart(holder, component, part.blocks, part.bytes)
            for (holder, component), part in sorted(parts.items(), key=lambda item: ORDER.index(item[0][0]))
        ],
    )


class _Sum(NamedTuple):
    blocks: list[str]
    bytes: int


def _of(schedule: Schedule, visit: int) -> BlockSpec:
    return schedule.blocks[schedule.visits[visit].block]


def _name(schedule: Schedule, number: int) -> str:
    """A block's name; where its variants have packages of their own, the variant's besides."""
    block = schedule.blocks[number]
    is_apart = schedule.plan.tdtm.is_separate and block.variant != "plain"
    return f"{block.name} ({block.variant})" if is_apart else block.name


def _why(schedule: Schedule, number: int, now: int) -> Holder:
    """What a package that is in memory is there for, while visit `now` is the next to finish."""
    visits, package = schedule.visits, schedule.packages
    following = next((at for at in range(now, len(visits)) if package[visits[at].block] == number), None)
    if following is None or not (visits[following].loads and visits[following].evicts):
        return "resident"
    return "run" if following == now else "ahead"
