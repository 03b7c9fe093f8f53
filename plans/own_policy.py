"""A loading policy written in Python: which blocks stay in memory, decided by a function instead of the plan's `keep`.

The whole generation is known beforehand, so a policy is a function of it: it is given every visit in order and says of
each whether the block stays in memory until its next visit. What it says goes into the schedule like any `keep`: the
budget is kept or the schedule refused, and every engine plays it. It has no say in when loads begin (`prefetch`), in
what order blocks run, or in how they are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.loading import DROP, KEEP
from ondevice_sora.plans.schema import Plan


class PolicyVisit(NamedTuple):
    """A block's turn, as a policy sees it; bytes and seconds.

    package      a number for the block's weights: visits with the same one need the same weights in memory
    component    such as 'denoiser'
    block        the block's name: its first and last unit
    step         denoising step, or pass of another component
    weight_bytes   what its weights take in memory
    room_bytes   what blocks that stay may take together while this one runs and those loaded ahead of it come in;
                 below zero where even those do not fit
    load_s       of a later load, with nothing else going on
    run_s        of its run, with nothing else going on
    """

    package: int
    component: str
    block: str
    step: int
    weight_bytes: int
    room_bytes: int
    load_s: float
    run_s: float


Policy = Callable[[tuple[PolicyVisit, ...]], Iterable[bool]]
"""Visits in order -> of each whether its block stays in memory until its package's next visit."""


def policy_name(policy: Policy) -> str:
    """What reports call it: the function's name, or that of its class."""
    return str(getattr(policy, "__name__", type(policy).__name__))


def refuse_what_stays(plan: Plan, components: Iterable[str], name: str) -> None:
    """Raises UserError for a plan with a component that stays loaded as long as the app lives: nothing is to decide."""
    for component in components:
        if plan.component(component).keep == "always":
            what = f"policy {name} decides what stays, and the plan keeps {component} always"
            raise UserError(what, mend="Remove it.", field=f"$.components.{plan.entry(component)}.keep")


def decided(policy: Policy, visits: tuple[PolicyVisit, ...]) -> list[int]:
    """What is to become of the block after each visit, as plans/loading.py takes it.

    Raises UserError for anything but one True or False a visit.
    """
    name = policy_name(policy)
    answer = policy(visits)
    if not isinstance(answer, Iterable) or isinstance(answer, str):
        raise UserError(f"policy {name} returned {answer!r}", mend="Return a list with True or False for each visit.")
    keeps = list(answer)
    if len(keeps) != len(visits):
        what = f"policy {name} returned {len(keeps):,} values for {len(visits):,} visits"
        raise UserError(what, mend="Return True or False for each visit, in order.")
    for number, keep in enumerate(keeps):
        if keep != bool(keep):
            what = f"policy {name} returned {keep!r} for visit {number} (block '{visits[number].block}')"
            raise UserError(what, mend="Return True or False for each visit.")
    return [KEEP if keep else DROP for keep in keeps]
