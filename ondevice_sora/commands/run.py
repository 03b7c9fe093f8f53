"""run: play an export's schedule and make its video; or run a plan on this machine out of a block store.

`run EXPORT PROMPT` plays what was simulated: the packages of an export, loaded, run and evicted as its schedule.json
says, on Core ML on a Mac, in the reference executor elsewhere. It writes a video, a contact sheet, a sidecar and the
measured trace.

`run --plan PLAN --store DIR` runs a plan from noise out of a block store, and measures it.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import (
    EXIT_FITS,
    json_text,
    needing,
    output_path,
    refuse_without_effect,
    stem_of,
    whole_number,
    wrote,
)
from ondevice_sora.commands.generated import add_output_arguments
from ondevice_sora.commands.run_export import run_export

if TYPE_CHECKING:
    from ondevice_sora.plans.schema import Plan
    from ondevice_sora.records.trace import Trace

EXAMPLES = """
examples:
  ondevice-sora export --plan small -o exported
  ondevice-sora run exported "a red circle moving left"

  ondevice-sora profile capture --device host --store blocks -o host.yaml
  ondevice-sora run --plan plan.yaml --store blocks --device host.yaml --trace measured.json

Of a plan that runs from a store, `model` is the store's model.yaml and components say compute_units: cpu_only. With
--device, the working memory and the baseline that the profile measured count against the budget. `simulate --plan
plan.yaml --device host.yaml` predicts the same run.
"""
OF_EXPORTS = ("backend", "schedule", "gif", "scale", "output", "page")
OF_STORES = ("device", "buffered", "verify")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("export", nargs="?", metavar="EXPORT", help="a folder that `export` has written")
    parser.add_argument("prompt", nargs="?", metavar="PROMPT", help="what to show, such as: a red circle moving left")
    exported = parser.add_argument_group("for an export")
    exported.add_argument(
        "--backend",
        choices=("coreml", "reference"),
        help="Core ML, or our evaluation of its programs on the CPU (default: coreml on a Mac, reference elsewhere)",
    )
    exported.add_argument(
        "--schedule", metavar="JSON", help="another schedule of the export (default: its schedule.json)"
    )
    add_output_arguments(parser, "the measured trace (default of an export VIDEO.trace.json, else PLAN.measured.json)")
    stored = parser.add_argument_group("for a plan out of a store")
    stored.add_argument("--plan", metavar="PLAN", help="a plan file")
    stored.add_argument(
        "--store",
        metavar="DIR",
        help="a block store; if it is cut in another way than the plan says, it is cut anew in a folder inside",
    )
    stored.add_argument("--device", metavar="YAML", help="a profile captured here: what counts against the budget")
    stored.add_argument("--buffered", action="store_true", help="read through the page cache, not directly")
    stored.add_argument("--verify", action="store_true", help="compare each block with its checksum at its first load")
    parser.add_argument(
        "--threads", type=whole_number(1, 1024), metavar="N", help="threads that run a block (default PyTorch's)"
    )


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    if options.export is not None:
        refuse_without_effect(
            options, ("plan", "store", *OF_STORES), "on an export, which has its plan and its packages", "Leave it out."
        )
        if options.prompt is None:
            raise UserError("a prompt is needed beside the export", mend='Write one: run EXPORT "a red circle".')
        return run_export(options)
    if options.plan is None or options.store is None:
        raise UserError(
            "nothing to run", mend="Name an export and a prompt, or a plan and a store with --plan and --store."
        )
    refuse_without_effect(options, OF_EXPORTS, "on a plan out of a store, which makes no video", "Leave it out.")
    if options.seed:
        raise UserError("--seed has no effect on a plan out of a store", mend="Leave it out.")
    return _run_stored(options)


def _run_stored(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from msgspec.structs import replace

    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.profiles.profile import load_profile
    from ondevice_sora.provenance import provenance
    from ondevice_sora.records.trace import write_trace

    with needing("torch"):
        import torch

        from ondevice_sora.runtime.capture.conditions import mismatches
        from ondevice_sora.runtime.capture.subjects import executor_for
        from ondevice_sora.runtime.executor.reading import FileReader
        from ondevice_sora.runtime.executor.store import Store

    path = None
    if options.trace is not None:
        path = output_path(options.trace, f"{stem_of(options.plan)}.measured.json", options.force, [options.plan])
    loaded = load_plan(options.plan)
    store = Store.open(Path(options.store))
    if options.threads:
        torch.set_num_threads(options.threads)
    known = load_profile(options.device) if options.device else None
    if known is not None:
        conditions = known[0].conditions
        for told in mismatches(conditions, threads=torch.get_num_threads(), is_direct=not options.buffered):
            print(f"{options.device} {told}: what it predicts is another run.", file=sys.stderr)
    executor, playable = executor_for(
        store,
        loaded,
        known,
        reader=partial(FileReader, direct=not options.buffered, verify=options.verify),
    )
    directory = executor.backend.directory
    if directory != store.directory:
        print(f"Blocks cut as the plan says: {directory}", file=sys.stderr)
    with (
        keeping(f"no trace was written; the blocks are kept in {directory}"),
        locked(directory, shared=True),
        executor,
    ):
        playable.generate(executor)
    trace = executor.trace()
    _show_stored(loaded.plan, trace, executor.measured_peak_bytes, as_json=options.json)
    if path is not None:
        made = provenance(options.command, loaded, None if known is None else known[0])
        write_trace(replace(trace, provenance=made), path)
        wrote(path)
    return EXIT_FITS


def _show_stored(plan: Plan, trace: Trace, measured_bytes: int | None, *, as_json: bool) -> None:
    """`measured_bytes` is the process's own peak; None where the system does not say it."""
    from ondevice_sora.base.units import format_bytes, format_seconds
    from ondevice_sora.reports.terminal.console import table_console
    from ondevice_sora.reports.terminal.table import print_facts

    budget = plan.memory.budget
    if as_json:
        figures = {"total_s": trace.total_s, "peak_bytes": trace.peak_bytes, "measured_peak_bytes": measured_bytes}
        print(json_text({"plan": plan.name, **figures, "budget_bytes": budget}))
        return
    console = table_console()
    console.print(f"{plan.name}: measured on this machine, from noise")
    facts = {
        "total": format_seconds(trace.total_s),
        "peak, by ledger": format_bytes(trace.peak_bytes),
        "peak, measured": "unknown on this system" if measured_bytes is None else format_bytes(measured_bytes),
        "budget": "none" if budget is None else format_bytes(budget),
    }
    print_facts(console, facts.items())
