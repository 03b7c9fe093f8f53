"""STDiT3 and its single blocks against reference vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ondevice_sora.records.checks import CaseResult
from ondevice_sora.runtime.networks.config import config_from_mapping
from ondevice_sora.runtime.networks.embeddings import rotary_frequencies, rotary_table
from ondevice_sora.runtime.networks.stdit3 import (
    IGNORED_SETTINGS,
    LatentSize,
    PixelSize,
    STDiT3,
    STDiT3Block,
    STDiT3Config,
)
from ondevice_sora.runtime.networks.units import State, Unit
from ondevice_sora.studies.reference.files import STDIT3_TOLERANCE, Tensors, build, compare, read_json

MODEL_FILES = ("stdit3_tiny.config.json", "stdit3_tiny.weights.safetensors", "stdit3_tiny.io.safetensors")
BLOCK_FILES = ("stdit3_block.safetensors",)


def model_cases(directory: Path) -> Iterator[CaseResult]:
    """The whole network: plain, with a frame mask, with a text mask of one row or none, padded sizes, intermediates."""
    config_file, weights_file, io_file = MODEL_FILES
    config = config_from_mapping(
        STDiT3Config, read_json(directory / config_file), str(directory / config_file), IGNORED_SETTINGS
    )
    model = build(lambda: STDiT3(config), dict(Tensors(directory / weights_file)), directory / weights_file)
    tensors = Tensors(directory / io_file)
    for prefix in sorted({name.split(".in.")[0] for name in tensors if name.endswith(".in.x")}):
        yield from _forward_cases(model, tensors, prefix)


def _forward_cases(model: STDiT3, tensors: Tensors, prefix: str) -> Iterator[CaseResult]:
    file = tensors.path.name

    def given(name: str) -> Tensor:
        return tensors[f"{prefix}.in.{name}"]

    caption_BLC = given("y").squeeze(1)
    pixels = PixelSize(given("height")[0].item(), given("width")[0].item())

    def run(text_mask: Tensor | None, frame_mask: Tensor | None = None) -> Tensor:
        velocity: Tensor = model(
            given("x"),
            given("timestep"),
            caption_BLC,
            pixels=pixels,
            fps=given("fps"),
            text_mask=text_mask,
            frame_mask=frame_mask,
        )
        return velocity

    ways = {
        "out_no_x_mask": lambda: run(given("mask")),
        "out_x_mask": lambda: run(given("mask"), given("x_mask")),
        "out_no_x_mask_cfg_mask": lambda: run(given("mask")[:1]),
        "out_no_text_mask": lambda: run(None),
    }
    for name, wanted in tensors.under(f"{prefix}.out_").items():
        way, case = ways.get(f"out_{name}"), f"{prefix}.out_{name}"
        if way is None:
            yield CaseResult(file, case, None, STDIT3_TOLERANCE, "not compared: unknown case")
        else:
            yield compare(file, case, way(), wanted, STDIT3_TOLERANCE)

    trace = f"{prefix}.trace_no_x_mask."
    wanted_trace = tensors.under(trace)
    if wanted_trace:
        state = model.initial_state(
            given("x"), given("timestep"), caption_BLC, fps=given("fps"), text_mask=given("mask")
        )
        units = model.units(LatentSize(*given("x").shape[2:]), pixels)
        got_trace = _intermediates(model, units, state)
        for name, wanted in wanted_trace.items():
            if name not in got_trace:
                yield CaseResult(file, trace + name, None, STDIT3_TOLERANCE, "not compared: unknown intermediate")
            else:
                yield compare(file, trace + name, got_trace[name].reshape(wanted.shape), wanted, STDIT3_TOLERANCE)


def _intermediates(model: STDiT3, units: list[Unit], state: State) -> State:
    """Values inside a forward pass, by the names the reference gives them."""
    num_samples = state["latent"].shape[0]
    patches = model.x_embedder(state["latent"])
    trace = {
        "t_emb": model.t_embedder(state["timestep"]),
        "fps_emb": model.fps_embedder(state["fps"]).expand(num_samples, -1),
        "x_emb": patches,
    }
    for unit in units:
        if unit.name == "output":
            trace["final"] = model.final_layer(state["hidden"], state["t"], None, None)
        state = unit(state)
        if unit.name == "input":
            trace |= {"t_mlp": state["t_mlp"], "y_proj": state["caption_tokens"]}
            trace["pos_emb"] = (state["hidden"] - patches)[0, 0]
        else:
            trace[unit.name] = state["hidden"]
    return trace


def block_cases(directory: Path) -> Iterator[CaseResult]:
    """One spatial and one temporal block, plain and merged (TDTM), and the two in a row."""
    tensors = Tensors(directory / BLOCK_FILES[0])
    file = tensors.path.name
    num_frames, num_heads = int(tensors.number("in.T")), int(tensors.number("in.num_heads"))
    x_BTSC = tensors["in.x"].unflatten(1, (num_frames, int(tensors.number("in.S"))))  # type: ignore[no-untyped-call]
    channels = x_BTSC.shape[-1]
    caption_BLC, bias_B11L = unpack_captions(tensors["in.y_packed"][0], tensors["in.y_lens"].tolist())
    t_mlp_BFC = tensors["in.t_mlp"][:, None]
    rotary = rotary_table(rotary_frequencies(channels // num_heads), num_frames)

    def load(kind: str) -> STDiT3Block:
        weights = tensors.under(f"{kind}.weights.")
        config = STDiT3Config(
            hidden_size=channels,
            num_heads=num_heads,
            mlp_ratio=weights["mlp.fc1.weight"].shape[0] / channels,
            qk_norm="attn.q_norm.weight" in weights,
        )
        return build(lambda: STDiT3Block(config, temporal=kind == "temporal"), weights, tensors.path)

    blocks = {kind: load(kind) for kind in ("spatial", "temporal") if tensors.under(f"{kind}.weights.")}

    def run(kind: str, x_BTSC: Tensor, merge: bool) -> Tensor:
        out: Tensor = blocks[kind](x_BTSC, caption_BLC, bias_B11L, t_mlp_BFC, rotary, merge=merge)
        return out

    chains = {"spatial": ["spatial"], "temporal": ["temporal"], "chain_spatial_then_temporal": ["spatial", "temporal"]}
    for name, kinds in chains.items():
        for variant, wanted in tensors.under(f"{name}.out_").items():
            hidden = x_BTSC
            for kind in kinds:
                hidden = run(kind, hidden, merge=variant == "tdtm")
            yield compare(file, f"{name}.out_{variant}", hidden.flatten(1, 2), wanted, STDIT3_TOLERANCE)


def unpack_captions(packed_NC: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Caption tokens of all samples in one row -> padded [B, L, C] and the bias that hides padding [B, 1, 1, L]."""
    rows = torch.split(packed_NC, lengths)
    padded_BLC = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    bias_BL = torch.zeros(padded_BLC.shape[:2])
    for row, length in enumerate(lengths):
        bias_BL[row, length:] = torch.finfo(torch.float32).min
    return padded_BLC, bias_BL[:, None, None]
