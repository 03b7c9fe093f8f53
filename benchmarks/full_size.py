"""Open-Sora at its full size on this machine, block by block: time, memory and disk, and whether the frames are right.

    python -m benchmarks.full_size DIR
    python -m benchmarks.full_size DIR --dtype float32 --store-precision float16 --budget "2 GB" --keep

Writes random weights in the published layout to DIR/weights, unless they are there, has `generate` make a small video
of them in a process of its own, and prints what it took. Then the same video is made without blocks, store or executor:
denoiser and decoder whole in memory, one after the other, the text encoder, 19 GB in float32, a layer at a time. All
frames must be equal. Needs 5 GB of memory, and disk for weights and store: 26 GB with the defaults, 51 GB in float32.
What it has made is removed at the end, but for --keep.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from imageio import v3
from torch import Tensor

from benchmarks.published_weights import DTYPES, write_published_weights
from ondevice_sora.base.units import format_bytes, format_seconds
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.profiles.models.model import family
from ondevice_sora.runtime.models import PlannedVideo
from ondevice_sora.runtime.networks.components import TEXT_ENCODER
from ondevice_sora.runtime.networks.network import bound, weight_places
from ondevice_sora.runtime.networks.units import State, Unit, run_units
from ondevice_sora.runtime.sampling.generation import generate
from ondevice_sora.runtime.sampling.pictures import contact_sheet

PROMPT = "a boat on a calm lake at dusk"
PLAN = """\
extends: ours-256
name: full size, {side}x{side}, {frames} frames, {steps} steps
video: {{width: {side}, height: {side}, frames: {frames}}}
sampler: {{steps: {steps}}}
lpl: {{mode: fixed, leap_step: {last}}}
memory: {{budget: {budget}}}
"""


class Unpartitioned:
    """Plays with a whole component in memory; the text encoder a unit at a time, straight from the checkpoint."""

    def __init__(self, planned: PlannedVideo) -> None:
        self.planned = planned
        self.networks = {network.name: network for network in planned.video.networks}
        self._step = 0
        self._loaded = ""
        self._held = ExitStack()

    def play(self, component: str, state: Mapping[str, Tensor], units: Sequence[Unit] | None = None) -> State:
        network, merges = self.networks[component], False
        if component == TEXT_ENCODER:
            after = dict(state)
            for unit in network.plain:
                with self._bound(component, [unit]):
                    after = unit(after)
            return after
        if network.passes == "steps":
            merges = self._step in self.planned.request.merge_steps
            self._step += 1
        if self._loaded != component:
            self._held.close()
            self._held.enter_context(self._bound(component, network.plain))
            self._loaded = component
        return run_units(units or network.units("tdtm" if merges else "plain"), state)

    def play_each(self, component: str, states: Sequence[Mapping[str, Tensor]]) -> list[State]:
        (state,) = states  # both branches of guidance in one batch
        return [self.play(component, state)]

    def end_early(self, component: str) -> None:
        """Nothing was loaded for the passes that do not come."""

    def _bound(self, component: str, units: Sequence[Unit]) -> ExitStack:
        stack, slots = ExitStack(), dict(pair for unit in units for pair in weight_places(unit))
        shapes = {name: tuple(slot.get().shape) for name, slot in slots.items()}
        tensors = self.planned.source.read(family(component), shapes)
        copies = {name: tensors.pop(name).clone() for name in list(tensors)}  # to where the system aligns them
        stack.enter_context(bound(slots, copies))
        return stack


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16", help="of the checkpoint (default %(default)s)")
    parser.add_argument("--store-precision", choices=("checkpoint", "float16", "bfloat16"), default="checkpoint")
    parser.add_argument("--budget", default="3 GB", help="default %(default)s")
    parser.add_argument("--side", type=int, default=64, metavar="PIXELS", help="default %(default)s")
    parser.add_argument("--frames", type=int, default=20, help="default %(default)s")
    parser.add_argument("--steps", type=int, default=2, help="default %(default)s")
    parser.add_argument("--keep", action="store_true", help="keep weights, store and video")
    options = parser.parse_args(arguments)
    folder: Path = options.directory
    folder.mkdir(parents=True, exist_ok=True)
    weights, store, plan = folder / "weights", folder / "store", folder / "plan.yaml"
    try:
        if not weights.exists():
            began = time.perf_counter()
            write_published_weights(weights, dtype=DTYPES[options.dtype])
            print(f"wrote random weights in {format_seconds(time.perf_counter() - began)}", flush=True)
        plan.write_text(PLAN.format(**vars(options), last=options.steps - 1))
        run("weights", "check", str(weights))
        peak = run(
            "generate", PROMPT, "--plan", str(plan), "--weights", str(weights), "--store", str(store),
            "--store-precision", options.store_precision, "-o", str(folder / "video.gif"), "--scale", "1", "--trace",
            "--force",
        )  # fmt: skip
        told = json.loads((folder / "video.json").read_text())
        memory = told["memory"]
        parts = {"preparing and writing the store": told["load_s"]}
        parts |= {key: told[f"{key}_s"] for key in ("text_encoder", "denoiser", "decoder")}
        expected = {"decoder": 0.0}
        for component, seconds in told["expected_s"].items():
            expected[family(component)] = expected.get(family(component), 0.0) + seconds
        print(f"weights   {format_bytes(size_of(weights))}, {options.dtype}")
        print(f"store     {format_bytes(size_of(store))}, stored as {options.store_precision}")
        for name, seconds in parts.items():
            beside = f" (told beforehand: {format_seconds(expected[name])})" if name in expected else ""
            print(f"time      {name} {format_seconds(seconds)}{beside}")
        grew = memory["measured_peak_bytes"]
        grown = "an unknown amount" if grew is None else format_bytes(grew)
        ledger, budget = format_bytes(memory["peak_bytes"]), format_bytes(memory["budget_bytes"])
        print(f"memory    {ledger} by the ledger of a budget of {budget}; the process grew by {grown},")
        print(f"          and held {format_bytes(peak)} at its most")
        equal = compare(plan, weights, folder / "video.png", options.store_precision)
        print(f"frames    {'equal' if equal else 'NOT equal'} to those of the unpartitioned model", flush=True)
        return 0 if equal else 1
    finally:
        if not options.keep:
            for path in (weights, store):
                shutil.rmtree(path, ignore_errors=True)


def run(*arguments: str) -> int:
    """Run a command; returns the most bytes that it held. Ends the benchmark if it fails."""
    process = subprocess.Popen([sys.executable, "-m", "ondevice_sora.commands.main", *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"`{' '.join(arguments)}` ended with {process.returncode}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def compare(plan: Path, weights: Path, sheet: Path, stored_as: str) -> bool:
    """Whether the eight frames of a contact sheet are those of the unpartitioned model."""
    planned = PlannedVideo.of(load_plan(plan).plan, weights)
    ids, mask = planned.encode(PROMPT)
    began = time.perf_counter()
    video = generate(planned.video, ids, mask, seed=0, player=Unpartitioned(planned))
    print(f"unpartitioned, the same in {format_seconds(time.perf_counter() - began)}", flush=True)
    return bool(np.array_equal(contact_sheet(video.frames), v3.imread(sheet)))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
