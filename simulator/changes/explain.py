"""Why a plan takes as long as it does: what bounds each component, what each thing is worth, what could be otherwise.

Every figure is the difference of two evaluations of whole plans. A change's share of draws in which it is faster comes
from the same draws of the costs for both plans, so that what moves both alike cancels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as with_fields

import numpy as np
from msgspec.structs import replace

from ondevice_sora.base.units import format_bytes, format_count, format_percent, format_seconds
from ondevice_sora.plans.schedule import packages_of
from ondevice_sora.plans.schema import Keep
from ondevice_sora.profiles.costs import Array, figures, replace_figures
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.model import family
from ondevice_sora.records.metrics import component_results
from ondevice_sora.records.search import ComponentReason, Explanation, Reason
from ondevice_sora.records.trace import Trace
from ondevice_sora.simulator.changes.change import (
    LEAP_STEP,
    Change,
    leaping,
    loading,
    merging,
    tried,
    with_entitlement,
    within,
    without_leap,
    without_merging,
)
from ondevice_sora.simulator.core_ai import assumptions
from ondevice_sora.simulator.engine import Outcome
from ondevice_sora.simulator.interval import spread_of
from ondevice_sora.simulator.prepare import Prepared, Setting
from ondevice_sora.simulator.search.choices import Choices
from ondevice_sora.simulator.search.lower_bound import lower_bound
from ondevice_sora.simulator.search.moves import moves
from ondevice_sora.simulator.search.problem import Problem, problem_of
from ondevice_sora.simulator.search.search import WINDOWS
from ondevice_sora.simulator.unpriced import unpriced_caution

DRAWS = 40
MORE_BYTES = 100_000_000
FASTER = 1.1
NEXT_BEST = 6
SAME_S = 1e-6
NEGLIGIBLE = 1e-3
"""A plan whose total differs by less than this share is not another plan to a reader."""
DOUBTFUL = 0.1
"""A conclusion is doubtful if this share of the draws says otherwise."""


NO_BUDGET = (
    "The plan has no memory.budget, so that what more memory is worth and the next-best plans are not told. Give it "
    "one (`memory: {budget: 2.6 GB}`), or explain what `ondevice-sora plan search -o best.yaml` finds."
)


def explain(prepared: Prepared) -> Explanation:
    """The plan explained on one device. Raises UserError if the plan cannot be scheduled."""
    plan, setting = prepared.plan, prepared.setting
    finish = prepared.finish()
    budget = int(plan.memory.budget) if plan.memory.budget is not None else setting.limit_bytes
    problem = problem_of(plan, prepared.described, [setting], budget)
    own = _draws(prepared)
    reasons = []
    for group, changes in (
        ("what more would be worth", _more(prepared)),
        ("what each technique is worth", _techniques(prepared)),
        ("next-best plans, one thing changed", _next_best(problem, setting, finish.total_s)),
    ):
        for change, other in tried(prepared, changes):
            result = other.finish()
            is_killed = result.peak_bytes > change.setting.limit_bytes
            reasons.append(
                Reason(
                    group,
                    change.title,
                    finish.total_s - result.total_s,
                    result.peak_bytes - finish.peak_bytes,
                    float(np.mean(_draws(other) < own)),
                    "killed: over the limit" if is_killed else "",
                )
            )
    return Explanation(
        plan=plan.name,
        device=setting.device.name,
        total_s=finish.total_s,
        bound_s=lower_bound(problem, problem.places[0]),
        peak_bytes=finish.peak_bytes,
        budget_bytes=budget,
        components=_components(prepared),
        reasons=reasons,
        flips=_flips(reasons),
        notes=[
            *filter(None, [unpriced_caution(prepared)]),
            *([] if plan.memory.budget is not None else [NO_BUDGET]),
            *assumptions(plan),
        ],
    )


def _draws(prepared: Prepared) -> Array:
    return spread_of(prepared.outcomes(), DRAWS).totals_s


def _components(prepared: Prepared) -> list[ComponentReason]:
    outcome = prepared.play(is_limited=False)
    trace = Trace(
        kind="simulated",
        plan="",
        device="",
        model="",
        spans=outcome.spans,
        memory=outcome.memory,
        limit_bytes=prepared.setting.limit_bytes,
    )
    costs, blocks = prepared.costs, prepared.schedule.blocks
    alone: dict[str, float] = {}
    for visit in prepared.schedule.visits:
        name = family(blocks[visit.block].component)
        seconds = costs.first_run_s[visit.block, 0] if visit.first_run else costs.run_s[visit.block, 0]
        alone[name] = alone.get(name, 0.0) + float(seconds)
    again = _again(prepared, outcome)
    rows = []
    for name, component in component_results(trace).items():
        slowed = max(0.0, component.run_s - alone[name])
        parts = {
            "running": alone[name],
            "waiting for loads": component.stall_s,
            "slower runs beside loads": slowed,
        }
        most = max(parts, key=lambda part: parts[part])
        reload_s = again.get(name, 0.0)
        memory = ""
        if reload_s > 0:
            memory = (
                f"; {format_percent(reload_s / component.load_s)} of its loading loads blocks that it had loaded before"
            )
        rows.append(
            ComponentReason(
                component=name,
                total_s=component.total_s,
                run_s=alone[name],
                interference_s=slowed,
                stall_s=component.stall_s,
                load_s=component.load_s,
                reload_s=reload_s,
                other_s=component.total_s - component.run_s - component.stall_s,
                bounded_by=f"{format_percent(parts[most] / component.total_s)} of its time is {most}{memory}",
            )
        )
    return rows


def _again(prepared: Prepared, outcome: Outcome) -> dict[str, float]:
    """Seconds of each component's loads of packages that it had loaded before, as long as they take beside runs."""
    blocks = prepared.schedule.blocks
    package = packages_of(blocks, prepared.plan.tdtm.packages == "separate")
    loads = [span for span in outcome.spans if span.action == "load"]
    again: dict[str, float] = {}
    loaded = set(prepared.schedule.held)
    for visit, span in zip((visit for visit in prepared.schedule.visits if visit.loads), loads, strict=True):
        if package[visit.block] in loaded:
            name = family(blocks[visit.block].component)
            again[name] = again.get(name, 0.0) + span.seconds
        loaded.add(package[visit.block])
    return again


def _more(prepared: Prepared) -> Iterator[Change]:
    """More memory, the entitlement, more bandwidth."""
    plan, setting = prepared.plan, prepared.setting
    budget = plan.memory.budget
    if budget is not None:
        more = within(plan, ByteCount(budget + MORE_BYTES))
        raised = with_fields(setting, limit_bytes=setting.limit_bytes + MORE_BYTES)
        yield Change(f"{format_bytes(MORE_BYTES)} more budget and limit", more, raised)
        if not plan.memory.entitlement and (changed := with_entitlement(plan, setting, True)):
            allowed = changed[0].memory.budget
            assert allowed is not None, "as the plan has one"
            yield Change(f"the entitlement ({format_bytes(allowed)} budget)", *changed)
    for title, names in (
        ("10 % more storage bandwidth", ("loads.read_bytes_per_s",)),
        (
            "10 % more bandwidth in all of loading",
            ("loads.read_bytes_per_s", "loads.prepare_bytes_per_s", "loads.specialise_bytes_per_s"),
        ),
    ):
        costs = setting.profile.costs
        known = figures(costs)
        faster = {name: replace(known[name], value=known[name].value * FASTER) for name in names}
        profile = replace(setting.profile, costs=replace_figures(costs, faster))
        yield Change(title, plan, with_fields(setting, profile=profile))


def _techniques(prepared: Prepared) -> Iterator[Change]:
    setting = prepared.setting
    for title, changed in (
        ("without LPL", without_leap(prepared.plan)),
        (f"with LPL, leap at step {LEAP_STEP}", leaping(prepared)),
        ("without TDTM", without_merging(prepared.plan)),
        ("with TDTM on all steps", merging(prepared)),
        ("loading nothing ahead", loading(prepared, prefetch=0)),
        ("keeping nothing between passes", loading(prepared, keep="none")),
    ):
        if changed is not None:
            yield Change(title, changed, setting)


def _next_best(problem: Problem, setting: Setting, total_s: float) -> Iterator[Change]:
    """The best plans that differ in one thing and in their time, one a component and kind of change, nearest first."""
    if problem.plan.memory.budget is None:
        return
    found: dict[tuple[str, str], tuple[float, str, Choices]] = {}
    for index, part in enumerate(problem.parts):
        own = problem.start[index]
        for move in range(part.count + 1):
            for choice in moves(part, own, WINDOWS, move):
                choices = (*problem.start[:index], choice, *problem.start[index + 1 :])
                scored = problem.score(choices, problem.plan.tdtm.packages)
                if scored is None or abs(scored.score - total_s) < max(SAME_S, NEGLIGIBLE * total_s):
                    continue
                if choice.starts != own.starts:
                    kind = f"{len(choice.starts)} blocks, not {len(own.starts)}"
                    kind = (
                        kind if len(choice.starts) != len(own.starts) else f"a boundary moved at {part.name_of(move)}"
                    )
                    key = "cut"
                elif choice.prefetch != own.prefetch:
                    kind, key = f"prefetch {choice.prefetch}, not {own.prefetch}", "prefetch"
                else:
                    planned = problem.plan.component(part.component.name).keep
                    kind, key = f"keep {_keep_name(choice.keep)}, not {_keep_name(planned)}", "keep"
                name = part.component.name
                if (name, key) not in found or scored.score < found[name, key][0]:
                    found[name, key] = (scored.score, f"{name}: {kind}", choices)
    for _, title, choices in sorted(found.values(), key=lambda entry: entry[0])[:NEXT_BEST]:
        plan = problem.plan_of(choices, problem.plan.tdtm.packages)
        yield Change(title, plan, setting)


def _keep_name(keep: Keep) -> str:
    return format_count(len(keep), "listed block") if isinstance(keep, tuple) else str(keep)


def _flips(reasons: list[Reason]) -> list[str]:
    """Sentences about changes that are faster in some draws of the costs and slower in others."""
    lines = []
    for reason in reasons:
        if reason.saved_s is None or reason.better_share is None or abs(reason.saved_s) < SAME_S:
            continue
        against = 1.0 - reason.better_share if reason.saved_s > 0 else reason.better_share
        if against > DOUBTFUL:
            told, other = ("faster", "slower") if reason.saved_s > 0 else ("slower", "faster")
            lines.append(
                f"Not sure: '{reason.title}' is {format_seconds(abs(reason.saved_s))} {told} here, and {other} in "
                f"{format_percent(against)} of draws."
            )
    return lines
