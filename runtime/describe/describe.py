"""A model described from its config: every network made on the meta device, one forward pass counted."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.writing import write_text, yaml_text
from ondevice_sora.base.interrupts import check
from ondevice_sora.profiles.models.configured import NetworkConfig, PipelineConfig, Request
from ondevice_sora.profiles.models.model import Component, Model
from ondevice_sora.runtime.describe.counting import counted, in_turn
from ondevice_sora.runtime.describe.inputs import (
    Latents,
    denoiser_inputs,
    encoder_inputs,
    is_video,
    latents_of,
    takes_pictures,
    usual_latents,
)
from ondevice_sora.runtime.describe.pipeline import made, pipeline_config
from ondevice_sora.runtime.describe.trace import Trace, traced
from ondevice_sora.runtime.describe.units import layers_of

DENOISER, DECODER = "denoiser", "decoder"


def describe(request: Request, folder: Path = Path()) -> Model:
    """The model that is asked for. Raises UserError for a config, a class or a shape that cannot be counted."""
    return described(pipeline_config(request.model.config, folder), request)


def described(pipeline: PipelineConfig, request: Request) -> Model:
    """A pipeline's model at a shape. Raises UserError as `describe`."""
    networks = {}
    for name, network in pipeline.components.items():
        check()
        networks[name] = made(network)
    video, decoder = request.video, networks.get(DECODER)
    config = _config(decoder) if decoder is not None else {}
    channels = _config(networks[DENOISER]).get("in_channels", 4) if DENOISER in networks else 4
    usual = usual_latents(networks.get(DENOISER))
    latents = latents_of(decoder, config, video.width, video.height, video.frames, channels, usual)
    components = []
    for name, model in networks.items():
        check()
        with torch.device("meta"):
            components.append(_component(name, model, pipeline, request, latents))
    how = f"; {request.video}, {' '.join(request.options[2:])}"
    if DENOISER in networks and decoder is None:
        frames = "a frame" if usual.time == 1 else f"{usual.time} frames"
        how += f"; without a decoder, a latent is taken for {usual.space}x{usual.space} pixels of {frames}"
    return Model(pipeline.name, pipeline.source + how, tuple(components), pipeline.is_rectified_flow)


def _component(name: str, model: nn.Module, pipeline: PipelineConfig, request: Request, latents: Latents) -> Component:
    network, asked = pipeline.components[name], request.model
    batch = 1 if request.guidance == "in_turn" or name == DECODER else request.branches
    if name == DENOISER:
        tokens = pipeline.joined_tokens + _tokens_read(pipeline, request)
        options = list(denoiser_inputs(model, _config(model), latents, batch, tokens))
        trace = _first_that_fits(network, [_forward(model, given) for given in options])
    elif name == DECODER:
        trace = _first_that_fits(network, [_decoding(model, latents, asked.decoder_tile)])
    else:
        tokens = network.tokens or request.text_tokens or pipeline.text_tokens
        trace = _first_that_fits(network, [_forward(model, given) for given in encoder_inputs(model, batch, tokens)])
    if not trace.operators:
        what = f"{network.class_name} computes nothing by itself"
        raise UserError(what, mend="Give the config of the network that it is put into, such as a UNetMotionModel's.")
    found = counted(
        trace,
        layers_of(model),
        asked.attention,
        unread=_unread(model, trace) if name != DECODER else None,
        given_rows=asked.embeddings == "rows",
    )
    runs = request.branches if request.guidance == "in_turn" and name != DECODER else 1
    units = tuple(in_turn(unit, runs, waiting) for unit, waiting in zip(found.units, found.waiting, strict=True))
    return Component(name, "steps" if name == DENOISER else found.walks, units)


def _tokens_read(pipeline: PipelineConfig, request: Request) -> int:
    """Tokens of text that the denoiser is given: those of the encoder that reads the most."""
    encoders = [each for name, each in pipeline.components.items() if name not in (DENOISER, DECODER)]
    usual = request.text_tokens or pipeline.text_tokens
    return max((each.tokens or usual for each in encoders), default=usual)


def _forward(model: nn.Module, given: dict[str, Any]) -> Callable[[], Trace]:
    return lambda: traced(model, lambda: model(**given), given)


def _decoding(model: nn.Module, latents: Latents, tile: int | None) -> Callable[[], Trace]:
    if tile is not None:
        _tile(model, tile)
    given: dict[str, Any] = {"return_dict": False}
    size = (latents.rows, latents.columns)
    if takes_pictures(model):
        z = torch.empty(latents.frames, latents.channels, *size)
        given["num_frames"] = latents.frames
    else:
        z = torch.empty(1, latents.channels, *((latents.frames, *size) if is_video(model) else size))
    decode: Any = model.decode
    if _config(model).get("timestep_conditioning"):
        given["temb"] = torch.empty(1)
    return lambda: traced(model, lambda: decode(z, **given), [z, given.get("temb")])


def _tile(model: Any, side: int) -> None:
    """Have a decoder work on tiles of so many pixels, three quarters of a side apart."""
    enable = getattr(model, "enable_tiling", None)
    if enable is None:
        raise UserError(f"{type(model).__name__} has no tiles", mend="Leave it out.", field="$.model.decoder_tile")
    values: dict[str, float] = {}
    for axis in ("height", "width"):
        values |= {f"tile_sample_min_{axis}": side, f"tile_sample_stride_{axis}": side * 3 // 4}
        values |= {f"tile_overlap_factor_{axis}": 0.25}
    taken = inspect.signature(enable).parameters
    enable(**{name: value for name, value in values.items() if name in taken})
    if hasattr(model, "tile_sample_min_size"):
        factor = model.tile_sample_min_size / model.tile_latent_min_size
        model.tile_sample_min_size, model.tile_latent_min_size = side, max(1, int(side / factor))


def _first_that_fits(network: NetworkConfig, ways: list[Callable[[], Trace]]) -> Trace:
    """The trace of the first way that the network takes. Raises UserError with what it says of the last."""
    said = ""
    for way in ways:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return way()
        except UserError:
            raise
        except Exception as error:
            said = said or (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    mend = "What depends on values, and not on shapes alone, cannot be counted without weights."
    raise UserError(f"the forward pass of {network.class_name} cannot be counted: {said}", mend=mend)


def _unread(model: nn.Module, trace: Trace) -> dict[str, int]:
    """Parameters that no operator reads: they are stored all the same."""
    read = {name for operator in trace.operators for table in operator.tables for name in trace.made_of[table]}
    return {name: parameter.numel() for name, parameter in model.named_parameters() if name not in read}


def _config(model: nn.Module) -> Any:
    config: Any = model.config
    return config


def write_model(path: Path, model: Model) -> None:
    """Write the units to a file that a plan's `model` takes. Raises UserError."""
    data = _without_nothing(msgspec.to_builtins(model))
    write_text(path, yaml_text(data, f"{model.name}, by `ondevice-sora describe`.", inline=True))


def _without_nothing(data: Any) -> Any:
    """Plain data without what is none or zero, parameters apart."""
    if isinstance(data, dict):
        kept = {key: value for key, value in data.items() if value or key == "parameters"}
        return {key: _without_nothing(value) for key, value in kept.items()} or {"moved_elements": 0}
    if isinstance(data, list | tuple):
        return [_without_nothing(value) for value in data]
    return int(data) if isinstance(data, float) and data == int(data) else data
