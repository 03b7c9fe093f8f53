"""A planning problem: what is fixed, what is free, and the exact evaluation of one candidate.

The model is built and each distinct block is priced once; a candidate then costs its schedule and the recurrence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schedule import MemoryModel, Schedule, build_schedule
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts, Pricer
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.simulator.fast import finish
from ondevice_sora.simulator.machine import Machine, machine_of
from ondevice_sora.simulator.prepare import Described, Setting, merging_as_planned
from ondevice_sora.simulator.search.candidates import Candidates, Played
from ondevice_sora.simulator.search.choices import Choices, Packages, Part, parts_of, with_choices

BlockKey = tuple[str, str, str, str, str, str]


class BlockPrices:
    """A pricer that remembers: each distinct block is priced once."""

    def __init__(self, price: Pricer) -> None:
        self.price = price
        self.rows: dict[BlockKey, tuple[Any, ...]] = {}

    def __call__(self, blocks: Sequence[BlockSpec]) -> BlockCosts:
        """Prices at the figures' values, one sample."""
        rows = self.rows
        keys = [
            (b.component, b.units[0].name, b.units[-1].name, b.variant, b.precision, b.compute_units) for b in blocks
        ]
        missing = {key: block for key, block in zip(keys, blocks, strict=True) if key not in rows}
        if missing:
            costs = self.price(list(missing.values()))
            seconds = (costs.load_warm_s, costs.load_cold_s, costs.run_s, costs.first_run_s, costs.unload_s)
            columns = [array[:, 0].tolist() for array in seconds]
            columns += [
                costs.resident_bytes,
                costs.working_bytes,
                costs.stored_bytes,
                costs.load_marks,
                costs.run_marks,
            ]
            for key, *row in zip(missing, *columns, strict=True):
                rows[key] = tuple(row)
        found = [rows[key] for key in keys]
        table = np.array([row[:5] for row in found], dtype=np.float64)
        resident, working, stored, load_marks, run_marks = zip(*(row[5:] for row in found), strict=True)
        return BlockCosts(
            table[:, 0:1], table[:, 1:2], table[:, 2:3], table[:, 3:4], table[:, 4:5],
            resident, working, stored, load_marks, run_marks,
        )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A device to plan for: its machine, and its prices."""

    setting: Setting
    machine: Machine
    prices: BlockPrices

    @property
    def memory(self) -> MemoryModel:
        return self.machine.memory


@dataclass(frozen=True)
class Scored:
    """A candidate and what it comes to.

    `score` is what the search minimises: seconds, or for several devices the mean of the seconds relative to each
    device's lower bound.
    """

    score: float
    choices: Choices
    packages: Packages
    totals_s: tuple[float, ...]
    peak_bytes: int
    needed_bytes: int
    stored_bytes: int
    num_packages: int


Seen = dict[tuple[Choices, Packages], Scored | None]
"""Every candidate scored so far; None where a budget cannot be kept."""


@dataclass
class Problem:
    """What is planned for: `budget` bytes on every one of `places`. `scale` holds one divisor of seconds a place."""

    plan: Plan
    described: Described
    model: Model
    parts: tuple[Part, ...]
    start: Choices
    places: tuple[Place, ...]
    budget: int
    scale: tuple[float, ...] = (1.0,)
    seen: Seen = field(default_factory=dict)
    candidates: dict[int, Candidates] = field(default_factory=dict)

    def plan_of(self, choices: Choices, packages: Packages) -> Plan:
        return with_choices(self.plan, self.parts, choices, self.budget, packages)

    def within(self, budget: int) -> Problem:
        """The same problem with another budget, nothing scored yet."""
        return replace(self, budget=budget, scale=(1.0,) * len(self.places), seen={}, candidates={})

    def schedule(self, choices: Choices, packages: Packages, place: Place) -> tuple[Schedule, BlockCosts]:
        """Raises UserError if the budget cannot be kept."""
        plan = self.plan_of(choices, packages)
        return build_schedule(plan, self.model, self.described.reference, place.prices, place.memory)

    def score(self, choices: Choices, packages: Packages = "shared") -> Scored | None:
        """The candidate's score; None if a device's budget cannot be kept."""
        key = (choices, packages)
        if key not in self.seen:
            self.seen[key] = self.score_anew(choices, packages)
        return self.seen[key]

    def score_anew(self, choices: Choices, packages: Packages = "shared") -> Scored | None:
        """The same, not remembered."""
        played = []
        for place in self.places:
            found = self.play(choices, packages, place)
            if found is None:
                return None
            played.append(found)
        totals = tuple([found.total_s for found in played])
        score = sum([total / scale for total, scale in zip(totals, self.scale, strict=True)]) / len(totals)
        peak, needed = max([found.peak_bytes for found in played]), max([found.needed_bytes for found in played])
        return Scored(score, choices, packages, totals, peak, needed, played[-1].stored_bytes, played[-1].num_packages)

    def play(self, choices: Choices, packages: Packages, place: Place) -> Played | None:
        """What the candidate comes to on one device; None if the budget cannot be kept."""
        candidates = self.candidates.get(id(place))
        if candidates is None:
            candidates = self.candidates[id(place)] = Candidates(self.plan, self.model.name, self.parts, place)
        if candidates.can_play(choices):
            return candidates.play(choices, packages, self.budget)
        try:
            schedule, costs = self.schedule(choices, packages, place)
        except UserError:
            return None
        played = finish(schedule, costs, place.machine)
        stored = {
            (block.component, block.index, block.variant if packages == "separate" else ""): held
            for block, held in zip(schedule.blocks, costs.stored_bytes, strict=True)
        }
        return Played(played.total_s, played.peak_bytes, schedule.needed_bytes, sum(stored.values()), len(stored))


def problem_of(plan: Plan, described: Described, settings: Sequence[Setting], budget: int) -> Problem:
    """The problem of planning for one or more devices within a budget. Raises UserError, about keys without lines."""
    model = merging_as_planned(described.model, plan)
    parts, start = parts_of(plan, model, described.reference)
    places = tuple(
        Place(
            setting,
            machine_of(setting.profile.costs, setting.limit_bytes, is_thermal=setting.is_thermal),
            BlockPrices(setting.profile.pricer(setting.device)),
        )
        for setting in settings
    )
    return Problem(plan, described, model, parts, start, places, budget, (1.0,) * len(places))
