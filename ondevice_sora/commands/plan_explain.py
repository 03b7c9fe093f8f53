"""`plan explain`: why a plan takes as long as it does, and what would change it."""

from __future__ import annotations

import argparse

from ondevice_sora.commands.common import DEFAULT_DEVICE, EXIT_FITS, json_text, output_path, stem_of, wrote
from ondevice_sora.commands.options import (
    add_conditions,
    add_device,
    add_force,
    add_json,
    add_plan,
    conditions_of,
    plan_of,
)


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    add_plan(parser, "a plan file or a ready plan")
    add_device(parser)
    add_conditions(parser)
    add_json(parser)
    parser.add_argument(
        "--report",
        nargs="?",
        const="",
        metavar="HTML",
        help="write a page with the timeline, memory and this explanation (default PLAN.explained.html)",
    )
    add_force(parser)


def run_explain(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.simulator.changes.explain import explain
    from ondevice_sora.simulator.prepare import prepare

    plan, device = plan_of(options), options.device or DEFAULT_DEVICE
    path = None
    if options.report is not None:
        path = output_path(options.report, f"{stem_of(plan)}.explained.html", options.force, [plan, device])
    conditions = conditions_of(options)
    loaded = conditions.applied(load_plan(plan))
    setting = conditions.setting(device, loaded.plan)
    if path is None:
        explanation = explain(prepare(loaded, setting))
    else:
        from ondevice_sora.provenance import provenance
        from ondevice_sora.reports.page.report import write_plan_report
        from ondevice_sora.simulator.changes.report import plan_report

        report = plan_report(loaded, setting, provenance(options.command, loaded, setting.profile))
        write_plan_report(report, path)
        explanation = report.explanation
    if options.json:
        print(json_text(explanation))
    else:
        from ondevice_sora.reports.terminal.search import print_explanation

        print_explanation(explanation)
    if path is not None:
        wrote(path)
    return EXIT_FITS
