"""generate: make a video from a prompt, on this machine, with the small model and the sampler of the plan.

Writes the video (MP4, or GIF), a PNG contact sheet and a JSON sidecar with the plan, the seed, the drifts' cosines of
every step and the timings. The model runs whole; with --trace it runs block by block, as the plan says, to the same
bits. It needs PyTorch and imageio.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.files.folders import scratch_in
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import EXIT_FITS, needing, progress_bar
from ondevice_sora.commands.generated import TRACE, add_output_arguments, need_writers, outputs_of, write_outputs

if TYPE_CHECKING:
    from torch import Tensor

    from ondevice_sora.plans.schema import LoadedPlan
    from ondevice_sora.records.trace import Trace
    from ondevice_sora.runtime.sampling.generation import Video
    from ondevice_sora.runtime.sampling.video import VideoNetworks

DEFAULT_PLAN = "small"
EXAMPLES = """
examples:
  ondevice-sora generate "a red circle moving left"
  ondevice-sora generate "a large green square moving up slowly on a black background" --seed 7 --gif
  ondevice-sora generate "a blue triangle moving right" --plan plan.yaml -o triangle.mp4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT", help="what to show, such as: a red circle moving left")
    parser.add_argument(
        "--plan",
        default=DEFAULT_PLAN,
        metavar="PLAN",
        help=f"a plan file or a ready plan: video, sampler, LPL, TDTM (default {DEFAULT_PLAN})",
    )
    parser.add_argument("--weights", type=Path, metavar="DIR", help="the model's folder (default: the shipped one)")
    add_output_arguments(
        parser,
        "run block by block, loaded as the plan says, and write the measured trace (default VIDEO.trace.json)",
    )


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.plans.schema import check_merging_units, load_plan

    need_writers("generate")
    with needing("generate"):
        from ondevice_sora.runtime.sampling.sidecar import IN_BLOCKS, WHOLE, sidecar
        from ondevice_sora.runtime.sampling.video import VideoNetworks
        from ondevice_sora.runtime.small.shipped import load_small, small_request, weights_digest
        from ondevice_sora.runtime.small.vocabulary import tokenize

    loaded = load_plan(options.plan)
    plan = loaded.plan
    token_ids, token_mask = tokenize([options.prompt])
    outputs = outputs_of(options, options.prompt, [options.plan])
    with loaded.locating("$"):
        request = small_request(plan)
    began = time.perf_counter()
    model = load_small(options.weights)
    load_s = time.perf_counter() - began
    with loaded.locating():
        check_merging_units(plan, model.denoiser.block_names)
    networks = VideoNetworks.of(model, request)
    video, trace = _generate(networks, token_ids, token_mask, options.seed, loaded, outputs.get(TRACE))
    record = sidecar(
        prompt=options.prompt,
        seed=options.seed,
        plan=plan,
        request=request,
        video=video,
        made_of={"weights_sha256": weights_digest(options.weights)},
        load_s=load_s,
        how=WHOLE if trace is None else IN_BLOCKS,
    )
    write_outputs(outputs, video, request.fps, record, trace, options.scale)
    return EXIT_FITS


def _generate(
    networks: VideoNetworks, token_ids: Tensor, token_mask: Tensor, seed: int, loaded: LoadedPlan, trace: Path | None
) -> tuple[Video, Trace | None]:  # fmt: skip
    """Generate with a progress bar, one tick per step; block by block if a trace is asked for.

    The blocks are stored beside the trace meanwhile: a temporary folder may lie in memory.
    """
    from ondevice_sora.runtime.capture.subjects import SMALL_NAME
    from ondevice_sora.runtime.executor.in_blocks import generate_in_blocks
    from ondevice_sora.runtime.sampling.generation import generate

    with keeping("no file was written"), progress_bar("steps", networks.request.num_steps) as advance:

        def on_step(_: object) -> None:
            advance(1)

        if trace is None:
            return generate(networks, token_ids, token_mask, seed=seed, on_step=on_step), None
        with loaded.locating(), scratch_in(trace.parent, "blocks") as folder:
            return generate_in_blocks(
                networks, token_ids, token_mask, name=SMALL_NAME, plan=loaded.plan, folder=folder, seed=seed,
                on_step=on_step,
            )  # fmt: skip
