"""The step plan: at which times the network is evaluated, and by which solver one time follows from another.

Along a rectified flow, holding a drift over several steps of a grid is one longer step. So fewer steps, shifted or
planned ones and LPL are all the same: a list of times. Whoever samples follows the list; whoever simulates counts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import msgspec

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.keys import means
from ondevice_sora.base.text import LINE, Checksum

TIME_SCALE = 1000
"""The time of pure noise; data are at 0."""
MAX_STEPS = 1000
Steps = Annotated[int, msgspec.Meta(ge=1, le=MAX_STEPS)]
Index = Annotated[int, msgspec.Meta(ge=0, lt=MAX_STEPS)]
Time = Annotated[float, msgspec.Meta(ge=0, le=TIME_SCALE)]
Solver = Literal["euler", "ab2"]
WAYS = ("shift", "power", "times", "indices", "planned")


class Planned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The grid of so many evaluations in a file that `steps plan` wrote."""

    evaluations: Annotated[Steps, means("How many.")]
    source: Annotated[
        Annotated[str, LINE, msgspec.Meta(min_length=1, max_length=1000)] | None,
        means(
            "The file; its path starts from the plan's folder. By default the file that ships for the model; only "
            "`small` has one."
        ),
    ] = msgspec.field(default=None, name="from")


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Times other than the model's own even ones; one of these. u is the share of the steps done, from 0."""

    shift: Annotated[
        Annotated[float, msgspec.Meta(ge=0.05, le=20)] | None,
        means(
            "R: `steps` times at R (1 - u) / (1 + (R - 1) (1 - u)) of the way, u being the share of the steps done. "
            "Above 1 more of them are near the noise."
        ),
    ] = None
    power: Annotated[
        Annotated[float, msgspec.Meta(ge=0.2, le=5)] | None,
        means("p: `steps` times at 1 - u^p of the way. Above 1 more of them are near the noise."),
    ] = None
    times: Annotated[
        Annotated[tuple[Time, ...], msgspec.Meta(min_length=1, max_length=MAX_STEPS)] | None,
        means("The times themselves, from 1000, which is noise, down. The last step goes to 0."),
    ] = None
    indices: Annotated[
        Annotated[tuple[Index, ...], msgspec.Meta(min_length=1, max_length=MAX_STEPS)] | None,
        means("Which of the `even` grid's `steps` times are evaluated, from 0. The last step goes to 0."),
    ] = None
    planned: Annotated[Planned | None, means("The indices of a file that `ondevice-sora steps plan` wrote.")] = None
    denoiser: Annotated[
        Checksum | None,
        means("With `indices`: a hash of the weights that they were planned for. Other weights are refused."),
    ] = None


Even = Literal["even"]


def num_evaluations(grid: Grid | Even, steps: int) -> int:
    """How many times a grid has, if nothing ends the run early."""
    if isinstance(grid, Grid):
        if grid.planned is not None:
            return grid.planned.evaluations
        listed = grid.times or grid.indices
        if listed is not None:
            return len(listed)
    return steps


def grid_times(grid: Grid | Even, even: Sequence[float]) -> tuple[float, ...]:
    """The times at which the network is evaluated, descending from 1000; `even` are the model's own, one a step."""
    if grid == "even":
        return tuple(even)
    count = len(even)
    if grid.shift is not None:
        left = [1 - step / count for step in range(1, count)]  # noise stays where it is, however the formula rounds
        moved = (TIME_SCALE * (grid.shift * u / (1 + (grid.shift - 1) * u)) for u in left)
        return (float(TIME_SCALE), *moved)
    if grid.power is not None:
        return tuple(TIME_SCALE * (1 - (step / count) ** grid.power) for step in range(count))
    if grid.times is not None:
        return grid.times
    if grid.indices is None:
        raise UserError("a planned grid is looked up when its plan is read from a file", field="$.sampler.grid.planned")
    return tuple(even[index] for index in grid.indices)


def evaluated_steps(grid: Grid | Even, steps: int, evaluations: int) -> list[bool]:
    """For a picture, step by step whether it is evaluated (else leapt over) in a run of so many evaluations.

    Steps are those of the grid that indices are of; any other grid has no steps but its own.
    """
    if grid == "even" or grid.indices is None:
        own = num_evaluations(grid, steps)
        return [step < evaluations for step in range(own)]
    made = set(grid.indices[:evaluations])
    return [step in made for step in range(steps)]


def check_grid(grid: Grid | Even, steps: int) -> None:
    """What a schema cannot say. Raises UserError for a grid that does not descend from noise to data."""
    if grid == "even":
        return
    where = "$.sampler.grid"
    said = [way for way in WAYS if getattr(grid, way) is not None]
    if len(said) != 1:
        what = f"says both {said[0]} and {said[1]}" if said else f"says none of {', '.join(WAYS)}"
        raise UserError(
            what, mend=f"Write one; `{said[0]}: null` takes an inherited one back." if said else None, field=where
        )
    if grid.denoiser is not None and grid.indices is None:
        raise UserError("has no effect without indices", mend="Remove it.", field=f"{where}.denoiser")
    if grid.times is not None:
        _check_times(grid.times, f"{where}.times")
    if grid.indices is not None:
        check_indices(grid.indices, steps, f"{where}.indices")


def _check_times(times: Sequence[float], where: str) -> None:
    mend = "Write descending times, from 1000, which is noise; the last step goes from the last one to 0."
    if times[0] != TIME_SCALE:
        raise UserError(f"the first time is {times[0]:g}, and noise is at {TIME_SCALE}", mend=mend, field=where)
    for row, (earlier, later) in enumerate(pairwise(times), 1):
        if not 0 < later < earlier:  # NaN neither
            what = f"time {later:g} does not lie below {earlier:g}, the one before" if later else "0 is the end"
            raise UserError(what, mend=mend, field=f"{where}[{row}]")


def check_indices(indices: Sequence[int], steps: int, where: str) -> None:
    """Raises UserError unless they ascend from 0 within so many steps."""
    if indices[0] != 0:
        raise UserError(f"the first index is {indices[0]}", mend="Begin with 0, which is noise.", field=where)
    for row, (earlier, later) in enumerate(pairwise(indices), 1):
        if later <= earlier:
            what = f"index {later} does not lie above {earlier}, the one before"
            raise UserError(what, mend="Write ascending indices.", field=f"{where}[{row}]")
    if indices[-1] >= steps:
        what = f"index {indices[-1]} lies beyond the {steps} steps"
        raise UserError(what, mend=f"Indices go from 0 to {steps - 1}.", field=f"{where}[{len(indices) - 1}]")
