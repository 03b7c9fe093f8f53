"""simulate: predict how a plan runs on a device - how long, how much memory, and whether iOS ends it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import check
from ondevice_sora.commands.common import (
    DEFAULT_DEVICE,
    EXIT_FITS,
    EXIT_KILLED,
    Parser,
    distinct,
    guarded,
    json_text,
    output_path,
    refuse_without_effect,
    shape_argument,
    shown,
    size_argument,
    whole_number,
)
from ondevice_sora.commands.which_phones import HELP as SEVERAL_HELP
from ondevice_sora.commands.which_phones import devices_of, names_several, show_ladders
from ondevice_sora.profiles.blocks import Loading

if TYPE_CHECKING:
    from ondevice_sora.plans.schema import LoadedPlan
    from ondevice_sora.records.ladder import Ladder
    from ondevice_sora.records.trace import Trace
    from ondevice_sora.simulator.changes.advice import Names
    from ondevice_sora.simulator.simulate import Simulation

DEFAULT_PLAN = "ours-256"
LOADINGS = get_args(Loading)
BOTH = "both"
EXAMPLES = """
examples:
  simulate                                                    our plan at 256x256 on an iPhone 15 Pro
  simulate --device iphone15pro --plan app-256-all --report   the reference app, with an HTML report
  simulate --plan plan.yaml --json                            your plan, as one JSON document
  simulate --plan app-256-all --plan ours-256                 two plans side by side
  simulate --device all --plan app-256-all                    which phones it fits
  simulate --device all --plan app-256-all --loading both     the same through Core ML, and compiled for Core AI
  simulate --model wan2.1-1.3b --video 480x320x49             a model of the hub, before anything is decided
  simulate --repeat 3                                         after installing, at the next launch, and once more

exit status: 0 fits, 2 unusable input, 3 predicted over the memory limit
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plan",
        action="append",
        metavar="PLAN",
        help=f"a plan file or a ready plan (default {DEFAULT_PLAN}); several are set side by side",
    )
    parser.add_argument(
        "--model",
        metavar="CONFIG",
        help="instead of a plan: a shipped config (docs/models.md), its components whole in float16",
    )
    parser.add_argument(
        "--video", type=shape_argument, metavar="WxHxFRAMES", help="the shape for --model, such as 480x320x49"
    )
    parser.add_argument(
        "--device",
        default=DEFAULT_DEVICE,
        metavar="DEVICE",
        help=f"a device of the catalogue or a profile file (default {DEFAULT_DEVICE}){SEVERAL_HELP}",
    )
    parser.add_argument(
        "--loading",
        choices=(*LOADINGS, BOTH),
        help="what loads every component, whatever the plan says; both are told beside each other",
    )
    parser.add_argument(
        "--memory-limit", type=size_argument, metavar="SIZE", help="instead of the device's, e.g. '3.3 GB'"
    )
    parser.add_argument("--entitlement", action="store_true", help="the app has the increased-memory entitlement")
    parser.add_argument("--os", metavar="VERSION", help="OS version whose memory limit is meant, e.g. 18.1")
    parser.add_argument("--thermal", action="store_true", help="apply the device's thermal derating")
    parser.add_argument(
        "--repeat",
        type=whole_number(2, 100),
        metavar="N",
        help="simulate so many generations in a row: the plan's start, the next launch, then in the same launch",
    )
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
    _check_model(options)
    names = options.plan or [options.model or DEFAULT_PLAN]
    _check_limit(options)
    if names_several(options.device):
        return _which_phones(options, names)
    outputs = _outputs(options, names)
    plans = [(name, plan) for name in names for plan in _loaded(name, options)]
    if len(plans) == 1 and not outputs and not options.json:
        traces = [_shown_before_advice(*plans[0], options)]
    else:
        traces = [_simulate(*plan, options, is_kept=bool(outputs)) for plan in plans]
        _write(traces, outputs)
        shown(lambda: _show(traces, as_json=options.json))
    for path in outputs.values():
        print(f"Wrote {path}", file=sys.stderr)
    is_killed = any(trace.result is not None and trace.result.is_killed for trace in traces)
    return EXIT_KILLED if is_killed else EXIT_FITS


def _which_phones(options: argparse.Namespace, names: list[str]) -> int:
    """One plan on several devices. Raises UserError."""
    if len(names) > 1:
        raise UserError("several plans and several devices are named", mend="Name one plan, or one device.")
    unused = ("memory_limit", "entitlement", "repeat", "report", "trace", "perfetto")
    refuse_without_effect(options, unused, "with several devices", "Leave it out, or name one device.")
    from ondevice_sora.simulator.core_ai import assumptions
    from ondevice_sora.simulator.ladder import ladder, simulated
    from ondevice_sora.simulator.prepare import model_of
    from ondevice_sora.simulator.unpriced import unpriced_in

    def tried(loaded: LoadedPlan) -> Ladder:
        return ladder(
            loaded.plan.name,
            devices_of(options.device),
            lambda device, rung: simulated(loaded, device.key, rung, options.os, options.thermal),
            [*filter(None, [unpriced_in(model_of(loaded).model)]), *assumptions(loaded.plan)],
        )

    return show_ladders([tried(loaded) for loaded in _loaded(names[0], options)], as_json=options.json)


def _outputs(options: argparse.Namespace, names: list[str]) -> dict[str, Path]:
    """Where to write what, checked before anything is simulated."""
    stem = options.model or Path(names[0]).stem
    suffixes = {"report": ".html", "trace": ".trace.json", "perfetto": ".perfetto.json"}
    wanted = {kind: getattr(options, kind) for kind in suffixes if getattr(options, kind) is not None}
    for kind in ("trace", "perfetto"):
        if kind in wanted and len(names) > 1:
            raise UserError(f"--{kind} writes one plan, but {len(names)} are given", mend="Give one --plan at a time.")
        if kind in wanted and options.loading == BOTH:
            raise UserError(f"--{kind} writes one run, and --loading {BOTH} makes two", mend="Name one of them.")
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
    from ondevice_sora.simulator.simulate import simulate

    return simulate(
        loaded,
        options.device,
        memory_limit=options.memory_limit,
        os_version=options.os,
        is_thermal=options.thermal,
        with_what_ifs=with_what_ifs,
        repeat=options.repeat or 1,
        with_advice=False,
    )


def _names(name: str, options: argparse.Namespace) -> Names | None:
    """What a search for a better plan is told; none for what a plan file does not say as it is simulated."""
    from ondevice_sora.simulator.changes.advice import Names

    if options.model is not None or options.loading is not None or options.entitlement:
        return None
    return Names(name, options.device)


def _loaded(name: str, options: argparse.Namespace) -> list[LoadedPlan]:
    """The plan of that name, or the one of --model, loaded as --loading says. Raises UserError."""
    plan = _named(name, options)
    if options.loading is None:
        return [plan]
    from ondevice_sora.simulator.whole import loaded_by

    return [loaded_by(plan, how) for how in LOADINGS if options.loading in (how, BOTH)]


def _named(name: str, options: argparse.Namespace) -> LoadedPlan:
    """Raises UserError."""
    from msgspec.structs import replace

    if options.model is not None:
        from ondevice_sora.simulator.whole import whole_plan

        loaded = whole_plan(options.model, options.video)
    else:
        from ondevice_sora.plans.schema import load_plan

        loaded = load_plan(name)
    if options.entitlement:
        loaded = loaded.changed(memory=replace(loaded.plan.memory, entitlement=True))
    return loaded


def _check_model(options: argparse.Namespace) -> None:
    if options.model is not None and options.plan is not None:
        raise UserError("--model has no effect with --plan", mend="Give one of the two.")
    if options.video is not None and options.model is None:
        raise UserError("--video has no effect without --model", mend="A plan has its own `video`.")


def _check_limit(options: argparse.Namespace) -> None:
    import re

    if options.os is not None and not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", options.os):
        raise UserError(f"--os: '{options.os}' is not a version", mend="Write one such as 18 or 18.1.")
    for option in ("os", "entitlement"):
        if getattr(options, option) and options.memory_limit is not None:
            raise UserError(f"--{option} has no effect with --memory-limit", mend="Give one of the two.")


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

            write_perfetto(traces[0], path)
        else:
            from ondevice_sora.reports.page.report import write_report

            write_report(traces, path)


def main(arguments: list[str] | None = None) -> int:
    return guarded(lambda: _run(arguments), is_program=arguments is None)


def _run(arguments: list[str] | None) -> int:
    """Raises UserError."""
    parser = Parser(prog="simulate", description=__doc__, epilog=EXAMPLES)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
