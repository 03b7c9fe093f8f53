"""Predict published figures by fits that have not seen them, and say how often they lie in the predicted interval.

    figure      each calibration figure alone: the figures of its own run stay, so this says little
    run         all figures of a case: what a further run by the same authors would show
    technique   all runs that use LPL, TDTM or CI-DL: what a technique that nobody has measured would show

Needs SciPy (the extra `fit`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec

from ondevice_sora.profiles.devices import Device
from ondevice_sora.profiles.profile import Profile
from ondevice_sora.records.checks import GainRow, PublishedRow
from ondevice_sora.simulator.calibration.fit import Place, fit, prior_profile
from ondevice_sora.simulator.calibration.published import (
    Gain,
    PlannedCase,
    PlannedGain,
    prepare_published,
    quantity_of,
    rows_of,
)
from ondevice_sora.simulator.calibration.spread import sampled
from ondevice_sora.simulator.fast import Finish
from ondevice_sora.simulator.interval import SEED, interval_of
from ondevice_sora.simulator.prepare import Prepared

Group = Literal["figure", "run", "technique"]


class LeftOut(NamedTuple):
    """Figures that a fit does not see together, and what they are called."""

    name: str
    places: frozenset[Place]


def techniques_of(prepared: Prepared) -> list[str]:
    """Which of the paper's techniques a plan uses."""
    plan = prepared.plan
    stepped = {plan.component(part.name) for part in prepared.model.components if part.passes == "steps"}
    used = {
        "LPL": plan.lpl.mode != "off",
        "TDTM": plan.tdtm.steps != "none",
        "CI-DL": any(part.prefetch != 0 or part.keep != "none" for part in stepped),
    }
    return [name for name, is_used in used.items() if is_used]


def calibrated(number: int, planned: PlannedCase) -> list[Place]:
    """The places of a case's calibration figures."""
    return [(number, index) for index, figure in planned.figures if figure.role == "calibration"]


def groups_of(cases: Sequence[PlannedCase], by: Group, profile: Profile, device: Device) -> list[LeftOut]:
    """The groups of calibration figures to leave out."""
    found: dict[str, set[Place]] = {}
    for number, planned in enumerate(cases):
        case, places = planned.case, calibrated(number, planned)
        if by == "figure":
            for place in places:
                found.setdefault(f"{case.name}, {case.figures[place[1]].quantity}", set()).add(place)
        elif by == "run" and places:
            found.setdefault(case.name, set()).update(places)
        elif places:
            for name in techniques_of(prepare_published(planned.plan, profile, device)):
                found.setdefault(name, set()).update(places)
    return [LeftOut(name, frozenset(places)) for name, places in found.items()]


class LeaveOut:
    """Fits of a device's prior to a cases file, each without some figures, and what they predict of those.

    Raises UserError where the device has no prior, or where nothing would be left to fit.
    """

    def __init__(self, device: Device, cases: Sequence[PlannedCase]) -> None:
        self.device, self.cases = device, cases
        self.prior = prior_profile(device.key)
        _, self.start = fit(self.prior, device, cases)
        self.known: dict[frozenset[Place], Profile] = {}

    def groups(self, by: Group) -> list[LeftOut]:
        groups = groups_of(self.cases, by, self.prior, self.device)
        every = frozenset.union(*(group.places for group in groups))
        for group in groups:
            if group.places == every and len(groups) == 1:
                number, index = min(group.places)
                pointer = f"{self.cases[number].pointer}.figures[{index}]"
                what = "the only calibration figures cannot be left out"
                raise self.cases[0].source.error(pointer, what, "Give others that role.")
        return groups

    def profile(self, places: frozenset[Place]) -> Profile:
        """The fit without these figures."""
        if places not in self.known:
            found, _ = fit(self.prior, self.device, self.cases, start=self.start, without=places)
            self.known[places] = found.profile
        return self.known[places]

    def rows(self, by: Group, progress: Callable[[int], None] = lambda done: None) -> list[PublishedRow]:
        """Every calibration figure as predicted by a fit that has not seen its group."""
        rows = []
        for group in self.groups(by):
            profile = self.profile(group.places)
            for number in sorted({number for number, _ in group.places}):
                planned = self.cases[number]
                prepared = prepare_published(planned.plan, profile, self.device)
                found = rows_of(planned, prepared, prepared.finish(), with_intervals=True)
                rows += [
                    msgspec.structs.replace(row, left_out=group.name)
                    for (index, _), row in zip(planned.figures, found, strict=True)
                    if (number, index) in group.places
                ]
            progress(1)
        return rows

    def gains(self, gains: Sequence[PlannedGain]) -> list[GainRow]:
        """What techniques save, by fits that have not seen the runs with which it is shown."""
        return [self._gain(gain) for gain in gains]

    def _gain(self, planned: PlannedGain) -> GainRow:
        gain, case = planned.gain, self.cases[planned.case]
        profile = self.profile(frozenset(calibrated(planned.case, case)))
        with case.source.locating(f"{case.pointer}.plan"):
            without, used = (prepare_published(plan, profile, self.device) for plan in (planned.without, case.plan))
            of_without, of_used = self._quantity(without, gain), self._quantity(used, gain)
            saved = of_without(without.finish()) - of_used(used.finish())
        drawn = sampled(without).seconds(of_without) - sampled(used, SEED + 1).seconds(of_used)
        return GainRow(
            technique=gain.technique,
            case=gain.case,
            quantity=gain.quantity,
            place=gain.place,
            published=gain.published,
            simulated=saved,
            error=saved / gain.published - 1.0,
            interval=interval_of(drawn),
        )

    def _quantity(self, prepared: Prepared, gain: Gain) -> Callable[[Finish], float]:
        return lambda finish: quantity_of(finish, prepared, gain.quantity)
