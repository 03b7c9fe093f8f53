"""export: make Core ML packages of a plan's blocks, and a manifest that a runtime can follow.

Each block of the plan becomes an .mlpackage (ML Program, iOS 18) in the plan's precision, with fixed shapes; plain and
TDTM variants are two functions of one package that share their weights, unless the plan has them in separate ones. An
export that was stopped goes on where it was, and blocks that have not changed are not made again. It runs on any system
and needs PyTorch and coremltools. `validate export DIR` then compares every block with PyTorch.

Beside it goes schedule.json, for the iPhone 15 Pro or the device that --device names: when each block is loaded, run
and evicted, as `simulate` plays it. `schedule` makes it again for another device; `run DIR "a prompt"` plays it.

Without --weights, the weights that ship are taken if the plan's model has any, else random ones of the model's sizes:
good for measuring, and for nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import DEFAULT_DEVICE, EXIT_FITS, json_text, needing, whole_number, wrote
from ondevice_sora.commands.options import add_json, add_plan, plan_of
from ondevice_sora.commands.progress import progress_bar
from ondevice_sora.commands.schedule import add_device_arguments, facts_of, schedule_of, tell

if TYPE_CHECKING:
    from ondevice_sora.plans.schedule_file import ScheduleFile
    from ondevice_sora.runtime.coreml.export.manifest import ExportedBlock

EXAMPLES = """
examples:
  ondevice-sora export --plan small -o exported
  ondevice-sora run exported "a red circle moving left"
  ondevice-sora export --plan ours-192 --weights opensora/ -o exported --jobs 4
  ondevice-sora validate export exported --weights opensora/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_plan(parser, "a plan file or a ready plan")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the packages")
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="the model's folder: text_encoder, denoiser, decoder"
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**31 - 1),
        metavar="N",
        help="of random weights (default 0)",
    )
    parser.add_argument(
        "--jobs",
        type=whole_number(1, 64),
        default=1,
        metavar="N",
        help="blocks made at a time, each in a process with the memory of one block (default %(default)s)",
    )

    add_device_arguments(parser)
    add_json(parser)
    parser.add_argument(
        "--force", action="store_true", help="replace a manifest.json in the folder that is not an export's"
    )


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.plans.plan_file import load_plan

    loaded = load_plan(plan_of(options))
    with needing("coreml"):
        from ondevice_sora.runtime.coreml.quiet import quietly

        with quietly():
            pass
        from ondevice_sora.runtime.coreml.export.export import export_plan, workshop_of
        from ondevice_sora.runtime.coreml.export.manifest import give_way
        from ondevice_sora.runtime.coreml.export.workshop import Commission
    from ondevice_sora.base.units import format_count
    from ondevice_sora.records.exports import ExportedPart
    from ondevice_sora.reports.terminal.exports import print_export

    if os.path.lexists(options.output) and not os.path.isdir(options.output):
        raise UserError("this is a file; a folder is needed", str(options.output))
    plan = loaded.plan
    commission = Commission(plan, options.weights, options.seed)
    with loaded.locating():
        workshop = workshop_of(commission)
    print(f"weights: {options.weights or workshop.source.description}", file=sys.stderr)
    num_blocks = sum(len(blocks) for blocks in workshop.cuts.values())
    if not options.weights and workshop.source.seed is not None:
        print(
            f"note: without --weights DIR the {format_count(num_blocks, 'block')} have random weights: sizes and times "
            "are right, and what they make is noise (`ondevice-sora weights get opensora -o DIR` fetches Open-Sora's)",
            file=sys.stderr,
        )
    if workshop.tokenizer is None:
        print("note: these weights have no tokenizer, so that the export plays tokens, not prompts", file=sys.stderr)
    num_made = 0
    with progress_bar("blocks", num_blocks) as advance:

        def on_block(block: ExportedBlock, was_made: bool) -> None:
            nonlocal num_made
            num_made += was_made
            advance(1)

        if options.force:
            give_way(options.output)
        with (
            keeping(f"finished blocks are kept in {options.output}; the same command goes on from them"),
            loaded.locating(),
        ):
            manifest = export_plan(commission, options.output, jobs=options.jobs, on_block=on_block)
    parts = []
    for component in manifest.components:
        packages = [each for block in manifest.blocks if block.component == component.name for each in block.packages]
        size, stored = sum(package.num_bytes for package in packages), plan.component(component.name).stored
        parts.append(ExportedPart(component.name, len(packages), size, stored))
    schedule = _schedule(options)
    if options.json:
        document = {"parts": parts, "blocks_made": num_made, "blocks": len(manifest.blocks)}
        print(json_text(document | {"schedule": None if schedule is None else facts_of(schedule)}))
    else:
        print_export(parts, num_made, len(manifest.blocks))
        if schedule is not None:
            tell(schedule)
    wrote(options.output)
    return EXIT_FITS


def _schedule(options: argparse.Namespace) -> ScheduleFile | None:
    """Write the schedule beside the packages.

    Raises UserError if there is none on the device that was asked for; on the default one that is told and no more.
    """
    from ondevice_sora.plans.schedule_file import SCHEDULE, write_schedule

    path = options.output / SCHEDULE
    try:
        file = schedule_of(options.output, options.device or DEFAULT_DEVICE, options.memory_limit)
    except UserError as error:
        path.unlink(missing_ok=True)
        if options.device is not None or options.memory_limit is not None:
            raise
        print(f"note: no schedule was written: {error}", file=sys.stderr)
        return None
    write_schedule(path, file)
    return file
