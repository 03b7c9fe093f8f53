"""`plan search`: find the fastest plan that fits, for one device, for several with one plan, or for each of several."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base import interrupts
from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.common import (
    DEFAULT_DEVICE,
    EXIT_FITS,
    distinct,
    json_text,
    output_path,
    refuse_without_effect,
    stem_of,
    wrote,
)
from ondevice_sora.commands.options import conditions_of, devices_named, plans_of
from ondevice_sora.commands.plan_variants import search_variants_of
from ondevice_sora.commands.search_options import DEFAULT_PLAN, DEFAULT_STEPPED_PLAN, FREEDOMS
from ondevice_sora.commands.searching import going_on, plans_folder, search_one
from ondevice_sora.commands.which_phones import names_several, show_ladders

if TYPE_CHECKING:
    from ondevice_sora.profiles.devices import Device
    from ondevice_sora.records.ladder import Rung
    from ondevice_sora.simulator.search.asked import Searched

WITHOUT, EVALUATIONS = "without --evaluations", "Add it, such as --evaluations 6..30."


def run_search(options: argparse.Namespace) -> int:
    """Raises UserError, and Interrupted if there is no plan."""
    devices = devices_named(options)
    models = plans_of(options) or [DEFAULT_STEPPED_PLAN if options.evaluations else DEFAULT_PLAN]
    conditions_of(options)
    if names_several(devices):
        if not options.one_plan:
            return _which_phones(options, models, devices)
        from ondevice_sora.profiles.devices import devices_named as devices_of

        devices = [device.key for device in devices_of(devices)]
    elif options.one_plan:
        raise UserError("--one-plan has no effect with one device", mend="Leave it out, or name more with --device.")
    refuse_without_effect(options, () if options.evaluations else ("steps", "quality"), WITHOUT, EVALUATIONS)
    if any(getattr(options, name) for name in FREEDOMS):
        return search_variants_of(options, models, devices)
    return _search(options, models, devices)


def _search(options: argparse.Namespace, models: list[str], devices: list[str]) -> int:
    """The plans one after the other; Ctrl-C ends them with what there is. Raises UserError."""
    outputs = _outputs(options, models, devices)
    folder = plans_folder(options, models)
    found: dict[str, Searched] = {}
    front: list[Path] = []
    is_interrupted = False
    for model in models:
        try:
            found[model] = searched = search_one(model, devices, options)
        except KeyboardInterrupt:
            if not found:
                raise
            is_interrupted = True  # of this model there is nothing to show
            break
        if "output" in outputs:
            _write_plan(searched, outputs["output"], devices)
        if folder is not None:
            front = _write_front(searched, folder, options.force)
        if is_interrupted := searched.planning.ending == "interrupted":
            break
        if (page := outputs.get(_report_of(model, models))) is not None:
            written = f"the plan found is in {outputs['output']}, " if "output" in outputs else ""
            with interrupts.keeping(f"{written}no report was written{going_on(options, 'with --force ')}"):
                _write_report(searched, model, page, options.command)
    _show(found, options, is_one=len(models) == 1)
    if "pareto" in outputs:
        _write_fronts(found[models[0]], outputs["pareto"])
    wrote(*(path for path in [*outputs.values(), *front] if path.exists()))
    if not is_interrupted:
        if "output" in outputs and devices != [DEFAULT_DEVICE]:
            shown = shlex.join(["simulate", str(outputs["output"]), "--device", ",".join(devices)])
            print(f"Simulate it with: {shown}", file=sys.stderr)
        return EXIT_FITS
    written = f"the best plan so far is in {outputs['output']}" if "output" in outputs else "the best so far is shown"
    print(f"interrupted: {written}{going_on(options, 'with --force ' if outputs else '')}", file=sys.stderr)
    return interrupts.exit_status()


def _show(found: Mapping[str, Searched], options: argparse.Namespace, *, is_one: bool) -> None:
    plannings = {model: searched.planning for model, searched in found.items()}
    if options.json:
        print(json_text(next(iter(plannings.values())) if is_one else {"results": plannings}))
        return
    from ondevice_sora.reports.terminal.search import print_front, print_planning

    print_planning(plannings)
    if options.pareto is not None:
        for planning in plannings.values():
            print_front(planning)


def _outputs(options: argparse.Namespace, models: list[str], devices: list[str]) -> dict[str, Path]:
    """Where to write what was asked for, checked before the search. Raises UserError."""
    defaults = {"output": "plan.yaml", "pareto": "fronts.json", "report": f"{stem_of(models[0])}.search.html"}
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
            page = output_path("", f"{stem_of(model)}.search.html", options.force, inputs)
            outputs[_report_of(model, models)] = page
    distinct(outputs.values())
    return outputs


def _report_of(model: str, models: list[str]) -> str:
    """What the page of a model is called among the outputs."""
    return "report" if len(models) == 1 else f"report of {model}"


def _write_plan(searched: Searched, path: Path, devices: list[str]) -> None:
    from ondevice_sora.base.files.writing import write_yaml
    from ondevice_sora.plans.schema import plan_data

    comment = f"Found by `ondevice-sora plan search` for {', '.join(devices)}: "
    comment += f"{searched.planning.rows[0].total_s:.6f} s predicted."
    write_yaml(path, plan_data(searched.best.moved_to(path.parent)), comment)


def _write_front(searched: Searched, folder: Path, force: bool) -> list[Path]:
    """Write the plans of the front, each named by its budget. Raises UserError."""
    from ondevice_sora.base.files.writing import write_yaml
    from ondevice_sora.base.units import format_bytes

    folder.mkdir(exist_ok=True)
    model = searched.best.moved_to(folder).model
    written = []
    for point in searched.planning.memory_front:
        path = output_path(str(folder / f"{format_bytes(point.budget_bytes).replace(' ', '')}.yaml"), "", force)
        write_yaml(path, {**point.plan, "model": model}, f"{point.total_s:.6f} s predicted.")
        written.append(path)
    return written


def _write_fronts(searched: Searched, path: Path) -> None:
    from msgspec import to_builtins

    from ondevice_sora.base.files.writing import write_json

    data = to_builtins(searched.planning)
    write_json(path, {key: data[key] for key in ("memory_front", "storage_front", "package_front")})


def _write_report(searched: Searched, model: str, path: Path, command: str) -> None:
    """Raises UserError."""
    from ondevice_sora.plans.plan_file import LoadedPlan
    from ondevice_sora.provenance import provenance
    from ondevice_sora.records.search import SearchReport
    from ondevice_sora.reports.page.search import write_search
    from ondevice_sora.simulator.changes.report import plan_report

    best, setting = searched.best, searched.settings[0]
    made = provenance(command, LoadedPlan(best.plan), setting.profile)
    write_search(SearchReport(model, searched.planning, plan_report(best, setting, made)), path)


def _which_phones(options: argparse.Namespace, models: list[str], devices: list[str]) -> int:
    """On each of several devices the plan found for it. Raises UserError."""
    from msgspec.structs import replace

    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.profiles.devices import devices_named as devices_of
    from ondevice_sora.simulator.ladder import ladder, notes_of

    unused = (
        "budget",
        "memory_limit",
        "entitlement",
        "evaluations",
        "steps",
        "quality",
        "output",
        "pareto",
        "front",
        "report",
        "state",
    )
    refuse_without_effect(options, unused, "with several devices", "Leave it out, or name one device.")
    if len(models) > 1:
        raise UserError("several plans and several devices are named", mend="Name one plan, or one device.")

    def attempt(device: Device, rung: Rung) -> Rung:
        row = search_one(models[0], [device.key], options, entitlement=rung.entitlement).planning.rows[0]
        return replace(
            rung,
            verdict=row.verdict,
            total_s=row.total_s if row.verdict == "fits" else None,
            unlimited_s=row.total_s,
            peak_bytes=row.peak_bytes,
            kill_share=row.kill_share,
        )

    found = ladder(models[0], devices_of(devices), attempt, notes_of(load_plan(models[0])))
    return show_ladders([found], as_json=options.json)
