"""generate: make a video from a prompt, on this machine, with the model and the sampler of a plan.

The small model, which ships, knows sentences such as "a small red circle moving left slowly on a white background",
of three shapes and six colours, and refuses others with the nearest that it knows. It runs whole in memory; with
--trace or --store it runs block by block, to the same frames. The full-size model, opensora, always runs block by
block, with the weights of --weights: they go into a block store and are loaded, run and evicted as the plan says,
within its memory budget. Here every block runs on the CPU in float32, whatever the plan says for a phone. What disk,
memory and time it takes is measured and told beforehand.

Writes the video (MP4, or GIF), a PNG contact sheet and a JSON sidecar with the plan, the seed, the drifts' cosines of
every step and the timings; with --page also a page that plays the video. It needs PyTorch and imageio.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import EXIT_FITS, needing, refuse_without_effect
from ondevice_sora.commands.generate_blocks import generate_blocks
from ondevice_sora.commands.generated import TRACE, add_output_arguments, need_writers, outputs_of, write_outputs
from ondevice_sora.commands.progress import progress_bar

if TYPE_CHECKING:
    from ondevice_sora.plans.plan_file import LoadedPlan

DEFAULT_PLAN = "small"
STORED_AS = ("checkpoint", "float16", "bfloat16")
EXAMPLES = """
examples:
  ondevice-sora generate "a red circle moving left"
  ondevice-sora generate "a large green square moving up slowly on a black background" --seed 7 --gif
  ondevice-sora generate "a blue triangle moving right" --plan plan.yaml -o triangle.mp4
  ondevice-sora generate "a boat on a calm lake at dusk" --plan ours-256 --weights opensora/ --store blocks/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT", help="what to show, such as: a red circle moving left")
    parser.add_argument(
        "--plan",
        default=DEFAULT_PLAN,
        metavar="PLAN",
        help=f"a plan file or a ready plan, of the model small or opensora (default {DEFAULT_PLAN})",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="DIR",
        help="the model's folder: text_encoder, denoiser, decoder (default: the small one that ships)",
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="run block by block and keep the blocks in this folder for later (default: beside the video, and removed)",
    )
    parser.add_argument(
        "--store-precision",
        choices=STORED_AS,
        help="what blocks hold matrices in: as the checkpoint has them (default), or 16 bits, in half the bytes",
    )
    add_output_arguments(parser, "run block by block and write the measured trace (default VIDEO.trace.json)")


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.plans.plan_file import load_plan

    need_writers("generate")
    with needing("generate"):
        from ondevice_sora.runtime.models import check_model
        from ondevice_sora.runtime.small.shipped import SMALL

    loaded = load_plan(options.plan)
    with loaded.locating():
        check_model(loaded.plan, "run")
    outputs = outputs_of(options, options.prompt, [options.plan])
    if loaded.plan.model == SMALL and TRACE not in outputs and options.store is None:
        why = "on a model that runs whole, in memory"
        refuse_without_effect(options, ("store_precision",), why, "Leave it out, or run block by block with --store.")
        _generate_whole(options, loaded, outputs)
    else:
        generate_blocks(options, loaded, outputs)
    return EXIT_FITS


def _generate_whole(options: argparse.Namespace, loaded: LoadedPlan, outputs: dict[str, Path]) -> None:
    """With all weights in memory, and a progress bar, one tick a step."""
    from ondevice_sora.plans.checks import check_merging_units
    from ondevice_sora.provenance import provenance
    from ondevice_sora.runtime.models import check_planned_for
    from ondevice_sora.runtime.sampling.generation import generate
    from ondevice_sora.runtime.sampling.sidecar import sidecar
    from ondevice_sora.runtime.sampling.video import VideoNetworks
    from ondevice_sora.runtime.small.shipped import load_small, small_request, weights_digest
    from ondevice_sora.runtime.small.vocabulary import TOKENIZER, tokenize

    token_ids, token_mask = tokenize([options.prompt])
    TOKENIZER.check_sentence(options.prompt)
    with loaded.locating("$"):
        request = small_request(loaded.plan)
    began = time.perf_counter()
    model = load_small(options.weights)
    load_s = time.perf_counter() - began
    with loaded.locating():
        check_merging_units(loaded.plan, model.denoiser.block_names)
        check_planned_for(loaded.plan, options.weights)
    with keeping("no file was written"), progress_bar("steps", len(request.timesteps())) as advance:
        video = generate(
            VideoNetworks.of(model, request), token_ids, token_mask, seed=options.seed, on_step=lambda _: advance(1)
        )
    record = sidecar(
        prompt=options.prompt,
        seed=options.seed,
        plan=loaded.plan,
        request=request,
        video=video,
        made_of={"weights_sha256": weights_digest(options.weights)},
        load_s=load_s,
    )
    made = provenance(options.command, loaded)
    write_outputs(outputs, video, request.fps, record, made, scale=options.scale, as_json=options.json)
