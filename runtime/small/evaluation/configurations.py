"""The configurations that an evaluation compares, each a plan made from one base plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from msgspec.structs import replace

from ondevice_sora.plans.schema import FirstSteps, Lpl, Plan, Tdtm
from ondevice_sora.plans.step_file import StepFile
from ondevice_sora.plans.step_plan import Even, Grid, Solver

FULL = "full"
EXACT, EXACT_CHECK = "exact", "exact_check"
EXACT_TIMES = 8
"""So many times the steps are taken for the exact solution, half as many to check it."""
SOLVERS: tuple[Solver, ...] = ("euler", "ab2")
GRID_EVALUATIONS = (8, 12, 16)
TRANSFORM = 2.236
"""R of Open-Sora's time transform for 256 x 256 pixels and 68 frames."""
FIXED_PREFIX = "fixed_"
PAPER_STEPS = 30
PAPER_LEAP_EVALUATIONS = 16
FIXED_EVALUATIONS = (8, 12, 16, 20, 24)
ACCEPTED_ERRORS = (0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Configuration:
    """A plan with a key for files and a title for people."""

    name: str
    title: str
    plan: Plan


def configurations(
    base: Plan, accepted_errors: Sequence[float] = ACCEPTED_ERRORS, planned: StepFile | None = None
) -> dict[str, Configuration]:
    """All of them by name, all steps first. Counts of evaluations are the paper's, scaled to the base plan's steps.

    `planned` has the planned grids of the model, if there are any.
    """
    steps = base.sampler.steps
    plain = replace(base, lpl=Lpl(), tdtm=Tdtm(), sampler=replace(base.sampler, grid="even", solver="euler"))
    scaled = {round(count * steps / PAPER_STEPS): None for count in FIXED_EVALUATIONS}
    leaps = [count for count in scaled if 0 < count < steps]
    paper_leap = max(1, round(PAPER_LEAP_EVALUATIONS * steps / PAPER_STEPS))
    half = steps // 2
    fixed = {count: Lpl(mode="fixed", leap_step=count - 1) for count in {*leaps, paper_leap}}
    bent = accepted_errors[len(accepted_errors) // 2]
    found = [
        Configuration(FULL, f"all {steps} steps", plain),
        *(
            Configuration(f"{FIXED_PREFIX}{count}", f"LPL at {count} of {steps}", replace(plain, lpl=fixed[count]))
            for count in sorted(fixed)
        ),
        *_gridded(plain, planned),
        *_exact(plain),
        Configuration("paper", "LPL dynamic, the paper's rule", _dynamic(plain, "paper")),
        Configuration("gpu_code", "LPL dynamic, the GPU code's rule", _dynamic(plain, "gpu_code")),
        *(
            Configuration(
                f"curvature_{error:g}", f"LPL, ours, accepting {error:g}", _dynamic(plain, "curvature", error)
            )
            for error in accepted_errors
        ),
        Configuration(
            f"bent_curvature_{bent:g}", f"LPL, ours bent, accepting {bent:g}", _dynamic(plain, "bent_curvature", bent)
        ),
        Configuration(
            "tdtm_first", f"TDTM on the first {half} steps", replace(plain, tdtm=Tdtm(steps=FirstSteps(half)))
        ),
        Configuration(
            "tdtm_second",
            f"TDTM on the last {steps - half} steps",
            replace(plain, tdtm=Tdtm(tuple(range(half, steps)))),
        ),
        *(
            Configuration(
                f"tdtm_{kind}", f"TDTM on all steps, in {kind} blocks", replace(plain, tdtm=Tdtm("all", (f"{kind}_*",)))
            )
            for kind in ("spatial", "temporal")
        ),
        Configuration("tdtm_all", "TDTM on all steps", replace(plain, tdtm=Tdtm("all"))),
        Configuration(
            "together_paper",
            f"LPL at {paper_leap} of {steps} and TDTM on all steps",
            replace(plain, lpl=fixed[paper_leap], tdtm=Tdtm("all")),
        ),
        *(
            Configuration(
                f"together_{error:g}",
                f"LPL, ours, accepting {error:g}, and TDTM on all steps",
                replace(_dynamic(plain, "curvature", error), tdtm=Tdtm("all")),
            )
            for error in accepted_errors
        ),
    ]
    return {each.name: each for each in found}


def _gridded(plain: Plan, planned: StepFile | None) -> Iterator[Configuration]:
    """Every grid with every solver, at a few numbers of evaluations."""
    steps = plain.sampler.steps
    counts = dict.fromkeys(round(count * steps / PAPER_STEPS) for count in GRID_EVALUATIONS)
    for count in (count for count in counts if 0 < count < steps):
        grids: dict[str, tuple[str, Even | Grid, int]] = {
            "even": ("even", "even", count),
            "shift": (f"shift {TRANSFORM}", Grid(shift=TRANSFORM), count),
            "power": ("power 1.5", Grid(power=1.5), count),
        }
        if planned is not None:
            indices = planned.front[count - 1].indices
            grids["planned"] = ("planned", Grid(indices=indices, denoiser=planned.denoiser), steps)
        for (name, (title, grid, of)), solver in product(grids.items(), SOLVERS):
            sampler = replace(plain.sampler, steps=of, grid=grid, solver=solver)
            yield Configuration(
                f"{name}_{count}_{solver}", f"{count} evaluations, {title}, {solver}", replace(plain, sampler=sampler)
            )


def _exact(plain: Plan) -> Iterator[Configuration]:
    """The flow's solution, as near as many second-order steps come to it, and half as many to see how near."""
    most = EXACT_TIMES * plain.sampler.steps
    for name, count, title in ((EXACT, most, "exact"), (EXACT_CHECK, most // 2, "exact, as a check")):
        sampler = replace(plain.sampler, steps=count, grid=Grid(power=1.5), solver="ab2")
        yield Configuration(name, f"{title}: {count} evaluations, ab2", replace(plain, sampler=sampler))


def _dynamic(plain: Plan, rule: str, accepted_error: float | None = None) -> Plan:
    return replace(plain, lpl=Lpl(mode="dynamic", rule=rule, accepted_error=accepted_error))  # type: ignore[arg-type]
