"""Simulate every cell of a grid, on local processes or a Dask cluster: same rows, none lost, none done twice.

A row is written to a journal beside the table as soon as it is done, and the table, whole, at the end. A sweep that was
cut short goes on from its journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from ondevice_sora.base.compiled import has_compiler
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked
from ondevice_sora.base.interrupts import noted
from ondevice_sora.base.spread import Words, spread
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.profiles.models.model import family
from ondevice_sora.simulator.search.budget import budget_for
from ondevice_sora.simulator.search.comparison import find_plan_for
from ondevice_sora.simulator.simulate import simulation_of
from ondevice_sora.simulator.sweep.grid import Cell
from ondevice_sora.simulator.sweep.journal import TEXT, VERDICTS, WHOLE, Journal, Row

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Text that begins so is a formula to a spreadsheet."""
COMPILED = 50
"""So many cells make up for starting the compiler in every process; then their intervals run compiled."""
WORDS = Words("cell", lambda cell: f"{cell.model} on {cell.device}, {cell.technique}", "Rows done are kept")


def row_of(cell: Cell) -> Row:
    """A cell simulated. A plan that is refused, or for which none fits, says so in `reason`; the rest is unknown."""
    loaded, plan, setting = cell.loaded, cell.plan, cell.setting
    video, budget = plan.video, plan.memory.budget
    row: Row = {
        "model": cell.model,
        "width": video.width if video is not None else None,
        "height": video.height if video is not None else None,
        "frames": video.frames if video is not None else None,
        "device": cell.device,
        "budget_bytes": int(budget) if budget is not None else None,
        "technique": cell.technique,
        "verdict": "refused",
        "reason": None,
        "limit_bytes": setting.limit_bytes,
    }
    try:
        if cell.is_searched:
            own_budget = budget_for([setting], int(budget) if budget is not None else None, None)
            found, plan = find_plan_for(loaded, [setting], own_budget)
            loaded = LoadedPlan(plan, loaded.document, loaded.listed)
            row |= {"budget_bytes": own_budget.num_bytes, "bound_s": found.bound, "gap": found.gap}
        result = simulation_of(loaded, setting, with_advice=False).result
    except UserError as error:
        return {**row, "reason": error.what}
    row |= {
        "verdict": result.verdict,
        "total_s": result.total_s,
        "low_s": result.interval_s[0] if result.interval_s is not None else None,
        "high_s": result.interval_s[1] if result.interval_s is not None else None,
        "peak_bytes": result.peak_bytes,
        "kill_share": result.kill_share,
    }
    row |= {f"{mark}_share": share for mark, share in result.marks.items()}
    for name, component in result.components.items():
        row[f"{family(name)}_s"] = row.get(f"{family(name)}_s", 0.0) + component.total_s
    return row


def sweep(
    cells: Sequence[Cell],
    journal: Journal | None = None,
    scheduler: str | None = None,
    processes: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """The rows of all cells, in their order. `progress` is told how many more are done; a journal keeps them.

    `scheduler` is the address of a Dask scheduler whose workers have this package. Raises UserError if no scheduler
    answers, or if a cell ends its process time and again; and Interrupted, when all processes have ended.
    """
    keys = [cell.key for cell in cells]
    done = {} if journal is None else journal.read()
    left = {key: cell for key, cell in zip(keys, cells, strict=True) if key not in done}
    progress(len(keys) - len(left))
    if left:
        prepare = has_compiler if len(left) >= COMPILED else None
        rows = spread(row_of, list(left.values()), scheduler, processes, WORDS, prepare)
        with noted(), closing(rows):
            for cell, row in rows:
                done[cell.key] = row
                if journal is not None:
                    journal.add(cell.key, row)
                progress(1)
    return [done[key] for key in keys]


@contextmanager
def swept(
    cells: Sequence[Cell],
    table: Path | None,
    scheduler: str | None = None,
    processes: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[list[Row]]:
    """The rows of all cells, written to a table. What is done is kept beside it until the block has ended, whatever
    ends it; without a table nothing is kept.

    Raises UserError for a table of another kind, and as `sweep`.
    """
    if table is None:
        yield sweep(cells, None, scheduler, processes, progress)
        return
    check_table(table)
    journal = Journal(table)
    with locked(journal.path):
        try:
            rows = sweep(cells, journal, scheduler, processes, progress)
        except KeyboardInterrupt as interrupted:
            kept = f"{len(journal.read())} of {len(cells)} rows are kept in {journal.path}"
            interrupted.add_note(f"{kept}; the same command goes on from them")
            raise
        write_table(rows, table)
        yield rows
        journal.remove()


def check_table(table: Path) -> None:
    """Raises UserError for a file that is neither CSV nor Parquet."""
    if table.suffix not in (".csv", ".parquet"):
        raise UserError("a table is CSV or Parquet", str(table), "Name a .csv or .parquet file.")


def count_verdicts(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows have each verdict."""
    return {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}


def write_table(rows: Sequence[Row], path: Path) -> None:
    """CSV, or Parquet (which needs pyarrow) by the file's suffix; the whole file or nothing.

    A column for whatever any row has: the seconds of components that only some models have are empty elsewhere.
    """
    import csv
    import io

    from ondevice_sora.base.files.writing import write_text, written_together

    columns = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        kinds = {**dict.fromkeys(TEXT, pyarrow.string()), **dict.fromkeys(WHOLE, pyarrow.int64())}
        schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in columns])
        with written_together([path]) as (temporary,):
            parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema), temporary)
        return
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in rows)
    write_text(path, stream.getvalue())


def _inert(value: object) -> object:
    """A value for CSV: a formula is text with an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
