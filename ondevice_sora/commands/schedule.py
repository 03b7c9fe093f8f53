"""schedule: write an export's schedule.json for a device: when each block is loaded, run and evicted.

It is the schedule that `simulate` plays for the export's plan on this device, with its prices and what they predict.
`run EXPORT` plays it, and so does a phone; whoever plays it decides nothing. A schedule can be made again, from a newer
capture of the device, without exporting anything again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.commands.common import DEFAULT_DEVICE, EXIT_FITS, EXIT_KILLED, json_text, needing, output_path, wrote
from ondevice_sora.commands.options import DEVICE_HELP, add_device, add_json, add_memory_limit

if TYPE_CHECKING:
    from ondevice_sora.plans.schedule_file import ScheduleFile
    from ondevice_sora.profiles.blocks import BlockSpec

EXAMPLES = """
examples:
  ondevice-sora schedule exported
  ondevice-sora schedule exported --device captured.yaml --memory-limit '2.9 GB'
  ondevice-sora schedule exported --device iphone14 -o iphone14.json

exit status: 0 written, 2 unusable input, 3 written, but predicted over the memory limit
"""


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    add_device(parser, f"{DEVICE_HELP}: whose costs the schedule has")
    add_memory_limit(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("export", type=Path, metavar="EXPORT", help="a folder that `export` has written")
    add_device_arguments(parser)
    parser.add_argument("-o", "--output", metavar="JSON", help="where to write it (default: schedule.json in EXPORT)")
    add_json(parser)
    parser.add_argument("--force", action="store_true", help="overwrite another file than the export's own")


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.plans.schedule_file import SCHEDULE, write_schedule

    inputs = [str(options.export / "manifest.json"), options.device or ""]
    path = options.export / SCHEDULE
    if options.output is not None and Path(options.output).absolute() != path.absolute():
        path = output_path(options.output, "", options.force, [*inputs, str(path)], kind=".json")
    file = schedule_of(options.export, options.device or DEFAULT_DEVICE, options.memory_limit)
    write_schedule(path, file)
    if options.json:
        print(json_text(facts_of(file)))
    else:
        tell(file)
    wrote(path)
    return EXIT_KILLED if file.predicted.peak_bytes > file.limit_bytes else EXIT_FITS


def schedule_of(directory: Path, device: str, memory_limit: int | None) -> ScheduleFile:
    """The schedule of an export on a device. Raises UserError, about the plan in the manifest, if there is none."""
    from ondevice_sora.simulator.prepare import described_as, load_inputs
    from ondevice_sora.simulator.scheduled import Function, schedule_file, to_play

    with needing("torch"):
        from ondevice_sora.runtime.coreml.export.exported import Export

    export = Export.open(directory)
    loaded, setting = load_inputs(export.loaded, device, memory_limit=memory_limit)
    with loaded.locating():
        prepared = to_play(loaded.plan, described_as(loaded.plan, export.architecture), setting)

        def function_of(spec: BlockSpec) -> Function:
            found = export.function_of(spec)
            return Function(found.package, found.function)

        return schedule_file(prepared, function_of, export.sha256)


def facts_of(file: ScheduleFile) -> dict[str, object]:
    """What the schedule is predicted to come to, for JSON."""
    return {
        "plan": file.plan,
        "device": file.device,
        "num_visits": len(file.visits),
        "total_s": file.predicted.total_s,
        "peak_bytes": file.predicted.peak_bytes,
        "limit_bytes": file.limit_bytes,
    }


def tell(file: ScheduleFile) -> None:
    """Say in a sentence what the schedule is predicted to come to."""
    from ondevice_sora.base.units import format_bytes, format_seconds
    from ondevice_sora.reports.terminal.console import say

    peak, limit = file.predicted.peak_bytes, file.limit_bytes
    against = (
        f"above the limit of {format_bytes(limit)}: iOS would end the app"
        if peak > limit
        else f"of {format_bytes(limit)}"
    )
    say(
        f"{file.plan} on {file.device}: {len(file.visits):,} visits, "
        f"{format_seconds(file.predicted.total_s)} predicted, peak {format_bytes(peak)} {against}"
    )
