"""simulate: predict how a plan runs on a device - how long, how much memory, and whether iOS ends it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ondevice_sora.common import EXIT_FITS, EXIT_KILLED, Parser, guarded, output_path, size_argument

DEFAULT_PLAN = "ours-256"
DEFAULT_DEVICE = "iphone15pro"
EXAMPLES = """
examples:
  simulate                                                    our plan at 256x256 on an iPhone 15 Pro
  simulate --device iphone15pro --plan app-256-all --report   the reference app, with an HTML report
  simulate --plan plan.yaml --json                            your plan, as one JSON document

exit status: 0 fits, 2 unusable input, 3 predicted over the memory limit
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plan", default=DEFAULT_PLAN, metavar="PLAN", help=f"a plan file or a ready plan (default {DEFAULT_PLAN})"
    )
    parser.add_argument(
        "--device",
        default=DEFAULT_DEVICE,
        metavar="DEVICE",
        help=f"a device of the catalogue or a profile file (default {DEFAULT_DEVICE})",
    )
    parser.add_argument(
        "--memory-limit", type=size_argument, metavar="SIZE", help="instead of the device's, e.g. '3.3 GB'"
    )
    parser.add_argument("--os", metavar="VERSION", help="OS version whose memory limit is meant, e.g. 18.1")
    parser.add_argument("--thermal", action="store_true", help="apply the device's thermal derating")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the summary")
    parser.add_argument("--report", nargs="?", const="", metavar="HTML", help="write a report (default PLAN.html)")
    parser.add_argument(
        "--trace", nargs="?", const="", metavar="JSON", help="write the trace (default PLAN.trace.json)"
    )
    parser.add_argument(
        "--perfetto",
        nargs="?",
        const="",
        metavar="JSON",
        help="write a Chrome/Perfetto trace (default PLAN.perfetto.json)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


def run(options: argparse.Namespace) -> int:
    """Simulate as the options say. Raises UserError."""
    from plans.schema import load_plan
    from profiles.profile import load_profile
    from simulator.answer import answer
    from simulator.simulation import setting_of

    stem = Path(options.plan).stem
    outputs = {
        kind: output_path(given, f"{stem}{suffix}", options.force)
        for kind, given, suffix in (
            ("report", options.report, ".html"),
            ("trace", options.trace, ".trace.json"),
            ("perfetto", options.perfetto, ".perfetto.json"),
        )
        if given is not None
    }
    plan, document = load_plan(options.plan)
    profile, device = load_profile(options.device)
    _check_version(options.os)
    setting = setting_of(
        profile, device, plan, memory_limit=options.memory_limit, os_version=options.os, is_thermal=options.thermal
    )
    found = answer(plan, document, setting, with_what_ifs=bool(outputs) or options.json)
    _show(found.trace, as_json=options.json)
    _write(found.trace, outputs)
    return EXIT_KILLED if found.result.verdict == "killed" else EXIT_FITS


def _check_version(text: str | None) -> None:
    import re

    from profiles.errors import UserError

    if text is not None and not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", text):
        raise UserError(f"--os: '{text}' is not a version", mend="Write one such as 18 or 18.1.")


def _show(trace: object, as_json: bool) -> None:
    if as_json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(trace.result), indent=1).decode())  # type: ignore[attr-defined]
        return
    from reports.summary import print_summary

    print_summary(trace)  # type: ignore[arg-type]


def _write(trace: object, outputs: dict[str, Path]) -> None:
    for kind, path in outputs.items():
        if kind == "trace":
            from profiles.trace import write_trace

            write_trace(trace, path)  # type: ignore[arg-type]
        elif kind == "perfetto":
            from reports.perfetto import write_perfetto

            write_perfetto(trace, path)  # type: ignore[arg-type]
        else:
            from reports.html import write_report

            write_report([trace], path)  # type: ignore[list-item]
        print(f"Wrote {path}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="simulate", description=__doc__, epilog=EXAMPLES)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    return guarded(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
