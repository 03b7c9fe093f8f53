"""What a plan's schema cannot say: values that go with each other, and settings that would have no effect."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.plans.schema import ComponentPlan, FirstSteps, Lpl, Plan, Sampler
from ondevice_sora.plans.step_plan import check_grid
from ondevice_sora.profiles.models.model import precision_of

CURVATURE_RULES = ("curvature", "bent_curvature")


def check_plan(plan: Plan) -> None:
    """Raises UserError, about the key, for steps that do not exist, formats that do not go together, and settings that
    would have no effect.
    """
    check_grid(plan.sampler.grid, plan.sampler.steps)
    _check_branches(plan.sampler)
    _check_lpl(plan.lpl)
    if plan.lpl.mode != "off" and plan.sampler.solver != "euler":
        what = f"LPL leaps along the last drift, which is Euler's step, and the solver is {plan.sampler.solver}"
        raise UserError(what, mend="Write solver: euler, or a grid instead of LPL.", field="$.lpl.mode")
    if plan.start == "loaded" and not plan.keeps_loaded:
        mend = "Write keep: always for the components that do, or start: cached."
        raise UserError("no component stays loaded from one generation to the next", mend=mend, field="$.start")
    for name, component in plan.components.items():
        _check_precision(component, f"$.components.{name}")
    _check_leap_steps(plan)
    _check_merging_steps(plan)


def _check_branches(sampler: Sampler) -> None:
    if sampler.branches == "in_turn" and sampler.num_branches == 1:
        what = "has no effect: a guidance of 1.0 computes one branch"
        raise UserError(what, mend="Remove it, or write batch.", field="$.sampler.branches")


def _check_leap_steps(plan: Plan) -> None:
    """Leap steps are steps of the plan, and their probabilities add up."""
    lpl, steps = plan.lpl, plan.sampler.evaluations
    for evaluations in plan.evaluation_odds():
        if evaluations > steps:
            raise UserError(
                f"leap step {evaluations - 1} lies beyond the {steps} steps",
                mend=f"Write a step from 0 to {steps - 1}.",
                field="$.lpl.leap_step" if lpl.mode == "fixed" else "$.lpl.stop_steps",
            )
    if lpl.stop_steps is not None and abs(sum(lpl.stop_steps.values()) - 1.0) > 1e-6:
        total = sum(lpl.stop_steps.values())
        raise UserError(f"the probabilities add up to {total:g}, not 1", field="$.lpl.stop_steps")


def _check_merging_steps(plan: Plan) -> None:
    """Steps on which tokens are merged are steps of the plan, each listed once."""
    merging, steps = plan.tdtm.steps, plan.sampler.evaluations
    listed: tuple[int, ...] = ()
    if isinstance(merging, FirstSteps):
        listed = (merging.first - 1,)
    elif isinstance(merging, tuple):
        listed = merging
    for step in listed:
        if step >= steps:
            raise UserError(
                f"step {step} lies beyond the {steps} steps",
                mend=f"Steps go from 0 to {steps - 1}.",
                field="$.tdtm.steps",
            )
    if len(set(listed)) != len(listed):
        raise UserError("a step is listed twice", field="$.tdtm.steps")


def loaded_by_core_ai(plan: Plan) -> str | None:
    """The first component that is to be loaded by Core AI, by its key in the plan; None if there is none."""
    return next((name for name, settings in plan.components.items() if settings.loading == "core_ai"), None)


def refuse_core_ai(plan: Plan) -> None:
    """Of what Core ML loads, or this machine. Raises UserError for a plan whose components Core AI is to load."""
    name = loaded_by_core_ai(plan)
    if name is not None:
        what = "blocks are exported and run through Core ML; Core AI is only simulated"
        raise UserError(what, mend="Write loading: core_ml.", field=f"$.components.{name}.loading")


def check_merging_units(plan: Plan, names: Iterable[str]) -> None:
    """`names` are all units that could merge tokens. Raises UserError for a pattern that chooses none of them."""
    names = list(names)
    for row, pattern in enumerate(plan.tdtm.units):
        if not msgspec.structs.replace(plan.tdtm, units=(pattern,)).chosen(names):
            what = f"no unit that merges tokens has a name like '{pattern}'"
            raise UserError(what, mend=nearest(pattern, names), field=f"$.tdtm.units[{row}]")


def _check_precision(component: ComponentPlan, where: str) -> None:
    """One way to say how a component is stored, and a pair of formats that Core ML has."""
    pair = {"weights": component.weights, "activations": component.activations}
    said = [key for key, value in pair.items() if value is not None]
    if component.precision is not None and said:
        raise UserError(
            "has no effect beside `precision`, which says both",
            mend="Write `precision`, or `weights` and `activations`.",
            field=f"{where}.{said[0]}",
        )
    weights, activations = component.weights, component.activations
    if weights is not None and activations is not None and precision_of(weights, activations) is None:
        raise UserError(
            "Core ML stores the weights of float16 arithmetic in float16 or fewer bits",
            mend="Write weights: float16.",
            field=f"{where}.weights",
        )


def _check_lpl(lpl: Lpl) -> None:
    """Each mode needs its keys and has no use for another's."""
    if lpl.mode == "fixed" and lpl.leap_step is None:
        raise UserError("mode 'fixed' needs a leap_step", mend="Add `leap_step: 15`, for instance.", field="$.lpl")
    if lpl.mode == "dynamic" and not lpl.stop_steps and lpl.rule is None:
        raise UserError(
            "mode 'dynamic' needs stop_steps, to be simulated, or a rule, to generate with",
            mend="Add `stop_steps: {17: 0.6, 18: 0.4}` or `rule: paper`, for instance.",
            field="$.lpl",
        )
    for key, mode in (("leap_step", "fixed"), ("stop_steps", "dynamic"), ("rule", "dynamic")):
        if lpl.mode != mode and getattr(lpl, key) is not None:
            raise UserError(
                f"has no effect with mode '{lpl.mode}'", mend=f"Remove it, or write mode: {mode}.", field=f"$.lpl.{key}"
            )
    if lpl.rule in CURVATURE_RULES:
        if lpl.accepted_error is None:
            raise UserError(
                f"rule '{lpl.rule}' needs an accepted_error",
                mend="Add `accepted_error: 0.05`, for instance.",
                field="$.lpl",
            )
    elif lpl.accepted_error is not None:
        which = f"rule '{lpl.rule}'" if lpl.rule else f"mode '{lpl.mode}' and no rule"
        raise UserError(
            f"has no effect with {which}", mend="Remove it, or write rule: curvature.", field="$.lpl.accepted_error"
        )
