"""generate, block by block: what it will take is told first, then the store is written, then the blocks are played."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked, scratch_in
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.generated import write_outputs
from ondevice_sora.commands.progress import progress_bar, status_line, timed_bar

if TYPE_CHECKING:
    from torch import Tensor

    from ondevice_sora.plans.plan_file import LoadedPlan
    from ondevice_sora.records.trace import Trace
    from ondevice_sora.runtime.executor.in_blocks import BlockwiseVideo, Expected, Place
    from ondevice_sora.runtime.models import PlannedVideo
    from ondevice_sora.runtime.sampling.generation import Video


def generate_blocks(options: argparse.Namespace, loaded: LoadedPlan, outputs: dict[str, Path]) -> None:
    """Make the video and write it. Raises UserError and Interrupted."""
    from ondevice_sora.plans.checks import check_merging_units
    from ondevice_sora.provenance import provenance
    from ondevice_sora.runtime.executor.in_blocks import BlockwiseVideo
    from ondevice_sora.runtime.sampling.sidecar import IN_BLOCKS, sidecar

    planned, token_ids, token_mask, made_of = _planned(options, loaded)
    with loaded.locating():
        check_merging_units(loaded.plan, planned.video.model.denoiser.block_names)
    with store_folder(options.store, next(iter(outputs.values())).parent) as folder:
        began = time.perf_counter()
        with loaded.locating():
            work = BlockwiseVideo(planned, folder, options.store_precision or "checkpoint")
            prepared(work)
        expected = work.expected
        print(_told(planned.name, options.store, expected), file=sys.stderr)
        with progress_bar("writing the store, units", len(work.writer.remaining)) as advance:
            work.write(lambda _: advance(1))
        load_s = time.perf_counter() - began
        with locked(folder, shared=True):
            video, trace = _play(work, token_ids, token_mask, options.seed)
    record = sidecar(
        prompt=options.prompt,
        seed=options.seed,
        plan=loaded.plan,
        request=planned.request,
        video=video,
        made_of=made_of | {"store_sha256": work.writer.digest},
        load_s=load_s,
        how=IN_BLOCKS,
    )
    record |= _facts(work, expected, trace)
    made = provenance(options.command, loaded)
    write_outputs(
        outputs, video, planned.request.fps, record, made, scale=options.scale, as_json=options.json, trace=trace
    )


def _planned(options: argparse.Namespace, loaded: LoadedPlan) -> tuple[PlannedVideo, Tensor, Tensor, dict[str, str]]:
    """The video, the prompt's tokens, and the hashes of what was read for them. Raises UserError."""
    from ondevice_sora.runtime.models import PlannedVideo
    from ondevice_sora.runtime.small.shipped import (
        SMALL,
        check_is_small,
        small_request,
        weights_digest,
        weights_folder,
    )
    from ondevice_sora.runtime.small.vocabulary import TOKENIZER, tokenize

    plan = loaded.plan
    if plan.model_name == SMALL:
        token_ids, token_mask = tokenize([options.prompt])
        TOKENIZER.check_sentence(options.prompt)
        with loaded.locating("$"):
            request = small_request(plan)
        folder = weights_folder(options.weights)
        with loaded.locating():
            planned = PlannedVideo.of(plan, folder, request=request)
        check_is_small(planned.video.model, folder)
        return planned, token_ids, token_mask, {"weights_sha256": weights_digest(options.weights)}
    if options.weights is None:
        raise UserError(
            f"the weights of '{plan.model_name}' do not come with this program",
            mend="Name their folder with --weights; "
            f"`ondevice-sora weights get {plan.model_name} -o DIR` fetches them.",
        )
    with loaded.locating():
        planned = PlannedVideo.of(plan, options.weights)
    with loaded.locating():
        return planned, *planned.encode(options.prompt), {}


@contextmanager
def store_folder(kept: Path | None, beside: Path) -> Iterator[Path]:
    """The folder that keeps the store, or one of our own on the video's disk: a temporary folder may lie in memory."""
    if kept is None:
        with keeping("no file was written"), scratch_in(beside, "blocks") as folder:
            yield folder / "store"
        return
    with keeping(f"no file was written; finished blocks are kept in {kept}, and the same command goes on from them"):
        yield kept


def prepared(work: BlockwiseVideo) -> BlockwiseVideo:
    """Measure what is needed to tell what the generation takes. Raises UserError."""
    with status_line() as say:
        work.probe(lambda kind: say(f"measuring {kind}"))
        say("measuring the disk")
        work.begin()
    return work


def _play(work: BlockwiseVideo, token_ids: Tensor, token_mask: Tensor, seed: int) -> tuple[Video, Trace]:
    with timed_bar(work.expected.generate_s) as begin:

        def on_block(place: Place) -> None:
            step = f"step {place.step} of {place.steps}" if place.component == "denoiser" else f"pass {place.step}"
            begin(f"{place.component}, {step}, block {place.block} of {place.blocks}", place.expected_s)

        return work.generate(token_ids, token_mask, seed=seed, on_block=on_block)


def _told(model: str, kept: Path | None, expected: Expected) -> str:
    """What is about to happen: where blocks run, disk, memory, time, and what of the plan cannot be followed."""
    from ondevice_sora.base.units import format_bytes, format_seconds

    parts = [f"{component} {format_seconds(seconds)}" for component, seconds in expected.seconds.items()]
    if expected.write_bytes:
        parts.insert(0, f"writing the store {format_seconds(expected.write_s)}")
    where = f"in {kept}" if kept is not None else "beside the video, removed afterwards"
    left = f", {format_bytes(expected.write_bytes)} of it to be written" if expected.write_bytes else ""
    lines = [
        f"{model}, block by block: every block on the CPU, in float32, whatever the plan says for a phone",
        f"  disk    {format_bytes(expected.store_bytes)} {where}{left}",
        f"  memory  {format_bytes(expected.needed_bytes)} of the budget of {format_bytes(expected.budget_bytes)}",
        f"  time    about {format_seconds(expected.write_s + expected.generate_s)} ({', '.join(parts)})",
        *(f"  note    {line}" for line in expected.told),
    ]
    return "\n".join(lines)


def _facts(work: BlockwiseVideo, expected: Expected, trace: Trace) -> dict[str, Any]:
    """What the sidecar has of a run in blocks besides."""
    return {
        "store": {"bytes": expected.store_bytes, "stored_as": work.writer.stored_as},
        "memory": {
            "budget_bytes": expected.budget_bytes,
            "peak_bytes": trace.peak_bytes,
            "measured_peak_bytes": work.measured_peak_bytes,
        },
        "expected_s": expected.seconds,
        "differs_from_plan": list(expected.told),
    }
