"""Planned grids as a file: for each number of evaluations the best indices of a model's even grid, and what they cost.

`steps plan` writes it, a plan's `sampler.grid.planned` names it. One ships for the small model.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.base.text import Checksum, Title
from ondevice_sora.plans.step_plan import Grid, Index, Planned, Steps, Time, check_indices

FORMAT: Literal["ondevice-sora-steps-1"] = "ondevice-sora-steps-1"
SHIPPED = Path(__file__).parent / "ready" / "steps"
MAX_FILE_BYTES = 10_000_000
PLAN_STEPS = "Make it again with `ondevice-sora steps plan`."


class PlannedGrid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A grid by its indices, and its estimated error: of the result, relative to it (root mean square over videos).

    measured_db   how near the frames of videos walked on it came to those of all steps, where that was measured
    """

    evaluations: Steps
    estimated_error: Annotated[float, msgspec.Meta(ge=0, le=1e9)]
    indices: Annotated[tuple[Index, ...], msgspec.Meta(min_length=1, max_length=1000)]
    measured_db: Annotated[float, msgspec.Meta(gt=0, le=1000)] | None = None


class StepFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was planned: for which weights (`denoiser` is a hash), guidance and times, over how many videos.

    `times` are those of the `steps` of the model's even grid; `front` has one grid for each number of evaluations.
    """

    format: Literal["ondevice-sora-steps-1"]
    model: Title
    denoiser: Checksum
    steps: Steps
    guidance: Annotated[float, msgspec.Meta(ge=0, le=100)]
    videos: Annotated[int, msgspec.Meta(ge=1, le=10**6)]
    times: Annotated[tuple[Time, ...], msgspec.Meta(min_length=1, max_length=1000)]
    front: Annotated[tuple[PlannedGrid, ...], msgspec.Meta(min_length=1, max_length=1000)]


def estimated_db(error: float) -> float:
    """A relative error as a distance in dB; infinite for none."""
    return -20 * math.log10(error) if error > 0 else math.inf


def write_steps(path: Path, file: StepFile) -> None:
    """One grid a line. Raises UserError if it cannot be written."""
    head = msgspec.to_builtins(file)
    rows = ",\n  ".join(msgspec.json.encode(row).decode() for row in head.pop("front"))
    lines = [f' "{key}": {msgspec.json.encode(value).decode()}' for key, value in head.items()]
    write_text(path, "{\n" + ",\n".join([*lines, f' "front": [\n  {rows}\n ]']) + "\n}\n")


def read_steps(path: Path) -> StepFile:
    """Raises UserError unless it has for 1 evaluation up to all steps a grid that descends from noise to data."""
    document = read_json(path, max_bytes=MAX_FILE_BYTES, mend=PLAN_STEPS)
    document.check_format("a file of planned grids", FORMAT)
    file = document.convert(StepFile)
    _check(file, document)
    return file


def _check(file: StepFile, document: Document) -> None:
    if len(file.times) != file.steps:
        raise document.error("$.times", f"{len(file.times)} times of {file.steps} steps")
    if [row.evaluations for row in file.front] != list(range(1, file.steps + 1)):
        raise document.error("$.front", f"needed are the grids of 1 to {file.steps} evaluations, in this order")
    with document.locating():
        for row, found in enumerate(file.front):
            where = f"$.front[{row}].indices"
            if len(found.indices) != found.evaluations:
                raise document.error(where, f"{len(found.indices)} indices of {found.evaluations} evaluations")
            check_indices(found.indices, file.steps, where)


def shipped_steps(model: str) -> Path | None:
    """The file that ships for a model."""
    path = SHIPPED / f"{model}.json"
    return path if "/" not in model and path.is_file() else None


def planned_grid(asked: Planned, folder: Path, model: str, steps: int) -> Grid:
    """The grid that a plan of this model and so many steps asks for; a file is looked for from `folder`.

    Raises UserError if there is no file, or if it is of another model or number of steps.
    """
    field = "$.sampler.grid.planned"
    path = shipped_steps(model) if asked.source is None else folder / asked.source
    if path is None:
        what = f"no planned grids ship for the model '{model}'"
        raise UserError(
            what, mend="Make a file of them with `ondevice-sora steps plan`, and name it with `from`.", field=field
        )
    file = read_steps(path)
    if file.model != model:
        what = f"{path.name} has grids of the model '{file.model}'; the plan's is '{model}'"
        raise UserError(what, mend="Name a file that `ondevice-sora steps plan` made of the plan's model.", field=field)
    if file.steps != steps:
        raise UserError(
            f"{path.name} has grids of {file.steps} steps; the plan has {steps}",
            mend=f"Write steps: {file.steps}, or plan grids of {steps}.",
            field=field,
        )
    if asked.evaluations > file.steps:
        what = f"{asked.evaluations} evaluations; {path.name} has grids of 1 to {file.steps}"
        raise UserError(what, mend=f"Ask for {file.steps} or fewer.", field=f"{field}.evaluations")
    return Grid(indices=file.front[asked.evaluations - 1].indices, denoiser=file.denoiser)
