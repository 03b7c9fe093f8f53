"""`plan search` and `plan explain`: find the fastest plan that fits, and say why a plan takes as long as it does."""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from ondevice_sora.base import interrupts
from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.common import (
    DEFAULT_DEVICE,
    EXIT_FITS,
    distinct,
    json_text,
    output_path,
    refuse_without_effect,
    size_argument,
    wrote,
)
from ondevice_sora.commands.options import (
    add_conditions,
    add_device,
    add_force,
    add_json,
    add_plan,
    conditions_of,
    devices_named,
    entitled,
    plan_of,
    plans_of,
)
from ondevice_sora.commands.progress import status_line
from ondevice_sora.commands.which_phones import devices_of, names_several, show_ladders
from ondevice_sora.records.ladder import MOST_DOUBT

if TYPE_CHECKING:
    from ondevice_sora.plans.schema import LoadedPlan, Plan
    from ondevice_sora.profiles.devices import Device
    from ondevice_sora.records.ladder import Rung
    from ondevice_sora.records.provenance import Provenance
    from ondevice_sora.records.search import Planning, PlanReport
    from ondevice_sora.simulator.prepare import Setting
    from ondevice_sora.simulator.search.problem import Scored
    from ondevice_sora.simulator.search.state import Known

DEFAULT_PLAN, DEFAULT_STEPPED_PLAN = "ours-256", "steps-256"
"""What a search starts from, all techniques on; and one over numbers of evaluations: without TDTM."""
DEFAULT_SECONDS = 60.0
SMALLER_BUDGETS = 8
MOST_CERTAIN = 0.999
FREEDOMS = ("evaluations", "precision", "compute_units", "branches")
WITHOUT, EVALUATIONS = "without --evaluations", "Add it, such as --evaluations 6..30."
SAVED_EVERY_S, SHOWN_EVERY_S = 5.0, 0.2


def _number(is_meant: Callable[[float], bool], refusal: str) -> Callable[[str], float]:
    """A type for argparse: a number for which that holds; of any other it is said what it is not."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not is_meant(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {refusal}")
        return value

    return read


_share = _number(
    lambda value: 0.5 <= value <= MOST_CERTAIN,
    f"a quantile. Write one from 0.5 to {MOST_CERTAIN:g}, such as 0.95.",
)
_doubt = _number(lambda value: 0.0 < value <= 1.0, "a share. Write one above 0 and up to 1, such as 0.05.")
_decibels = _number(lambda value: 0.0 < value <= 1000.0, "a number of decibels above zero, such as 25.")
_seconds = _number(lambda value: 0.0 < value <= 1e6, "a number of seconds above zero.")


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    add_plan(
        parser,
        f"whose model, video, sampler, LPL, TDTM, precision and compute units are kept (default {DEFAULT_PLAN}, with "
        f"--evaluations {DEFAULT_STEPPED_PLAN}); several are searched one after the other and shown in one table",
        several=True,
    )
    add_device(parser, several=True)
    parser.add_argument(
        "--one-plan", action="store_true",
        help="with several devices: one plan for all, the best by mean time relative to each device's bound",
    )  # fmt: skip
    parser.add_argument(
        "--budget", type=size_argument, metavar="SIZE",
        help="the footprint to keep to, e.g. '3.3 GB'; without it, what is below the limit with 99 %% certainty",
    )  # fmt: skip
    parser.add_argument(
        "--keep-cuts", action="store_true",
        help="leave the plan's blocks as they are: only what is loaded ahead and what stays is chosen",
    )  # fmt: skip
    parser.add_argument(
        "--risk", type=_share, metavar="P",
        help="choose by this quantile of the costs' spread, and be as certain that the limit is not below the budget",
    )  # fmt: skip
    parser.add_argument(
        "--max-kill-share", type=_doubt, default=MOST_DOUBT, metavar="P",
        help="give no plan that is above the limit in more than this share of the draws of limit, baseline and working "
        f"memory, none of which is known exactly (default {MOST_DOUBT:g}); 1 to accept any",
    )  # fmt: skip
    parser.add_argument(
        "--evaluations", type=_counts, metavar="A..B",
        help="instead of the plan's grid and LPL: the best plan for each number of network evaluations",
    )  # fmt: skip
    parser.add_argument(
        "--precision", type=_options_of("precisions"), nargs="+", metavar="COMPONENT=A,B",
        help="what a component may be stored and computed in, such as denoiser=float32,float16 text_encoder=int8,int4",
    )  # fmt: skip
    parser.add_argument(
        "--compute-units", type=_options_of("compute units"), nargs="+", metavar="COMPONENT=A,B",
        help="where all blocks of a component may run, such as decoder=cpu_only,cpu_and_gpu",
    )  # fmt: skip
    parser.add_argument(
        "--branches", nargs="+", choices=["batch", "in_turn"], metavar="HOW",
        help="how guidance may compute its branches: both in one batch, or in_turn, every block for one and then for "
        "the other; '--branches batch in_turn' tries both",
    )  # fmt: skip
    parser.add_argument(
        "--steps", metavar="FILE",
        help="grids for --evaluations and their estimated quality, made by `steps plan` (default: the model's that "
        "ships, or else even grids)",
    )  # fmt: skip
    parser.add_argument(
        "--quality", type=_decibels, metavar="DB",
        help="with --evaluations, the plan to write: the fastest whose latents are estimated to come so near to those "
        "of all steps",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=_seconds, default=DEFAULT_SECONDS, metavar="N",
        help=f"stop after so many seconds with the best so far (default {DEFAULT_SECONDS:g})",
    )  # fmt: skip
    parser.add_argument("-o", "--output", metavar="YAML", help="write the plan found")
    parser.add_argument(
        "--pareto", nargs="?", const="", metavar="JSON",
        help="show the fronts, of seconds and budget and others; with a name, write them as JSON too, with the plans",
    )  # fmt: skip
    parser.add_argument("--front", metavar="DIR", help="write a plan for each budget of the front into this folder")
    parser.add_argument("--report", nargs="?", const="", metavar="HTML", help="write a page (default PLAN.search.html)")
    parser.add_argument(
        "--state", metavar="FILE", help="keep what was tried in this file, and go on from it if it is there"
    )
    add_conditions(parser)
    add_json(parser)
    add_force(parser)


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    add_plan(parser, "a plan file or a ready plan")
    add_device(parser)
    add_conditions(parser)
    add_json(parser)
    parser.add_argument(
        "--report", nargs="?", const="", metavar="HTML",
        help="write a page with the timeline, memory and this explanation (default PLAN.explained.html)",
    )  # fmt: skip
    add_force(parser)


def _counts(text: str) -> range:
    found = re.fullmatch(r"([0-9]{1,4})(?:\.\.([0-9]{1,4}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of evaluations. Write one such as 6..30, or 8.")
    return range(first, last + 1)


def _options_of(what: str) -> Callable[[str], tuple[str, list[str]]]:
    """A type for argparse: COMPONENT=A,B, of precisions or of compute units."""

    def read(text: str) -> tuple[str, list[str]]:
        from typing import get_args

        from ondevice_sora.profiles.blocks import ComputeUnits
        from ondevice_sora.profiles.models.model import Precision

        known = get_args(Precision if what == "precisions" else ComputeUnits)
        name, _, listed = text.partition("=")
        options = listed.split(",")
        if not name or any(each not in known for each in options):
            raise argparse.ArgumentTypeError(
                f"{text!r} does not name {what}. Write COMPONENT=A,B with some of {', '.join(known)}."
            )
        return name, list(dict.fromkeys(options))

    return read


def run_search(options: argparse.Namespace) -> int:
    """Raises UserError."""
    import msgspec

    from ondevice_sora.base.files.writing import write_json, write_yaml
    from ondevice_sora.plans.schema import plan_data

    devices = devices_named(options)
    models = plans_of(options) or [DEFAULT_STEPPED_PLAN if options.evaluations else DEFAULT_PLAN]
    conditions_of(options)
    if names_several(devices):
        if not options.one_plan:
            return _which_phones(options, models, devices)
        devices = [device.key for device in devices_of(devices)]
    elif options.one_plan:
        raise UserError("--one-plan has no effect with one device", mend="Leave it out, or name more with --device.")
    if any(getattr(options, name) for name in FREEDOMS):
        refuse_without_effect(options, () if options.evaluations else ("steps", "quality"), WITHOUT, EVALUATIONS)
        return run_variants(options, models, devices)
    refuse_without_effect(options, ("steps", "quality"), WITHOUT, EVALUATIONS)
    outputs = _outputs(options, models, devices)
    folder = _folder(options, models)
    plannings: dict[str, Planning] = {}
    written_front: list[Path] = []
    for model in models:
        try:
            searched = _search(model, devices, options)
        except KeyboardInterrupt:
            if not plannings:
                raise
            break  # of this model there is nothing to show
        plannings[model] = answer = searched.answer
        if "output" in outputs:
            comment = f"Found by `ondevice-sora plan search` for {', '.join(devices)}: "
            comment += f"{answer.rows[0].total_s:.6f} s predicted."
            found = searched.best.moved_to(outputs["output"].parent)
            write_yaml(outputs["output"], plan_data(found), comment)
        if folder is not None:
            written_front = _write_front(searched, folder, options.force)
        if answer.ending == "interrupted":
            break
        if (report := outputs.get(_report_of(model, models))) is not None:
            written = f"the plan found is in {outputs['output']}, " if "output" in outputs else ""
            with interrupts.keeping(f"{written}no report was written{_going_on(options, 'with --force ')}"):
                _write_report(searched, report, options.command)
    answers = list(plannings.values())
    if options.json:
        document = answers[0] if len(models) == 1 else {"results": plannings}
        print(json_text(document))
    else:
        from ondevice_sora.reports.terminal.search import print_front, print_planning

        print_planning(plannings)
        if options.pareto is not None:
            for planning in answers:
                print_front(planning)
    if "pareto" in outputs:
        data = msgspec.to_builtins(answers[0])
        write_json(outputs["pareto"], {key: data[key] for key in ("memory_front", "storage_front", "package_front")})
    wrote(*(path for path in [*outputs.values(), *written_front] if path.exists()))
    if answers[-1].ending != "interrupted" and len(answers) == len(models):
        return EXIT_FITS
    written = f"the best plan so far is in {outputs['output']}" if "output" in outputs else "the best so far is shown"
    print(f"interrupted: {written}{_going_on(options, 'with --force ' if outputs else '')}", file=sys.stderr)
    return interrupts.exit_status()


def _which_phones(options: argparse.Namespace, models: list[str], devices: list[str]) -> int:
    """On each of several devices the plan found for it. Raises UserError."""
    from msgspec.structs import replace

    from ondevice_sora.plans.schema import load_plan
    from ondevice_sora.simulator.core_ai import assumptions
    from ondevice_sora.simulator.ladder import ladder
    from ondevice_sora.simulator.prepare import model_of
    from ondevice_sora.simulator.unpriced import unpriced_in

    unused = (
        "budget", "memory_limit", "entitlement", "evaluations", "steps", "quality", "output", "pareto", "front",
        "report", "state",
    )  # fmt: skip
    refuse_without_effect(options, unused, "with several devices", "Leave it out, or name one device.")
    if len(models) > 1:
        raise UserError("several plans and several devices are named", mend="Name one plan, or one device.")

    def attempt(device: Device, rung: Rung) -> Rung:
        row = _search(models[0], [device.key], options, entitlement=rung.entitlement).answer.rows[0]
        return replace(
            rung,
            verdict=row.verdict,
            total_s=row.total_s if row.verdict == "fits" else None,
            unlimited_s=row.total_s,
            peak_bytes=row.peak_bytes,
            kill_share=row.kill_share,
        )

    loaded = load_plan(models[0])
    notes = [*filter(None, [unpriced_in(model_of(loaded).model)]), *assumptions(loaded.plan)]
    found = ladder(models[0], devices_of(devices), attempt, notes)
    return show_ladders([found], as_json=options.json)


def _outputs(options: argparse.Namespace, models: list[str], devices: list[str]) -> dict[str, Path]:
    """Where to write what was asked for, checked before the search. Raises UserError."""
    defaults = {"output": "plan.yaml", "pareto": "fronts.json", "report": f"{Path(models[0]).stem}.search.html"}
    asked = {
        name: given for name in defaults if (given := getattr(options, name)) or (name == "report" and given == "")
    }
    if len(models) > 1 and (any(asked.values()) or options.state):
        option = next((f"--{name}" for name in ("output", "pareto", "report") if asked.get(name)), "--state")
        raise UserError(
            f"{option} names one file, and {len(models)} plans are searched",
            mend="Name one plan." if option != "--report" else "Leave the name out: each plan then gets a page.",
        )
    inputs = [*models, *devices, *([options.state] if options.state else [])]
    outputs = {name: output_path(given, defaults[name], options.force, inputs) for name, given in asked.items()}
    if "report" in outputs and len(models) > 1:
        del outputs["report"]
        for model in models:
            page = output_path("", f"{Path(model).stem}.search.html", options.force, inputs)
            outputs[_report_of(model, models)] = page
    distinct(outputs.values())
    return outputs


def _report_of(model: str, models: list[str]) -> str:
    """What the page of a model is called among the outputs."""
    return "report" if len(models) == 1 else f"report of {model}"


def _folder(options: argparse.Namespace, models: list[str]) -> Path | None:
    """Where the plans of the front go: a new or an empty folder, unless --force is given. Raises UserError."""
    if options.front is None:
        return None
    if len(models) > 1:
        raise UserError("several plans are searched, and one folder is named", "--front", "Name one plan.")
    folder = Path(options.front)
    if folder.exists() and not folder.is_dir():
        raise UserError("this is not a folder", options.front, "Name another one.")
    if folder.is_dir() and any(folder.iterdir()) and not options.force:
        raise UserError("the folder is not empty", options.front, "Name another one, or write into it with --force.")
    if not folder.parent.is_dir():
        raise UserError(f"there is no folder {folder.parent}", options.front, "Make the folder first.")
    return folder


def _write_front(searched: _Searched, folder: Path, force: bool) -> list[Path]:
    """Write the plans of the front, each named by its budget. Raises UserError."""
    from ondevice_sora.base.files.writing import write_yaml
    from ondevice_sora.base.units import format_bytes

    folder.mkdir(exist_ok=True)
    model = searched.best.moved_to(folder).model
    written = []
    for point in searched.answer.memory_front:
        path = output_path(str(folder / f"{format_bytes(point.budget_bytes).replace(' ', '')}.yaml"), "", force)
        write_yaml(path, {**point.plan, "model": model}, f"{point.total_s:.6f} s predicted.")
        written.append(path)
    return written


class _Searched(NamedTuple):
    model: str
    answer: Planning
    best: LoadedPlan
    settings: list[Setting]


def _search(model: str, devices: list[str], options: argparse.Namespace, entitlement: bool | None = None) -> _Searched:
    """With or without the entitlement, or as the plan says. Raises UserError, and Interrupted if there is no plan."""
    from msgspec.structs import replace

    from ondevice_sora.plans.schema import LoadedPlan, load_plan
    from ondevice_sora.simulator.search.comparison import budget_for, find_plan_for, other_budget
    from ondevice_sora.simulator.search.state import fingerprint, load_state, save_state

    loaded = entitled(load_plan(model), options)
    if entitlement is not None:
        loaded = loaded.changed(memory=replace(loaded.plan.memory, entitlement=entitlement))
    plan = loaded.plan
    settings = _settings(plan, devices, options)
    budget = budget_for(settings, options.budget, options.risk, options.max_kill_share)
    beside = other_budget(settings, budget[0])
    if options.budget is not None and options.budget > budget[0]:
        beside = options.budget  # what was asked for is shown, and its doubt
    is_front_asked = any(asked is not None for asked in (options.pareto, options.front, options.report))
    known: Known = {}
    about = fingerprint(plan, settings)
    if options.state:
        known = load_state(Path(options.state), about)
    with (
        interrupts.keeping(f"no plan was found yet{_going_on(options)}"),
        status_line() as say,
        _Progress(say, lambda: save_state(Path(options.state), about, known) if options.state else None) as progress,
    ):
        answer, best = find_plan_for(
            loaded, settings, budget, options.risk, options.seconds, progress,
            SMALLER_BUDGETS if is_front_asked else 0, known, beside, options.max_kill_share, options.keep_cuts,
        )  # fmt: skip
    return _Searched(model, answer, LoadedPlan(best, loaded.document), settings)


def _settings(plan: Plan, devices: list[str], options: argparse.Namespace) -> list[Setting]:
    """Raises UserError."""
    from ondevice_sora.profiles.profile import load_profile
    from ondevice_sora.simulator.prepare import setting_of

    return [setting_of(*load_profile(name), plan, **conditions_of(options)) for name in devices]


def run_variants(options: argparse.Namespace, models: list[str], devices: list[str]) -> int:
    """The best plan of every choice of what is free besides the partition.

    Raises UserError, and Interrupted if there is no plan yet.
    """

    from ondevice_sora.base.files.writing import write_yaml
    from ondevice_sora.base.units import format_bytes
    from ondevice_sora.plans.schema import load_plan
    from ondevice_sora.plans.step_file import read_steps, shipped_steps
    from ondevice_sora.records.search import RefusedVariant, VariantPoint
    from ondevice_sora.reports.terminal.search import print_variants
    from ondevice_sora.simulator.search.comparison import budget_for
    from ondevice_sora.simulator.search.variants import Freedoms, search_variants

    which = next(f"--{name.replace('_', '-')}" for name in FREEDOMS if getattr(options, name))
    refuse_without_effect(options, ("pareto", "report", "state", "keep_cuts"), f"with {which}", "Leave it out.")
    if len(models) > 1:
        raise UserError(f"{which} searches one plan, and {len(models)} are named", "--plan", "Name one of them.")
    counts: Sequence[int] = options.evaluations or ()
    if options.output and options.quality is None and len(counts) > 1:
        mend = "Say how near it must come with --quality, or ask for one number of evaluations."
        raise UserError("which plan of the front is to be written?", "-o", mend)
    loaded = entitled(load_plan(models[0]), options)
    shipped = shipped_steps(loaded.plan.model_name) if counts else None
    path = Path(options.steps) if options.steps else shipped
    file = read_steps(path) if path is not None else None
    if file is not None and file.model != loaded.plan.model_name:
        what = f"these grids are of the model '{file.model}', and the plan's model is '{loaded.plan.model_name}'"
        raise UserError(what, str(path), "Name a file that `ondevice-sora steps plan` made of the plan's model.")
    if options.quality is not None and file is None:
        what = f"nothing is known of the quality of fewer evaluations of '{loaded.plan.model_name}'"
        raise UserError(what, "--quality", "Make a file of planned grids with `steps plan`, and name it with --steps.")
    branches = tuple(dict.fromkeys(options.branches or ()))
    freedoms = Freedoms(counts, file, dict(options.precision or ()), dict(options.compute_units or ()), branches)
    inputs = [models[0], *devices, *([options.steps] if options.steps else [])]
    output = output_path(options.output, "plan.yaml", options.force, inputs) if options.output else None
    folder = _folder(options, models)
    settings = _settings(loaded.plan, devices, options)
    budget, source = budget_for(settings, options.budget, options.risk, options.max_kill_share)
    found: list[VariantPoint | RefusedVariant] = []
    with (
        interrupts.keeping("no plan was found yet"),
        status_line() as say,
        _Progress(say, lambda: None) as progress,
    ):
        for point in search_variants(
            loaded, settings, budget, freedoms, options.max_kill_share, options.seconds, progress
        ):
            found.append(point)
    points = [each for each in found if isinstance(each, VariantPoint)]
    if options.json:
        print(json_text(found))
    else:
        print_variants(found, f"{loaded.plan.name}, {', '.join(devices)}; {format_bytes(budget)}, {source}")
    written = []
    good = [each for each in points if options.quality is None or (each.estimated_db or inf) >= options.quality]
    if not good:
        what = f"no number of evaluations among these is estimated to come within {options.quality:g} dB"
        raise UserError(what, "--quality", "Ask for less, or for more --evaluations.")
    least = min(good, key=lambda each: each.total_s)
    if options.quality is not None and not options.json:
        print(
            f"{least.evaluations} evaluations are the fastest that are estimated to come within {options.quality:g} dB."
        )
    if output is not None:
        here = loaded.moved_to(output.parent).model
        write_yaml(output, {**least.plan, "model": here}, f"{least.total_s:.6f} s predicted.")
        written.append(output)
    if folder is not None:
        folder.mkdir(exist_ok=True)
        here = loaded.moved_to(folder).model
        for each in points:
            branches_of = [each.branches] if each.branches else []
            chosen = [str(each.evaluations), *branches_of, *each.precision.values(), *each.compute_units.values()]
            name = output_path(str(folder / f"{'-'.join(chosen)}.yaml"), "", options.force)
            write_yaml(name, {**each.plan, "model": here}, f"{each.total_s:.6f} s predicted.")
            written.append(name)
    wrote(*written)
    if points[-1].ending != "interrupted":
        return EXIT_FITS
    print("interrupted: what was found so far is shown", file=sys.stderr)
    return interrupts.exit_status()


def _going_on(options: argparse.Namespace, how: str = "") -> str:
    return f"; the same command {how}goes on from {options.state}" if options.state else ""


def _write_report(searched: _Searched, path: Path, command: str) -> None:
    """Raises UserError."""
    from ondevice_sora.plans.schema import LoadedPlan
    from ondevice_sora.provenance import provenance
    from ondevice_sora.records.search import SearchReport
    from ondevice_sora.reports.page.search import write_search

    best, setting = searched.best, searched.settings[0]
    made = provenance(command, LoadedPlan(best.plan), setting.profile)
    write_search(SearchReport(searched.model, searched.answer, _plan_report(best, setting, made)), path)


def _plan_report(loaded: LoadedPlan, setting: Setting, made: Provenance) -> PlanReport:
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


class _Progress:
    """Tells `say` how far the search is, a few times a second, and calls `save` now and then.

    Ctrl-C and SIGTERM are raised from here, once there is a plan.
    """

    def __init__(self, say: Callable[[str], None], save: Callable[[], None]) -> None:
        self.say = say
        self.save = save
        self.shown_at = 0.0
        self.saved_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.save()

    def __call__(self, phase: str, best: Scored | None, num_evaluated: int) -> None:
        if best is None:
            return
        interrupts.check()
        now = time.monotonic()
        if now - self.shown_at > SHOWN_EVERY_S:
            self.shown_at = now
            totals = ", ".join(f"{total:.2f} s" for total in best.totals_s)
            self.say(f"{phase}: {num_evaluated:,} plans, best {totals}")
        if now - self.saved_at > SAVED_EVERY_S:
            self.save()
            self.saved_at = time.monotonic()


def run_explain(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.plans.schema import load_plan
    from ondevice_sora.simulator.changes.explain import explain
    from ondevice_sora.simulator.prepare import asked, prepare

    plan, device = plan_of(options), options.device or DEFAULT_DEVICE
    path = None
    if options.report is not None:
        path = output_path(options.report, f"{Path(plan).stem}.explained.html", options.force, [plan, device])
    loaded, setting = asked(entitled(load_plan(plan), options), device, **conditions_of(options))
    if path is None:
        explanation = explain(prepare(loaded, setting))
    else:
        from ondevice_sora.provenance import provenance
        from ondevice_sora.reports.page.report import write_plan_report

        report = _plan_report(loaded, setting, provenance(options.command, loaded, setting.profile))
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
