"""What a network's forward pass is given, by the names of its parameters: tensors on the meta device.

Latents come in several layouts. Those that fit the network's kind are offered one after the other, and the first that
its layers take is its own: a convolution or a projection over the wrong axis is refused by its shapes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ondevice_sora.base.errors import UserError

BY_HAND = "List its units in a model file (docs/plan.md), or convert it and give the packages to `profile estimate`."
TEXT_WIDTHS = (
    "caption_channels",
    "joint_attention_dim",
    "cross_attention_dim",
    "text_dim",
    "text_embed_dim",
    "cap_feat_dim",
)


@dataclass(frozen=True)
class Latents:
    """Latent frames, rows and columns, and the channels that the decoder takes."""

    frames: int
    rows: int
    columns: int
    channels: int


def denoiser_inputs(
    network: nn.Module, config: Any, latents: Latents, batch: int, tokens: int
) -> Iterator[dict[str, Any]]:
    """Arguments of one network evaluation, for each layout that its latents might have.

    Raises UserError for a parameter that has no default and that nothing is known of.
    """
    signature = inspect.signature(network.forward).parameters
    first = next((name for name in ("hidden_states", "sample", "x") if name in signature), None)
    if first is None:
        what = f"{type(network).__name__} is given no latents under a name that is known"
        raise UserError(what, mend=BY_HAND, field="$.class")
    for hidden, grid in _layouts(signature, config, latents, batch):
        try:
            yield {first: hidden, **_others(network, first, config, grid, batch, tokens)}
        except KeyError as missing:
            what = f"the config of {type(network).__name__} has no {missing}, which says how wide its inputs are"
            raise UserError(what, mend=BY_HAND, field="$.class") from None


def _layouts(
    signature: Any, config: Any, latents: Latents, batch: int
) -> Iterator[tuple[Tensor | list[Tensor], Latents]]:
    channels = config.get("in_channels") or latents.channels
    t, h, w = latents.frames, latents.rows, latents.columns
    side = max(1, math.isqrt(channels // max(latents.channels, 1)))
    packed = Latents(t, h // side, w // side, channels)
    rows = torch.empty(batch, packed.frames * packed.rows * packed.columns, channels)
    if "cap_feats" in signature:  # a list of samples
        yield [torch.empty(channels, t, h, w) for _ in range(batch)], latents
        return
    if any(name in signature for name in ("img_ids", "img_shapes", "num_frames")):
        yield rows, packed
    if t == 1:
        yield torch.empty(batch, channels, h, w), latents
    yield torch.empty(batch, channels, t, h, w), latents
    yield torch.empty(batch, t, channels, h, w), latents
    yield rows, packed


Makers = dict[str, Callable[[], Any]]
"""What makes an argument, by the argument's name."""


def _others(network: nn.Module, first: str, config: Any, grid: Latents, batch: int, tokens: int) -> dict[str, Any]:
    """All arguments but the first. Raises UserError for one that is needed and of which nothing is known."""
    signature = inspect.signature(network.forward).parameters
    tokens = config.get("max_text_seq_length") or tokens
    makers = _makers(config, grid, batch, tokens) | _conditions(network, config, grid, batch)
    given: dict[str, Any] = {}
    for name, parameter in signature.items():
        is_needed = parameter.default is inspect.Parameter.empty
        if name == first or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in makers and (is_needed or name not in ("encoder_attention_mask", "encoder_hidden_states_mask")):
            given[name] = makers[name]()
        elif is_needed:
            what = f"the forward pass of {type(network).__name__} needs '{name}', of which nothing is known"
            if name.startswith("audio"):
                what = f"{type(network).__name__} makes sound beside pictures, and how long the sound is nothing says"
            raise UserError(what, mend=BY_HAND, field="$.class")
    if "return_dict" in signature:
        given["return_dict"] = False
    return given


def _makers(config: Any, grid: Latents, batch: int, tokens: int) -> Makers:
    """Times, texts and places, which every network is given in the same way."""
    width = next((config[name] for name in TEXT_WIDTHS if config.get(name)), None)
    if isinstance(width, (list, tuple)):
        width = width[0]
    places, axes = grid.frames * grid.rows * grid.columns, len(config.get("axes_dims_rope") or (0, 0, 0))
    return {
        "timestep": lambda: torch.empty(batch),
        "timesteps": lambda: torch.empty(batch),
        "encoder_hidden_states": lambda: torch.empty(batch, tokens, int(width or 0)),
        "encoder_attention_mask": lambda: torch.empty(batch, tokens),
        "encoder_hidden_states_mask": lambda: torch.empty(batch, tokens),
        "pooled_projections": lambda: torch.empty(batch, config["pooled_projection_dim"]),
        "img_ids": lambda: torch.empty(places, axes),
        "txt_ids": lambda: torch.empty(tokens, axes),
        "img_shapes": lambda: [(grid.frames, grid.rows, grid.columns)] * batch,
        "t": lambda: torch.empty(batch),
        "cap_feats": lambda: [torch.empty(tokens, config["cap_feat_dim"]) for _ in range(batch)],
        "added_time_ids": lambda: torch.empty(
            batch, config["projection_class_embeddings_input_dim"] // config["addition_time_embed_dim"]
        ),
        "num_frames": lambda: grid.frames,
        "height": lambda: grid.rows,
        "width": lambda: grid.columns,
    }


def _conditions(network: nn.Module, config: Any, grid: Latents, batch: int) -> Makers:
    """What only some networks are given, as their config says."""
    makers: Makers = {}
    if config.get("norm_type") == "ada_norm_zero":  # a class of pictures instead of a text
        makers["class_labels"] = lambda: torch.empty(batch, dtype=torch.long)
    if config.get("guidance_embeds"):
        makers["guidance"] = lambda: torch.empty(batch)
    if config.get("addition_embed_type") == "text_time":
        times = config["addition_time_embed_dim"] * 6
        makers["added_cond_kwargs"] = lambda: {
            "text_embeds": torch.empty(batch, config["projection_class_embeddings_input_dim"] - times),
            "time_ids": torch.empty(batch, 6),
        }
    elif hasattr(network, "adaln_single"):
        makers["added_cond_kwargs"] = lambda: {
            "resolution": torch.empty(batch, 2),
            "aspect_ratio": torch.empty(batch, 1),
        }
    if config.get("use_rotary_positional_embeddings"):
        places, patch = grid.frames * grid.rows * grid.columns, config.get("patch_size", 1) ** 2
        head = config.get("attention_head_dim")
        makers["image_rotary_emb"] = lambda: tuple(torch.empty(places // patch, head) for _ in range(2))
    return makers


def encoder_inputs(network: nn.Module, batch: int, tokens: int) -> Iterator[dict[str, Any]]:
    """Arguments of an encoder: tokens alone, and for those that look into their mask one that is made already.

    An encoder of pictures or sounds is given one, of the size that its config says.
    """
    config: Any = network.config
    kind = getattr(network, "main_input_name", "input_ids")
    if kind == "pixel_values":
        side = config.image_size
        yield {kind: torch.empty(batch, config.num_channels, side, side)}
        return
    parameters = inspect.signature(network.forward).parameters
    if kind == "input_features" and hasattr(config, "max_source_positions"):
        given: dict[str, Any] = {kind: torch.empty(batch, config.num_mel_bins, 2 * config.max_source_positions)}
    else:
        given = {"input_ids": torch.empty(batch, tokens, dtype=torch.long)}
    if "decoder_input_ids" in parameters:
        longest = getattr(config, "max_target_positions", tokens)
        given["decoder_input_ids"] = torch.empty(batch, min(tokens, longest), dtype=torch.long)
    if "use_cache" in parameters:
        given["use_cache"] = False
    yield given
    if "decoder_attention_mask" in parameters and "decoder_input_ids" in given:
        read = given["decoder_input_ids"].shape[1]
        yield {**given, "decoder_attention_mask": torch.empty(batch, 1, read, read)}
    yield {**given, "attention_mask": {"full_attention": None, "sliding_attention": None}}
    yield {**given, "attention_mask": torch.empty(batch, 1, tokens, tokens)}


class LatentSize(NamedTuple):
    """Pixels of a side and frames that are one latent, and a latent's channels, where the denoiser takes more."""

    space: int = 8
    time: int = 4
    channels: int | None = None


USUAL = LatentSize()
LATENT_SIZES = {
    "SanaTransformer2DModel": LatentSize(32, 1),
    "LTXVideoTransformer3DModel": LatentSize(32, 8),
    "MochiTransformer3DModel": LatentSize(8, 6),
    "FluxTransformer2DModel": LatentSize(8, 1, 16),
    "ChromaTransformer2DModel": LatentSize(8, 1, 16),
    "QwenImageTransformer2DModel": LatentSize(8, 1, 16),
    "Flux2Transformer2DModel": LatentSize(8, 1, 32),
}
"""Of the decoders that these are published with. Those with channels are given 2x2 latents as one."""


def usual_latents(denoiser: nn.Module | None) -> LatentSize:
    """What a latent is where no decoder says it: that of the class's published decoder, else 8x8 pixels of 4 frames.

    UNets have a latent for each frame.
    """
    name = type(denoiser).__name__
    return LATENT_SIZES.get(name, LatentSize(time=1 if name.startswith("UNet") else 4))


def latents_of(
    decoder: nn.Module | None,
    config: Any,
    width: int,
    height: int,
    frames: int,
    channels: int,
    usual: LatentSize = USUAL,
) -> Latents:
    """The latents of a picture or video, `usual` ones without a decoder.

    A decoder that is told how many of its pictures are one video has a latent for each.

    Raises UserError for a shape that is no whole number of latents.
    """
    space, time, channels = usual.space, usual.time, usual.channels or channels
    if decoder is not None:
        space = _factor(decoder, config, ("scale_factor_spatial", "spatial_compression_ratio"))
        time = 1
        if is_video(decoder) and not takes_pictures(decoder):
            time = _factor(decoder, config, ("scale_factor_temporal", "temporal_compression_ratio"))
        channels = config.get("z_dim") or config.get("latent_channels") or channels
    for side, name in ((width, "width"), (height, "height")):
        if side % space:
            raise UserError(f"{side} pixels are no multiple of {space}", field=f"$.video.{name}")
    if (frames - 1) % time:
        low = (frames - 1) // time * time + 1
        mend = f"Choose {low} or {low + time} frames."
        raise UserError(
            f"{frames} frames are not one more than a multiple of {time}", mend=mend, field="$.video.frames"
        )
    if frames > 1 and decoder is not None and not is_video(decoder):
        raise UserError("a model of pictures makes one frame", mend="Write frames: 1.", field="$.video.frames")
    return Latents((frames - 1) // time + 1, height // space, width // space, channels)


def is_video(network: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv3d) for module in network.modules())


def takes_pictures(decoder: nn.Module) -> bool:
    """Whether it takes a video's latents as a batch of pictures, and their number."""
    decode: Any = decoder.decode
    return "num_frames" in inspect.signature(decode).parameters


def _factor(decoder: nn.Module, config: Any, names: tuple[str, ...]) -> int:
    for name in names:
        value = config.get(name) or getattr(decoder, name, None)
        if value:
            return int(value)
    widths = config.get("block_out_channels") or config.get("encoder_block_out_channels") or (0,) * 4
    return 1 << (len(widths) - 1)
