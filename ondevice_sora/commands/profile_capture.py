"""`profile capture`: measure what blocks cost, on this machine or on a phone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import (
    EXIT_FITS,
    json_text,
    needing,
    output_path,
    refuse_without_effect,
    whole_number,
    wrote,
)
from ondevice_sora.commands.options import add_force, add_json
from ondevice_sora.commands.profile_phone import PHONE_ONLY, add_phone_arguments

TEXT_TOKENS = 16
"""Caption tokens of a stand-in."""
STAND_IN = ("width", "depth", "units_per_block")
COUNT = whole_number(1, 100_000)


def add_capture_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        default="host",
        metavar="DEVICE",
        help="host (default): this machine; iphone: the phone that is connected; or that phone's key in the catalogue",
    )
    parser.add_argument(
        "--store", metavar="DIR", help="host: a block store; if DIR holds none, a stand-in is written there"
    )
    parser.add_argument("-o", "--output", default="", metavar="YAML", help="default host.yaml, or as --device says")
    parser.add_argument(
        "--repeats",
        type=COUNT,
        default=3,
        help="processes of each kind of run; on a phone, later loads and runs of a block (default 3)",
    )
    parser.add_argument("--threads", type=COUNT, help="threads that run a block (default PyTorch's)")
    parser.add_argument("--width", type=COUNT, help="stand-in: channels (default 1152, STDiT3-XL's)")
    parser.add_argument("--depth", type=COUNT, help="stand-in: pairs of blocks (default 3)")
    parser.add_argument(
        "--units-per-block", type=COUNT, help="stand-in: how it is cut (default 1, from which any plan is priced)"
    )
    add_json(parser)
    add_force(parser)
    add_phone_arguments(parser)


def run_host_capture(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from msgspec.structs import replace

    from ondevice_sora.base.files.writing import write_yaml
    from ondevice_sora.profiles.profile import profile_data
    from ondevice_sora.reports.terminal.devices import print_profile

    mend = "Leave it out, or capture on a phone with --device iphone."
    refuse_without_effect(options, PHONE_ONLY, "on this machine", mend)
    if not options.store:
        raise UserError("--store is missing", mend="Give a folder for the blocks, e.g. --store blocks.")
    path = output_path(options.output, "host.yaml", options.force)
    with needing("torch"):
        from ondevice_sora.plans.schema import ComponentPlan, UnitsPerBlock
        from ondevice_sora.runtime.capture.conditions import BUSY
        from ondevice_sora.runtime.capture.host import capture
        from ondevice_sora.runtime.capture.subjects import StandIn, write_subject
        from ondevice_sora.runtime.executor.store import Store
        from ondevice_sora.runtime.networks.stdit3 import LatentSize, STDiT3Config

    directory = Path(options.store)
    if Store.is_there(directory):
        refuse_without_effect(options, STAND_IN, f"on a store that is there already: {directory}", "Leave it out.")
    else:
        width, depth = options.width or 1152, options.depth or 3
        if width % 16:
            raise UserError(f"{width} channels do not divide among 16 heads", "--width")
        config = STDiT3Config(depth=depth, hidden_size=width)
        cut = ComponentPlan(blocks=UnitsPerBlock(options.units_per_block or 1))
        write_subject(directory, StandIn(config, LatentSize(4, 4, 4), TEXT_TOKENS), {"denoiser": cut})
        wrote(f"{directory}: a stand-in of {depth} pairs of blocks, {width} channels")
    with keeping(f"no profile was written; the blocks are kept in {directory}"):
        profile = capture(
            Store.open(directory),
            rounds=options.repeats,
            threads=options.threads,
            on_trial=lambda name: print(name, file=sys.stderr),
        )
    comment = "Written by `ondevice-sora profile capture`: measured on the machine it names, not on a phone."
    write_yaml(path, profile_data(profile), comment)
    assert profile.hardware is not None
    if options.json:
        print(json_text(profile_data(profile)))
    else:
        print_profile(replace(profile, name=path.name), profile.hardware)
    wrote(path)
    if busy := profile.conditions.get(BUSY):
        print(f"{busy} Close other programs and capture again for figures of this machine alone.", file=sys.stderr)
    return EXIT_FITS
