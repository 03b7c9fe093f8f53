"""evaluate: what fewer evaluations, LPL and TDTM do to the small model's videos, on prompts it was not trained on.

Every configuration makes the same prompts from the same seeds; each video is compared with the full-step one. Prints a
table and writes DIR/results.json and DIR/report.html. A run that was stopped goes on where it was: every video's
figures are a file of their own under DIR/videos. It needs PyTorch, imageio and scikit-image.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.folders import locked
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import (
    EXIT_FITS,
    json_text,
    needing,
    refuse_without_effect,
    shown,
    whole_number,
    wrote,
)
from ondevice_sora.commands.progress import progress_bar

if TYPE_CHECKING:
    from ondevice_sora.plans.schema import Plan
    from ondevice_sora.plans.step_file import StepFile
    from ondevice_sora.runtime.small.evaluation.configurations import Configuration

DEFAULT_PLAN = "small"
DEFAULT_PROMPTS, DEFAULT_SEEDS, DEFAULT_CLIPS = 64, 2, 3
RESULTS, REPORT = "results.json", "report.html"
EXAMPLES = """
examples:
  ondevice-sora evaluate -o evaluation
  ondevice-sora evaluate -o evaluation --processes 2 --only planned_8_euler planned_12_ab2 exact exact_check
  ondevice-sora evaluate -o evaluation --scheduler tcp://host:8786
  ondevice-sora evaluate -o evaluation --prompts 8 --seeds 1 --only fixed_16 paper tdtm_all
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="the model's folder (default: the shipped one)")
    parser.add_argument(
        "--plan",
        default=DEFAULT_PLAN,
        metavar="PLAN",
        help=f"plan of the full-step videos; its grid, solver, LPL and TDTM are not used (default {DEFAULT_PLAN})",
    )
    parser.add_argument(
        "--prompts",
        type=whole_number(1, 144),
        default=DEFAULT_PROMPTS,
        metavar="N",
        help="held-out prompts, of 144 (default %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        type=whole_number(1, 1000),
        default=DEFAULT_SEEDS,
        metavar="N",
        help="videos per prompt (default %(default)s)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="configurations to make in this run; the table shows all that have been made",
    )
    parser.add_argument(
        "--accepted-errors",
        nargs="+",
        type=error_argument,
        metavar="E",
        help="for our rule (default 0.02 0.05 0.1 0.2)",
    )
    parser.add_argument(
        "--clips",
        type=whole_number(0, 144),
        default=DEFAULT_CLIPS,
        metavar="N",
        help="prompts whose videos the page plays (default %(default)s)",
    )
    parser.add_argument(
        "--steps",
        type=Path,
        metavar="FILE",
        help="planned grids to measure, made by `steps plan` (default: those that ship, with the weights that ship)",
    )
    parser.add_argument(
        "--processes",
        type=whole_number(1, 1024),
        metavar="N",
        help="so many at a time, with one thread each (default: one, with all threads)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a Dask scheduler to give the work to, tcp://host:8786; its workers find --weights under the same path",
    )
    parser.add_argument("--json", action="store_true", help="print the results as one JSON document")


def error_argument(text: str) -> float:
    """An accepted error for argparse: above 0, up to 10."""
    try:
        error = float(text)
    except ValueError:
        error = 0.0
    if not 0 < error <= 10:
        raise argparse.ArgumentTypeError(f"{text!r} is not an error above 0 and up to 10.")
    return error


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.plans.plan_file import load_plan

    with needing("evaluate"):
        import PIL  # noqa: F401  # found missing before the work, not after it
        import skimage  # noqa: F401
        from imageio import v3  # noqa: F401

        from ondevice_sora.runtime.small.evaluation.aggregate import rows
        from ondevice_sora.runtime.small.evaluation.configurations import ACCEPTED_ERRORS, configurations
        from ondevice_sora.runtime.small.evaluation.evaluation import (
            chosen_scenes,
            open_folder,
            read_all,
            run_evaluation,
            write_clips,
        )
        from ondevice_sora.runtime.small.shipped import load_small, small_request, weights_digest
    from ondevice_sora.base.files.writing import write_text
    from ondevice_sora.provenance import provenance
    from ondevice_sora.records.quality import Evaluation
    from ondevice_sora.reports.page.quality import write_evaluation
    from ondevice_sora.reports.terminal.quality import print_evaluation

    if options.scheduler is not None:
        refuse_without_effect(options, ("processes",), "with --scheduler", "Leave it out.")
        with needing("sweep"):
            import distributed  # noqa: F401
    loaded = load_plan(options.plan)
    plan = loaded.plan
    small_request(plan)
    planned = _planned(options, plan)
    known = configurations(plan, options.accepted_errors or ACCEPTED_ERRORS, planned)
    wanted = _wanted(known, options.only)
    scenes = chosen_scenes(options.prompts)
    load_small(options.weights)  # weights that are no small model are told of before anything else
    digest = weights_digest(options.weights)
    open_folder(options.output, digest)

    everything = list(known.values())
    with (
        locked(options.output),
        keeping(f"finished videos are kept in {options.output}; the same command goes on from them"),
    ):
        with progress_bar("videos", len(wanted) * len(scenes) * options.seeds) as advance:
            run_evaluation(
                options.weights,
                options.output,
                wanted,
                scenes,
                options.seeds,
                clips=options.clips,
                processes=options.processes or 1,
                scheduler=options.scheduler,
                on_video=advance,
            )
        clips = tuple(write_clips(options.output, everything, scenes[: options.clips]))
    records = read_all(options.output, everything, scenes, options.seeds)
    results = Evaluation(
        plan=plan.name,
        num_steps=plan.sampler.steps,
        weights_sha256=digest,
        machines=tuple(sorted({record.machine for found in records.values() for record in found})),
        rows=tuple(rows(known, records)),
        clips=clips,
    )
    document = json_text(results)
    write_text(options.output / RESULTS, document + "\n")
    write_evaluation(results, options.output, options.output / REPORT, provenance(options.command, loaded))
    shown(lambda: print(document) if options.json else print_evaluation(results))
    wrote(options.output / RESULTS, options.output / REPORT)
    return EXIT_FITS


def _planned(options: argparse.Namespace, plan: Plan) -> StepFile | None:
    """The planned grids of these weights. Raises UserError for a file that is named and is of others."""
    from ondevice_sora.plans.step_file import read_steps, shipped_steps
    from ondevice_sora.runtime.models import denoiser_digest

    path = options.steps or shipped_steps(plan.model_name)
    if path is None:
        return None
    file = read_steps(path)
    if (file.denoiser, file.steps) == (denoiser_digest(plan, options.weights), plan.sampler.steps):
        return file
    if options.steps is None:
        return None
    what = "these grids are of other weights or another number of steps"
    raise UserError(what, str(path), "Plan them with `ondevice-sora steps plan`.")


def _wanted(known: dict[str, Configuration], only: list[str] | None) -> list[Configuration]:
    """The configurations to make: all, or those named and the full run, which they are compared with."""
    from ondevice_sora.runtime.small.evaluation.configurations import FULL

    for name in only or ():
        if name not in known:
            raise UserError(f"--only: no configuration is named '{name}'", mend=nearest(name, list(known)))
    return [each for name, each in known.items() if only is None or name in (*only, FULL)]
