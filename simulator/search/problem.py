"""A planning problem: what is fixed, what is free, and the exact evaluation of one candidate.

The model is built and each distinct block is priced once; a candidate then costs its schedule and the recurrence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.quantities import Bytes, Count, Seconds
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.plans.schema import Packages, Plan
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.simulator.fast import finish
from ondevice_sora.simulator.prepare import Described, Setting, check_loading, merging_as_planned
from ondevice_sora.simulator.search.candidates import Candidates, Played
from ondevice_sora.simulator.search.choices import Choice, Choices, Part, parts_of, with_choices
from ondevice_sora.simulator.search.place import Place, place_of

MOST_KNOWN_BYTES = 100_000_000
"""Of candidates about so many bytes are remembered; what is scored after that may be scored again."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate and what it comes to.

    `score` is what the search minimises: seconds, or for several devices the mean of the seconds relative to each
    device's lower bound.
    """

    score: Seconds
    choices: Choices
    packages: Packages
    totals_s: tuple[Seconds, ...]
    peak_bytes: Bytes
    needed_bytes: Bytes
    stored_bytes: Bytes
    num_packages: Count


Seen = dict[tuple[Choices, Packages], Scored | None]
"""Every candidate scored so far; None where a budget cannot be kept."""


@dataclass
class Problem:
    """What is planned for: `budget` bytes on every one of `places`. `scale` has a divisor of seconds for each."""

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
    known_bytes: int = 0
    num_scored: int = 0
    """by this problem; what `seen` held before is not among them"""
    is_brief: bool = False
    """whether so few plans are looked at that a compiler would not pay"""
    keeps_cuts: bool = False
    """whether blocks stay as in `start`; only windows and residents are chosen"""

    def plan_of(self, choices: Choices, packages: Packages) -> Plan:
        return with_choices(self.plan, self.parts, choices, self.budget, packages)

    def merging(self, part: Part) -> list[bool]:
        """Whether the component's units merge tokens, for each of its passes."""
        return [part.component.passes == "steps" and self.plan.merges(step) for step in range(part.num_passes)]

    def within(self, budget: int) -> Problem:
        """The same problem with another budget, nothing scored yet."""
        return replace(self, budget=budget, scale=(1.0,) * len(self.places), seen={}, known_bytes=0, num_scored=0)

    def schedule(self, choices: Choices, packages: Packages, place: Place) -> tuple[Schedule, BlockCosts]:
        """Raises UserError if the budget cannot be kept."""
        plan = self.plan_of(choices, packages)
        return build_schedule(
            plan,
            self.model,
            self.described.reference,
            place.prices_of(packages),
            place.memory,
            engine_bytes=self.parts[0].engine_bytes,
            speeds=place.machine.speeds,
        )

    def score(self, choices: Choices, packages: Packages = "shared") -> Scored | None:
        """The candidate's score; None if a device's budget cannot be kept, or the cuts are to stay and do not."""
        if not all(map(self.may_cut, choices, self.start)):
            return None
        key = (choices, packages)
        if key in self.seen:
            return self.seen[key]
        scored = self.score_anew(choices, packages)
        self.num_scored += 1
        if self.known_bytes < MOST_KNOWN_BYTES:
            self.seen[key] = scored
            self.known_bytes += _held_bytes(choices)
        return scored

    def may_cut(self, choice: Choice, given: Choice) -> bool:
        """Whether a part may be cut so; `given` is what it has in `start`."""
        return not self.keeps_cuts or choice.starts == given.starts

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
            candidates = self.candidates[id(place)] = Candidates(
                self.plan, self.model.name, self.parts, place, self.is_brief
            )
        if candidates.can_play(choices) and place.prices_of(packages) is place.prices:
            return candidates.play(choices, packages, self.budget)
        try:
            schedule, costs = self.schedule(choices, packages, place)
        except UserError:
            return None
        played = finish(schedule, costs, place.machine)
        return Played(played.total_s, played.peak_bytes, schedule.needed_bytes, *schedule.stored(costs))


def _held_bytes(choices: Choices) -> int:
    """About what remembering a candidate takes."""
    kept = (len(choice.keep) for choice in choices if isinstance(choice.keep, tuple))
    return 500 + 200 * len(choices) + 8 * (sum(len(choice.starts) for choice in choices) + sum(kept))


def problem_of(
    plan: Plan, described: Described, settings: Sequence[Setting], budget: int, keeps_cuts: bool = False
) -> Problem:
    """The problem of planning for one or more devices within a budget; with `keeps_cuts` the plan's blocks stay.

    Raises UserError, about keys without lines.
    """
    for setting in settings:
        check_loading(plan, setting)
    model = merging_as_planned(described.model, plan)
    engine_bytes = min(setting.device.engine_bytes for setting in settings)
    parts, start = parts_of(plan, model, described.reference, engine_bytes)
    places = tuple(place_of(setting, plan, model) for setting in settings)
    scale = (1.0,) * len(places)
    return Problem(plan, described, model, parts, start, places, budget, scale, keeps_cuts=keeps_cuts)
