"""What a generation leaves: the video (MP4, or GIF), a PNG contact sheet, a JSON sidecar, a page and a trace."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.common import distinct, json_text, needing, output_path, whole_number, wrote
from ondevice_sora.commands.options import add_force, add_json

if TYPE_CHECKING:
    from ondevice_sora.records.provenance import Provenance
    from ondevice_sora.records.trace import Trace
    from ondevice_sora.runtime.sampling.generation import Video

VIDEO_SUFFIXES = (".mp4", ".gif")
TRACE = ".trace.json"
PAGE = ".html"
SHOWN_SIDE_PIXELS = 256


def add_output_arguments(parser: argparse.ArgumentParser, trace_help: str) -> None:
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
        "--page", action="store_true", help="write VIDEO.html as well: it plays the video and says how it was made"
    )
    parser.add_argument("--trace", nargs="?", const="", metavar="JSON", help=trace_help)
    add_json(parser)
    add_force(parser)


def need_writers(extra: str) -> None:
    """Find what writes videos missing before the work, not after it. Raises UserError."""
    with needing(extra):
        import imageio_ffmpeg  # noqa: F401
        import PIL  # noqa: F401
        from imageio import v3  # noqa: F401


def outputs_of(options: argparse.Namespace, prompt: str, inputs: Sequence[str]) -> dict[str, Path]:
    """Suffix -> where to write, checked before anything is computed. Raises UserError."""
    stem = "-".join(re.findall(r"[a-z0-9]+", prompt.lower()))[:80]
    video = Path(options.output or f"{stem or 'video'}.mp4")
    if video.suffix not in VIDEO_SUFFIXES:
        raise UserError(f"cannot write '{video.suffix}' videos", str(video), "Write .mp4 or .gif.")
    if options.gif and video.suffix == ".gif":
        raise UserError("--gif has no effect: the video is a GIF already", mend="Leave it out, or write -o NAME.mp4.")
    suffixes = [video.suffix, *([".gif"] if options.gif else []), ".png", ".json", *([PAGE] if options.page else [])]
    outputs = {suffix: output_path(str(video.with_suffix(suffix)), "", options.force, inputs) for suffix in suffixes}
    if options.trace is not None:
        outputs[TRACE] = output_path(options.trace, str(video.with_suffix(TRACE)), options.force, inputs)
        distinct(outputs.values())
    return outputs


def write_outputs(
    outputs: dict[str, Path],
    video: Video,
    fps: float,
    record: dict[str, Any],
    made: Provenance,
    *,
    scale: int | None,
    as_json: bool,
    trace: Trace | None = None,
) -> None:
    """Write what was generated, and say so. Raises UserError if a file cannot be written: then none is."""
    from ondevice_sora.base.files.writing import write_json, write_text, written_together
    from ondevice_sora.records.trace import write_trace
    from ondevice_sora.reports.page.video import render_video
    from ondevice_sora.reports.terminal.console import say
    from ondevice_sora.runtime.sampling.pictures import contact_sheet, enlarged, write_png, write_video

    height, width = video.frames.shape[1:3]
    scale = scale or -(-SHOWN_SIDE_PIXELS // min(width, height))
    with written_together([path for suffix, path in outputs.items() if suffix != TRACE]) as files:
        for file in files:
            if file.suffix in VIDEO_SUFFIXES:
                write_video(file, enlarged(video.frames, scale), fps)
            elif file.suffix == ".png":
                write_png(file, contact_sheet(video.frames, scale=scale, fps=fps))
            elif file.suffix == PAGE:
                write_text(file, render_video(files[0].read_bytes(), files[0].suffix, record, made))
            else:
                write_json(file, record)
    if trace is not None and TRACE in outputs:
        write_trace(replace(trace, provenance=made), outputs[TRACE])
    if as_json:
        print(json_text(record))
    else:
        say(_sentence(record), *([_remembered(record["memory"])] if "memory" in record else []))
    wrote(*outputs.values())


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


def _remembered(memory: dict[str, int | None]) -> str:
    """'memory: at most 2.51 GB by the ledger, of a budget of 2.60 GB; the process grew by 2.58 GB'."""
    from ondevice_sora.base.units import format_bytes

    ledger, budget, measured = (memory[key] for key in ("peak_bytes", "budget_bytes", "measured_peak_bytes"))
    assert ledger is not None, "a run has a ledger"
    assert budget is not None, "and a budget"
    grew = "" if measured is None else f"; the process grew by {format_bytes(measured)}"
    return f"memory: at most {format_bytes(ledger)} by the ledger, of a budget of {format_bytes(budget)}{grew}"
