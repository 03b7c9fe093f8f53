"""report: one self-contained HTML page from one or more traces; several are set side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from ondevice_sora.commands.common import EXIT_FITS, distinct, output_path, wrote

EXAMPLES = """
example:
  simulate --plan app-256-all --trace app.json; simulate --plan ours-256 --trace ours.json
  ondevice-sora report app.json ours.json -o both.html
  ondevice-sora report predicted.json measured.json --perfetto     and both for ui.perfetto.dev
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="traces written with --trace")
    parser.add_argument("-o", "--output", default="", metavar="HTML", help="default: the first trace's name with .html")
    parser.add_argument(
        "--perfetto",
        nargs="?",
        const="",
        metavar="JSON",
        help="write the traces for ui.perfetto.dev as well (default: the page's name with .perfetto.json)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.base.files.writing import is_stream
    from ondevice_sora.records.trace import read_trace
    from ondevice_sora.reports.page.report import write_report

    default = Path(options.traces[0]).name.removesuffix(".json").removesuffix(".trace") + ".html"
    outputs = [output_path(options.output, default, options.force, inputs=options.traces)]
    if options.perfetto is not None:
        beside = str((Path(default) if is_stream(outputs[0]) else outputs[0]).with_suffix(".perfetto.json"))
        outputs.append(output_path(options.perfetto, beside, options.force, inputs=options.traces))
        distinct(outputs)
    traces = [read_trace(name) for name in options.traces]
    write_report(traces, outputs[0])
    if options.perfetto is not None:
        from ondevice_sora.reports.perfetto import write_perfetto

        write_perfetto(traces, outputs[1])
    wrote(*outputs)
    return EXIT_FITS
