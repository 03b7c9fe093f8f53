"""One run of a plan in a process of its own, measured: what captures and `validate host` are made of.

    python -m ondevice_sora.runtime.capture.measured_run --store DIR --plan plan.yaml -o trial.json

Writes the trace, the digest of the result, the most memory that the system charged, and beside them the seconds of a
fixed read and of a fixed piece of work taken right after the run: how fast the machine was then. With --probe the
memory that each block's run takes is measured instead of time. With --whole nothing is partitioned: the digest that
every run of the plan must have.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from msgspec.structs import replace
from torch import Tensor

from ondevice_sora.base import children
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked, scratch_in
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.base.interrupts import noted
from ondevice_sora.base.quantities import Bytes
from ondevice_sora.base.text import END, Line
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.provenance import provenance
from ondevice_sora.records.trace import Trace, check_trace
from ondevice_sora.runtime.capture.subjects import executor_for, subject_of
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.reading import FileReader, drop_pages
from ondevice_sora.runtime.executor.slots import Holding
from ondevice_sora.runtime.executor.store import Store
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.networks.units import State, Unit

MODULE = "ondevice_sora.runtime.capture.measured_run"
PROBE, WHOLE = "probe", "whole"
MAX_BYTES = 500_000_000
"""Of a trial's file."""


class Trial(msgspec.Struct, frozen=True):
    """What one run left behind.

    digest          SHA-256 of the result's bytes
    added_bytes     most resident memory above the process's own; None where the system does not tell
    working_bytes   of a probe: the most that any run of a block took, by component, block and variant
    cpu_share       of the time that runs took, how much their thread had a processor; less than one beside others
    load_average    of the system in the minute before; None where it does not tell
    """

    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}" + END, description="64 hexadecimal digits")]
    trace: Trace | None = None
    added_bytes: Bytes | None = None
    working_bytes: list[tuple[Line, Line, Line, Bytes]] = []
    cpu_share: Annotated[float, msgspec.Meta(ge=0)] | None = None
    load_average: Annotated[float, msgspec.Meta(ge=0)] | None = None


class TimedBlocks(TorchBlocks):
    """Measures how much of the time of its runs their thread had a processor."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.wall_s = self.cpu_s = 0.0

    def run(self, block: int, holding: Holding, state: State, units: Sequence[Unit] | None) -> State:
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        after = super().run(block, holding, state, units)
        self.cpu_s += time.thread_time() - cpu_s
        self.wall_s += time.perf_counter() - wall_s
        return after

    @property
    def cpu_share(self) -> float | None:
        return self.cpu_s / self.wall_s if self.wall_s > 0 else None


class ProbingBlocks(TorchBlocks):
    """Measures how far each block's run raises the process's resident memory; times are then not worth keeping."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._has_run: set[int] = set()
        self.working: dict[int, int] = {}
        """the most bytes by the block's index in the schedule, the first run apart: it also brings in library code"""

    def run(self, block: int, holding: Holding, state: State, units: Sequence[Unit] | None) -> State:
        footprint.trim_heap()
        before, is_ours = footprint.resident_bytes(), footprint.reset_peak()
        after = super().run(block, holding, state, units)
        peak = footprint.peak_bytes()
        if before is not None and peak is not None and is_ours and block in self._has_run:
            self.working[block] = max(self.working.get(block, 0), peak - before)
        self._has_run.add(block)
        return after


def run_trial(
    store_directory: Path,
    plan_path: Path,
    profile: str | None,
    *,
    is_probe: bool = False,
    is_whole: bool = False,
    command: str | None = None,
) -> Trial:
    """The trace says that it comes from `command`, if one is given.

    Raises UserError for a plan that does not fit the store or this machine.
    """
    loaded, store = load_plan(plan_path), Store.open(store_directory)
    known = None if profile is None else load_profile(profile)
    if is_whole:
        return Trial(digest_of(subject_of(store).whole(loaded.plan)))
    executor, playable = executor_for(
        store,
        loaded,
        known,
        reader=partial(FileReader, drop_cache=True),
        blocks=ProbingBlocks if is_probe else TimedBlocks,
    )
    blocks = executor.backend
    assert isinstance(blocks, TorchBlocks)
    for block in blocks.store.manifest.blocks:
        drop_pages(blocks.store.path(block))
    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with locked(blocks.store.directory, shared=True), executor:
        result = playable.generate(executor)
    digest = digest_of(result)
    if isinstance(blocks, ProbingBlocks):
        return Trial(digest, working_bytes=_working(blocks, executor.schedule))
    share = blocks.cpu_share if isinstance(blocks, TimedBlocks) else None
    trace = executor.trace()
    if command is not None:
        trace = replace(trace, provenance=provenance(command, loaded, None if known is None else known[0]))
    return Trial(digest, trace, executor.measured_peak_bytes, cpu_share=share, load_average=load_average)


def digest_of(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def in_process(
    store: Path,
    plan: Path,
    output: Path,
    *,
    threads: int,
    profile: Path | None = None,
    mode: str = "",
    command: str | None = None,
) -> Trial:
    """Run a trial in a fresh process. `mode` is "", "probe" or "whole". `output` is there once it is whole.

    A trace says that it comes from `command`, if one is given.

    Raises UserError with what it complained of, and Interrupted, both when the process has ended.
    """
    options = ["--store", str(store), "--plan", str(plan), "--threads", str(threads)]
    options += ["--device", str(profile)] if profile is not None else []
    options += [f"--{mode}"] if mode else []
    options += [f"--command={command}"] if command is not None else []
    with noted(), scratch_in(output.parent, "trial") as folder:
        written = folder / output.name
        process = children.start(
            MODULE,
            *options,
            "-o",
            str(written),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        said = children.finish(process).strip().splitlines()
        if process.returncode < 0:
            what = f"the process of a run of {plan.name} {children.how_it_ended(process.returncode)}"
            raise UserError(what, str(plan), "Close other programs, or measure smaller blocks.")
        if process.returncode:
            reason = said[-1] if said else f"its process {children.how_it_ended(process.returncode)}"
            raise UserError(f"a run of {plan.name} failed: {reason}", str(plan))
        os.replace(written, output)
    return read_trial(output, mode)


def read_trial(path: Path, mode: str = "") -> Trial:
    """A finished trial of a mode as `in_process` has it. Raises UserError if the file is none.

    A run that was measured took some time; a probe found what some block holds.
    """
    document = read_json(path, max_bytes=MAX_BYTES, mend="Remove it; the run is then repeated.", follows_links=False)
    trial = document.convert(Trial)
    if mode == PROBE and not trial.working_bytes:
        raise document.error("$.working_bytes", "nothing was probed")
    if mode == "":
        if trial.trace is None:
            raise document.error("$.trace", "there is no trace")
        check_trace(trial.trace, document, "$.trace")
        if not any(span.action == "run" for span in trial.trace.spans) or trial.trace.total_s <= 0:
            raise document.error("$.trace.spans", "no run took any time")
    return trial


def _working(probed: ProbingBlocks, schedule: Schedule) -> list[tuple[str, str, str, int]]:
    blocks = schedule.blocks
    return [
        (blocks[number].component, blocks[number].name, blocks[number].variant, held)
        for number, held in sorted(probed.working.items())
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--device", help="a captured profile: working memory and baseline count against the budget")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--probe", action="store_true", help="measure the memory of runs, not their time")
    parser.add_argument("--whole", action="store_true", help="do not partition")
    parser.add_argument("--command", help="what the trace is to say that it comes from")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        trial = run_trial(
            options.store,
            options.plan,
            options.device,
            is_probe=options.probe,
            is_whole=options.whole,
            command=options.command,
        )
    except UserError as error:
        print(f"error: {error}".replace("\n", " "), file=sys.stderr)
        return 2
    write_text(options.output, msgspec.json.encode(trial).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
