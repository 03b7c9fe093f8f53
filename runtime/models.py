"""The models with networks here that a plan may name: their sizes, what a plan asks of them, and their weights.

Nothing here has a model's weights in memory: networks lie on the meta device, weights come a few at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import Plan
from ondevice_sora.plans.step_plan import Grid
from ondevice_sora.profiles.models.catalogue import Reference, architecture
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.profiles.models.opensora import check_video, reference_partition
from ondevice_sora.runtime.networks.components import DECODER, DENOISER, TextToVideo, describe_text_to_video
from ondevice_sora.runtime.networks.description import describe_networks
from ondevice_sora.runtime.networks.embeddings import rotary_frequencies
from ondevice_sora.runtime.networks.sources import CheckpointWeights, RandomWeights, WeightSource
from ondevice_sora.runtime.networks.stdit3 import STDiT3, STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config, T5Encoder
from ondevice_sora.runtime.networks.units import State
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig
from ondevice_sora.runtime.sampling.request import VideoRequest, request_of
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.runtime.sampling.walks import Kind, Walk, walks_of
from ondevice_sora.runtime.small import model as small
from ondevice_sora.runtime.small.shipped import shipped_weights
from ondevice_sora.runtime.tokenizers.document import TokenizerDocument, check_vocabulary
from ondevice_sora.runtime.tokenizers.finding import document_of, no_tokenizer
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer

SIZES = {
    "small": (small.TEXT_ENCODER, small.DENOISER, small.VIDEO_VAE),
    "opensora": (T5Config(), STDiT3Config(), VideoVAEConfig()),
}
SHIPPED = "shipped with the program"
"""What is said of weights that come with their model."""
OPENSORA_REQUEST = VideoRequest(num_frames=68, height=192, width=192, fps=24.0, num_steps=30, guidance_scale=7.0)


@dataclass(frozen=True)
class PlannedVideo:
    """What a plan comes to: its request, networks that have but a few small values, and where their weights are.

    `model` describes the networks for schedules, `reference` is what `blocks: reference` means. The text encoder reads
    `encoder_tokens` tokens; the denoiser's blocks see the first `text_tokens` of them. `tokenizer` makes as many, and
    is None where the weights have none.
    """

    plan: Plan
    weights: Path | None
    request: VideoRequest
    video: VideoNetworks
    source: WeightSource
    model: Model
    reference: Reference
    encoder_tokens: int
    text_tokens: int
    tokenizer: TokenizerDocument | None

    @classmethod
    def of(
        cls, plan: Plan, weights: Path | None, seed: int | None = None, request: VideoRequest | None = None
    ) -> PlannedVideo:
        """Of what the plan asks, or another `request` of its video. Without weights, random ones of `seed` (0).

        Raises UserError for a video that the model cannot make, or weights that do not fit.
        """
        described = architecture(plan.model_name)
        assert described is not None, "see check_model"
        shape = plan.video or described.video
        check_video(shape.width, shape.height, shape.frames, described.config)
        request = request or request_of_plan(plan)
        model, source = model_and_source(plan, weights, seed)
        _check_planned_for(plan, model, source)
        longest = model.denoiser.config.model_max_length
        encoder_tokens = plan.encoder_tokens or min(described.config.text_encoder.tokens, longest)
        if encoder_tokens > longest:
            raise UserError(f"{encoder_tokens} tokens; this model reads {longest}", field="$.encoder_tokens")
        text_tokens = attended_tokens(plan)
        if text_tokens > encoder_tokens:
            what = f"{text_tokens} tokens; the text encoder is given {encoder_tokens}"
            raise UserError(what, field="$.text_tokens")
        tokenizer = _tokenizer(plan, weights, model.text_encoder.config.vocab_size, encoder_tokens)
        video = VideoNetworks.of(model, request)
        listed = describe_networks(plan.model_name, video.networks)
        reference = reference_partition(listed)
        return cls(plan, weights, request, video, source, listed, reference, encoder_tokens, text_tokens, tokenizer)

    @property
    def name(self) -> str:
        """The model's, as in traces."""
        described = architecture(self.plan.model_name)
        assert described is not None, "see of"
        return described.name

    def encode(self, prompt: str) -> tuple[Tensor, Tensor]:
        """Token ids and mask of a prompt, int64 [1, encoder_tokens].

        Raises UserError for a prompt that cannot be read, and if the weights have no tokenizer.
        """
        if self.tokenizer is None:
            raise no_tokenizer(self.weights, self.plan.model_name)
        token_ids, token_mask = Tokenizer.of(self.tokenizer).encode(prompt)
        self.request.check_prompt(token_mask)
        return token_ids, token_mask

    def walks(self) -> dict[str, dict[Kind, Walk]]:
        """By component, the ways in which it is walked."""
        return walks_of(self.video, self.plan, self.encoder_tokens)

    def shapes(self) -> dict[str, dict[Kind, list[State]]]:
        """For each of them the states before each unit and after the last, on the meta device."""
        bare = without_weights(*(network.config for network in vars(self.video.model).values()))
        walks = walks_of(VideoNetworks.of(bare, self.request), self.plan, self.encoder_tokens)
        return {component: {kind: walk.states() for kind, walk in kinds.items()} for component, kinds in walks.items()}


def denoiser_digest(plan: Plan, weights: Path | None, seed: int | None = None) -> str:
    """What tells the denoiser's weights apart, as files of planned grids have it: quick, of a few values each."""
    return _digest(*model_and_source(plan, weights, seed))


def check_planned_for(plan: Plan, weights: Path | None) -> None:
    """Raises UserError if the plan's grid was planned for other weights of the denoiser than these."""
    if isinstance(plan.sampler.grid, Grid) and plan.sampler.grid.denoiser is not None:
        _check_planned_for(plan, *model_and_source(plan, weights))


def _check_planned_for(plan: Plan, model: TextToVideo, source: WeightSource) -> None:
    grid = plan.sampler.grid
    if isinstance(grid, Grid) and grid.denoiser is not None and grid.denoiser != _digest(model, source):
        raise UserError(
            "this grid was planned for other weights of the denoiser",
            mend="Plan one for these with `ondevice-sora steps plan`, or write its indices alone.",
            field="$.sampler.grid",
        )


def _digest(model: TextToVideo, source: WeightSource) -> str:
    return source.sampled(DENOISER, {name: tuple(held.shape) for name, held in model.denoiser.state_dict().items()})


def _tokenizer(plan: Plan, weights: Path | None, vocabulary: int, length: int) -> TokenizerDocument | None:
    """The tokenizer that goes with the weights, padding to `length`. Raises UserError if it is another model's."""
    found = document_of(weights, plan.model_name)
    if found is None:
        return None
    check_vocabulary(found, vocabulary, None if weights is None else str(weights))
    return msgspec.structs.replace(found, length=length)


def check_model(plan: Plan, done: str) -> None:
    """Raises UserError for a plan's model that has no networks here; `done` is what is not done with it."""
    if plan.model_name not in SIZES:
        listed = ", ".join(sorted(SIZES))
        raise UserError(f"'{plan.model_name}' is not {done} here", mend=f"Models that are: {listed}.", field="$.model")


def request_of_plan(plan: Plan) -> VideoRequest:
    """What the plan asks of its model, in the model's own shape if it has none."""
    described = architecture(plan.model_name)
    assert described is not None, "a model with networks has an architecture"
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
    described = architecture(plan.model_name)
    assert described is not None, "a model with networks has an architecture"
    return described.text_tokens if plan.text_tokens is None else plan.text_tokens


def model_and_source(plan: Plan, weights: Path | None, seed: int | None = None) -> tuple[TextToVideo, WeightSource]:
    """The networks, of which only what no block holds has values, and where the rest comes from.

    Without a folder of weights: those that ship, if they are there, else random ones. Raises UserError.
    """
    folder = shipped_weights() if weights is None and plan.model == "small" else weights
    source: WeightSource
    if folder is not None:
        if seed is not None:
            what = f"--seed has no effect: the weights are those of {folder}"
            raise UserError(what, mend="Leave it out. Random weights are for models that have none here.")
        model, checkpoints = describe_text_to_video(folder)
        description = SHIPPED if weights is None else folder.resolve().name
        source = CheckpointWeights(description, vars(model), checkpoints)
    else:
        model = without_weights(*SIZES[plan.model_name])
        source = random_weights(model, seed or 0)
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
