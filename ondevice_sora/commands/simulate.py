"""simulate: predict how a plan runs on a device - how long, how much memory, and whether iOS ends it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ondevice_sora import __version__
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import check
from ondevice_sora.commands.common import (
    EXIT_FITS,
    EXIT_KILLED,
    distinct,
    guarded,
    json_text,
    output_path,
    refuse_without_effect,
    shape_argument,
    shown,
    stem_of,
    whole_number,
    wrote,
)
from ondevice_sora.commands.completion import answer, is_asked
from ondevice_sora.commands.options import (
    add_conditions,
    add_device,
    add_force,
    add_json,
    add_plan,
    conditions_of,
    devices_named,
    plans_of,
)
from ondevice_sora.commands.parser import Parser
from ondevice_sora.commands.which_phones import names_several, show_ladders
from ondevice_sora.profiles.blocks import Loading

if TYPE_CHECKING:
    from ondevice_sora.plans.plan_file import LoadedPlan
    from ondevice_sora.records.trace import Trace
    from ondevice_sora.simulator.changes.advice import Names
    from ondevice_sora.simulator.simulate import Simulation

DEFAULT_PLAN = "ours-256"
LOADINGS = get_args(Loading)
BOTH = "both"
EXAMPLES = """
examples:
  simulate                        our plan at 256x256 on an iPhone 15 Pro
  simulate app-256-all --device iphone15pro --report
                                  the reference app, with an HTML report
  simulate plan.yaml --json       your plan, as one JSON document
  simulate app-256-all ours-256   two plans side by side
  simulate app-256-all --device all
                                  which phones it fits
  simulate app-256-all --device all --loading both
                                  the same through Core ML, and with Core AI
  simulate steps-192 --video 192x192x120 --device all --csv
                                  five seconds of video, on every phone, as CSV
  simulate --model wan2.1-1.3b --video 480x320x49
                                  a model of the hub, before anything is decided
  simulate --repeat 3             after installing, after a launch, once more

exit status: 0 fits, 2 unusable input, 3 predicted over the memory limit
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    about = f"a plan file or a ready plan (default {DEFAULT_PLAN}); several are set side by side"
    add_plan(parser, about, several=True)
    parser.add_argument(
        "--model",
        metavar="CONFIG",
        help="instead of a plan: a shipped config (docs/models.md), a pipeline's folder or one config.json, its "
        "components whole in float16",
    )
    parser.add_argument(
        "--video",
        type=shape_argument,
        metavar="WxHxFRAMES",
        help="another shape than the plan's or the model's own, such as 480x320x49",
    )
    add_device(parser, several=True)
    parser.add_argument(
        "--loading",
        choices=(*LOADINGS, BOTH),
        help="what loads every component, whatever the plan says; both are told beside each other",
    )
    add_conditions(parser)
    parser.add_argument(
        "--repeat",
        type=whole_number(2, 100),
        metavar="N",
        help="simulate so many generations in a row: the plan's start, the next launch, then in the same launch",
    )
    add_json(parser)
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
    parser.add_argument(
        "--csv",
        nargs="?",
        const="",
        metavar="CSV",
        help="with several devices: write the table, a row a device and limit (default PLAN.csv)",
    )
    add_force(parser)


def run(options: argparse.Namespace) -> int:
    """Simulate as the options say. Raises UserError."""
    plans, devices = plans_of(options), devices_named(options)
    _check_model(options, plans)
    names = plans or [options.model or DEFAULT_PLAN]
    conditions_of(options)
    if names_several(devices):
        return _which_phones(options, names, devices)
    refuse_without_effect(options, ("csv",), "with one device", "Name several, or write --json.")
    (options.device,) = devices
    outputs = _outputs(options, names)
    loaded = [(name, plan) for name in names for plan in _loaded(name, options)]
    if len(loaded) == 1 and not outputs and not options.json:
        traces = [_shown_before_advice(*loaded[0], options)]
    else:
        traces = [_simulate(*plan, options, is_kept=bool(outputs)) for plan in loaded]
        _write(traces, outputs)
        shown(lambda: _show(traces, as_json=options.json))
    wrote(*outputs.values())
    is_killed = any(trace.result is not None and trace.result.is_killed for trace in traces)
    return EXIT_KILLED if is_killed else EXIT_FITS


def _which_phones(options: argparse.Namespace, names: list[str], devices: list[str]) -> int:
    """One plan on several devices. Raises UserError."""
    if len(names) > 1:
        raise UserError("several plans and several devices are named", mend="Name one plan, or one device.")
    unused = ("memory_limit", "repeat", "trace", "perfetto")
    mend = "Name one device, or take --report, --csv or --json."
    refuse_without_effect(options, unused, "with several devices", mend)
    mend = "Leave it out: each device is told without it and with it."
    refuse_without_effect(options, ("entitlement",), "with several devices", mend)
    stem, outputs = stem_of(options.model or names[0]), {}
    for kind, suffix in (("csv", ".csv"), ("report", ".html")):
        if (given := getattr(options, kind)) is not None:
            outputs[kind] = output_path(given, f"{stem}{suffix}", options.force, names)
    distinct(outputs.values())
    from ondevice_sora.profiles.devices import devices_named
    from ondevice_sora.simulator.ladder import which_phones

    found = [
        which_phones(loaded, devices_named(devices), options.os, options.thermal)
        for loaded in _loaded(names[0], options)
    ]
    if "csv" in outputs:
        from ondevice_sora.records.ladder import ladder_rows
        from ondevice_sora.simulator.sweep.sweep import write_table

        write_table(ladder_rows(found), outputs["csv"])
    if "report" in outputs:
        from ondevice_sora.provenance import provenance
        from ondevice_sora.reports.page.ladder import write_ladders

        write_ladders(found, stem, outputs["report"], provenance(options.command))
    status = show_ladders(found, as_json=options.json)
    wrote(*outputs.values())
    return status


def _outputs(options: argparse.Namespace, names: list[str]) -> dict[str, Path]:
    """Where to write what, checked before anything is simulated."""
    stem = stem_of(options.model or names[0])
    suffixes = {"report": ".html", "trace": ".trace.json", "perfetto": ".perfetto.json"}
    wanted = {kind: getattr(options, kind) for kind in suffixes if getattr(options, kind) is not None}
    if "trace" in wanted and len(names) > 1:
        raise UserError(f"--trace writes one plan, but {len(names)} are given", mend="Give one --plan at a time.")
    if "trace" in wanted and options.loading == BOTH:
        raise UserError(f"--trace writes one run, and --loading {BOTH} makes two", mend="Name one of them.")
    inputs = [*names, options.device]
    outputs = {
        kind: output_path(given, f"{stem}{suffixes[kind]}", options.force, inputs) for kind, given in wanted.items()
    }
    distinct(outputs.values())
    return outputs


def _shown_before_advice(name: str, loaded: LoadedPlan, options: argparse.Namespace) -> Trace:
    """Print the answer, which comes at once, and then what to change, which takes as long again."""
    from ondevice_sora.reports.terminal.summary import print_advice, print_answer

    simulation = _played(loaded, options, with_what_ifs=False)
    check()
    shown(lambda: print_answer(simulation.trace))
    advised = simulation.advised(_names(name, options))
    check()
    shown(lambda: print_advice(advised.trace))
    return advised.trace


def _simulate(name: str, loaded: LoadedPlan, options: argparse.Namespace, is_kept: bool) -> Trace:
    """`is_kept` says that something is written of it: then it says where it comes from."""
    from msgspec.structs import replace

    simulation = _played(loaded, options, with_what_ifs=is_kept or options.json).advised(_names(name, options))
    check()
    if not is_kept:
        return simulation.trace
    from ondevice_sora.provenance import provenance

    made = provenance(options.command, loaded, simulation.prepared.setting.profile)
    return replace(simulation.trace, provenance=made)


def _played(loaded: LoadedPlan, options: argparse.Namespace, with_what_ifs: bool) -> Simulation:
    from ondevice_sora.simulator.simulate import simulation_of

    setting = conditions_of(options).setting(options.device, loaded.plan)
    return simulation_of(loaded, setting, with_what_ifs, options.repeat or 1, with_advice=False)


def _names(name: str, options: argparse.Namespace) -> Names | None:
    """What a search for a better plan is told; none for what a plan file does not say as it is simulated."""
    from ondevice_sora.simulator.changes.advice import Names

    if options.model or options.video or options.loading is not None or options.entitlement:
        return None
    return Names(name, options.device)


def _loaded(name: str, options: argparse.Namespace) -> list[LoadedPlan]:
    """The plan of that name, or the one of --model, at the shape and loaded as the options say. Raises UserError."""
    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.simulator.whole import asked_plan

    given = None if options.model is not None else load_plan(name)
    loadings = [how for how in LOADINGS if options.loading in (how, BOTH)] or [None]
    plans = [asked_plan(given, options.model, options.video, how) for how in loadings]
    return [conditions_of(options).applied(plan) for plan in plans]


def _check_model(options: argparse.Namespace, plans: list[str]) -> None:
    if options.model is not None and plans:
        raise UserError("--model has no effect with --plan", mend="Give one of the two.")


def _show(traces: list[Trace], as_json: bool) -> None:
    if as_json:
        results = [trace.result for trace in traces]
        document = results[0] if len(results) == 1 else {"results": results}
        print(json_text(document))
    elif len(traces) == 1:
        from ondevice_sora.reports.terminal.summary import print_summary

        print_summary(traces[0])
    else:
        from ondevice_sora.reports.terminal.side_by_side import print_side_by_side

        print_side_by_side(traces)


def _write(traces: list[Trace], outputs: dict[str, Path]) -> None:
    for kind, path in outputs.items():
        if kind == "trace":
            from ondevice_sora.records.trace import write_trace

            write_trace(traces[0], path)
        elif kind == "perfetto":
            from ondevice_sora.reports.perfetto import write_perfetto

            write_perfetto(traces, path)
        else:
            from ondevice_sora.reports.page.report import write_report

            write_report(traces, path)


def main(arguments: list[str] | None = None) -> int:
    if arguments is None and is_asked():
        answer(_parser())
    return guarded(lambda: _run(arguments), is_program=arguments is None)


def _run(arguments: list[str] | None) -> int:
    """Raises UserError."""
    return run(_parser().parse_args(arguments))


def _parser() -> Parser:
    parser = Parser(prog="simulate", description=__doc__, epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"simulate {__version__}")
    add_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
