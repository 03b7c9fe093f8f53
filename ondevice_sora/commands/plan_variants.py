"""`plan search` with more left free than the partition: the best plan of every variant, and which one to write."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base import interrupts
from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.common import EXIT_FITS, json_text, output_path, refuse_without_effect, wrote
from ondevice_sora.commands.options import conditions_of
from ondevice_sora.commands.progress import status_line
from ondevice_sora.commands.search_options import FREEDOMS
from ondevice_sora.commands.searching import Progress, plans_folder, wanted_of

if TYPE_CHECKING:
    from ondevice_sora.plans.plan_file import LoadedPlan
    from ondevice_sora.records.search import VariantPoint


def search_variants_of(options: argparse.Namespace, models: list[str], devices: list[str]) -> int:
    """The best plan of every choice of what is free besides the partition.

    Raises UserError, and Interrupted if there is no plan yet.
    """
    from ondevice_sora.base.units import format_bytes
    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.records.search import VariantPoint
    from ondevice_sora.reports.terminal.search import print_variants
    from ondevice_sora.simulator.search.asked import fastest_of, freedoms_of, search_freely

    _refuse_unclear(options, models)
    conditions = conditions_of(options)
    loaded = conditions.applied(load_plan(models[0]))
    freedoms = freedoms_of(
        loaded.plan.model_name,
        options.evaluations or (),
        dict(options.precision or ()),
        dict(options.compute_units or ()),
        options.branches or (),
        options.steps,
        options.quality,
    )
    inputs = [models[0], *devices, *([options.steps] if options.steps else [])]
    output = output_path(options.output, "plan.yaml", options.force, inputs) if options.output else None
    folder = plans_folder(options, models)
    settings = [conditions.setting(name, loaded.plan) for name in devices]
    with (
        interrupts.keeping("no plan was found yet"),
        status_line() as say,
        Progress(say, lambda: None) as progress,
    ):
        budget, source, variants = search_freely(loaded, settings, wanted_of(options), freedoms, progress)
        found = list(variants)
    if options.json:
        print(json_text(found))
    else:
        print_variants(found, f"{loaded.plan.name}, {', '.join(devices)}; {format_bytes(budget)}, {source}")
    points = [each for each in found if isinstance(each, VariantPoint)]
    least = fastest_of(points, options.quality)
    if options.quality is not None and not options.json:
        print(
            f"{least.evaluations} evaluations are the fastest that are estimated to come within {options.quality:g} dB."
        )
    written = [] if output is None else [_write(loaded, least, output)]
    if folder is not None:
        folder.mkdir(exist_ok=True)
        for each in points:
            path = output_path(str(folder / f"{_file_name(each)}.yaml"), "", options.force)
            written.append(_write(loaded, each, path))
    wrote(*written)
    if points[-1].ending != "interrupted":
        return EXIT_FITS
    print("interrupted: what was found so far is shown", file=sys.stderr)
    return interrupts.exit_status()


def _refuse_unclear(options: argparse.Namespace, models: list[str]) -> None:
    """Raises UserError for options that have no effect here, and where more is named than can be meant."""
    which = next(f"--{name.replace('_', '-')}" for name in FREEDOMS if getattr(options, name))
    refuse_without_effect(options, ("pareto", "report", "state", "keep_cuts"), f"with {which}", "Leave it out.")
    if len(models) > 1:
        raise UserError(f"{which} searches one plan, and {len(models)} are named", "--plan", "Name one of them.")
    if options.output and options.quality is None and len(options.evaluations or ()) > 1:
        mend = "Say how near it must come with --quality, or ask for one number of evaluations."
        raise UserError("which plan of the front is to be written?", "-o", mend)


def _file_name(point: VariantPoint) -> str:
    """What tells it from the other variants."""
    branches = [point.branches] if point.branches else []
    return "-".join([str(point.evaluations), *branches, *point.precision.values(), *point.compute_units.values()])


def _write(loaded: LoadedPlan, point: VariantPoint, path: Path) -> Path:
    from ondevice_sora.base.files.writing import write_yaml

    model = loaded.moved_to(path.parent).model
    write_yaml(path, {**point.plan, "model": model}, f"{point.total_s:.6f} s predicted.")
    return path
