"""The grids of a file on a terminal: for each number of evaluations which steps are made, and the estimated error."""

from __future__ import annotations

from ondevice_sora.plans.step_file import StepFile, estimated_db
from ondevice_sora.plans.step_plan import Grid, evaluated_steps
from ondevice_sora.reports.rows import dots_of
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_steps(file: StepFile) -> None:
    """Print a row for each number of evaluations."""
    console = table_console()
    console.print(f"{file.model}, {file.steps} steps, guidance {file.guidance:g}, planned on {file.videos} videos")
    console.print("Latents' estimated distance to those of all steps, in dB; evaluated steps from noise to data.\n")
    rows = [
        [
            str(row.evaluations),
            f"{estimated_db(row.estimated_error):.1f}" if row.estimated_error else "same",
            dots_of(evaluated_steps(Grid(indices=row.indices), file.steps, row.evaluations)),
        ]
        for row in file.front
    ]
    print_table(console, [*numbers("evaluations", "dB"), *text("evaluated steps")], rows)
