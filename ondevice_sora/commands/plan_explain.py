"""`plan explain`: why a plan takes as long as it does, and what would change it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ondevice_sora.base import interrupts
from ondevice_sora.commands.common import DEFAULT_DEVICE, EXIT_FITS, json_text, output_path, stem_of, wrote
from ondevice_sora.commands.options import (
    add_conditions,
    add_device,
    add_force,
    add_json,
    add_plan,
    conditions_of,
    entitled,
    plan_of,
)

if TYPE_CHECKING:
    from ondevice_sora.plans.plan_file import LoadedPlan
    from ondevice_sora.records.provenance import Provenance
    from ondevice_sora.records.search import PlanReport
    from ondevice_sora.simulator.prepare import Setting


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
    from ondevice_sora.simulator.prepare import load_inputs, prepare

    plan, device = plan_of(options), options.device or DEFAULT_DEVICE
    path = None
    if options.report is not None:
        path = output_path(options.report, f"{stem_of(plan)}.explained.html", options.force, [plan, device])
    loaded, setting = load_inputs(entitled(load_plan(plan), options), device, **conditions_of(options))
    if path is None:
        explanation = explain(prepare(loaded, setting))
    else:
        from ondevice_sora.provenance import provenance
        from ondevice_sora.reports.page.report import write_plan_report

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


def plan_report(loaded: LoadedPlan, setting: Setting, made: Provenance) -> PlanReport:
    """Raises UserError."""
    from msgspec.structs import replace

    from ondevice_sora.records.search import PlanReport
    from ondevice_sora.simulator.changes.explain import explain
    from ondevice_sora.simulator.changes.sensitivity import sensitivities
    from ondevice_sora.simulator.simulate import simulation_of

    simulation = simulation_of(loaded, setting, with_what_ifs=True)
    interrupts.check()
    explanation = explain(simulation.prepared)
    interrupts.check()
    sensitive = sensitivities(simulation.prepared)
    interrupts.check()
    return PlanReport(replace(simulation.trace, provenance=made), explanation, sensitive)
