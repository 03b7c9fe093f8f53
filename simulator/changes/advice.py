"""What to change next. Everything that is told was tried: single changes, and the best plan of a short search."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes, format_percent
from ondevice_sora.records.advice import Advice
from ondevice_sora.records.ladder import MOST_DOUBT
from ondevice_sora.records.result import ComponentResult
from ondevice_sora.simulator.changes.change import tried
from ondevice_sora.simulator.changes.keys import keys_between
from ondevice_sora.simulator.changes.proposals import Proposal, budget_below, to_be_faster, to_fit
from ondevice_sora.simulator.engine import Outcome
from ondevice_sora.simulator.limit import kill_share
from ondevice_sora.simulator.prepare import Prepared
from ondevice_sora.simulator.risk import kill_risk
from ondevice_sora.simulator.search.problem import problem_of
from ondevice_sora.simulator.search.search import quick_search
from ondevice_sora.simulator.search.smallest import check_budget

WORTHWHILE = 0.01
"""A change is worth proposing from this share of the total on."""
MOST = 5
"""So many changes are told at most."""
LAST_DOUBT = 0.2
"""Of a plan that is killed: what fits with at most this risk is told, and its risk, if nothing fits with less doubt."""
SEARCHED = 200
"""Plans that the short search looks at."""
CLOSE = 0.1
"""Relative: of savings so near to each other, the change that was tried first is told: the shorter one."""
BETTER = 1.1
"""A search is named if it saves so many times what the best single change does that keeps the picture."""


class Names(NamedTuple):
    """What the user calls the plan and the device, for a command line to paste."""

    plan: str
    device: str


class _Tried(NamedTuple):
    """A change, what is told of it, and the plan made ready."""

    kind: str
    told: Advice
    prepared: Prepared


def advice(
    prepared: Prepared, components: dict[str, ComponentResult], unlimited: Outcome, names: Names | None = None
) -> list[Advice]:
    """What is worth changing, what saves most first; how to fit, if the plan does not.

    `unlimited` is the outcome without a memory limit. Without names no search is proposed.
    """
    total_s, is_over = unlimited.total_s, unlimited.peak_bytes > prepared.setting.limit_bytes
    is_doubtful = is_over or kill_risk(prepared, unlimited) > MOST_DOUBT
    least = -math.inf if is_doubtful else WORTHWHILE * total_s
    fitting = to_fit(prepared) if is_doubtful else ()
    faster = () if is_over else to_be_faster(prepared, components)
    singles = [
        *_best_of_each_kind(_tried(prepared, fitting, total_s), -math.inf),
        *_best_of_each_kind(_tried(prepared, faster, total_s), WORTHWHILE * total_s),
    ]
    singly = [one.told for one in map(_with_risk, singles)]
    searched = None if names is None else _searched(prepared, total_s, names)
    most = MOST_DOUBT
    if is_over and all(one.kill_share > MOST_DOUBT for one in (*singly, searched) if one is not None):
        most = LAST_DOUBT
    found = [one for one in singly if one.kill_share <= most]
    if searched is not None and searched.kill_share <= most:
        same = max((one.saved_s for one in found if one.quality is None), default=-math.inf if is_doubtful else 0.0)
        if searched.saved_s > max(least, BETTER * same, same + WORTHWHILE * total_s):
            found.append(searched)
    return sorted(found, key=lambda one: -one.saved_s)[:MOST]


def why_no_advice(prepared: Prepared) -> str:
    """Of a killed plan for which nothing was found: what is too large for any plan, or that others may fit."""
    setting = prepared.setting
    try:
        check_budget(problem_of(prepared.plan, prepared.described, [setting], budget_below(setting)))
    except UserError as error:
        limit = f"what may be used below the limit of {format_bytes(setting.limit_bytes)}, not known exactly"
        return f"No way to cut or load this model fits: {error.what} ({limit})."
    return (
        f"No single change that was tried fits with a risk of at most {format_percent(MOST_DOUBT)}. Several together "
        "may: smaller blocks, fewer bits, a smaller shape (docs/killed.md)."
    )


def _tried(prepared: Prepared, proposals: Iterable[Proposal], total_s: float) -> Iterator[_Tried]:
    """The proposals that can be made, and under which the plan fits, with what they come to."""
    plans = [(prepared.plan, prepared.setting)]
    for proposal in proposals:
        change = proposal.change
        if (change.plan, change.setting) in plans:
            continue
        plans.append((change.plan, change.setting))
        for _, other in tried(prepared, [change]):
            finish = other.finish()
            share = kill_share(change.setting, finish.peak_bytes)
            if share <= MOST_DOUBT:
                told = Advice(
                    title=change.title,
                    keys=list(proposal.keys) or keys_between(prepared.plan, change.plan),
                    command=None,
                    total_s=finish.total_s,
                    saved_s=total_s - finish.total_s,
                    peak_bytes=finish.peak_bytes,
                    kill_share=share,
                    reason=proposal.reason,
                    quality=proposal.quality,
                )
                yield _Tried(proposal.kind, told, other)


def _best_of_each_kind(found: Iterable[_Tried], least_s: float) -> list[_Tried]:
    best: dict[str, _Tried] = {}
    for one in found:
        if one.told.saved_s > least_s and (
            one.kind not in best or one.told.saved_s - best[one.kind].told.saved_s > CLOSE * abs(one.told.saved_s)
        ):
            best[one.kind] = one
    return list(best.values())


def _with_risk(one: _Tried) -> _Tried:
    """The same with the doubt about working memory in its share of kills, which takes playing the plan."""
    share = kill_risk(one.prepared, one.prepared.play(is_limited=False))
    return one._replace(told=replace(one.told, kill_share=share))


def _searched(prepared: Prepared, total_s: float, names: Names) -> Advice | None:
    """The best plan of a short search within the plan's budget, or what is below the limit; None if there is none."""
    plan, setting = prepared.plan, prepared.setting
    allowed = budget_below(setting)
    budget = allowed if plan.memory.budget is None else min(plan.memory.budget, allowed)
    problem = problem_of(plan, prepared.described, [setting], budget)
    try:
        best = quick_search(problem, SEARCHED)
    except UserError:
        return None
    told = Advice(
        title="Let a search choose blocks, loads ahead and residents",
        keys=[],
        command=_search_command(names, budget),
        total_s=best.totals_s[0],
        saved_s=total_s - best.totals_s[0],
        peak_bytes=best.peak_bytes,
        kill_share=kill_share(setting, best.peak_bytes),
        reason=f"the best of its first {SEARCHED} plans; it may find better ones",
    )
    found = _Tried("search", told, prepared.changed(problem.plan_of(best.choices, best.packages)))
    return _with_risk(found).told


def _search_command(names: Names, budget: int) -> str:
    plan, device, size = shlex.quote(names.plan), shlex.quote(names.device), format_bytes(budget).replace(" ", "")
    return f"ondevice-sora plan search {plan} --device {device} --budget {size} -o best.yaml"
