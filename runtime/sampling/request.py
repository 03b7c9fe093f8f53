"""A plan as a request to the sampler: its video, its steps and guidance, LPL and TDTM.

What a plan says of blocks, packages, precision and memory tells a phone how to load the model; it changes no video, and
nothing here uses it.
"""

from dataclasses import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import Lpl, Plan
from ondevice_sora.runtime.sampling.generation import VideoRequest
from ondevice_sora.runtime.sampling.leap import PAPER, PUBLISHED_GPU_CODE, CurvatureLeap, FixedLeap, LeapRule


def request_of(plan: Plan, defaults: VideoRequest) -> VideoRequest:
    """What the plan asks for; `defaults` has what it leaves open and what the model was trained with.

    Raises UserError for dynamic LPL without a rule.
    """
    request = replace(
        defaults,
        num_steps=plan.sampler.steps,
        guidance_scale=plan.sampler.guidance,
        leap=leap_rule(plan.lpl),
        merge_steps=frozenset(step for step in range(plan.sampler.steps) if plan.merges(step)),
        merged_blocks=plan.tdtm.chosen,
    )
    if plan.video is None:
        return request
    return replace(request, width=plan.video.width, height=plan.video.height, num_frames=plan.video.frames)


def leap_rule(lpl: Lpl) -> LeapRule | None:
    """The rule by which a run leaps, None for none. Raises UserError for dynamic LPL without one."""
    if lpl.mode == "fixed":
        assert lpl.leap_step is not None, "plans are checked when they are read"
        return FixedLeap(lpl.leap_step)
    if lpl.mode == "off":
        return None
    if lpl.rule is None:
        raise UserError(
            "the plan's lpl: mode 'dynamic' has stop_steps, which are for simulations, but no rule to generate with",
            mend="Add `rule: paper`, for instance.",
        )
    if lpl.rule == "paper":
        return PAPER
    if lpl.rule == "gpu_code":
        return PUBLISHED_GPU_CODE
    assert lpl.accepted_error is not None, "plans are checked when they are read"
    return CurvatureLeap(lpl.accepted_error, bend=lpl.rule == "bent_curvature")
