"""An export, opened to be run: its manifest, its networks without weights, and its schedule."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.opening import plain, read_bytes, reason
from ondevice_sora.base.interrupts import check
from ondevice_sora.plans.plan_file import LoadedPlan, read_plan
from ondevice_sora.plans.played import Played, played
from ondevice_sora.plans.schedule_file import MAKE_AGAIN, SCHEDULE, read_schedule
from ondevice_sora.plans.schema import Plan, plan_hash
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.models.catalogue import Architecture, architecture
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.profiles.models.opensora import reference_partition
from ondevice_sora.runtime.coreml.export.folder import read_constant
from ondevice_sora.runtime.coreml.export.manifest import (
    EXPORT_AGAIN,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    ExportedBlock,
    ExportedFunction,
    ExportManifest,
    StoredConstant,
    packaged,
    read_manifest,
)
from ondevice_sora.runtime.coreml.export.workshop import rebuilt
from ondevice_sora.runtime.models import SIZES, request_of_plan
from ondevice_sora.runtime.networks.description import describe_networks, described_sizes
from ondevice_sora.runtime.networks.units import BlockModule
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.runtime.tokenizers.document import MAX_TOKENIZER_BYTES, TokenizerDocument, num_ids, read_tokenizer
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Export:
    """A complete export. `video` generates with any executor that plays its schedule; `sha256` is the manifest's."""

    directory: Path
    manifest: ExportManifest
    loaded: LoadedPlan
    video: VideoNetworks
    model: Model
    sha256: str
    tokenizer_document: TokenizerDocument | None

    @classmethod
    def open(cls, directory: Path) -> Export:
        """Raises UserError if there is no export, or an unfinished one."""
        manifest = read_manifest(directory)
        digest = hashlib.sha256(read_bytes(directory / MANIFEST, MAX_MANIFEST_BYTES, follows_links=False)).hexdigest()
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
        described = describe_networks(plan.model_name, video.networks)
        told = tokenizer_in(directory, manifest, networks.text_encoder.config.vocab_size)
        return cls(directory, manifest, loaded, video, described, digest, told)

    @property
    def plan(self) -> Plan:
        return self.loaded.plan

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What makes token ids of prompts. Raises UserError if the export has none."""
        if self.tokenizer_document is None:
            mend = "Export the plan with --weights that have one; docs/coreml.md says which file."
            raise UserError("this export has no tokenizer: it plays tokens, not prompts", str(self.directory), mend)
        return Tokenizer.of(self.tokenizer_document)

    def block_of(self, spec: BlockSpec) -> ExportedBlock:
        """Raises UserError if the export was cut otherwise."""
        return self.manifest.block(spec.component, spec.units[0].name, spec.units[-1].name)

    @property
    def architecture(self) -> Architecture:
        """What the export holds as profiles/ describes it: by the sizes of its own networks."""
        described = architecture(self.plan.model_name)
        assert described is not None, "an export's model has an architecture"
        return replace(described, config=described_sizes(self.video.model, self.manifest.encoder_tokens))

    def function_of(self, spec: BlockSpec) -> ExportedFunction:
        """How a block of a schedule is called, for inputs of the usual shapes. Raises UserError if there is none."""
        block = self.block_of(spec)
        found = block.function(spec.variant)
        if found is None:
            what = f"the export has no function '{spec.variant}' of block '{block.name}' of {block.component}"
            raise UserError(what, str(self.directory / MANIFEST), EXPORT_AGAIN)
        return found

    def check_packages(self) -> None:
        """Read every package through. Raises UserError for the first that is not as it was exported, or Interrupted."""
        for package in (each for block in self.manifest.blocks for each in block.packages):
            check()
            path = str(self.directory / package.file)
            try:
                found = packaged(self.directory, package.file)
            except OSError as error:
                raise UserError(f"the package cannot be read: {reason(error)}", path, EXPORT_AGAIN) from None
            if found != package:
                what = "size" if found.num_bytes != package.num_bytes else "checksum"
                raise UserError(f"is not as it was exported ({what})", path, EXPORT_AGAIN)

    def played(self, path: Path | None = None) -> Played:
        """The schedule beside the manifest, or another file, as it is played. Raises UserError if it is not of this
        export.
        """
        where = path or self.directory / SCHEDULE
        if path is None and not os.path.lexists(where):
            what = f"the export has no {SCHEDULE}, which says when each block is loaded"
            raise UserError(what, str(self.directory), f"Make it with `ondevice-sora schedule {self.directory}`.")
        file = read_schedule(where, follows_links=path is not None)
        try:
            if file.manifest_sha256 != self.sha256:
                raise UserError("this is a schedule of another export, or the manifest has changed", mend=MAKE_AGAIN)
            found = played(file, self.plan, self.model, reference_partition(self.model))
            for block, spec in zip(file.blocks, found.schedule.blocks, strict=True):
                function = self.function_of(spec)
                if (block.package, block.function) != (function.package, function.function):
                    what = f"block '{block.name}' of {block.component} is function '{function.function}' of "
                    raise UserError(
                        f"{what}{function.package}, not {block.function} of {block.package}", mend=MAKE_AGAIN
                    )
            return found
        except UserError as error:
            raise UserError(error.what, error.where or str(where), error.mend) from None


def planned(manifest: ExportManifest, where: Path) -> LoadedPlan:
    """The plan that was exported. Raises UserError if the export is not complete, or not this plan's."""
    if not manifest.complete:
        raise UserError("the export is not complete", str(where), "Run the export again to go on.")
    loaded = read_plan(Document(manifest.plan, {}, where, EXPORT_AGAIN))
    if loaded.plan.model_name not in SIZES or manifest.model != loaded.plan.model_name:
        raise UserError(
            f"'{loaded.plan.model_name}' is no model that is exported here", f"{where}: model", EXPORT_AGAIN
        )
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
