"""run EXPORT PROMPT: a video from an export, its packages loaded and run as its schedule says."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import EXIT_FITS, needing
from ondevice_sora.commands.generated import need_writers, outputs_of, write_outputs
from ondevice_sora.commands.progress import progress_bar

if TYPE_CHECKING:
    from ondevice_sora.plans.played import Played
    from ondevice_sora.runtime.coreml.blocks.packages import PackageBlocks
    from ondevice_sora.runtime.coreml.export.exported import Export
    from ondevice_sora.runtime.coreml.playing import BackendName

DEVICES = {"coreml": "this Mac", "reference": "this computer, reference executor"}
HOW = {
    "coreml": "Ran block by block on Core ML, out of an export, by the schedule {schedule}.",
    "reference": (
        "Ran block by block out of an export in the reference executor (Core ML's programs, evaluated by PyTorch on "
        "this CPU), by the schedule {schedule}. Its times say nothing of a phone."
    ),
}


def run_export(options: argparse.Namespace) -> int:
    """Raises UserError."""
    need_writers("video")
    with needing("coreml"):
        import torch
        from msgspec.structs import replace

        from ondevice_sora.provenance import provenance
        from ondevice_sora.runtime.coreml.export.exported import Export
        from ondevice_sora.runtime.coreml.playing import play
        from ondevice_sora.runtime.sampling.sidecar import sidecar

    schedule = None if options.schedule is None else Path(options.schedule)
    options.trace = options.trace or ""
    outputs = outputs_of(options, options.prompt, [] if schedule is None else [str(schedule)])
    if options.threads:
        torch.set_num_threads(options.threads)
    export = Export.open(Path(options.export))
    played = export.played(schedule)
    token_ids, token_mask = export.tokenizer.encode(options.prompt)
    export.tokenizer.check_sentence(options.prompt)
    export.check_packages()
    backend: BackendName = options.backend or ("coreml" if sys.platform == "darwin" else "reference")
    began = time.perf_counter()
    blocks = _blocks(backend, played, export)
    load_s = time.perf_counter() - began
    _warn(played)
    with (
        keeping("no file was written"),
        progress_bar("steps", len(export.video.request.timesteps())) as advance,
        export.loaded.locating(),
    ):
        video, trace = play(
            export,
            played,
            token_ids,
            token_mask,
            backend=blocks,
            seed=options.seed,
            device=DEVICES[backend],
            on_step=lambda _: advance(1),
            on_slow=_tell_slow,
        )
    of = f"for {played.file.device}"
    record = sidecar(
        prompt=options.prompt,
        seed=options.seed,
        plan=export.plan,
        request=export.video.request,
        video=video,
        made_of={"manifest_sha256": export.sha256, "profile_sha256": played.file.profile.sha256},
        load_s=load_s,
        how=HOW[backend].format(schedule=of),
    )
    of_profile = played.file.profile
    made = replace(
        provenance(options.command, export.loaded), profile=of_profile.name, profile_sha256=of_profile.sha256
    )
    fps = export.video.request.fps
    write_outputs(outputs, video, fps, record, made, scale=options.scale, as_json=options.json, trace=trace)
    return EXIT_FITS


def _blocks(backend: BackendName, played: Played, export: Export) -> PackageBlocks:
    """Raises UserError where there is no Core ML, or for a package that cannot be read."""
    from ondevice_sora.runtime.coreml.package.errors import PackageError
    from ondevice_sora.runtime.coreml.playing import BACKENDS

    if backend == "coreml" and sys.platform != "darwin":
        raise UserError("there is no Core ML on this system", mend="Leave --backend out, or run it on a Mac.")
    try:
        with needing("coreml"):
            return BACKENDS[backend](played, export)
    except PackageError as error:
        raise UserError(str(error), mend="Export the plan again.") from None


def _warn(played: Played) -> None:
    """Say so where the schedule is predicted to be killed on the device that it is for."""
    from ondevice_sora.base.units import format_bytes

    file = played.file
    if file.predicted.peak_bytes > file.limit_bytes:
        print(
            f"note: on {file.device} this schedule peaks at {format_bytes(file.predicted.peak_bytes)}, above the limit "
            f"of {format_bytes(file.limit_bytes)}: iOS would end the app.",
            file=sys.stderr,
        )


def _tell_slow(block: str, seconds: float) -> None:
    print(
        f"{block} has been loading for {seconds:.0f} s. A first load may take minutes: Core ML specialises the block "
        "for this machine, and does not say how far it is.",
        file=sys.stderr,
    )
