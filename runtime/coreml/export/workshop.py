"""What a plan's export is made from: networks without weights, blocks, shapes, and where the weights come from.

A plan's `model` is `small` or `opensora`, or weights of the same classes in other sizes stand in for it. All of it
follows from a `Commission`, which is small enough to send to another process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.plans.partition import Block, cut
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.models.catalogue import architecture
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.profiles.models.opensora import check_video, reference_partition
from ondevice_sora.runtime.coreml.export.manifest import EXPORT_AGAIN, FunctionKind
from ondevice_sora.runtime.coreml.export.sources import CheckpointWeights, RandomWeights, WeightSource
from ondevice_sora.runtime.executor.scheduling import describe_networks
from ondevice_sora.runtime.networks.components import (
    DECODER,
    DENOISER,
    TEXT_ENCODER,
    TextToVideo,
    describe_text_to_video,
)
from ondevice_sora.runtime.networks.embeddings import rotary_frequencies
from ondevice_sora.runtime.networks.network import HeldWeight, Network, WeightPlace, weight_places
from ondevice_sora.runtime.networks.stdit3 import STDiT3, STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config, T5Encoder
from ondevice_sora.runtime.networks.units import BlockModule, State, Unit
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig
from ondevice_sora.runtime.sampling.request import VideoRequest, request_of
from ondevice_sora.runtime.sampling.video import SPATIAL, TEMPORAL, VideoNetworks
from ondevice_sora.runtime.small import model as small
from ondevice_sora.runtime.small.shipped import shipped_weights
from ondevice_sora.runtime.tokenizers.document import TokenizerDocument, num_ids
from ondevice_sora.runtime.tokenizers.finding import document_of

SIZES = {
    "small": (small.TEXT_ENCODER, small.DENOISER, small.VIDEO_VAE),
    "opensora": (T5Config(), STDiT3Config(), VideoVAEConfig()),
}
SHIPPED = "shipped with the program"
"""What an export says of its weights if they are those that come with their model."""
OPENSORA_REQUEST = VideoRequest(num_frames=68, height=192, width=192, fps=24.0, num_steps=30, guidance_scale=7.0)


@dataclass(frozen=True)
class Commission:
    """What to export: the plan, and its weights in a folder or out of a seed (0 unless given)."""

    plan: Plan
    weights: Path | None
    seed: int | None = None


@dataclass(frozen=True)
class Walk:
    """One way to walk a component: its units, and what the first reads, in shapes alone (on the meta device)."""

    units: tuple[Unit, ...]
    state: State


class Workshop:
    """The networks of a commission's video, cut as planned.

    `video.model` is on the meta device but for a few small values; `slots` say where weights belong. `walks` has the
    ways in which each component is walked. `tokenizer` is None where the weights have none.
    """

    def __init__(self, commission: Commission) -> None:
        """Raises UserError for a model that is not exported here, weights that do not fit, or an impossible plan."""
        plan = commission.plan
        described = architecture(plan.model)
        if described is None or plan.model not in SIZES:
            listed = ", ".join(sorted(SIZES))
            raise UserError(f"'{plan.model}' is not exported here", mend=f"Models that are: {listed}.", field="$.model")
        shape = plan.video or described.video
        check_video(shape.width, shape.height, shape.frames, described.config)
        self.plan = plan
        self.request = request_of_plan(plan)
        model, self.source = model_and_source(commission)
        longest = model.denoiser.config.model_max_length
        self.encoder_tokens = plan.encoder_tokens or min(described.config.text_encoder.tokens, longest)
        if self.encoder_tokens > longest:
            raise UserError(f"{self.encoder_tokens} tokens; this model reads {longest}", field="$.encoder_tokens")
        self.text_tokens = attended_tokens(plan)
        if self.text_tokens > self.encoder_tokens:
            what = f"{self.text_tokens} tokens; the text encoder is given {self.encoder_tokens}"
            raise UserError(what, field="$.text_tokens")
        self.tokenizer = _tokenizer(commission, model.text_encoder.config.vocab_size, self.encoder_tokens)
        self.video = VideoNetworks.of(model, self.request)
        self.model: Model = describe_networks(plan.model, self.video.networks)
        self.reference = reference_partition(self.model)
        self.cuts: dict[str, tuple[Block, ...]] = cut(plan, self.model, self.reference)
        self.walks = self._walks_of(self.video)
        bare = without_weights(*(network.config for network in vars(model).values()))
        self._shapes = {
            component: {kind: _states(walk) for kind, walk in walks.items()}
            for component, walks in self._walks_of(VideoNetworks.of(bare, self.request)).items()
        }

    @property
    def origin(self) -> dict[str, Any]:
        """The sizes of the networks, as plain data."""
        model = self.video.model
        return {name: asdict(network.config) for name, network in vars(model).items()}

    def network(self, component: str) -> Network:
        return next(network for network in self.video.networks if network.name == component)

    def block_kinds(self, component: str, number: int) -> dict[FunctionKind, tuple[BlockModule, dict[str, Tensor]]]:
        """For each kind of a block that differs: the block, and meta tensors of its inputs' shapes."""
        span = self.span(component, number)
        found: dict[FunctionKind, tuple[BlockModule, dict[str, Tensor]]] = {}
        for kind, walk in self.walks[component].items():
            if kind != "tdtm" or self.merged(component, number):
                block = BlockModule(walk.units, span.start, span.stop)
                before = self._shapes[component][kind][span.start]
                found[kind] = block, {name: before[name] for name in block.inputs}
        return found

    def outputs(self, component: str, number: int, kind: FunctionKind) -> dict[str, Tensor]:
        """Meta tensors of what a kind of a block writes."""
        block, _ = self.block_kinds(component, number)[kind]
        after = self._shapes[component][kind][self.span(component, number).stop]
        return {name: after[name] for name in block.outputs}

    def merged(self, component: str, number: int) -> list[str]:
        """Names of the block's units that its TDTM variant runs otherwise."""
        span, network = self.span(component, number), self.network(component)
        return [network.plain[index].name for index in range(span.start, span.stop) if network.merges(index)]

    def slots(self, component: str, number: int) -> dict[str, WeightPlace | HeldWeight]:
        """Where the block's weights belong, by checkpoint name. All kinds share the modules."""
        units = self.network(component).plain[self.span(component, number)]
        return dict(pair for unit in units for pair in weight_places(unit))

    def span(self, component: str, number: int) -> slice:
        """Which of the component's units a block has."""
        blocks = self.cuts[component]
        start = sum(len(block.units) for block in blocks[:number])
        return slice(start, start + len(blocks[number].units))

    def _walks_of(self, video: VideoNetworks) -> dict[str, dict[FunctionKind, Walk]]:
        by_name = {network.name: network for network in video.networks}
        model, request, tokens = video.model, self.request, self.encoder_tokens
        branches = request.branches
        config = model.decoder.config
        channels = model.denoiser.config.in_channels
        size = config.latent_size(request.num_frames, request.height, request.width)

        ids = torch.ones(1, tokens, dtype=torch.int64, device="meta")
        encoder = Walk(by_name[TEXT_ENCODER].plain, model.text_encoder.initial_state(ids, ids))

        state = model.denoiser.initial_state(
            _values(branches, channels, *size),
            _values(branches),
            _values(branches, tokens, model.denoiser.config.caption_channels),
            fps=_values(1),
        )
        denoiser: dict[FunctionKind, Walk] = {"plain": Walk(by_name[DENOISER].plain, state)}
        if any(self.plan.merges(step) for step in range(self.plan.sampler.steps)):
            denoiser["tdtm"] = Walk(by_name[DENOISER].units("tdtm"), state)

        chunks = config.chunks(size[0], request.num_frames)

        def chunk_walk(index: int) -> Walk:
            place, num_frames = chunks[index]
            latents = _values(1, channels, len(range(size[0])[place]), *size[1:])
            return Walk(tuple(model.decoder.temporal_units(num_frames)), {"latent_chunk": latents})

        temporal: dict[FunctionKind, Walk] = {"plain": chunk_walk(0)}
        if chunks[-1][1] != chunks[0][1]:
            temporal["tail"] = chunk_walk(-1)

        def batch_walk(count: int) -> Walk:
            frames = _values(count, config.spatial.latent_channels, *size[1:])
            return Walk(by_name[SPATIAL].plain, {"latent_frames": frames})

        batch = min(config.batch_frames, request.num_frames)
        spatial: dict[FunctionKind, Walk] = {"plain": batch_walk(batch)}
        if request.num_frames % batch:
            spatial["tail"] = batch_walk(request.num_frames % batch)
        return {TEXT_ENCODER: {"plain": encoder}, DENOISER: denoiser, TEMPORAL: temporal, SPATIAL: spatial}


def _tokenizer(commission: Commission, vocabulary: int, length: int) -> TokenizerDocument | None:
    """The tokenizer that goes with the weights, padding to `length`. Raises UserError if it is another model's."""
    found = document_of(commission.weights, commission.plan.model)
    if found is None:
        return None
    if num_ids(found) > vocabulary:
        what = f"the tokenizer has ids up to {num_ids(found) - 1}, the text encoder {vocabulary} tokens"
        raise UserError(what, None if commission.weights is None else str(commission.weights))
    return msgspec.structs.replace(found, length=length)


def request_of_plan(plan: Plan) -> VideoRequest:
    """What the plan asks of its model, in the model's own shape if it has none."""
    described = architecture(plan.model)
    assert described is not None, "a commission's model has an architecture"
    shape = plan.video or described.video
    defaults = small.REQUEST if plan.model == "small" else OPENSORA_REQUEST
    return replace(
        request_of(plan, defaults),
        width=shape.width,
        height=shape.height,
        num_frames=shape.frames,
        attended_tokens=attended_tokens(plan),
    )


def attended_tokens(plan: Plan) -> int:
    """How many tokens of a prompt the denoiser's blocks see."""
    described = architecture(plan.model)
    assert described is not None, "a commission's model has an architecture"
    return described.text_tokens if plan.text_tokens is None else plan.text_tokens


def model_and_source(commission: Commission) -> tuple[TextToVideo, WeightSource]:
    """The networks, of which only what no block holds has values, and where the rest comes from.

    Without a folder of weights: those that ship, if they are there, else random ones. Raises UserError.
    """
    folder = commission.weights
    if folder is None and commission.plan.model == "small":
        folder = shipped_weights()
    source: WeightSource
    if folder is not None:
        if commission.seed is not None:
            what = f"--seed has no effect: the weights are those of {folder}"
            raise UserError(what, mend="Leave it out. Random weights are for models that have none here.")
        model, checkpoints = describe_text_to_video(folder)
        description = folder.resolve().name if commission.weights is not None else SHIPPED
        source = CheckpointWeights(description, vars(model), checkpoints)
    else:
        model = without_weights(*SIZES[commission.plan.model])
        source = random_weights(model, commission.seed or 0)
    decoder, embedder = model.decoder, model.denoiser.y_embedder
    shapes = {name: tuple(getattr(decoder, name).shape) for name in ("scale", "shift")}
    for name, tensor in source.read(DECODER, shapes).items():
        setattr(decoder, name, tensor)
    name = "y_embedder.y_embedding"
    embedder.y_embedding = source.read(DENOISER, {name: tuple(embedder.y_embedding.shape)})[name]
    return model, source


def random_weights(model: TextToVideo, seed: int) -> RandomWeights:
    """Weights out of a seed for networks of these sizes."""
    decoder = model.decoder.config
    fixed = {
        (DENOISER, "rope.freqs"): rotary_frequencies(model.denoiser.config.head_channels),
        (DECODER, "scale"): torch.tensor(decoder.scale)[None, :, None, None, None],
        (DECODER, "shift"): torch.tensor(decoder.shift)[None, :, None, None, None],
    }
    return RandomWeights(seed, model.text_encoder.config.d_kv**-0.5, fixed)


def without_weights(text_encoder: T5Config, denoiser: STDiT3Config, decoder: VideoVAEConfig) -> TextToVideo:
    """Networks of these sizes on the meta device."""
    with torch.device("meta"):
        networks = T5Encoder(text_encoder), STDiT3(denoiser), VideoVAE(decoder)
    for network in networks:
        network.to("meta").eval().requires_grad_(False)
    return TextToVideo(*networks)


@contextmanager
def bound(slots: Mapping[str, WeightPlace | HeldWeight], tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """The modules with these weights, inside the `with`; afterwards as they were."""
    before = {name: slot.get() for name, slot in slots.items()}
    try:
        for name, slot in slots.items():
            slot.put(tensors[name])
        yield
    finally:
        for name, slot in slots.items():
            slot.put(before[name])


class _Origin(msgspec.Struct, forbid_unknown_fields=True):
    text_encoder: T5Config
    denoiser: STDiT3Config
    decoder: VideoVAEConfig


def rebuilt(origin: Mapping[str, Any], where: Path) -> TextToVideo:
    """The networks of an export's `origin`, on the meta device. Raises UserError if it does not say how."""
    found = Document({"origin": origin}, {}, where, EXPORT_AGAIN).convert(_OriginKey).origin
    return without_weights(found.text_encoder, found.denoiser, found.decoder)


class _OriginKey(msgspec.Struct):
    origin: _Origin


def _values(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def _states(walk: Walk) -> list[State]:
    """The state before each unit."""
    states = [walk.state]
    for unit in walk.units:
        states.append(unit(states[-1]))
    return states
