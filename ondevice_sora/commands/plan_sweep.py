"""`plan sweep`: every combination of a grid simulated, as one table."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ondevice_sora.commands.common import (
    EXIT_FITS,
    distinct,
    json_text,
    needing,
    output_path,
    refuse_without_effect,
    stem_of,
    whole_number,
    wrote,
)
from ondevice_sora.commands.options import add_conditions, add_force, add_json, conditions_of
from ondevice_sora.commands.progress import progress_bar

SHOWN_REASONS = 5
"""So many reasons of refused rows are printed."""


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("grid", help="a grid file: models, shapes, devices, budgets, techniques")
    parser.add_argument("-o", "--output", metavar="TABLE", help="a .csv or .parquet file (default GRID.csv)")
    parser.add_argument(
        "--processes", type=whole_number(1, 1024), metavar="N", help="local processes (default: one per core)"
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler to give the work to, tcp://host:8786")
    add_conditions(parser)
    add_json(parser)
    parser.add_argument(
        "--report", nargs="?", const="", metavar="HTML", help="write a page (default: TABLE's with .html)"
    )
    add_force(parser)


def run_sweep(options: argparse.Namespace) -> int:
    """Raises UserError."""

    from ondevice_sora.simulator.sweep.grid import read_grid
    from ondevice_sora.simulator.sweep.sweep import check_table, count_verdicts, swept

    if options.scheduler is not None:
        refuse_without_effect(options, ("processes",), "with --scheduler", "Leave it out.")
    path = output_path(options.output or "", f"{stem_of(options.grid)}.csv", options.force, [options.grid])
    check_table(path)
    outputs = [path]
    if options.report is not None:
        beside = str(path.with_suffix(".html"))
        outputs.append(output_path(options.report, beside, options.force, [options.grid]))
        distinct(outputs)
    if path.suffix == ".parquet":
        with needing("sweep"):
            import pyarrow  # noqa: F401
    if options.scheduler is not None:
        with needing("sweep"):
            import distributed  # noqa: F401
    cells = read_grid(options.grid, conditions_of(options))
    with (
        progress_bar("cells", len(cells)) as progress,
        swept(cells, path, options.scheduler, options.processes, progress) as rows,
    ):
        if options.report is not None:
            from ondevice_sora.provenance import provenance
            from ondevice_sora.reports.page.sweep import write_sweep

            write_sweep(rows, stem_of(options.grid), outputs[1], provenance(options.command))
    counts = count_verdicts(rows)
    fit, killed, refused = counts["fits"], counts["killed"], counts["refused"]
    if options.json:
        print(json_text({"rows": rows, "fit": fit, "killed": killed, "refused": refused}))
    else:
        print(f"{len(rows)} combinations: {fit} fit, {killed} killed, {refused} refused")
        for line in _reasons(rows):
            print(line)
    wrote(*outputs)
    return EXIT_FITS


def _reasons(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Why rows were refused, each reason once with how many and the first of them; the table has them all."""
    by_reason: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["verdict"] == "refused":
            by_reason.setdefault(row["reason"], []).append(row)
    for reason, found in list(by_reason.items())[:SHOWN_REASONS]:
        first = ", ".join(str(found[0][axis]) for axis in ("model", "device", "technique"))
        yield f"refused ({first}{f', and {len(found) - 1} more' if len(found) > 1 else ''}): {reason}"
    if len(by_reason) > SHOWN_REASONS:
        yield f"and {len(by_reason) - SHOWN_REASONS} more reasons: see the column `reason`"
