"""The options of `plan search`, and what their values must look like."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

from ondevice_sora.commands.common import size_argument
from ondevice_sora.commands.options import add_conditions, add_device, add_force, add_json, add_plan
from ondevice_sora.records.ladder import MOST_DOUBT
from ondevice_sora.records.search import DEFAULT_SECONDS, LEAST_CERTAIN, MOST_CERTAIN

DEFAULT_PLAN, DEFAULT_STEPPED_PLAN = "ours-256", "steps-256"
"""What a search starts from, all techniques on; and one over numbers of evaluations: without TDTM."""
FREEDOMS = ("evaluations", "precision", "compute_units", "branches")
"""Options that leave something free besides the partition."""


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
    lambda value: LEAST_CERTAIN <= value <= MOST_CERTAIN,
    f"a quantile. Write one from {LEAST_CERTAIN:g} to {MOST_CERTAIN:g}, such as 0.95.",
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
        "--one-plan",
        action="store_true",
        help="with several devices: one plan for all, the best by mean time relative to each device's bound",
    )
    parser.add_argument(
        "--budget",
        type=size_argument,
        metavar="SIZE",
        help="the footprint to keep to, e.g. '3.3 GB'; without it, what is below the limit with 99 %% certainty",
    )
    parser.add_argument(
        "--keep-cuts",
        action="store_true",
        help="leave the plan's blocks as they are: only what is loaded ahead and what stays is chosen",
    )
    parser.add_argument(
        "--risk",
        type=_share,
        metavar="P",
        help="choose by this quantile of the costs' spread, and be as certain that the limit is not below the budget",
    )
    parser.add_argument(
        "--max-kill-share",
        type=_doubt,
        default=MOST_DOUBT,
        metavar="P",
        help="give no plan that is above the limit in more than this share of the draws of limit, baseline and working "
        f"memory, none of which is known exactly (default {MOST_DOUBT:g}); 1 to accept any",
    )
    parser.add_argument(
        "--evaluations",
        type=_counts,
        metavar="A..B",
        help="instead of the plan's grid and LPL: the best plan for each number of network evaluations",
    )
    parser.add_argument(
        "--precision",
        type=_options_of("precisions"),
        nargs="+",
        metavar="COMPONENT=A,B",
        help="what a component may be stored and computed in, such as denoiser=float32,float16 text_encoder=int8,int4",
    )
    parser.add_argument(
        "--compute-units",
        type=_options_of("compute units"),
        nargs="+",
        metavar="COMPONENT=A,B",
        help="where all blocks of a component may run, such as decoder=cpu_only,cpu_and_gpu",
    )
    parser.add_argument(
        "--branches",
        nargs="+",
        choices=["batch", "in_turn"],
        metavar="HOW",
        help="how guidance may compute its branches: both in one batch, or in_turn, every block for one and then for "
        "the other; '--branches batch in_turn' tries both",
    )
    parser.add_argument(
        "--steps",
        metavar="FILE",
        help="grids for --evaluations and their estimated quality, made by `steps plan` (default: the model's that "
        "ships, or else even grids)",
    )
    parser.add_argument(
        "--quality",
        type=_decibels,
        metavar="DB",
        help="with --evaluations, the plan to write: the fastest whose latents are estimated to come so near to those "
        "of all steps",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=DEFAULT_SECONDS,
        metavar="N",
        help="stop with the best so far after so many seconds of searching, for the budget and for those shown beside "
        f"it together (default {DEFAULT_SECONDS:g}); playing the plans to compare comes after them",
    )
    parser.add_argument("-o", "--output", metavar="YAML", help="write the plan found")
    parser.add_argument(
        "--pareto",
        nargs="?",
        const="",
        metavar="JSON",
        help="show the fronts, of seconds and budget and others; with a name, write them as JSON too, with the plans",
    )
    parser.add_argument("--front", metavar="DIR", help="write a plan for each budget of the front into this folder")
    parser.add_argument("--report", nargs="?", const="", metavar="HTML", help="write a page (default PLAN.search.html)")
    parser.add_argument(
        "--state", metavar="FILE", help="keep what was tried in this file, and go on from it if it is there"
    )
    add_conditions(parser)
    add_json(parser)
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
