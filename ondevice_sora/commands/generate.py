"""generate: make a video from a prompt, on this machine, with the small model and the sampler of the plan.

Writes the video (MP4, or GIF), a PNG contact sheet and a JSON sidecar with the plan, the seed, the drifts' cosines of
every step and the timings. The model runs whole; with --trace it runs block by block, as the plan says, to the same
bits. It needs PyTorch and imageio.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import scratch_in
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import EXIT_FITS, distinct, needing, output_path, progress_bar, whole_number

if TYPE_CHECKING:
    from torch import Tensor

    from ondevice_sora.plans.schema import LoadedPlan
    from ondevice_sora.records.trace import Trace
    from ondevice_sora.runtime.sampling.generation import Video
    from ondevice_sora.runtime.sampling.video import VideoNetworks

DEFAULT_PLAN = "small"
VIDEO_SUFFIXES = (".mp4", ".gif")
TRACE = ".trace.json"
SHOWN_SIDE_PIXELS = 256
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
    parser.add_argument(
        "--seed", type=whole_number(0, 2**63 - 1), default=0, metavar="N", help="of the noise (default %(default)s)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the video, .mp4 or .gif (default: named by the prompt)")
    parser.add_argument("--gif", action="store_true", help="write a GIF as well")
    parser.add_argument(
        "--scale",
        type=whole_number(1, 16),
        metavar="N",
        help=f"enlarge every pixel to N by N (default: at least {SHOWN_SIDE_PIXELS} pixels a side)",
    )
    parser.add_argument(
        "--trace", nargs="?", const="", metavar="JSON",
        help="run block by block, loaded as the plan says, and write the measured trace (default VIDEO.trace.json)",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.plans.schema import check_merging_units, load_plan

    with needing("generate"):
        import imageio_ffmpeg  # noqa: F401  # found missing before the work, not after it
        import PIL  # noqa: F401
        from imageio import v3  # noqa: F401

        from ondevice_sora.runtime.sampling.pictures import contact_sheet, enlarged, write_png, write_video
        from ondevice_sora.runtime.sampling.sidecar import sidecar
        from ondevice_sora.runtime.sampling.video import VideoNetworks
        from ondevice_sora.runtime.small.shipped import load_small, small_request, weights_digest
        from ondevice_sora.runtime.small.vocabulary import tokenize
    from ondevice_sora.base.files.writing import write_json, written_together
    from ondevice_sora.records.trace import write_trace

    loaded = load_plan(options.plan)
    plan = loaded.plan
    token_ids, token_mask = tokenize([options.prompt])
    outputs = _outputs(options)
    with loaded.locating("$"):
        request = small_request(plan)
    began = time.perf_counter()
    model = load_small(options.weights)
    load_s = time.perf_counter() - began
    with loaded.locating():
        check_merging_units(plan, model.denoiser.block_names)
    trace_path = outputs.pop(TRACE, None)
    networks = VideoNetworks.of(model, request)
    video, trace = _generate(networks, token_ids, token_mask, options.seed, loaded, trace_path)
    record = sidecar(
        prompt=options.prompt,
        seed=options.seed,
        plan=plan,
        request=request,
        video=video,
        weights=weights_digest(options.weights),
        load_s=load_s,
        in_blocks=trace is not None,
    )
    scale = options.scale or -(-SHOWN_SIDE_PIXELS // min(request.width, request.height))
    with written_together(list(outputs.values())) as files:
        for file in files:
            if file.suffix in VIDEO_SUFFIXES:
                write_video(file, enlarged(video.frames, scale), request.fps)
            elif file.suffix == ".png":
                write_png(file, enlarged(contact_sheet(video.frames)[None], scale)[0])
            else:
                write_json(file, record)
    if trace is not None and trace_path is not None:
        write_trace(trace, trace_path)
        outputs[TRACE] = trace_path
    print(_sentence(record))
    for path in outputs.values():
        print(f"Wrote {path}", file=sys.stderr)
    return EXIT_FITS


def _outputs(options: argparse.Namespace) -> dict[str, Path]:
    """Suffix -> where to write, checked before anything is computed."""
    stem = "-".join(re.findall(r"[a-z0-9]+", options.prompt.lower()))[:80]
    video = Path(options.output or f"{stem}.mp4")
    if video.suffix not in VIDEO_SUFFIXES:
        raise UserError(f"cannot write '{video.suffix}' videos", str(video), "Write .mp4 or .gif.")
    if options.gif and video.suffix == ".gif":
        raise UserError("--gif has no effect: the video is a GIF already", mend="Leave it out, or write -o NAME.mp4.")
    suffixes = [video.suffix, *([".gif"] if options.gif else []), ".png", ".json"]
    inputs = [options.plan]
    outputs = {suffix: output_path(str(video.with_suffix(suffix)), "", options.force, inputs) for suffix in suffixes}
    if options.trace is not None:
        trace = output_path(options.trace, str(video.with_suffix(TRACE)), options.force, inputs)
        outputs[TRACE] = trace
        distinct(outputs.values())
    return outputs


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


def _sentence(record: dict[str, Any]) -> str:
    """'18 of 30 network evaluations in 0.9 s, leapt at step 17 (estimated error 4.1 %); 1.2 s in all'."""
    from ondevice_sora.base.units import format_percent, format_seconds

    leapt = ""
    if record["leap_step"] is not None:
        error = record["leap_estimated_error"]
        leapt = f", leapt at step {record['leap_step']}"
        leapt += "" if error is None else f" (estimated error {format_percent(error)})"
    return (
        f"{record['num_evaluations']} of {len(record['timesteps'])} network evaluations in "
        f"{format_seconds(record['denoiser_s'])}{leapt}; {format_seconds(record['total_s'])} in all"
    )
