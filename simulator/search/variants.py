"""The search over more than a partition: numbers of network evaluations, how the branches of guidance are computed,
precisions and compute units of components.

Each variant of the plan is searched for itself, partition and all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeVar

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.units import format_count
from ondevice_sora.plans.checks import check_plan
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.schema import BlockEntry, ComponentPlan, Lpl, Plan, plan_data
from ondevice_sora.plans.step_file import StepFile, estimated_db
from ondevice_sora.plans.step_plan import Grid
from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.profiles.models.model import Branches, Model, Precision, family
from ondevice_sora.records.search import RefusedVariant, VariantPoint
from ondevice_sora.simulator.prepare import Setting, model_of, ready
from ondevice_sora.simulator.search.doubt import SECONDS, doubt_of, held_to
from ondevice_sora.simulator.search.front import Clock, Within
from ondevice_sora.simulator.search.problem import problem_of
from ondevice_sora.simulator.search.search import Progress, gap_of, search
from ondevice_sora.simulator.simulate import mark_shares

Option = TypeVar("Option")
BRIEF = 0.25
"""Seconds of a search within a smaller budget at the least, once the time is over: it sees what its start comes to."""


@dataclass(frozen=True)
class Freedoms:
    """What may be chosen besides; nothing unless given.

    evaluations     numbers of network evaluations, in place of the plan's grid and LPL; `grids` has their grids
    precision, compute_units    by component, or by family of components (`decoder`)
    branches        of guidance: in a batch, in turn
    """

    evaluations: Sequence[int] = ()
    grids: StepFile | None = None
    precision: Mapping[str, Sequence[Precision]] = field(default_factory=dict)
    compute_units: Mapping[str, Sequence[ComputeUnits]] = field(default_factory=dict)
    branches: Sequence[Branches] = ()


@dataclass(frozen=True)
class Variant:
    """A plan with one choice of each freedom, and the choices; `estimated_db` as in VariantPoint."""

    plan: Plan
    evaluations: int
    estimated_db: float | None
    precision: dict[str, Precision]
    compute_units: dict[str, ComputeUnits]
    branches: Branches | None = None


def variants_of(plan: Plan, model: Model, freedoms: Freedoms) -> list[Variant]:
    """Every combination; those of one choice of all but the number of evaluations together.

    Raises UserError for a component that the model does not have, for branches of a plan that has one, and as
    `with_evaluations`.
    """
    found = []
    ways = product(freedoms.branches or (None,), _choices(freedoms.precision), _choices(freedoms.compute_units))
    for branches, precision, units in ways:
        chosen = plan if branches is None else replace(plan, sampler=replace(plan.sampler, branches=branches))
        check_plan(chosen)
        for name, one in precision.items():
            chosen = _with(chosen, model, name, "--precision", precision=one, weights=None, activations=None)
        for name, other in units.items():
            chosen = _with(chosen, model, name, "--compute-units", compute_units=other)
        for count in freedoms.evaluations:
            known = None if freedoms.grids is None else _quality(freedoms.grids, count)
            counted = with_evaluations(chosen, count, freedoms.grids)
            found.append(Variant(counted, count, known, precision, units, branches))
        if not freedoms.evaluations:
            found.append(Variant(chosen, chosen.evaluations(), None, precision, units, branches))
    return found


def _choices(options: Mapping[str, Sequence[Option]]) -> Iterator[dict[str, Option]]:
    for chosen in product(*options.values()):
        yield dict(zip(options, chosen, strict=True))


def _with(plan: Plan, model: Model, name: str, option: str, **settings: object) -> Plan:
    """The plan with these settings of a component, or of all of a family. Raises UserError if there is none."""
    names = [each.name for each in model.components if name in (each.name, family(each.name))]
    if not names:
        known = [each.name for each in model.components]
        raise UserError(f"{model.name} has no component '{name}'", option, nearest(name, known))
    components = dict(plan.components)
    for each in names:
        own = replace(plan.component(each), **settings)
        components[each] = replace(own, blocks=_without_units(own)) if "compute_units" in settings else own
    return replace(plan, components=components)


def _without_units(component: ComponentPlan) -> object:
    """Its blocks, none of which has compute units of its own."""
    if not isinstance(component.blocks, tuple):
        return component.blocks
    return tuple(each.units if isinstance(each, BlockEntry) else each for each in component.blocks)


def with_evaluations(plan: Plan, evaluations: int, file: StepFile | None) -> Plan:
    """The plan with so many evaluations and no leap: the file's grid of them, or else as many even steps.

    Raises UserError if the file has none, or if the plan merges tokens on steps that are not there then.
    """
    if file is None:
        sampler = replace(plan.sampler, steps=evaluations, grid="even")
    else:
        if evaluations > file.steps:
            what = f"{evaluations} evaluations were asked for, and the planned grids end at {file.steps}"
            raise UserError(what, "--evaluations", f"Ask for {file.steps} or fewer, or for even grids of another plan.")
        grid = Grid(indices=file.front[evaluations - 1].indices, denoiser=file.denoiser)
        sampler = replace(plan.sampler, steps=file.steps, grid=grid)
    changed = replace(plan, sampler=sampler, lpl=Lpl())
    try:
        check_plan(changed)
    except UserError as error:
        if error.field is None or not error.field.startswith("$.tdtm"):
            raise
        what = f"the plan merges tokens on steps that {format_count(evaluations, 'evaluation')} do not have"
        raise UserError(what, "--evaluations", "Write `tdtm: {steps: all}` or `none` in the plan.") from None
    return changed


def _quality(file: StepFile, evaluations: int) -> float | None:
    if evaluations > file.steps:
        return None
    error = file.front[evaluations - 1].estimated_error
    return estimated_db(error) if error else None


def search_variants(
    loaded: LoadedPlan,
    settings: Sequence[Setting],
    budget: int,
    freedoms: Freedoms,
    most_doubt: float,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Iterator[VariantPoint | RefusedVariant]:
    """The best plan of each variant, as soon as it is found.

    Each search begins at the best cuts of the one before, where these can be made. Nothing comes after one that was
    interrupted. A variant is refused if no plan fits, or if all are above the limit with a probability of more than
    `most_doubt`. Raises UserError if every one is.
    """
    described, clock = model_of(loaded), Clock(seconds)
    before: Within | None = None
    with loaded.locating():
        variants = variants_of(loaded.plan, described.model, freedoms)
    for number, variant in enumerate(variants):
        try:
            with loaded.locating():
                own = model_of(loaded.changed(sampler=variant.plan.sampler)) if variant.branches else described
                problem = problem_of(variant.plan, own, settings, budget)
                pairs = () if before is None else tuple(zip(problem.parts, before.best.choices, strict=True))
                if before is not None and all(part.forced <= {*choice.starts} for part, choice in pairs):
                    problem.start = before.best.choices
                found = search(problem, clock.share(1.0, len(variants) - number), progress=progress)
                held = Within(problem, found)
                if found.ending != "interrupted":
                    left = clock.share(1.0, 2.0 * (len(variants) - number))
                    held = held_to(
                        most_doubt, held, progress, SECONDS if left is None else max(BRIEF, min(SECONDS, left))
                    )
        except UserError as error:
            if before is None and number == len(variants) - 1:
                raise
            precision: dict[str, str] = {**variant.precision}
            units: dict[str, str] = {**variant.compute_units}
            yield RefusedVariant(variant.evaluations, precision, units, error.what, variant.branches)
            continue
        before = held
        yield _point(variant, held, found.bound)
        if found.ending == "interrupted":
            return


def _point(variant: Variant, within: Within, bound: float) -> VariantPoint:
    best, problem = within.best, within.problem
    plan = replace(problem.plan_of(best.choices, best.packages), name=f"{variant.evaluations} evaluations")
    prepared = ready(plan, problem.described, problem.places[0].setting)
    shares = mark_shares(prepared, prepared.play(is_limited=False))
    return VariantPoint(
        total_s=best.totals_s[0],
        peak_bytes=best.peak_bytes,
        stored_bytes=best.stored_bytes,
        num_packages=best.num_packages,
        budget_bytes=problem.budget,
        kill_share=doubt_of(problem, best),
        gap=gap_of(best.score, bound),
        ending=within.found.ending,
        plan=plan_data(plan),
        evaluations=variant.evaluations,
        estimated_db=variant.estimated_db,
        precision=dict(variant.precision),
        compute_units=dict(variant.compute_units),
        share_by_mark=shares,
        branches=variant.branches,
    )
