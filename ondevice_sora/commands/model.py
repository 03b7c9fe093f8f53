"""model: write a model and a plan to start from, when all that is known are sizes.

`model init` takes the sizes of a model's packages, in the order in which they run; SIZE*N is a network in N packages,
SIZE,SIZE one in packages of several sizes.
It writes model.yaml, which lists them as units, and plan.yaml, which loads each as a block. Memory and loads are
predicted from sizes alone. Times are not: the operations of a unit are for its author to fill in, and until then
`simulate` says that the time is not known.
"""

from __future__ import annotations

import argparse
import re
from typing import NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import parse_bytes
from ondevice_sora.commands.common import EXIT_FITS, json_text, output_path, whole_number, wrote
from ondevice_sora.commands.options import add_force, add_json

MOST_UNITS = 1000
NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")
EXAMPLES = """
examples:
  ondevice-sora model init text=250MB unet=430MB*2 vae=100MB --steps 20 -o mine
  simulate mine/plan.yaml --device all
"""


class Network(NamedTuple):
    """A component to be: the size of each of its packages in float16, as given, and all of them in bytes."""

    name: str
    sizes: list[str]
    num_bytes: int


def _network(text: str) -> Network:
    """NAME=SIZE, NAME=SIZE*N, or several of these sizes separated by commas."""
    name, _, rest = text.partition("=")
    sizes: list[str] = []
    for part in rest.split(","):
        size, star, count = part.partition("*")
        is_count = not star or (count.isdecimal() and 1 <= int(count) <= MOST_UNITS)
        if not NAME.fullmatch(name) or not size or not is_count:
            what = f"{text!r} is not NAME=SIZE or NAME=SIZE*N, such as unet=430MB*2 or unet=430MB,390MB"
            raise argparse.ArgumentTypeError(what)
        sizes += [size.strip()] * (int(count) if star else 1)
    if len(sizes) > MOST_UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} names more than {MOST_UNITS:,} packages.")
    try:
        return Network(name, sizes, sum(map(parse_bytes, sizes)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="init")
    init = actions.add_parser("init", help="write a model and a plan from the sizes of its packages")
    init.add_argument(
        "networks",
        nargs="+",
        type=_network,
        metavar="NAME=SIZE",
        help="what each network's packages take in float16, in the order in which they run; SIZE*N: in so many "
        "packages, SIZE,SIZE: in packages of several sizes",
    )
    init.add_argument(
        "--steps", type=whole_number(1, 1000), default=20, metavar="N", help="denoising steps (default %(default)s)"
    )
    init.add_argument(
        "--every-step", metavar="NAME", help="which network runs at every step (default: the largest); others run once"
    )
    init.add_argument("-o", "--output", default=".", metavar="DIR", help="the folder to write to (default: this one)")
    add_json(init)
    add_force(init)


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from pathlib import Path

    from ondevice_sora.base.files.writing import written_together

    networks: list[Network] = options.networks
    names = [network.name for network in networks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"'{twice}' is given twice", mend="Name each network once; SIZE*N is one in N packages.")
    walked = options.every_step or max(networks, key=lambda network: network.num_bytes).name
    if walked not in names:
        raise UserError(f"no network is named '{walked}'", "--every-step", f"Choose from: {', '.join(names)}.")
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"model.yaml": _model(networks, walked), "plan.yaml": _plan(networks, options.steps)}
    paths = [output_path(str(folder / name), "", options.force, []) for name in texts]
    with written_together(paths) as files:
        for file, text in zip(files, texts.values(), strict=True):
            file.write_text(text, encoding="utf-8")
    wrote(*paths)
    if options.json:
        print(json_text({"model": str(paths[0]), "plan": str(paths[1])}))
    else:
        print(
            f"Memory and loads are told by sizes alone; for times, write each unit's operations into {paths[0]}.\n"
            f"Next: simulate {paths[1]} --device all"
        )
    return EXIT_FITS


def _model(networks: list[Network], walked: str) -> str:
    lines = [
        "# `plain: {}` says nothing of what a run computes. Give the operations of one run, two for each multiply-add:",
        "# plain: {matmul_flops: 2.4e11, convolution_flops: 3e11, working_elements: 2e7}",
        "name: a model by its sizes",
        "source: sizes given to `ondevice-sora model init`",
        "components:",
    ]
    for name, sizes, _ in networks:
        passes = "steps              # runs at every step" if name == walked else "1                  # runs once"
        lines += [f"  - name: {name}", f"    passes: {passes}", "    units:"]
        for number, size in enumerate(sizes, 1):
            unit = name if len(sizes) == 1 else f"{name}_{number}"
            lines.append(f"      - {{name: {unit}, bytes: {size}, plain: {{}}}}")
    return "\n".join(lines) + "\n"


def _plan(networks: list[Network], steps: int) -> str:
    lines = [
        "name: every package a block",
        "model: model.yaml",
        f"sampler: {{steps: {steps}}}",
        "components:",
        *(f"  {name}: {{blocks: unit, precision: float16, keep: optimal}}" for name, *_ in networks),
    ]
    return "\n".join(lines) + "\n"
