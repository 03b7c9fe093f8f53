"""Open-Sora v1.2 described from its architecture, at one video shape and text length.

Text encoder (T5 v1.1 XXL), denoiser (STDiT3-XL/2) and decoder (a temporal VAE, then a spatial AutoencoderKL), as the
On-device Sora app exports them to Core ML: one fixed shape, both guidance branches in one batch, dense attention.
Sources: Open-Sora tag v1.2.0 (hpcaitech), On-device-Sora (eai-lab), arXiv 2502.04363 v2. Of the VAEs only the decoding
half is here, as on the phone.

What the app's export does and a leaner one need not:
    The text is padded to 300 tokens for the encoder and the caption projection, whatever the prompt's length.
    Cross-attention joins the branches: the queries of all attend to the text tokens of all, under a dense additive mask
    [1, heads, branches*T*S, branches*text_tokens]. For two branches that is twice the useful products, and the mask
    is as large as the scores. It is an input of every spatial and temporal unit, at half the queries under TDTM.

Known approximations:
    Taps of a convolution that fall on padding count as work: in space 4 % at 32 rows and less above; in time a fifth
    of a group of 5 frames, but there the export pads explicitly, so that the work is done.
    Normalisations count one read and one write; a kernel that takes two passes over its input reads more.
    Transposed copies (heads, frames against places) are counted as moved; a compiler may do without some of them.
    The zero padding of the temporal decoder's convolutions is counted as a copy, since the export pads explicitly.
    No tensor is reused in place, and scores are materialised, so working memory is an upper estimate; with a fused
    attention it would be far less.
    What the app holds between units and passes is in no unit: latents, caption, decoded frames, and the mask while
    `input` and `output` run. Under TDTM only that mask would tell those two units' variants apart.
    Where the last group of frames of the decoder is ragged, a unit's work is the mean over the passes, so that totals
    are exact; its working memory is that of the largest group.
    TDTM on an odd number of latent frames is counted as ceil(T/2) groups, though the published export refuses it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.models.model import Component, Model
from ondevice_sora.profiles.models.opensora_decoder import spatial_decoder_units, temporal_decoder_units
from ondevice_sora.profiles.models.opensora_denoiser import denoiser_units
from ondevice_sora.profiles.models.opensora_sizes import OPENSORA_V1_2, OpenSoraConfig, VideoShape
from ondevice_sora.profiles.models.opensora_text_encoder import text_encoder_units

SMALLEST_SIDE, LARGEST_SIDE = 64, 2048  # pixels
LARGEST_FRAMES = 1000


def opensora(
    width: int,
    height: int,
    frames: int,
    text_tokens: int,
    *,
    encoder_tokens: int | None = None,
    guidance_batch: int = 2,
    guidance_runs: int = 1,
    config: OpenSoraConfig = OPENSORA_V1_2,
) -> Model:
    """Open-Sora v1.2 for videos of width x height pixels and `frames` frames.

    text_tokens     tokens of the prompt that the denoiser attends to, the end mark included
    encoder_tokens  tokens that the text encoder and the caption projection are given: prompts are padded to as many.
                    The longest that the model reads, unless given
    guidance_batch  branches that a block computes at a time: 2 with classifier-free guidance, 1 without
    guidance_runs   how often every block runs so: 2 with a guidance_batch of 1 for guidance one branch after the other

    The learned null caption is in no unit: it is an input of `denoiser.input`.
    Raises UserError for a side that is no multiple of 8 or outside 64..2048, frames outside 1..1000, text_tokens
    outside 1..encoder_tokens, those outside 1..300, more than 2 branches or none. Odd latent sides are allowed: the
    denoiser zero-pads them.
    """
    check_video(width, height, frames, config)
    longest, is_published = config.text_encoder.tokens, config == OPENSORA_V1_2
    if encoder_tokens is not None:
        _check_range("$.encoder_tokens", encoder_tokens, 1, longest)
        config = replace(config, text_encoder=replace(config.text_encoder, tokens=encoder_tokens))
    _check_range("$.text_tokens", text_tokens, 1, config.text_encoder.tokens)
    if guidance_batch not in (1, 2):
        raise UserError(f"guidance_batch {guidance_batch} is out of range", mend="Give 1 or 2.")
    if guidance_runs not in (1, 2 // guidance_batch):
        raise UserError(f"guidance_runs {guidance_runs} of {guidance_batch} branches", mend="There are 2 at the most.")
    factor = config.decoder.side_factor
    video = VideoShape(
        branches=guidance_batch,
        frames=config.decoder.latent_frames(frames),
        rows=height // factor,
        columns=width // factor,
        text_tokens=text_tokens,
        caption_tokens=config.text_encoder.tokens,
    )
    decoder = config.decoder
    groups, batches = decoder.groups(frames), decoder.batches(frames)
    return Model(
        name="Open-Sora v1.2" if is_published else "Open-Sora v1.2 classes, other sizes",
        source="derived from the architecture (Open-Sora tag v1.2.0) as On-device-Sora exports it",
        is_rectified_flow=True,
        components=(
            Component("text_encoder", 1, text_encoder_units(config.text_encoder)),
            Component("denoiser", "steps", denoiser_units(config, video, guidance_runs)),
            Component("decoder.temporal", sum(groups.values()), temporal_decoder_units(config, video, groups)),
            Component("decoder.spatial", sum(batches.values()), spatial_decoder_units(config, video, batches)),
        ),
    )


def check_video(width: int, height: int, frames: int, config: OpenSoraConfig = OPENSORA_V1_2) -> None:
    """Raise UserError, about the plan's key, for a side or a length that the model cannot have."""
    _check_side("$.video.width", width, config)
    _check_side("$.video.height", height, config)
    _check_range("$.video.frames", frames, 1, LARGEST_FRAMES)


def reference_partition(model: Model) -> dict[str, tuple[tuple[str, ...], ...]]:
    """The blocks of the On-device Sora app: component name -> blocks, each the names of its units in order.

    text_encoder  every unit a block
    denoiser      `input`, the pairs of a spatial and a temporal unit, `output`
    decoder       nine parts a stage, level by level; where activations are largest (temporal level 1, spatial up3), one
                  residual block a part

    Raises UserError for a model whose components are not those of Open-Sora.
    """
    return {
        component.name: tuple(
            tuple(names) for _, names in groupby((part.name for part in component.units), _part(component.name))
        )
        for component in model.components
    }


def _part(component: str) -> Callable[[str], str]:
    """Unit name -> the reference part that it belongs to."""
    parts: dict[str, Callable[[str], str]] = {
        "text_encoder": lambda name: name,
        "denoiser": lambda name: name.rpartition("_")[2],
        "decoder.temporal": lambda name: (
            name if name.startswith("level1_") else "input" if name.startswith("res_") else name.partition("_")[0]
        ),
        "decoder.spatial": lambda name: name if name.startswith("up3_") else name.partition("_")[0],
    }
    if component not in parts:
        raise UserError(
            f"component '{component}' has no reference partition", mend=f"One is known for: {', '.join(parts)}."
        )
    return parts[component]


def _check_range(field: str, value: int, low: int, high: int) -> None:
    name = field.rpartition(".")[2]
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{name} {value!r} is not a whole number", mend=f"Give one from {low} to {high}.", field=field)
    if not low <= value <= high:
        mend = f"Give a whole number from {low} to {high}."
        raise UserError(f"{name} {value} is out of range", mend=mend, field=field)


def _check_side(field: str, pixels: int, config: OpenSoraConfig) -> None:
    _check_range(field, pixels, SMALLEST_SIDE, LARGEST_SIDE)
    name = field.rpartition(".")[2]
    step = config.decoder.side_factor
    if pixels % step:
        below = pixels // step * step
        offered = " or ".join(str(side) for side in (below, below + step) if SMALLEST_SIDE <= side <= LARGEST_SIDE)
        raise UserError(f"{name} {pixels} is not a multiple of {step} pixels", mend=f"Use {offered}.", field=field)
