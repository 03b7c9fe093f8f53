"""A video generated block by block: weights in a store of units, loaded and kept as the plan says within its budget.

    work = BlockwiseVideo(planned, folder)      # what is there of the store, and what has to be written
    work.probe()                                # what units take here: memory, and seconds
    work.begin()                                # how fast the disk is; the schedule
    work.expected                               # what is about to happen, for people
    work.write()
    video, trace = work.generate(token_ids, token_mask, seed=0)

At no time is more of the model in memory than the blocks of the schedule, or one weight while the store is written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ondevice_sora.base.interrupts import check
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.profiles.models.model import Variant
from ondevice_sora.records.trace import Trace
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.buffers import Buffer
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.on_host import HostCosts, Settled, budget_of, check_units, settle
from ondevice_sora.runtime.executor.probing import UnitCosts, UnitKey, probe_units
from ondevice_sora.runtime.executor.reading import FileReader, drop_pages
from ondevice_sora.runtime.executor.slots import Holding
from ondevice_sora.runtime.executor.store import Store
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.executor.unit_store import StoredAs, UnitFile, UnitStoreWriter, unit_files
from ondevice_sora.runtime.models import PlannedVideo
from ondevice_sora.runtime.networks.components import DENOISER
from ondevice_sora.runtime.networks.network import Network
from ondevice_sora.runtime.networks.units import State, Unit
from ondevice_sora.runtime.sampling.generation import Video, generate
from ondevice_sora.runtime.sampling.sampler import StepRecord

LARGE_BYTES = 1 << 22
"""A file that large says how fast the disk is."""
FLOAT_BYTES = 4
LATENTS_HELD = 12
"""How many of a video's latents exist at one time, at most, while a step ends."""


@dataclass(frozen=True)
class Expected:
    """What a generation is about to take. Seconds are by component; `write_s` is for what is left of the store."""

    store_bytes: int
    write_bytes: int
    write_s: float
    seconds: dict[str, float]
    needed_bytes: int
    budget_bytes: int
    told: tuple[str, ...]

    @property
    def generate_s(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Place:
    """Where a generation is: pass `step` of `steps` of a component, its block `block` of `blocks`, counted from 1.

    `expected_s` is what the block's run is expected to take.
    """

    component: str
    step: int
    steps: int
    block: int
    blocks: int
    expected_s: float


class BlockwiseVideo:
    """One generation from a store in a folder, made if it is not there. The steps stand above, in their order."""

    def __init__(self, planned: PlannedVideo, folder: Path, stored_as: StoredAs = "checkpoint") -> None:
        """Raises UserError if the folder has a store of other weights, or no room for this one."""
        self.planned = planned
        networks = planned.video.networks
        self.files = unit_files(networks, planned.source, stored_as)
        self.writer = UnitStoreWriter(folder, planned.name, self.files, planned.source, stored_as)
        self.writer.check_disk()
        self.budget = budget_of(planned.plan)
        self.baseline_bytes = _held_besides(planned)
        self._units: dict[UnitKey, UnitCosts] = {}
        self.settled: Settled | None = None
        self._write_s_per_byte = 0.0
        self.measured_peak_bytes: int | None = None

    def probe(self, on_kind: Callable[[str], None] | None = None) -> None:
        """Measure the units. Raises UserError if not even one of them fits the budget, and Interrupted."""
        largest = max(2 * file.data_bytes + file.widened_bytes for file in self.files)
        footprint.check_room(largest, "a unit of this model takes", footprint.MORE_ROOM)
        footprint.settle_heap()
        plan, networks = self.planned.plan, self.planned.video.networks
        variants: set[Variant] = {"tdtm" if plan.merges(step) else "plain" for step in range(plan.most_evaluations())}
        self._units = probe_units(networks, self.planned.shapes(), self.files, variants, on_kind)
        check_units(self.planned.model, self._costs(1.0), budget=self.budget, baseline_bytes=self.baseline_bytes)

    def begin(self, on_file: Callable[[UnitFile], None] | None = None) -> None:
        """Write the store's first files, enough to know how fast that is; read one; make the schedule.

        Raises UserError if the disk refuses or the plan cannot be played here, and Interrupted.
        """
        began, before = time.perf_counter(), self.writer.remaining_bytes
        while self.writer.remaining and before - self.writer.remaining_bytes < LARGE_BYTES:
            self.writer.write(1, on_file)
        written = before - self.writer.remaining_bytes
        if written:
            self._write_s_per_byte = (time.perf_counter() - began) / written
        costs = self._costs(_read_bytes_per_s(self.writer.begun()))
        planned = self.planned
        self.settled = settle(
            planned.plan,
            planned.model,
            planned.reference,
            costs,
            budget=self.budget,
            baseline_bytes=self.baseline_bytes,
        )

    @property
    def expected(self) -> Expected:
        settled, left = self._settled(), self.writer.remaining_bytes
        return Expected(
            store_bytes=sum(file.file_bytes for file in self.files),
            write_bytes=left,
            write_s=left * self._write_s_per_byte,
            seconds=settled.seconds(),
            needed_bytes=settled.schedule.needed_bytes,
            budget_bytes=self.budget,
            told=settled.told,
        )

    def write(self, on_file: Callable[[UnitFile], None] | None = None) -> None:
        """Write what is left of the store. Raises UserError and Interrupted; what is finished stays."""
        self.writer.write(on_file=on_file)

    def generate(
        self,
        token_ids: Tensor,
        token_mask: Tensor,
        *,
        seed: int,
        on_block: Callable[[Place], None] | None = None,
        on_step: Callable[[StepRecord], None] | None = None,
    ) -> tuple[Video, Trace]:
        """One video for one prompt, tokens [1, L], and its trace. Raises UserError as the executor does."""
        settled, video, store = self._settled(), self.planned.video, self.writer.store()
        for block in store.manifest.blocks:
            drop_pages(store.path(block))
        blocks = ToldBlocks(settled, video.networks, store, on_block, self.writer.has_taken_over)
        with Executor(settled.schedule, settled.costs, blocks, memory=settled.memory) as executor:
            result = generate(video, token_ids, token_mask, seed=seed, player=executor, on_step=on_step)
        self.measured_peak_bytes = executor.measured_peak_bytes
        facts = {"arithmetic": "float32", "weights": f"stored as {store.manifest.origin['stored_as']}"}
        return result, executor.trace(facts)

    def _settled(self) -> Settled:
        assert self.settled is not None, "see begin"
        return self.settled

    def _costs(self, read_bytes_per_s: float) -> HostCosts:
        return HostCosts(self.files, self._units, read_bytes_per_s, {DENOISER: self.planned.request.branch_runs})


class ToldBlocks(TorchBlocks):
    """Tells of every block before it runs."""

    def __init__(
        self,
        settled: Settled,
        networks: Sequence[Network],
        store: Store,
        on_block: Callable[[Place], None] | None,
        verify: bool,
    ) -> None:
        super().__init__(settled.schedule, networks, store, FileReader(store, verify=verify))
        self._schedule, self._run_s, self._on_block = settled.schedule, settled.costs.run_s[:, 0], on_block
        self._of_component = _passes_of(settled.schedule)
        self._begun = dict.fromkeys(self._of_component, 0)

    def run(self, block: int, holding: Holding, state: State, units: Sequence[Unit] | None) -> State:
        if self._on_block is not None:
            spec = self._schedule.blocks[block]
            self._begun[spec.component] += spec.index == 0
            steps, blocks = self._of_component[spec.component]
            self._on_block(
                Place(
                    component=spec.component,
                    step=self._begun[spec.component],
                    steps=steps,
                    block=spec.index + 1,
                    blocks=blocks,
                    expected_s=float(self._run_s[block]),
                )
            )
        return super().run(block, holding, state, units)


def _passes_of(schedule: Schedule) -> dict[str, tuple[int, int]]:
    """By component, how many passes are scheduled, and how many blocks one has."""
    found: dict[str, tuple[int, int]] = {}
    for each in schedule.passes:
        component = schedule.blocks[schedule.visits[each.first].block].component
        found[component] = found.get(component, (0, 0))[0] + 1, each.length
    return found


def _held_besides(planned: PlannedVideo) -> int:
    """Bytes that a generation holds beside its blocks, at most: captions, latents of a step, frames."""
    model, request = planned.video.model, planned.request
    latent = math.prod(model.decoder.config.latent_size(request.num_frames, request.height, request.width))
    numbers = {
        "captions: the prompt's, none, and both together": (
            4 * planned.encoder_tokens * model.denoiser.config.caption_channels
        ),
        "latents: noise, both branches, velocities, drifts that a leap watches": (
            LATENTS_HELD * latent * model.denoiser.config.in_channels
        ),
        "frames, as they are collected": 3 * request.num_frames * request.height * request.width,
    }
    return FLOAT_BYTES * sum(numbers.values())


def _read_bytes_per_s(store: Store) -> float:
    """From one read of the largest file, past the page cache where the system can."""
    block = max(store.manifest.blocks, key=lambda block: block.data_bytes)
    buffer = Buffer(block.data_bytes)
    try:
        buffer.populate()
        drop_pages(store.path(block))
        view = buffer.view
        assert view is not None, "not released yet"
        began = time.perf_counter()
        FileReader(store).read(block, view, lambda _: check())
        return max(1, block.data_bytes) / max(1e-9, time.perf_counter() - began)
    finally:
        buffer.release()
