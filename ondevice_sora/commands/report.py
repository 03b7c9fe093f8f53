"""report: one self-contained HTML page from one or more traces; several are set side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from ondevice_sora.commands.common import EXIT_FITS, output_path, wrote

EXAMPLES = """
example:
  simulate --plan app-256-all --trace app.json; simulate --plan ours-256 --trace ours.json
  ondevice-sora report app.json ours.json -o both.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="traces written with --trace")
    parser.add_argument("-o", "--output", default="", metavar="HTML", help="default: the first trace's name with .html")
    parser.add_argument("--force", action="store_true", help="overwrite the file if it exists")


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.records.trace import read_trace
    from ondevice_sora.reports.page.report import write_report

    default = Path(options.traces[0]).name.removesuffix(".json").removesuffix(".trace") + ".html"
    path = output_path(options.output, default, options.force, inputs=options.traces)
    write_report([read_trace(name) for name in options.traces], path)
    wrote(path)
    return EXIT_FITS
