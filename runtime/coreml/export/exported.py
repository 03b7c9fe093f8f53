"""An export, opened to be run: its manifest, its networks without weights, and its schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.schema import LoadedPlan, Plan, read_plan
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.profiles.models.opensora import reference_partition
from ondevice_sora.runtime.coreml.export.manifest import (
    EXPORT_AGAIN,
    MANIFEST,
    ExportedBlock,
    ExportManifest,
    read_manifest,
)
from ondevice_sora.runtime.coreml.export.workshop import rebuilt, request_of_plan
from ondevice_sora.runtime.executor.scheduling import describe_networks, schedule_run, stored_pricer
from ondevice_sora.runtime.sampling.video import VideoNetworks

SizeOf = Callable[[ExportedBlock], int]


@dataclass(frozen=True)
class Export:
    """A complete export. `video` generates with any executor that plays `schedule`."""

    directory: Path
    manifest: ExportManifest
    loaded: LoadedPlan
    video: VideoNetworks
    model: Model

    @classmethod
    def open(cls, directory: Path) -> Export:
        """Raises UserError if there is no export, or an unfinished one."""
        manifest = read_manifest(directory)
        if not manifest.complete:
            raise UserError("the export is not complete", str(directory / MANIFEST), "Run the export again to go on.")
        loaded = read_plan(Document(manifest.plan, {}, directory / MANIFEST))
        plan = loaded.plan
        networks = rebuilt(manifest.origin)
        stored = manifest.no_caption
        data = (directory / stored.file).read_bytes() if (directory / stored.file).is_file() else b""
        values = np.frombuffer(data, "<f4") if len(data) % 4 == 0 else np.empty(0, np.float32)
        if values.size != np.prod(stored.shape):
            raise UserError("is not as it was written", str(directory / stored.file), EXPORT_AGAIN)
        networks.denoiser.y_embedder.y_embedding = torch.from_numpy(values.astype(np.float32)).reshape(stored.shape)
        video = VideoNetworks.of(networks, request_of_plan(plan))
        return cls(directory, manifest, loaded, video, describe_networks(plan.model, video.networks))

    @property
    def plan(self) -> Plan:
        return self.loaded.plan

    def block_of(self, spec: BlockSpec) -> ExportedBlock:
        """Raises UserError if the export was cut otherwise."""
        return self.manifest.block(spec.component, spec.units[0].name, spec.units[-1].name)

    def schedule(self, size_of: SizeOf) -> tuple[Schedule, BlockCosts]:
        """The schedule of one generation, for blocks that hold these bytes. Working memory counts as none: unknown.

        Raises UserError if the plan's budget cannot be kept.
        """
        with self.loaded.locating():
            return schedule_run(
                self.plan,
                self.model,
                price=stored_pricer(lambda spec: size_of(self.block_of(spec))),
                reference=reference_partition(self.model),
            )
