"""The configurations that an evaluation compares, each a plan made from one base plan."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from ondevice_sora.plans.schema import FirstSteps, Lpl, Plan, Tdtm

FULL = "full"
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


def configurations(base: Plan, accepted_errors: Sequence[float] = ACCEPTED_ERRORS) -> dict[str, Configuration]:
    """All of them by name, all steps first. Counts of evaluations are the paper's, scaled to the base plan's steps."""
    steps = base.sampler.steps
    plain = replace(base, lpl=Lpl(), tdtm=Tdtm())
    scaled = {round(count * steps / PAPER_STEPS): None for count in FIXED_EVALUATIONS}
    leaps = [count for count in scaled if 0 < count < steps]
    paper_leap = max(1, round(PAPER_LEAP_EVALUATIONS * steps / PAPER_STEPS))
    half = steps // 2
    fixed = {count: Lpl(mode="fixed", leap_step=count - 1) for count in {*leaps, paper_leap}}
    bent = accepted_errors[len(accepted_errors) // 2]
    found = [
        Configuration(FULL, f"all {steps} steps", plain),
        Configuration(
            f"steps_{paper_leap}",
            f"{paper_leap} steps instead of {steps}",
            replace(plain, sampler=replace(plain.sampler, steps=paper_leap)),
        ),
        *(
            Configuration(f"{FIXED_PREFIX}{count}", f"LPL at {count} of {steps}", replace(plain, lpl=fixed[count]))
            for count in sorted(fixed)
        ),
        Configuration("paper", "LPL dynamic, the paper's rule", _dynamic(plain, "paper")),
        Configuration("gpu_code", "LPL dynamic, the GPU code's rule", _dynamic(plain, "gpu_code")),
        *(
            Configuration(f"curvature_{error:g}", f"LPL, ours, accepting {error:g}",
                          _dynamic(plain, "curvature", error))
            for error in accepted_errors
        ),
        Configuration(
            f"bent_curvature_{bent:g}", f"LPL, ours bent, accepting {bent:g}", _dynamic(plain, "bent_curvature", bent)
        ),
        Configuration(
            "tdtm_first", f"TDTM on the first {half} steps", replace(plain, tdtm=Tdtm(steps=FirstSteps(half)))
        ),
        Configuration(
            "tdtm_second", f"TDTM on the last {steps - half} steps",
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
            "together_paper", f"LPL at {paper_leap} of {steps} and TDTM on all steps",
            replace(plain, lpl=fixed[paper_leap], tdtm=Tdtm("all")),
        ),
        *(
            Configuration(
                f"together_{error:g}", f"LPL, ours, accepting {error:g}, and TDTM on all steps",
                replace(_dynamic(plain, "curvature", error), tdtm=Tdtm("all")),
            )
            for error in accepted_errors
        ),
    ]  # fmt: skip
    return {each.name: each for each in found}


def _dynamic(plain: Plan, rule: str, accepted_error: float | None = None) -> Plan:
    return replace(plain, lpl=Lpl(mode="dynamic", rule=rule, accepted_error=accepted_error))  # type: ignore[arg-type]
