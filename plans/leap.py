"""The leap of a generation, resolved: what LPL's settings come to for a run of so many steps, as plain numbers.

Whoever samples follows these and knows no constants of its own; a schedule carries them to where it is played.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import Lpl
from ondevice_sora.plans.step_plan import Index

Over = Literal["whole", "slice"]


class Fixed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="fixed"):
    """Leap at this step, counted from 0: `step` + 1 network evaluations."""

    step: Index


class Plateau(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="plateau"):
    """Leap once successive drifts stop growing more alike.

    From `first_step` on the cosine between this drift and the previous one is compared with the best so far, which
    begins at 0. A gain above `tolerance` becomes the new best; `patience` steps in a row without one bring the leap.
    `over` says what the cosine is taken of: the whole drift, flattened, or the rows of the first frame of the first
    channel of the first sample.
    """

    tolerance: Annotated[float, msgspec.Meta(ge=0, le=1)]
    patience: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    first_step: Index
    over: Over


class Curvature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="curvature"):
    """Leap as soon as the estimated error of the result, relative to it, is at most `accepted_error`.

    With `bend` the leap itself follows the estimated acceleration instead of the last drift.
    """

    accepted_error: Annotated[float, msgspec.Meta(gt=0, le=10)]
    bend: bool


class Never(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="none"):
    """Walk all steps."""


Leap = Never | Fixed | Plateau | Curvature
HALF = 0.5
PAPER = Plateau(tolerance=1e-4, patience=3, first_step=0, over="whole")
"""The paper's dynamic rule, watched after HALF the steps. It states no patience; 3 is its published code's."""
PUBLISHED_GPU_CODE = Plateau(tolerance=1e-3, patience=3, first_step=14, over="slice")
"""The rule of the published GPU code. Step 14 is meant for 30 steps: runs of 16 steps or fewer never leap by it."""


def resolved(lpl: Lpl, num_steps: int) -> Leap:
    """What a run of `num_steps` steps goes by. Raises UserError for dynamic LPL without a rule."""
    if lpl.mode == "off":
        return Never()
    if lpl.mode == "fixed":
        assert lpl.leap_step is not None, "plans are checked when they are read"
        return Fixed(lpl.leap_step)
    if lpl.rule is None:
        raise UserError(
            "the plan's lpl: mode 'dynamic' has stop_steps, which are for simulations, but no rule to generate with",
            mend="Add `rule: paper`, for instance.",
            field="$.lpl",
        )
    if lpl.rule == "paper":
        return msgspec.structs.replace(PAPER, first_step=math.ceil(HALF * num_steps))
    if lpl.rule == "gpu_code":
        return PUBLISHED_GPU_CODE
    assert lpl.accepted_error is not None, "plans are checked when they are read"
    return Curvature(lpl.accepted_error, bend=lpl.rule == "bent_curvature")
