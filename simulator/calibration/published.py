"""Published figures beside what the simulator gives for the same plan: the cases file and its table.

A cases file is YAML:

    device: iphone15pro                # a case may name another
    source: where the figures were printed
    cases:
      - name: 256x256, LPL
        plan: app-256-lpl             # a ready plan, a path beside this file, or a plan written out with `extends`
        figures:
          - {quantity: denoiser_s, published: 573.88, place: Table 5, role: calibration}

    gains:                             # what a technique saves: the difference of two published figures
      - {technique: LPL, case: "256x256, LPL", without: app-256, quantity: denoiser_s, published: 487.1, place: Table 5}

quantity   total_s; text_encoder_s, denoiser_s, decoder_s (any component, stages added up); first_step_s; steady_step_s
           (median of the denoising steps after the first); peak_bytes
role       calibration (the fit uses it), held_out (checked, never fitted), context (shown, counted nowhere)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.reading import extend, read_yaml
from ondevice_sora.base.text import LINE, Line, Title
from ondevice_sora.plans.plan_file import READY, LoadedPlan, load_plan, read_plan, ready_plans
from ondevice_sora.profiles.devices import DATA, Device
from ondevice_sora.profiles.profile import Profile, load_profile
from ondevice_sora.records.checks import GainRow, PublishedRow, Role
from ondevice_sora.simulator.calibration.spread import Runs, sampled
from ondevice_sora.simulator.fast import Finish
from ondevice_sora.simulator.interval import interval_of
from ondevice_sora.simulator.prepare import Prepared, prepare, setting_of

SHIPPED = DATA / "published"
PUBLISHED = SHIPPED / "iphone15pro.yaml"


class PublishedFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    quantity: Annotated[str, LINE, msgspec.Meta(max_length=80)]
    published: Annotated[float, msgspec.Meta(ge=1e-9, le=1e18)]
    place: Line
    role: Role = "held_out"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Title
    plan: Annotated[str, msgspec.Meta(max_length=200)] | dict[str, Any]
    figures: Annotated[tuple[PublishedFigure, ...], msgspec.Meta(min_length=1)]
    device: Line | None = None


class Gain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a technique saves: `quantity` of the plan `without` it less that of a case with it."""

    technique: Line
    case: Title
    without: Annotated[str, msgspec.Meta(max_length=200)] | dict[str, Any]
    quantity: Annotated[str, LINE, msgspec.Meta(max_length=80)]
    published: Annotated[float, msgspec.Meta(ge=1e-9, le=1e18)]
    place: Line


class CasesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: Line
    cases: Annotated[tuple[Case, ...], msgspec.Meta(min_length=1, max_length=1000)]
    device: Line = "iphone15pro"
    contradictions: tuple[Line, ...] = ()
    gains: Annotated[tuple[Gain, ...], msgspec.Meta(max_length=100)] = ()


@dataclass(frozen=True)
class PlannedCase:
    """A case whose plan has been read, with some or all of its figures, each with its place in the case.

    `source` and `pointer` name the lines for complaints.
    """

    case: Case
    plan: LoadedPlan
    source: Document
    pointer: str
    figures: tuple[tuple[int, PublishedFigure], ...]


@dataclass(frozen=True)
class PlannedGain:
    """A gain, the plan without the technique, and the number of the case with it."""

    gain: Gain
    without: LoadedPlan
    case: int


def find_cases(name: str) -> Path:
    """A cases file by path, or a shipped one by name. Raises UserError with the nearest shipped one."""
    if name.endswith((".yaml", ".yml", ".json")) or os.path.exists(name):
        return Path(name)
    shipped = {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}
    if name not in shipped:
        raise UserError(f"no cases file and no shipped one is named '{name}'", mend=nearest(name, list(shipped)))
    return shipped[name]


def read_cases(path: Path = PUBLISHED) -> tuple[CasesFile, list[PlannedCase]]:
    """A cases file with its plans. Raises UserError naming the line of what is unusable."""
    document = read_yaml(path)
    cases = document.convert(CasesFile)
    planned = []
    for index, case in enumerate(cases.cases):
        pointer = f"$.cases[{index}]"
        plan = _plan_of(case.plan, document, f"{pointer}.plan")
        planned.append(PlannedCase(case, plan, document, pointer, tuple(enumerate(case.figures))))
    return cases, planned


def planned_gains(cases: CasesFile, planned: Sequence[PlannedCase]) -> list[PlannedGain]:
    """The gains of a cases file with their plans. Raises UserError naming the line of what is unusable."""
    names = [case.name for case in cases.cases]
    found = []
    for index, gain in enumerate(cases.gains):
        document, pointer = planned[0].source, f"$.gains[{index}]"
        if gain.case not in names:
            raise document.error(f"{pointer}.case", f"no case is named '{gain.case}'", nearest(gain.case, names))
        without = _plan_of(gain.without, document, f"{pointer}.without")
        found.append(PlannedGain(gain, without, names.index(gain.case)))
    return found


def _plan_of(plan: str | dict[str, Any], document: Document, pointer: str) -> LoadedPlan:
    if isinstance(plan, str):
        known = ready_plans()
        path = known.get(plan, document.path.parent / plan)
        if not os.path.isfile(path):
            what = f"no file beside this one and no ready plan is named '{plan}'"
            raise document.error(pointer, what, nearest(plan, list(known)))
        return load_plan(path)
    lines = {
        "$" + place.removeprefix(pointer): line for place, line in document.lines.items() if place.startswith(pointer)
    }
    return read_plan(extend(Document(dict(plan), lines, document.path), READY))


def quantity_of(finish: Finish, prepared: Prepared, quantity: str) -> float:
    """A quantity of the module's list, in seconds or bytes. Raises UserError for one that the plan does not have."""
    if quantity == "total_s":
        return finish.total_s
    if quantity == "peak_bytes":
        return float(prepared.play(is_limited=False).peak_bytes)
    if quantity in ("first_step_s", "steady_step_s"):
        stepped = [component.family for component in prepared.model.components if component.passes == "steps"]
        steps = finish.pass_s(stepped[0]) if stepped else []
        if not steps or (quantity == "steady_step_s" and len(steps) < 2):
            raise UserError(f"the plan has too few denoising steps for '{quantity}'")
        return steps[0] if quantity == "first_step_s" else median(steps[1:])
    family = quantity.removesuffix("_s")
    if family not in finish.component_s or not quantity.endswith("_s"):
        known = ", ".join(f"{name}_s" for name in finish.component_s)
        raise UserError(
            f"unknown quantity '{quantity}'; known: total_s, {known}, first_step_s, steady_step_s, peak_bytes"
        )
    return finish.component_s[family]


def prepare_published(plan: LoadedPlan, profile: Profile, device: Device) -> Prepared:
    """A published run's plan made ready. Memory is not limited: published runs did not end early."""
    return prepare(plan, setting_of(profile, device, plan.plan))


def rows_of(
    planned: PlannedCase, prepared: Prepared, finish: Finish, *, with_intervals: bool = False
) -> list[PublishedRow]:
    """A case's figures beside what the simulation of its plan gives. Raises UserError for one that it does not have."""
    rows = []
    runs = sampled(prepared) if with_intervals else None
    for index, figure in planned.figures:
        pointer = f"{planned.pointer}.figures[{index}].quantity"
        with planned.source.locating(pointer):
            simulated = quantity_of(finish, prepared, figure.quantity)
            interval = None if runs is None else _interval(runs, prepared, figure.quantity)
        rows.append(
            PublishedRow(
                case=planned.case.name,
                quantity=figure.quantity,
                place=figure.place,
                role=figure.role,
                published=figure.published,
                simulated=simulated,
                error=simulated / figure.published - 1.0,
                interval=interval,
            )
        )
    return rows


def _interval(runs: Runs, prepared: Prepared, quantity: str) -> tuple[float, float] | None:
    """None of memory: bytes have no spread but the baseline's and the limit's, which is what a kill's risk shows."""
    if quantity == "peak_bytes":
        return None
    return interval_of(runs.seconds(lambda finish: quantity_of(finish, prepared, quantity)))


def compare(
    cases: Sequence[PlannedCase], profile: Profile, device: Device, *, with_intervals: bool = False
) -> list[PublishedRow]:
    """Every figure of every case beside the simulated one, on the case's own device if it names one."""
    rows = []
    for planned in cases:
        own = planned.case.device
        pointer = f"{planned.pointer}.device"
        place = profile_for(own, planned.source, pointer) if own is not None else (profile, device)
        prepared = prepare_published(planned.plan, *place)
        rows += rows_of(planned, prepared, prepared.finish(), with_intervals=with_intervals)
    return rows


def profile_for(name: str, source: Document, pointer: str) -> tuple[Profile, Device]:
    """The device that a cases file names: by key, or a profile file beside it. Raises UserError."""
    beside = source.path.parent / name
    try:
        return load_profile(str(beside) if os.path.isfile(beside) else name)
    except UserError as error:
        if error.where is not None and os.path.isfile(beside):
            raise
        what = error.what if error.where is None else f"{error.where}: {error.what}"
        raise source.error(pointer, what, error.mend) from None


def rows_document(rows: Sequence[PublishedRow], gains: Sequence[GainRow] = ()) -> dict[str, Any]:
    """The rows and what they come to, by role, as plain data for JSON."""
    summary: dict[str, dict[str, float]] = {}
    for role in ("calibration", "held_out"):
        own = [row for row in rows if row.role == role]
        if not own:
            continue
        errors = [abs(row.error) for row in own]
        summary[role] = {
            "num_figures": len(own),
            "mean_error": sum(errors) / len(own),
            "worst_error": max(errors),
        }
        with_interval = [row.is_inside for row in own if row.interval is not None]
        if with_interval:
            summary[role]["coverage"] = sum(with_interval) / len(with_interval)
    document = {"rows": [msgspec.to_builtins(row) for row in rows], "summary": summary}
    return {**document, "gains": [msgspec.to_builtins(row) for row in gains]} if gains else document
