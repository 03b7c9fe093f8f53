"""`validate host`: capture this machine, then predict and run many plans on it, and say how well the two agree.

The work is studies/host.py. Finished runs are kept in the folder of -o, by plan and machine: interrupted, the same
command goes on. Exit status 1 says that a figure is over its bound.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import (
    EXIT_FAILED,
    EXIT_FITS,
    needing,
    refuse_without_effect,
    shown,
    whole_number,
    wrote,
)
from ondevice_sora.commands.options import add_json

if TYPE_CHECKING:
    from ondevice_sora.records.agreement import PlanRow
    from ondevice_sora.studies.host import Validation

DEFAULT_PLANS, SEARCH_SECONDS = 24, 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("host-validation"),
        metavar="DIR",
        help="runs, traces, pages (default %(default)s); stores take 4 GB meanwhile",
    )
    parser.add_argument(
        "--plans",
        type=whole_number(1, 30),
        metavar="N",
        help=f"how many plans to run (default {DEFAULT_PLANS}, at most 30)",
    )
    parser.add_argument(
        "--rounds",
        type=whole_number(1, 99),
        default=11,
        metavar="N",
        help="runs of each plan, and rounds of the capture (default %(default)s)",
    )
    parser.add_argument("--threads", type=whole_number(1, 1024), metavar="N", help="that run a block (default: cores)")
    parser.add_argument(
        "--width",
        type=whole_number(16, 1152),
        default=1152,
        metavar="N",
        help="channels of the stand-in (default %(default)s, STDiT3-XL's)",
    )
    parser.add_argument(
        "--depth",
        type=whole_number(1, 28),
        default=4,
        metavar="N",
        help="pairs of blocks of the stand-in (default %(default)s)",
    )
    parser.add_argument("--weights", type=Path, metavar="DIR", help="of the small model (default: shipped, or random)")
    parser.add_argument(
        "--search",
        action="store_true",
        help="instead: a plan found by `plan search` against the default and the paper's",
    )
    parser.add_argument(
        "--search-seconds",
        type=whole_number(1, 3600),
        metavar="N",
        help=f"that the search may take (default {SEARCH_SECONDS})",
    )
    parser.add_argument("--keep-stores", action="store_true", help="do not remove the stores at the end")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    with needing("torch"):
        from ondevice_sora.studies.host import Settings, Validation
    if options.width % 16:
        raise UserError(f"{options.width} channels do not divide among 16 heads", "--width", "Give a multiple of 16.")
    if options.search:
        refuse_without_effect(options, ("plans", "weights"), "with --search, which has its own", "Leave it out.")
    else:
        refuse_without_effect(options, ("search_seconds",), "without --search", "Leave it out, or add --search.")
    settings = Settings(
        options.output,
        options.command,
        options.plans or DEFAULT_PLANS,
        options.rounds,
        options.threads or os.cpu_count() or 1,
        options.width,
        options.depth,
        options.weights,
        options.search_seconds or SEARCH_SECONDS,
    )
    validation = Validation(settings)
    with (
        keeping(f"finished runs are kept in {validation.out}; the same command goes on from them"),
        locked(validation.out),
    ):
        if options.search:
            return _conclude_search(validation.search_rows(), validation, options)
        return _conclude(validation.rows(), validation, options)


def _conclude(rows: list[PlanRow], validation: Validation, options: argparse.Namespace) -> int:
    import msgspec

    from ondevice_sora.base.files.writing import write_json
    from ondevice_sora.records.agreement import checks

    found = checks(rows)
    document = {
        "rows": [msgspec.to_builtins(row) for row in rows],
        "checks": [{**msgspec.to_builtins(check), "ok": check.ok} for check in found],
    }
    write_json(validation.out / "agreement.json", document)
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        from ondevice_sora.reports.terminal.agreement import print_agreement

        shown(lambda: print_agreement(rows, found))
    if not options.keep_stores:
        validation.remove_stores()
    wrote(validation.out / "agreement.json", *_write_pages(rows, validation))
    return EXIT_FITS if all(check.ok for check in found) else EXIT_FAILED


def _write_pages(rows: list[PlanRow], validation: Validation) -> list[Path]:
    """Pages that set prediction and measurement side by side: of the plan with the median error and of the worst."""
    from ondevice_sora.records.trace import read_trace
    from ondevice_sora.reports.page.report import write_report

    ordered = sorted(range(len(rows)), key=lambda index: abs(rows[index].time_error))
    pages = []
    for name, index in (("median", ordered[len(ordered) // 2]), ("worst", ordered[-1])):
        stem = validation.out / "traces" / validation.plans[index].key
        pages.append(validation.out / f"{name}.html")
        write_report([read_trace(f"{stem}.simulated.json"), read_trace(f"{stem}.measured.json")], pages[-1])
    return pages


def _conclude_search(rows: list[PlanRow], validation: Validation, options: argparse.Namespace) -> int:
    import msgspec

    from ondevice_sora.base.files.writing import write_json
    from ondevice_sora.reports.terminal.agreement import print_search

    document = {"rows": [msgspec.to_builtins(row) for row in rows]}
    write_json(validation.out / "search.json", document)
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        shown(lambda: print_search(rows))
    if not options.keep_stores:
        validation.remove_stores()
    wrote(validation.out / "search.json")
    return EXIT_FITS if all(row.is_equal and row.is_within_budget for row in rows) else EXIT_FAILED
