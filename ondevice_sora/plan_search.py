"""`plan search` and `plan explain`: find the fastest plan that fits, and say why a plan takes as long as it does."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.common import EXIT_FITS, EXIT_INTERRUPTED, output_path, size_argument
from profiles.errors import UserError

if TYPE_CHECKING:
    from plans.schema import Plan
    from profiles.documents import Document
    from simulator.problem import Scored

MODELS = {"opensora-256": "ours-256", "opensora-192": "ours-192"}
"""Where a search for a model starts: everything on."""
DEFAULT_DEVICE = "iphone15pro"
DEFAULT_SECONDS = 60.0
SMALLER_BUDGETS = 6


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    _add_device(parser)
    parser.add_argument(
        "--devices", metavar="A,B,C", help="one plan for several devices, best by its mean time over each one's bound"
    )
    parser.add_argument(
        "--model", default="opensora-256", metavar="MODEL",
        help="opensora-256 (default), opensora-192, or a plan whose video, sampler, LPL, TDTM, precision and compute "
        "units are kept",
    )  # fmt: skip
    parser.add_argument("--memory", type=size_argument, metavar="SIZE", help="the footprint to keep to, e.g. '3.3 GB'")
    parser.add_argument(
        "--risk", type=_share, metavar="P", help="choose by this quantile of the costs' spread, e.g. 0.95"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=DEFAULT_SECONDS, metavar="N",
        help=f"stop after so many seconds with the best so far (default {DEFAULT_SECONDS:g})",
    )  # fmt: skip
    parser.add_argument("-o", "--output", metavar="YAML", help="write the plan found")
    parser.add_argument(
        "--pareto", nargs="?", const="", metavar="JSON", help="show the fronts; with a name, write them as JSON too"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the tables")
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", help="a plan file or a ready plan")
    _add_device(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the tables")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", metavar="DEVICE",
        help=f"a device of the catalogue or a profile file (default {DEFAULT_DEVICE})",
    )  # fmt: skip


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.5 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a quantile. Write one from 0.5 to below 1, such as 0.95.")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above zero.")
    return value


def run_search(options: argparse.Namespace) -> int:
    """Raises UserError."""
    import msgspec

    from plans.schema import load_plan, plan_data
    from profiles.documents import write_json, write_yaml
    from profiles.profile import load_profile
    from simulator.planning import budget_for, find_plan_for
    from simulator.simulation import setting_of

    if options.device is not None and options.devices is not None:
        raise UserError("--device and --devices are both given", mend="Give one of the two.")
    names = [name.strip() for name in (options.devices or options.device or DEFAULT_DEVICE).split(",")]
    source = MODELS.get(options.model, options.model)
    inputs = [source, *names]
    output = output_path(options.output, "", options.force, inputs) if options.output else None
    fronts = output_path(options.pareto, "", options.force, inputs) if options.pareto else None
    if output is not None and fronts is not None and output.resolve() == fronts.resolve():
        raise UserError("two outputs have the same name", mend="Give each its own.")
    plan, document = load_plan(source)
    settings = []
    for name in names:
        profile, device = load_profile(name)
        settings.append(setting_of(profile, device, plan))
    budget = budget_for(settings, options.memory, options.risk)
    progress = _Progress(sys.stderr.isatty())
    answer, best = find_plan_for(
        plan, document, settings, budget, options.risk, options.seconds, progress,
        SMALLER_BUDGETS if options.pareto is not None else 0,
    )  # fmt: skip
    progress.end()
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())
    else:
        from reports.planning import print_front, print_planning

        print_planning(answer)
        if options.pareto is not None:
            print_front(answer)
    if output is not None:
        found = answer.rows[0]
        comment = f"Found by `ondevice-sora plan search` for {', '.join(names)}: {found.total_s:.6f} s predicted."
        write_yaml(output, plan_data(_movable(best, document, output)), comment)
        print(f"Wrote {output}", file=sys.stderr)
    if fronts is not None:
        data = msgspec.to_builtins(answer)
        write_json(fronts, {key: data[key] for key in ("memory_front", "storage_front", "package_front")})
        print(f"Wrote {fronts}", file=sys.stderr)
    return EXIT_INTERRUPTED if answer.ending == "interrupted" else EXIT_FITS


def _movable(plan: Plan, document: Document, output: Path) -> Plan:
    """The plan with the path of a listed model taken from where the plan is written."""
    from msgspec.structs import replace

    if not plan.model.endswith((".yaml", ".yml", ".json")):
        return plan
    model = document.file_of("$.model").parent / plan.model
    return replace(plan, model=os.path.relpath(model.resolve(), output.parent.resolve()))


class _Progress:
    """One line that is overwritten, a few times a second, where somebody is looking."""

    def __init__(self, is_shown: bool) -> None:
        self.is_shown = is_shown
        self.shown_at = 0.0

    def __call__(self, phase: str, best: Scored | None, num_evaluated: int) -> None:
        now = time.monotonic()
        if self.is_shown and best is not None and now - self.shown_at > 0.2:
            self.shown_at = now
            totals = ", ".join(f"{total:.2f} s" for total in best.totals_s)
            print(f"\r{phase}: {num_evaluated:,} plans, best {totals}   ", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.is_shown and self.shown_at:
            print(file=sys.stderr)


def run_explain(options: argparse.Namespace) -> int:
    """Raises UserError."""
    import msgspec

    from plans.schema import load_plan
    from profiles.profile import load_profile
    from simulator.explain import explain
    from simulator.simulation import setting_of

    plan, document = load_plan(options.plan)
    profile, device = load_profile(options.device or DEFAULT_DEVICE)
    explanation = explain(plan, document, setting_of(profile, device, plan))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(explanation), indent=1).decode())
    else:
        from reports.planning import print_explanation

        print_explanation(explanation)
    return EXIT_FITS
