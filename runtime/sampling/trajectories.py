"""Recorded trajectories of all steps, and what making fewer evaluations would have added to their latents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.lines import Lines
from ondevice_sora.base.text import END
from ondevice_sora.plans.step_file import PlannedGrid
from ondevice_sora.plans.step_planning import shortest_grids
from ondevice_sora.runtime.sampling.leap import Observation

MAX_BYTES = 1_000_000_000
RECORD_ANEW = "Delete the file to record all videos anew."
Squares = NDArray[np.float64]
Key = Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{24}}{END}", description="24 hexadecimal digits")]
Square = Annotated[float, msgspec.Meta(ge=0, le=1e30)]


class Trajectory(NamedTuple):
    """Of one video: the mean square of its latent's values, and of what leaving out evaluations adds to them.

    squares   [n, n + 1]: of holding drift i until node j > i; zero elsewhere
    """

    power: float
    squares: Squares


def trajectory_of(seen: Sequence[Observation], latent: Tensor) -> Trajectory:
    """From what a run of Euler's steps saw, and the latent that it ended at."""
    times, drifts = [each.time for each in seen], [each.drift.double() for each in seen]
    lengths = [begin - end for begin, end in zip(times, (*times[1:], 0.0), strict=True)]
    squares = np.zeros((len(drifts), len(drifts) + 1))
    for i, held in enumerate(drifts):
        added = torch.zeros_like(held)
        for j in range(i + 1, len(drifts)):
            added += (drifts[j] - held) * lengths[j]
            squares[i, j + 1] = float(added.square().mean())
    return Trajectory(float(latent.double().square().mean()), squares)


def planned_grids(trajectories: Sequence[Trajectory]) -> tuple[PlannedGrid, ...]:
    """The best grids of 1 up to n evaluations, by the mean over the videos."""
    power = float(np.mean([each.power for each in trajectories]))
    costs = np.mean([each.squares for each in trajectories], axis=0)
    found = shortest_grids(np.where(np.arange(len(costs))[:, None] < np.arange(len(costs) + 1), costs, np.inf))
    return tuple(PlannedGrid(len(each.indices), each.error / power**0.5, each.indices) for each in found)


class _Recorded(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A line of the journal: a video's key, and its trajectory with `squares` above the diagonal, row by row."""

    key: Key
    power: Annotated[float, msgspec.Meta(gt=0, le=1e30)]
    squares: Annotated[tuple[Square, ...], msgspec.Meta(min_length=1)]


class TrajectoryJournal:
    """The trajectories of `steps` steps that are recorded for the file `output`, one line each, beside it."""

    def __init__(self, output: Path, steps: int) -> None:
        self._lines = Lines(output.with_name(f"{output.name}.videos.jsonl"), MAX_BYTES, RECORD_ANEW)
        self.path, self.remove = self._lines.path, self._lines.remove
        self._above = np.triu_indices(steps, 1, steps + 1)
        self._shape = (steps, steps + 1)

    def read(self, keys: Sequence[str]) -> dict[str, Trajectory]:
        """Those with one of these keys. Raises UserError for a file that is none of ours."""
        found = {}
        for document in self._lines.read():
            row = document.convert(_Recorded)
            if row.key not in keys:
                continue  # of another model or other prompts
            if len(row.squares) != len(self._above[0]):
                raise document.error("$[2]", f"{len(row.squares)} numbers; expected {len(self._above[0])}")
            squares = np.zeros(self._shape)
            squares[self._above] = row.squares
            found[row.key] = Trajectory(row.power, squares)
        return found

    def add(self, key: str, found: Trajectory) -> None:
        """Raises UserError if it cannot be written, or if the video's values are not finite."""
        values = [found.power, *found.squares[self._above]]
        if not np.isfinite(values).all():
            raise UserError("the latent of this video is not finite", mend="Look at the weights.")
        self._lines.add([key, found.power, found.squares[self._above].tolist()])
