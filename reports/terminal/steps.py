"""The grids of a file on a terminal: for each number of evaluations which steps are made, and the estimated error."""

from __future__ import annotations

from ondevice_sora.plans.step_file import StepFile, estimated_db
from ondevice_sora.plans.step_plan import Grid, evaluated_steps
from ondevice_sora.reports.rows import dots_of


def print_steps(file: StepFile) -> None:
    print(f"{file.model}, {file.steps} steps, guidance {file.guidance:g}, planned on {file.videos} videos")
    print("Latents' estimated distance to those of all steps, in dB; evaluated steps from noise to data.\n")
    print("evaluations     dB")
    for row in file.front:
        dots = dots_of(evaluated_steps(Grid(indices=row.indices), file.steps, row.evaluations))
        error = f"{estimated_db(row.estimated_error):.1f}" if row.estimated_error else "same"
        print(f"{row.evaluations:11} {error:>6}  {dots}")
