"""Components in a row, each with blocks, window and residents of its own: the toy world where one is not enough."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.heat import NO_HEAT, Heat
from ondevice_sora.plans.schema import ComponentPlan, Keep, Memory, Plan, Sampler, Tdtm
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.figures import ByteCount, Mark
from ondevice_sora.profiles.models.model import Component, Model, Unit, Work
from ondevice_sora.simulator.engine import Outcome
from ondevice_sora.simulator.fast import finish
from worlds.machines import OnAMachine


@dataclass(frozen=True)
class Part:
    """A component: the bytes of its blocks, loads and runs in seconds, and how often it is walked."""

    sizes: tuple[int, ...]
    load_s: tuple[float, ...]
    run_s: tuple[float, ...]
    working: tuple[int, ...] = ()
    passes: int | Literal["steps"] = "steps"
    prefetch: int | Literal["app"] = 0
    keep: Keep = "none"

    @classmethod
    def equal(cls, blocks: int, **settings: Any) -> Part:
        """Blocks of 100 bytes that load in 2 s and run in 3 s, as the toy's."""
        return cls((100,) * blocks, (2.0,) * blocks, (3.0,) * blocks, **settings)

    def with_(self, **changes: Any) -> Part:
        return replace(self, **changes)


@dataclass(frozen=True)
class Row(OnAMachine):
    """The first component is called `a`, its blocks a0, a1 and so on; the second one `b`."""

    parts: tuple[Part, ...]
    steps: int = 1
    cold_factor: float = 1.0
    unload_s: float = 0.0
    baseline: int = 0
    limit: int = 10**9
    budget: int | None = None
    tdtm: Tdtm = field(default_factory=Tdtm)
    load_rate: float = 1.0
    run_rate: float = 1.0
    transient: float = 0.0
    residual: float = 0.0
    heat: Heat = NO_HEAT

    def with_(self, **changes: Any) -> Row:
        return replace(self, **changes)

    def keeping(self, *keeps: Keep) -> Row:
        """With these residents, component by component."""
        return self.with_(parts=tuple(part.with_(keep=keep) for part, keep in zip(self.parts, keeps, strict=True)))

    def loading(self, *windows: int | Literal["app"]) -> Row:
        """With these windows, component by component."""
        parts = zip(self.parts, windows, strict=True)
        return self.with_(parts=tuple(part.with_(prefetch=window) for part, window in parts))

    @property
    def names(self) -> str:
        return "abcdefgh"[: len(self.parts)]

    @property
    def plan(self) -> Plan:
        components = {
            name: ComponentPlan(blocks="unit", prefetch=part.prefetch, keep=part.keep)
            for name, part in zip(self.names, self.parts, strict=True)
        }
        memory = Memory(budget=ByteCount(self.budget) if self.budget is not None else None)
        return Plan(
            "row", "row", sampler=Sampler(steps=self.steps), tdtm=self.tdtm, memory=memory, components=components
        )

    @property
    def model(self) -> Model:
        def units(name: str, part: Part) -> tuple[Unit, ...]:
            return tuple(Unit(f"{name}{i}", 1, Work(), Work()) for i in range(len(part.sizes)))

        components = zip(self.names, self.parts, strict=True)
        return Model(
            "row", "made up", tuple(Component(name, part.passes, units(name, part)) for name, part in components)
        )

    def price(self, blocks: Sequence[BlockSpec]) -> BlockCosts:
        parts = dict(zip(self.names, self.parts, strict=True))
        own = [(parts[block.component], block.index) for block in blocks]

        def column(values: list[float]) -> np.ndarray:
            return np.array(values).reshape(-1, 1)

        marks: dict[Mark, float] = {"measured": 1.0}
        load_s = column([part.load_s[index] for part, index in own])
        run_s = column([part.run_s[index] for part, index in own])
        size = tuple(part.sizes[index] for part, index in own)
        return BlockCosts(
            load_warm_s=load_s,
            load_cold_s=load_s * self.cold_factor,
            run_s=run_s,
            first_run_s=run_s,
            unload_s=np.full((len(blocks), 1), self.unload_s),
            resident_bytes=size,
            working_bytes=tuple(part.working[index] if part.working else 10 for part, index in own),
            stored_bytes=size,
            load_marks=(marks,) * len(blocks),
            run_marks=(marks,) * len(blocks),
        )

    def play(self, is_limited: bool = False) -> Outcome:
        return super().play(is_limited)

    def gates(self) -> dict[tuple[int, str], int]:
        """For each load, by step and block, how many visits before its own it may begin."""
        schedule, _ = self.schedule()
        return {
            (visit.step, schedule.blocks[visit.block].name): index - 1 - visit.gate
            for index, visit in enumerate(schedule.visits)
            if visit.loads
        }

    @property
    def bounds(self) -> tuple[int, int]:
        """Bytes that it needs at least, and with everything kept and the windows full."""
        free, every = self.with_(budget=None), [len(part.sizes) for part in self.parts]
        least = free.keeping(*[0] * len(self.parts)).loading(*[0] * len(self.parts))
        return least.schedule()[0].needed_bytes, free.keeping(*every).schedule()[0].needed_bytes

    def comes_to(self) -> tuple[float, int] | None:
        """Seconds, and bytes loaded; None if the budget refuses it."""
        try:
            schedule, costs = self.schedule()
        except UserError:
            return None
        loaded = sum(costs.stored_bytes[visit.block] for visit in schedule.visits if visit.loads)
        return finish(schedule, costs, self.machine).total_s, loaded


def random_row(draw: random.Random, most_blocks: int) -> Row:
    """One or two components of blocks of any size, and loads and runs that slow each other."""

    def part(number: int) -> Part:
        count = draw.randint(1, most_blocks)
        sizes = (100,) * count if draw.random() < 0.25 else tuple(draw.randint(10, 400) for _ in range(count))
        per_byte = draw.uniform(0.002, 0.05)
        return Part(
            sizes,
            tuple(0.1 + size * per_byte * draw.choice([1.0, 1.0, draw.uniform(0.5, 2.0)]) for size in sizes),
            tuple(draw.uniform(0.1, 10.0) for _ in sizes),
            tuple(draw.randint(0, 150) for _ in sizes),
            "steps" if number == 0 else draw.choice([1, 2, 5]),
            draw.choice([0, 1, 1, 2, 3]),
        )

    row = Row(
        tuple(part(number) for number in range(draw.randint(1, 2))),
        steps=draw.randint(2, 10),
        cold_factor=draw.choice([1.0, 2.0]),
        unload_s=draw.choice([0.0, 0.0, 0.3]),
        transient=draw.choice([0.0, 0.0, 0.5]),
        residual=draw.choice([0.0, 0.0, 0.1]),
        load_rate=draw.uniform(0.4, 1.0),
        run_rate=draw.uniform(0.5, 1.0),
    )
    return row.with_(budget=draw.randint(*row.bounds))
