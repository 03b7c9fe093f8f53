"""A plan as a request to the sampler: its video, its steps and guidance, LPL and TDTM.

What a plan says of blocks, packages, precision and memory tells a phone how to load the model; it changes no video, and
nothing here uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.leap import resolved
from ondevice_sora.plans.schema import Plan, guidance_branches
from ondevice_sora.plans.step_plan import Even, Grid, Solver, grid_times
from ondevice_sora.runtime.sampling.leap import LeapRule, rule_of
from ondevice_sora.runtime.sampling.sampler import flow_timesteps


@dataclass(frozen=True)
class VideoRequest:
    """Shape of the video and how it is sampled.

    The branches of guidance are computed in so many `branch_runs`: both at once, or one after the other.
    `transform` and `discrete` make the model's even times, of `num_steps` steps, which `grid` may choose others from or
    instead of. `merged_blocks` chooses among the blocks those that TDTM acts on.

    The denoiser's blocks see the first `attended_tokens` of a prompt that is padded further, all of it if None.
    """

    num_frames: int
    height: int
    width: int
    fps: float
    num_steps: int
    guidance_scale: float
    branch_runs: Literal[1, 2] = 1
    transform: bool = True
    discrete: bool = False
    grid: Even | Grid = "even"
    solver: Solver = "euler"
    leap: LeapRule | None = None
    merge_steps: Collection[int] = ()
    merged_blocks: Callable[[Sequence[str]], Collection[str]] = tuple
    attended_tokens: int | None = None

    @property
    def branches(self) -> Literal[1, 2]:
        """Branches of one network evaluation, as guidance_branches."""
        return guidance_branches(self.guidance_scale)

    @property
    def batch(self) -> Literal[1, 2]:
        """Samples that a block of the denoiser computes at a time."""
        return 1 if self.branch_runs == 2 else self.branches

    def timesteps(self) -> tuple[float, ...]:
        """The times handed to the network, one an evaluation, 1000 to 0. Raises UserError on a bad request."""
        return grid_times(self.grid, self.even_timesteps())

    def even_timesteps(self) -> tuple[float, ...]:
        """The model's own times, one a step. Raises UserError on a bad request."""
        return flow_timesteps(
            self.num_steps,
            height=self.height,
            width=self.width,
            num_frames=self.num_frames,
            discrete=self.discrete,
            transform=self.transform,
        )

    def check_prompt(self, token_mask: Tensor) -> None:
        """Raise UserError if more tokens count than the denoiser's blocks see."""
        length = int(token_mask.nonzero()[:, -1].max()) + 1 if token_mask.any() else 0
        if self.attended_tokens is not None and length > self.attended_tokens:
            what = f"the prompt has {length} tokens, the plan's text_tokens are {self.attended_tokens}"
            raise UserError(what, mend="Write a shorter prompt, or a plan for longer ones.")


def request_of(plan: Plan, defaults: VideoRequest) -> VideoRequest:
    """What the plan asks for; `defaults` has what it leaves open and what the model was trained with.

    Raises UserError for dynamic LPL without a rule.
    """
    request = replace(
        defaults,
        num_steps=plan.sampler.steps,
        guidance_scale=plan.sampler.guidance,
        branch_runs=plan.sampler.branch_runs,
        grid=plan.sampler.grid,
        solver=plan.sampler.solver,
        leap=rule_of(resolved(plan.lpl, plan.sampler.evaluations)),
        merge_steps=plan.merging_steps,
        merged_blocks=plan.tdtm.chosen,
    )
    if plan.video is None:
        return request
    return replace(request, width=plan.video.width, height=plan.video.height, num_frames=plan.video.frames)
