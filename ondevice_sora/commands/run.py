"""run: run a plan on this machine, its blocks loaded from a block store, and write what happened as a trace."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from ondevice_sora.base.files.folders import locked
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import EXIT_FITS, needing, output_path, whole_number

EXAMPLES = """
examples:
  ondevice-sora profile capture --device host --store blocks -o host.yaml
  ondevice-sora run --plan plan.yaml --store blocks --device host.yaml --trace measured.json

The plan's `model` is the store's model.yaml, its components say compute_units: cpu_only. With --device, the working
memory and the baseline that the profile measured count against the budget. `simulate --plan plan.yaml --device
host.yaml` predicts the same run.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", required=True, metavar="PLAN", help="a plan file")
    parser.add_argument(
        "--store",
        required=True,
        metavar="DIR",
        help="a block store; if it is cut in another way than the plan says, it is cut anew in a folder inside",
    )
    parser.add_argument("--device", metavar="YAML", help="a profile captured here: what counts against the budget")
    parser.add_argument(
        "--threads", type=whole_number(1, 1024), metavar="N", help="threads that run a block (default PyTorch's)"
    )
    parser.add_argument("--buffered", action="store_true", help="read through the page cache, not directly")
    parser.add_argument("--verify", action="store_true", help="compare each block with its checksum at its first load")
    parser.add_argument(
        "--trace", nargs="?", const="", metavar="JSON", help="write the trace (default PLAN.measured.json)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file if it exists")


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.base.units import format_bytes, format_seconds
    from ondevice_sora.plans.schema import load_plan
    from ondevice_sora.profiles.profile import load_profile
    from ondevice_sora.records.trace import write_trace

    with needing("torch"):
        import torch

        from ondevice_sora.runtime.capture.conditions import mismatches
        from ondevice_sora.runtime.capture.subjects import executor_for
        from ondevice_sora.runtime.executor.reading import FileReader
        from ondevice_sora.runtime.executor.store import Store

    path = None
    if options.trace is not None:
        path = output_path(options.trace, f"{Path(options.plan).stem}.measured.json", options.force, [options.plan])
    loaded = load_plan(options.plan)
    plan = loaded.plan
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
    print(f"{plan.name}: measured on this machine, from noise")
    print(f"  total            {format_seconds(trace.total_s)}")
    print(f"  peak, by ledger  {format_bytes(trace.peak_bytes)}")
    measured = executor.measured_peak_bytes
    print(f"  peak, measured   {format_bytes(measured) if measured is not None else 'unknown on this system'}")
    print(f"  budget           {format_bytes(plan.memory.budget) if plan.memory.budget is not None else 'none'}")
    if path is not None:
        write_trace(trace, path)
        print(f"Wrote {path}")
    return EXIT_FITS
