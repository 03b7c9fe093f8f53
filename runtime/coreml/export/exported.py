"""An export, opened to be run: its manifest, its networks without weights, and its schedule."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.opening import plain, read_bytes
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.schema import LoadedPlan, Plan, read_plan
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.profiles.models.opensora import reference_partition
from ondevice_sora.runtime.coreml.export.folder import read_constant
from ondevice_sora.runtime.coreml.export.manifest import (
    EXPORT_AGAIN,
    MANIFEST,
    ExportedBlock,
    ExportManifest,
    StoredConstant,
    plan_hash,
    read_manifest,
)
from ondevice_sora.runtime.coreml.export.workshop import SIZES, rebuilt, request_of_plan
from ondevice_sora.runtime.executor.scheduling import describe_networks, schedule_run, stored_pricer
from ondevice_sora.runtime.networks.units import BlockModule
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.runtime.tokenizers.document import MAX_TOKENIZER_BYTES, TokenizerDocument, num_ids, read_tokenizer
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer

FLOAT32_BYTES = 4
SizeOf = Callable[[ExportedBlock], int]


@dataclass(frozen=True)
class Export:
    """A complete export. `video` generates with any executor that plays `schedule`."""

    directory: Path
    manifest: ExportManifest
    loaded: LoadedPlan
    video: VideoNetworks
    model: Model
    told_tokenizer: TokenizerDocument | None

    @classmethod
    def open(cls, directory: Path) -> Export:
        """Raises UserError if there is no export, or an unfinished one."""
        manifest = read_manifest(directory)
        loaded = planned(manifest, directory / MANIFEST)
        plan = loaded.plan
        networks = rebuilt(manifest.origin, directory / MANIFEST)
        stored = manifest.no_caption
        wanted = networks.denoiser.config.caption_channels
        if len(stored.shape) != 2 or stored.shape[1] != wanted:
            what = f"no_caption.shape: {list(stored.shape)} for captions of {wanted} channels"
            raise UserError(what, str(directory / MANIFEST), EXPORT_AGAIN)
        values = np.frombuffer(constant_of(directory, stored), "<f4").astype(np.float32)
        networks.denoiser.y_embedder.y_embedding = torch.from_numpy(values).reshape(stored.shape)
        video = VideoNetworks.of(networks, request_of_plan(plan))
        check_wiring(manifest, video, directory / MANIFEST)
        described = describe_networks(plan.model, video.networks)
        told = tokenizer_in(directory, manifest, networks.text_encoder.config.vocab_size)
        return cls(directory, manifest, loaded, video, described, told)

    @property
    def plan(self) -> Plan:
        return self.loaded.plan

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What makes token ids of prompts. Raises UserError if the export has none."""
        if self.told_tokenizer is None:
            mend = "Export the plan with --weights that have one; docs/coreml.md says which file."
            raise UserError("this export has no tokenizer: it plays tokens, not prompts", str(self.directory), mend)
        return Tokenizer.of(self.told_tokenizer)

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


def planned(manifest: ExportManifest, where: Path) -> LoadedPlan:
    """The plan that was exported. Raises UserError if the export is not complete, or not this plan's."""
    if not manifest.complete:
        raise UserError("the export is not complete", str(where), "Run the export again to go on.")
    loaded = read_plan(Document(manifest.plan, {}, where, EXPORT_AGAIN))
    if loaded.plan.model not in SIZES or manifest.model != loaded.plan.model:
        raise UserError(f"'{loaded.plan.model}' is no model that is exported here", f"{where}: model", EXPORT_AGAIN)
    if manifest.plan_sha256 != plan_hash(loaded.plan):
        raise UserError("not the hash of the plan that is told", f"{where}: plan_sha256", EXPORT_AGAIN)
    return loaded


def constant_of(directory: Path, stored: StoredConstant) -> bytes:
    """The bytes of a constant beside the manifest. Raises UserError unless they are as they were written."""
    data = read_constant(directory, stored.file, FLOAT32_BYTES * math.prod(stored.shape))
    if hashlib.sha256(data).hexdigest() != stored.checksum:
        raise UserError("is not as it was written (checksum)", str(directory / stored.file), EXPORT_AGAIN)
    return data


def tokenizer_in(directory: Path, manifest: ExportManifest, vocabulary: int) -> TokenizerDocument | None:
    """The tokenizer document beside the manifest, None if it names none.

    Raises UserError unless it is as it was written, for prompts of the manifest's length and a vocabulary of this size.
    """
    if manifest.tokenizer is None:
        return None
    path = plain(directory, manifest.tokenizer.file)
    data = read_bytes(path, MAX_TOKENIZER_BYTES, follows_links=False)
    if hashlib.sha256(data).hexdigest() != manifest.tokenizer.checksum:
        raise UserError("is not as it was written (checksum)", str(path), EXPORT_AGAIN)
    found = read_tokenizer(path, EXPORT_AGAIN)
    if found.length != manifest.encoder_tokens or num_ids(found) > vocabulary:
        what = f"{found.length} tokens of {num_ids(found)}; the model reads {manifest.encoder_tokens} of {vocabulary}"
        raise UserError(what, str(path), EXPORT_AGAIN)
    return found


def check_wiring(manifest: ExportManifest, video: VideoNetworks, where: Path) -> None:
    """Raises UserError unless every function reads and writes the tensors that its units do."""
    networks = {network.name: network for network in video.networks}
    for block in manifest.blocks:
        network = networks.get(block.component)
        names = [unit.name for unit in network.plain] if network is not None else []
        if network is None or not {block.first_unit, block.last_unit} <= set(names):
            what = f"the model has no block '{block.name}' of {block.component}"
            raise UserError(what, str(where), EXPORT_AGAIN)
        start, stop = names.index(block.first_unit), names.index(block.last_unit) + 1
        for function in block.functions:
            units = network.units("tdtm" if function.kind == "tdtm" else "plain")
            wanted = BlockModule(units, start, stop) if start < stop else None
            told = [[feature.tensor for feature in features] for features in (function.inputs, function.outputs)]
            if wanted is None or told != [list(wanted.inputs), list(wanted.outputs)]:
                what = f"function '{function.kind}' of block '{block.name}' of {block.component}"
                raise UserError(f"{what} does not read and write what the block does", str(where), EXPORT_AGAIN)
