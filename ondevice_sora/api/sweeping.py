"""Every combination of a grid, simulated on processes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice_sora.api.given import Size, call_of, conditions_of, in_python, loaded_plan
from ondevice_sora.api.shown import frame_of, titled_table
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from ondevice_sora.plans.plan_file import LoadedPlan
    from ondevice_sora.records.provenance import Provenance


@dataclass(frozen=True)
class Sweep:
    """The rows of a sweep, one a combination; docs/plan.md has the columns. A refused plan's row says why."""

    rows: list[dict[str, Any]]
    name: str
    provenance: Provenance

    def to_frame(self) -> pd.DataFrame:
        """One row a combination: model, shape, device, budget, technique, verdict, seconds and bytes."""
        return frame_of(self.rows)

    def figure(self) -> Figure:
        """The time over the axis that was swept, a line for each of the rest, with the 90 % interval."""
        from ondevice_sora.reports.charts import sweep_figure

        return sweep_figure(self.rows, self.name)

    def report(self, path: str | Path) -> Path:
        """Write the page that `plan sweep --report` writes; an existing file is replaced."""
        from ondevice_sora.reports.page.sweep import write_sweep

        write_sweep(self.rows, self.name, path, self.provenance)
        return Path(path)

    def save(self, path: str | Path) -> Path:
        """Write the table: CSV, or Parquet by the file's suffix; an existing file is replaced."""
        from ondevice_sora.simulator.sweep.sweep import write_table

        write_table(self.rows, Path(path))
        return Path(path)

    def summary(self) -> str:
        """How many fit, in a sentence."""
        from ondevice_sora.simulator.sweep.sweep import count_verdicts

        counts = count_verdicts(self.rows)
        return f"{len(self.rows)} combinations: " + ", ".join(
            f"{count} {'fit' if verdict == 'fits' else verdict}" for verdict, count in counts.items()
        )

    def __repr__(self) -> str:
        return f"<Sweep {self.name!r}, {self.summary()}>"

    def _repr_html_(self) -> str:
        return titled_table(self.summary(), self.to_frame, self.summary)


@in_python
def sweep(
    grid: str | Path | Mapping[str, Any],
    *,
    output: str | Path | None = None,
    processes: int | None = None,
    scheduler: str | None = None,
    memory_limit: Size | None = None,
    entitlement: bool = False,
    os: str | float | None = None,
    thermal: bool = False,
    progress: bool = True,
) -> Sweep:
    """Simulate every combination of a grid: what `plan sweep` does.

    grid        a grid file, or its keys: {"models": ["ours-256"], "budgets": ["2 GB", "2.6 GB"]}; a mapping under
                `models` gives plans by the names that the table shows
    output      a .csv or .parquet file to write; rows done are kept beside it, and the same call goes on from them
                where it was interrupted
    processes   local processes (one per core)
    scheduler   the address of a Dask scheduler to give the work to
    progress    tell how far it is, on the terminal or under the cell

    The other arguments are those of `simulate`, for every combination. Raises UserError for a grid that cannot be
    used; a plan that is refused is a row. Ctrl-C ends the processes and raises KeyboardInterrupt.
    """
    from ondevice_sora.commands.progress import progress_bar
    from ondevice_sora.provenance import provenance
    from ondevice_sora.simulator.sweep.grid import cells_of, read_grid
    from ondevice_sora.simulator.sweep.sweep import swept

    if processes is not None and (not isinstance(processes, int) or processes < 1):
        raise UserError(f"{processes!r} is not a number of processes", "--processes", "Give one above zero.")
    if scheduler is not None and processes is not None:
        raise UserError("--processes has no effect with --scheduler", mend="Leave it out.")
    conditions = conditions_of(memory_limit, entitlement, os, thermal)
    if isinstance(grid, Mapping):
        document, named = _grid_in(grid)
        cells, name = cells_of(document, conditions, named), "grid"
    else:
        cells, name = read_grid(grid, conditions), Path(grid).stem
    made = provenance(call_of("sweep", name if isinstance(grid, Mapping) else str(grid)))
    table = None if output is None else Path(output)
    with (
        progress_bar("cells", len(cells), is_shown=progress) as advance,
        swept(cells, table, scheduler, processes, advance) as rows,
    ):
        return Sweep(rows, name, made)


def _grid_in(grid: Mapping[str, Any]) -> tuple[Document, dict[str, LoadedPlan]]:
    """A grid's keys as a document, and the plans among them that are no names. Raises UserError."""
    models = grid.get("models")
    named = {str(name): loaded_plan(plan) for name, plan in models.items()} if isinstance(models, Mapping) else {}
    keys = {**grid, "models": list(named)} if named else dict(grid)
    return Document(keys, {}, Path("grid")), named
