"""A toy world of round numbers: three blocks of 100 bytes, load 2 s, run 3 s, 10 bytes of working memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ondevice_sora.plans.heat import NO_HEAT, Heat
from ondevice_sora.plans.schema import ComponentPlan, FirstSteps, Keep, Lpl, Memory, Plan, Sampler, Start, Tdtm
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.figures import ByteCount, Mark
from ondevice_sora.profiles.models.model import Component, Model, Unit, Work
from worlds.machines import OnAMachine


@dataclass(frozen=True)
class Toy(OnAMachine):
    """One component of equal blocks, walked once per denoising step; change what a test is about with `with_`."""

    blocks: int = 3
    steps: int = 1
    load_s: float = 2.0
    run_s: float = 3.0
    cold_s: float | None = None
    first_run_s: float | None = None
    unload_s: float = 0.0
    size: int = 100
    sizes: tuple[int, ...] = ()
    slowness: tuple[float, ...] = ()
    """a factor for each block's seconds"""
    working: int = 10
    baseline: int = 0
    limit: int = 10**9
    budget: int | None = None
    prefetch: int | Literal["app"] = 0
    keep: Keep = "none"
    start: Start = "first"
    tdtm: Tdtm = field(default_factory=Tdtm)
    lpl: Lpl = field(default_factory=Lpl)
    load_rate: float = 1.0
    run_rate: float = 1.0
    transient: float = 0.0
    residual: float = 0.0
    heat: Heat = NO_HEAT

    def with_(self, **changes: Any) -> Toy:
        return replace(self, **changes)

    @property
    def plan(self) -> Plan:
        component = ComponentPlan(blocks="unit", prefetch=self.prefetch, keep=self.keep)
        budget = ByteCount(self.budget) if self.budget is not None else None
        return Plan(
            name="toy",
            model="toy",
            sampler=Sampler(steps=self.steps),
            lpl=self.lpl,
            tdtm=self.tdtm,
            memory=Memory(budget=budget),
            components={"denoiser": component},
            start=self.start,
        )

    @property
    def model(self) -> Model:
        units = tuple(Unit(f"b{i}", 1, Work(), Work()) for i in range(self.blocks))
        return Model("toy", "made up", (Component("denoiser", "steps", units),))

    def price(self, blocks: Sequence[BlockSpec]) -> BlockCosts:
        factors = np.array([[self.slowness[block.index] if self.slowness else 1.0] for block in blocks])

        def column(seconds: float) -> np.ndarray:
            return factors * seconds

        sizes = self.sizes or (self.size,) * self.blocks
        marks: dict[Mark, float] = {"measured": 1.0}
        return BlockCosts(
            load_warm_s=column(self.load_s),
            load_cold_s=column(self.load_s if self.cold_s is None else self.cold_s),
            run_s=column(self.run_s),
            first_run_s=column(self.run_s if self.first_run_s is None else self.first_run_s),
            unload_s=column(self.unload_s),
            resident_bytes=tuple(sizes[block.index] for block in blocks),
            working_bytes=(self.working,) * len(blocks),
            stored_bytes=tuple(sizes[block.index] for block in blocks),
            load_marks=(marks,) * len(blocks),
            run_marks=(marks,) * len(blocks),
        )

    def budgeted(self, share: float) -> Toy:
        """With a budget between the smallest that its plan might do with (0) and what it takes without one (1)."""
        listed = isinstance(self.keep, int) or self.keep == "always"
        least = self.with_(budget=None, prefetch=0, keep=self.keep if listed else "none").schedule()[0].needed_bytes
        most = self.with_(budget=None).schedule()[0].needed_bytes
        return self.with_(budget=round(least + share * (most - least)))

    def spans(self) -> list[tuple[str, str, float, float]]:
        """(action, block, start, end) of loads and runs, in order of their ends."""
        return [(s.action, s.block, s.start_s, s.end_s) for s in self.play().spans if s.action != "evict"]


def random_toy(draw: random.Random) -> Toy:
    """Any policy and feature; half of them on a grid of whole seconds, where loads and runs end together."""
    is_whole = draw.random() < 0.5

    def seconds(most: int) -> float:
        return float(draw.randint(0, most)) if is_whole else draw.choice([0.0, 1.0, 1.0]) * draw.uniform(0, most)

    def rate() -> float:
        return draw.choice([1.0, 0.5, 0.75]) if is_whole else draw.uniform(0.4, 1.0)

    blocks, steps = draw.randint(1, 8), draw.randint(1, 14)
    load_s, run_s = seconds(10), seconds(10)
    prefetches: list[int | Literal["app"]] = [0, 1, 2, 3, 5, 9, "app"]
    keeps: list[Keep] = ["none", "paper", "app", "belady", "belady", "always", *range(blocks + 1)]
    starts: list[Start] = ["first", "cached", "loaded"]
    merged = tuple(sorted(draw.sample(range(steps), draw.randint(0, steps))))
    return Toy(
        blocks=blocks,
        steps=steps,
        sizes=tuple(draw.randint(1, 1000) for _ in range(blocks)),
        slowness=draw.choice([(), tuple(float(draw.randint(1, 4)) for _ in range(blocks))]),
        load_s=load_s,
        run_s=run_s,
        cold_s=load_s + seconds(10),
        first_run_s=run_s + seconds(3),
        unload_s=draw.choice([0.0, 0.25, 1.0]),
        working=draw.randint(0, 300),
        baseline=draw.randint(0, 100),
        limit=draw.randint(100, 10_000),
        budget=draw.choice([None, None, draw.randint(500, 6_000)]),
        prefetch=draw.choice(prefetches),
        keep=draw.choice(keeps),
        start=draw.choice(starts),
        tdtm=Tdtm(
            steps=draw.choice(["none", "all", FirstSteps(draw.randint(0, min(5, steps))), merged]),
            packages=draw.choice(["shared", "separate"]),
        ),
        lpl=draw.choice([Lpl(), Lpl(), Lpl(mode="fixed", leap_step=0)]),
        transient=draw.choice([0.0, 0.5]),
        residual=draw.choice([0.0, 0.1, 1.5]),
        load_rate=rate(),
        run_rate=rate(),
        heat=draw.choice([NO_HEAT, NO_HEAT, Heat(True, 0.6, 80.0)]),
    )
