"""Packages of public models, made anew at small widths: accepted with right figures, or refused in one sentence.

Weights of the models themselves are not needed: what is counted are shapes. Each row has figures that were worked out
by hand from the architecture, and PyTorch's own counter runs over the network where there is one. Each package is read
a second time as a compiled one, and must give the same.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("coremltools")
pytest.importorskip("torch")

from worlds.mil_text import compiled
from worlds.public import audio, diffusion, language, vision

from ondevice_sora.commands.main import main
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.runtime.coreml.estimate.counting import count
from ondevice_sora.runtime.coreml.estimate.estimate import describe
from ondevice_sora.runtime.coreml.estimate.folders import Choices, FoundBlock, find_packages
from ondevice_sora.runtime.coreml.estimate.shapes import fixed
from ondevice_sora.runtime.coreml.package.kinds import KINDS
from ondevice_sora.runtime.coreml.package.messages import model_class
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.package.weights import weights_of


@dataclass(frozen=True)
class Figures:
    """What one function has and does: numbers in its weights, their bytes on disk, FLOPs, bytes moved and alive."""

    parameters: int
    stored_bytes: int
    matmul: int = 0
    attention: int = 0
    convolution: int = 0
    moved_bytes: int | None = None
    working_bytes: int | None = None


@dataclass(frozen=True)
class Public:
    """A model: what writes its packages into a folder, and the figures of each unit, `component unit function`."""

    make: Callable[[Path], dict[str, int]]
    units: dict[str, Figures]
    choices: Choices = field(default_factory=Choices)
    is_slow: bool = False


def linear(rows: int, inputs: int, outputs: int) -> int:
    return 2 * rows * inputs * outputs


def attended(queries: int, keys: int, width: int) -> int:
    """The products of queries with keys, and of scores with values, over all heads."""
    return 4 * queries * keys * width


def conv(positions: int, inputs: int, outputs: int, taps: int) -> int:
    return 2 * positions * inputs * outputs * taps


def layer(width: int, hidden: int, context: int | None = None) -> int:
    """Parameters of worlds.public.layers.Block: norms, attention, feed forward; with a context a second attention."""
    own = 4 * width + 4 * (width * width + width) + 2 * width * hidden + hidden + width
    crossing = 0 if context is None else 2 * width + 2 * (width * width + width) + 2 * (context * width + width)
    return own + crossing


def layer_products(rows: int, width: int, hidden: int) -> int:
    return 4 * linear(rows, width, width) + 2 * linear(rows, width, hidden)


def crossing_products(rows: int, width: int, keys: int, context: int) -> int:
    return 2 * linear(rows, width, width) + 2 * linear(keys, context, width)


def palette(elements: int, bits: int, groups: int = 1) -> int:
    """Bytes of indices, and of tables of float16."""
    return math.ceil(elements * bits / 8) + groups * (2 << bits)


def floats16(parameters: int, **work: int) -> Figures:
    return Figures(parameters, 2 * parameters, **work)


def clip_text() -> Figures:
    """49 tokens, 16 wide; the causal mask is stored too."""
    parameters = (49 + 77) * 16 + layer(16, 64) + 2 * 16 + 77 * 77
    return floats16(parameters, matmul=layer_products(77, 16, 64), attention=attended(77, 77, 16))


def block(width: int, out: int, time: int) -> tuple[list[int], int]:
    """Convolutions of a residual block, and the rest of its parameters."""
    convolutions = [
        9 * width * out,
        9 * out * out,
        *([time * out] if time else []),
        *([width * out] if width != out else []),
    ]
    return convolutions, 2 * width + 2 * out + out * len(convolutions)


TRANSFORMER = [256, 256, 256, 256, 256, 256, 24 * 16, 24 * 16, 256, 16 * 128, 64 * 16, 256]
"""Convolutions of a UNet's transformer, 16 wide with a context of 24: into, q k v o, q k v o, up and down, out."""
TRANSFORMER_REST = 2 * 16 + 16 + 16 + 16 + 128 + 16 + 16
SCALES = 4
"""One number for each head of both attentions, which conversion stores as a tensor of one element."""


def unet_work(positions: int) -> dict[str, int]:
    """Of a transformer over so many positions, all of it in convolutions of one tap, with 77 tokens of text."""
    own = (
        linear(positions, 16, 16) * 8 + 2 * linear(77, 24, 16) + linear(positions, 16, 128) + linear(positions, 64, 16)
    )
    return {"matmul": own, "attention": attended(positions, positions, 16) + attended(positions, 77, 16)}


def unet(convolutions: list[int], rest: int, matmul: int, convolution: int) -> Figures:
    """A chunk with 6 bits for each weight of a convolution."""
    stored = sum(palette(each, 6) for each in convolutions) + 2 * rest
    work = unet_work(64)
    return Figures(
        sum(convolutions) + rest, stored, work["matmul"] + matmul, work["attention"], convolution,
    )  # fmt: skip


FIRST, FIRST_REST = block(16, 16, 32)
MIDDLE, MIDDLE_REST = block(32, 32, 32)
LAST, LAST_REST = block(32, 16, 32)
STABLE_DIFFUSION = {
    f"text_encoder {diffusion.STEM}_text_encoder main": clip_text(),
    f"unet {diffusion.STEM}_unet_chunk1 main": unet(
        [8 * 32, 32 * 32, 4 * 16 * 9, *FIRST, *TRANSFORMER, 16 * 32 * 9, *MIDDLE],
        4 + 32 + 32 + 16 + FIRST_REST + TRANSFORMER_REST + SCALES + 32 + MIDDLE_REST,
        matmul=linear(1, 8, 32) + linear(1, 32, 32) + linear(1, 32, 16) + linear(1, 32, 32),
        convolution=conv(64, 4, 16, 9) + 2 * conv(64, 16, 16, 9) + conv(16, 16, 32, 9) + 2 * conv(16, 32, 32, 9),
    ),
    f"unet {diffusion.STEM}_unet_chunk2 main": unet(
        [32 * 16 * 9, *LAST, *TRANSFORMER, 16 * 4 * 9],
        16 + LAST_REST + TRANSFORMER_REST + SCALES + 2 * 16 + 4,
        matmul=linear(1, 32, 16) + linear(64, 32, 16),
        convolution=2 * conv(64, 32, 16, 9) + conv(64, 16, 16, 9) + conv(64, 16, 4, 9),
    ),
    f"vae_decoder {diffusion.STEM}_vae_decoder main": floats16(
        16 + 4 + 4 * 16 * 9 + 16 + 2 * 16 + 4 * (256 + 16) + 16 * 16 * 9 + 16
        + 2 * 16 + 16 * 8 * 9 + 8 + 2 * 8 + 8 * 8 * 9 + 8 + 16 * 8 + 8 + 2 * 8 + 8 * 3 * 9 + 3,
        matmul=linear(64, 4, 4) + 4 * linear(64, 16, 16) + linear(256, 16, 8),
        attention=attended(64, 64, 16),
        convolution=conv(64, 4, 16, 9) + conv(256, 16, 16, 9) + conv(256, 16, 8, 9) + conv(256, 8, 8, 9)
        + conv(256, 8, 3, 9),
    ),
    f"safety_checker {diffusion.STEM}_safety_checker main": floats16(
        3 * 16 * 64 + 16 + 5 * 16 + layer(16, 64) + 2 * 16 + 16 * 12 + 17 * 12 + 17,
        matmul=layer_products(5, 16, 64) + linear(1, 16, 12) + linear(1, 12, 17),
        attention=attended(5, 5, 16),
        convolution=conv(4, 3, 16, 64),
    ),
}  # fmt: skip
SDXL = Figures(
    4 * 32 + 32 + 5 * 32 * 32 * 9 + 32 * 4 + 4,
    sum(palette(32 * 32 * 9, bits) for bits in (1, 2, 4, 6, 8)) + 2 * (2 * 4 * 32 + 32 + 4),
    matmul=2 * linear(64, 4, 32),
    convolution=5 * conv(64, 32, 32, 9),
    moved_bytes=64 * 4 * (4 + 2) + 5 * 64 * 32 * 2 * 2,  # the input in float16, then five SiLU
    working_bytes=64 * 32 * 2 * 2,
)
JOINT = floats16(
    2 * (32 * 192 + 192 + 32 * 96 + 96 + 32 * 32 + 32 + 2 * 32 * 128 + 128 + 32),
    matmul=2 * linear(1, 32, 192) + linear(84, 32, 96) + layer_products(84, 32, 128) - 3 * linear(84, 32, 32),
    attention=attended(84, 84, 32),
)
T5 = floats16(
    50 * 32 + 4 * 20 * 20 + 4 * 32 * 32 + 3 * 32 * 64,
    matmul=layer_products(20, 32, 64) + linear(20, 32, 64),
    attention=attended(20, 20, 32),
)
"""The table of position biases is stored as what it gives for 20 tokens; conversion has looked it up."""
STABLE_AUDIO = {
    "stable_audio dit main": floats16(
        layer(32, 64, 24),
        matmul=layer_products(16, 32, 64) + crossing_products(16, 32, 10, 24),
        attention=attended(16, 16, 32) + attended(16, 10, 32),
    ),
    "stable_audio decoder main": floats16(
        8 * 16 * 7 + 16 + 16 * 8 * 8 + 8 + 8 * 8 * 7 + 8 + 8 * 2 * 7 + 2 * (16 + 8 + 8),
        convolution=conv(16, 8, 16, 7) + conv(16, 16, 8, 8) + conv(64, 8, 8, 7) + conv(64, 8, 2, 7),
        moved_bytes=16 * 8 * (4 + 2) + (2 * 512 + 2 * 32) + 2 * 1024 + 3 * 1024,
    ),
}
"""Moved: the input in float16; x + sin(a x)^2 / a over 16 x 16 with two tables of 16, over 8 x 64, and with a sum."""

HEAD, KV = 16, 2 * 16
LLAMA_LAYER = [64 * 64, KV * 64, KV * 64, 64 * 64, 96 * 64, 96 * 64, 96 * 64]


def int4_blocks(elements: int) -> int:
    """Two numbers a byte, and a scale of float16 for each 32."""
    return elements // 2 + elements // 32 * 2


def llama(tokens: int, end: int) -> Figures:
    compressed = [192 * 64, *(2 * LLAMA_LAYER), 192 * 64]
    rest = 5 * 64 + 8  # norms; frequencies of the rotary embedding
    return Figures(
        sum(compressed) + rest,
        sum(map(int4_blocks, compressed)) + 2 * rest,
        matmul=2 * tokens * (2 * sum(LLAMA_LAYER) + 192 * 64),
        attention=2 * attended(tokens, end, 64),
    )


CHOSEN = Choices(None, {"inputIds": (1, 4), "causalMask": (1, 1, 4, 9)})
SIX_BITS = {each: palette(each, 6, rows // 8) for each, rows in ((4096, 64), (2048, 32), (6144, 96))}
ANEMLL_STORED = sum(SIX_BITS[each] for each in LLAMA_LAYER[:-1]) + palette(6144, 6, 64 // 8)


def anemll(tokens: int) -> Figures:
    """Both functions' weights are counted as the package's. What is stored in the program is there twice: nine numbers;
    one norm is there twice too, in another layout."""
    rest = 2 * 64 + 64 + 2 * 9
    return Figures(
        sum(LLAMA_LAYER) + rest,
        ANEMLL_STORED + 2 * rest,
        matmul=2 * tokens * sum(LLAMA_LAYER),
        attention=attended(tokens, 128, 64),
    )


OPENELM_PARTS = [192 * 64, 64 * 32 * 2 + 2 * 64 * 16, 64 * 96 * 2 + 2 * 64 * 32, 3 * 64 * 32, 3 * 64 * 80]
MOBILENET = floats16(
    3 * 8 * 9 + 8 + 8 * 48 + 48 + 48 * 9 + 48 + 48 * 8 + 8 + 8 * 32 + 32 + 32 * 10 + 10,
    matmul=linear(256, 8, 48) + linear(256, 48, 8) + linear(256, 8, 32) + linear(1, 32, 10),
    convolution=conv(256, 3, 8, 9) + conv(256, 1, 48, 9),
)
BOTTLENECK = [16 * 16, 16 * 16 * 9, 16 * 64, 16 * 64]
RESNET = [3 * 16 * 49, *BOTTLENECK, 64 * 10]
RESNET_REST = 16 + 16 + 16 + 64 + 64 + 10
FASTVIT = 3 * 16 * 9 + 16 + 16 * 9 + 16 + 16 * 9 + 16 + 16 * 49 + 16 + 2 * (16 * 48) + 48 + 16 + 2 * 16 + 4 * 272
FASTVIT_WORK = {
    "attention": attended(64, 64, 16),
    "convolution": conv(256, 3, 16, 9) + conv(64, 1, 16, 9) + conv(64, 1, 16, 9) + conv(64, 1, 16, 49),
}
DETR_BACKBONE = 3 * 16 * 49 + 16 + 16 * 8 + 8 + 8 * 8 * 9 + 8 + 8 * 32 + 32 + 16 * 32 + 32 + 32 * 16 + 16
YOLO_CONVOLUTIONS = 3 * 8 * 9 + 8 + 8 * 16 * 9 + 16 + 8 * 8 * 9 + 8 + 24 * 16 + 16 + 32 * 4 + 4 + 32 * 10 + 10
ESRGAN = [(256, 3, 8), (256, 8, 4), (256, 12, 4), (256, 16, 4), (256, 20, 8), (1024, 8, 8), (1024, 8, 3)]
"""Positions, inputs and outputs of its convolutions."""

PUBLIC = {
    "Stable Diffusion 1.5, Apple's converter": Public(diffusion.stable_diffusion, STABLE_DIFFUSION, is_slow=True),
    "SDXL, Apple's mixed-bit palettization": Public(diffusion.sdxl, {"sdxl unet main": SDXL}),
    "Stable Diffusion 3, DiffusionKit": Public(
        diffusion.stable_diffusion_3,
        {"text_encoder_t5 TextEncoderT5 main": T5, "mmdit MultiModalDiffusionTransformer main": JOINT},
        is_slow=True,
    ),
    "Stable Audio": Public(diffusion.stable_audio, STABLE_AUDIO, is_slow=True),
    "Mistral 7B, Apple's example": Public(
        language.mistral, {"mistral StatefulMistral7BInstructInt4 main": llama(4, 9)}, CHOSEN
    ),
    "Llama 3.1, Apple's article": Public(
        language.llama, {"llama Llama31Instruct main": llama(4, 9)}, CHOSEN, is_slow=True
    ),
    "Llama, ANEMLL's chunks": Public(
        language.anemll,
        {
            "anemll infer llama_FFN_PF_lut6_chunk_01of01 infer": anemll(1),
            "anemll prefill llama_FFN_PF_lut6_chunk_01of01 prefill": anemll(32),
            "anemll llama_embeddings main": floats16(192 * 64),
            "anemll llama_lm_head_lut6 main": Figures(
                192 * 64, 8 * palette(24 * 64, 6, 3), matmul=linear(1, 64, 192)
            ),
        },
        Choices("all"),
        is_slow=True,
    ),
    "OpenELM 270M": Public(
        language.openelm,
        {
            "openelm OpenELM-270M-Instruct-128-float32 main": Figures(
                sum(OPENELM_PARTS) + 5 * 64 + 16 * 16,
                4 * (sum(OPENELM_PARTS) + 5 * 64 + 16 * 16),
                matmul=2 * 16 * sum(OPENELM_PARTS),  # the table of tokens is the head, and stored once
                attention=attended(16, 16, 32) + attended(16, 16, 96),
            )
        },
        is_slow=True,
    ),
    "GPT-2 with its loop": Public(
        language.gpt2_loop,
        {
            "gpt2_loop gpt2 main": floats16(
                2 * 100 * 32 + 16 * 32 + 4 * 32 * 32 + 2 * 32 * 128 + 16 * 16,
                matmul=8 * (4 * linear(16, 32, 32) + 2 * linear(16, 32, 128) + linear(16, 32, 100)),
                attention=8 * attended(16, 16, 32),
            )
        },
    ),
    "Whisper, WhisperKit": Public(
        audio.whisperkit,
        {
            "mel MelSpectrogram main": floats16(
                66 * 64 + 8 * 33, matmul=linear(100, 33, 8), convolution=conv(100, 1, 66, 64)
            ),
            "audio_encoder AudioEncoder main": floats16(
                8 * 16 * 3 + 16 + 16 * 16 * 3 + 16 + 50 * 16 + 4 * 16 + 4 * 256 + 16 + 2 * 16 * 64 + 64 + 16 + 2,
                matmul=layer_products(50, 16, 64),
                attention=attended(50, 50, 16),
                convolution=conv(100, 8, 16, 3) + conv(50, 16, 16, 3),
            ),
            "text_decoder TextDecoder main": floats16(
                60 * 16 + 24 * 16 + 4 * 272 + 4 * 256 + 16 + 4 * 16 + 2,
                matmul=6 * linear(1, 16, 16) + 2 * linear(50, 16, 16) + linear(1, 16, 60),
                attention=attended(1, 24, 16) + attended(1, 50, 16),
            ),
        },
        is_slow=True,
    ),
    "Parakeet, FluidAudio": Public(
        audio.parakeet,
        {
            "parakeet Encoder main": floats16(
                4 * 9 + 4 + 16 * 16 + 16 + 5 * 32 + 2 * (2 * 16 * 64 + 64 + 16) + 4 * 272
                + 16 * 32 + 32 + 16 * 9 + 16 + 272,
                matmul=linear(12, 16, 16) * 6 + 4 * linear(12, 16, 64) + linear(12, 16, 32),
                attention=attended(12, 12, 16),
                convolution=conv(12 * 4, 1, 4, 9) + conv(12, 1, 16, 9),
            ),
            "parakeet Decoder main": floats16(40 * 16 + 2 * 64 * 16 + 64, matmul=2 * linear(1, 16, 64)),
            "parakeet JointDecision main": floats16(
                2 * 272 + 16 * 46 + 46, matmul=2 * linear(1, 16, 16) + linear(1, 16, 46)
            ),
        },
        is_slow=True,
    ),
    "MusicGen": Public(
        audio.musicgen,
        {
            "musicgen decoder main": floats16(
                4 * 33 * 16 + layer(16, 32, 24) + 4 * 16 * 32 + 12 * 12,
                matmul=layer_products(12, 16, 32) + crossing_products(12, 16, 9, 24) + 4 * linear(12, 16, 32),
                attention=attended(12, 12, 16) + attended(12, 9, 16),
            ),
            "musicgen encodec main": floats16(
                4 * 33 * 16 + 2 * 64 * 16 + 64 + 16 * 16 * 7 + 16 + 16 * 8 * 8 + 8 + 8 * 7 + 1,
                matmul=2 * linear(12, 16, 64),
                convolution=conv(12, 16, 16, 7) + conv(12, 16, 8, 8) + conv(48, 8, 1, 7),
            ),
        },
        is_slow=True,
    ),
    "Kokoro": Public(
        audio.kokoro,
        {
            "kokoro kokoro_duration main": floats16(
                40 * 16 + 16 * 16 * 5 + 16 + 2 * (32 * 16 + 32 * 8 + 32) + 16 * 5 + 5,
                matmul=2 * (linear(50, 16, 32) + linear(50, 8, 32)) + linear(50, 16, 5),
                convolution=conv(50, 16, 16, 5),
            )
        },
        Choices(None, {"input_ids": (1, 50)}),
    ),
    "Silero, with a front end for each rate": Public(
        audio.silero,
        {
            "silero silero_vad main": Figures(
                16 * 32 + 16 * 16 + 2 * 64 * 16 + 64 + 16 + 1,
                4 * (16 * 32 + 16 * 16 + 2 * 64 * 16 + 64 + 16 + 1),
                matmul=2 * linear(16, 16, 64) + linear(1, 16, 1),
                convolution=conv(16, 1, 16, 32),  # of 16 kHz, the larger
            )
        },
    ),
    "MobileNetV2, coremltools' tutorial": Public(vision.mobilenet_v2, {"mobilenet_v2 MobileNetV2 main": MOBILENET}),
    "ResNet-50, int8": Public(
        vision.resnet_int8,
        {
            "resnet_int8 Resnet50Int8 main": Figures(
                sum(RESNET) + RESNET_REST,
                sum(RESNET) + 3 * (16 + 16 + 16 + 64 + 64 + 10) + 2 * RESNET_REST,
                matmul=linear(64, 16, 16) + linear(16, 16, 64) + linear(16, 16, 64) + linear(1, 64, 10),
                convolution=conv(256, 3, 16, 49) + conv(16, 16, 16, 9),
            )
        },
    ),
    "ResNet-50, int8 activations": Public(
        vision.resnet_w8a8,
        {
            "resnet_w8a8 Resnet50W8A8 main": Figures(
                16 * 3 * 9 + 16 * 16 * 9,
                16 * 3 * 9 + 16 * 16 * 9 + 2 * 2 * 16,
                convolution=conv(1024, 3, 16, 9) + conv(1024, 16, 16, 9),
                moved_bytes=2 * 3 * 2048 + 4 * 16 * 2048,  # to int8 and back, alone and with the ReLU before; a ReLU
            )
        },
    ),
    "FastViT T8": Public(
        vision.fastvit,
        {
            "fastvit FastViTT8F16 main": floats16(
                FASTVIT + 16 * 10,
                matmul=2 * linear(64, 16, 48) + 4 * linear(64, 16, 16) + linear(1, 16, 10),
                **FASTVIT_WORK,
            )
        },
    ),
    "MobileCLIP S0": Public(
        vision.mobileclip,
        {
            "mobileclip mobileclip_s0_image main": floats16(
                FASTVIT + 16 * 12,
                matmul=2 * linear(64, 16, 48) + 4 * linear(64, 16, 16) + linear(1, 16, 12),
                **FASTVIT_WORK,
            ),
            "mobileclip mobileclip_s0_text main": floats16(
                (60 + 77) * 16 + layer(16, 64) + 2 * 16 + 16 * 12,
                matmul=layer_products(77, 16, 64) + linear(1, 16, 12),
                attention=attended(77, 77, 16),
            ),
        },
        is_slow=True,
    ),
    "DETR": Public(
        vision.detr,
        {
            "detr DETRResnet50F16 main": floats16(
                DETR_BACKBONE + layer(16, 32) + layer(16, 32, 16) + (16 + 10) * 16 + 16 * 12 + 12 + 272 + 16 * 4 + 4,
                matmul=linear(64, 16, 8) + linear(16, 8, 32) + linear(16, 16, 32) + linear(16, 32, 16)
                + layer_products(16, 16, 32) + layer_products(10, 16, 32) + crossing_products(10, 16, 16, 16)
                + linear(10, 16, 12) + linear(10, 16, 16) + linear(10, 16, 4),
                attention=attended(16, 16, 16) + attended(10, 10, 16) + attended(10, 16, 16),
                convolution=conv(64, 3, 16, 49) + conv(16, 8, 8, 9),
            )
        },
        is_slow=True,
    ),
    "YOLOv8 with suppression, Ultralytics": Public(
        vision.yolo,
        {
            "yolo yolov8n_stage0 main": floats16(
                YOLO_CONVOLUTIONS,
                matmul=linear(64, 24, 16) + linear(64, 32, 4) + linear(64, 32, 10),
                convolution=conv(256, 3, 8, 9) + conv(64, 8, 16, 9) + conv(64, 8, 8, 9),
            )
        },
    ),
    "Depth Anything V2": Public(
        vision.depth_anything,
        {
            "depth_anything DepthAnythingV2SmallF16 main": floats16(
                3 * 16 * 16 + 16 + 16 + 65 * 16 + 2 * 16 + 4 * 272 + 16
                + 16 * 8 * 4 + 8 + 16 * 8 * 9 + 8 + 8 * 8 * 9 + 8 + 8 + 1,
                matmul=4 * linear(65, 16, 16) + linear(1024, 8, 1),
                attention=attended(65, 65, 16),
                convolution=conv(64, 3, 16, 16) + conv(64, 16, 8, 4) + conv(64, 16, 8, 9) + conv(256, 8, 8, 9),
            )
        },
    ),
    "SAM 2.1, Apple's three packages": Public(
        vision.sam,
        {
            "image_encoder SAM2_1TinyImageEncoderFLOAT16 main": floats16(
                3 * 16 * 49 + 16 + layer(16, 32) + 2 * 16 + 16 * 24 + 24 + 24 * 16 + 16,
                matmul=layer_products(64, 16, 32) + linear(64, 16, 24) + linear(16, 24, 16),
                attention=4 * attended(16, 16, 16),
                convolution=conv(64, 3, 16, 49),
            ),
            "mask_decoder SAM2_1TinyMaskDecoderFLOAT16 main": floats16(
                4 * 16 + layer(16, 32, 16) + 4 * 272 + 16 * 8 * 4 + 8 + 16 * 8 + 8 + 16 * 8 + 8 + 16 * 4 + 4,
                matmul=layer_products(6, 16, 32) + crossing_products(6, 16, 16, 16) + crossing_products(16, 16, 6, 16)
                + linear(64, 16, 8) + linear(4, 16, 8) + linear(1, 16, 4),
                attention=attended(6, 6, 16) + 2 * attended(6, 16, 16) + linear(4, 8, 64),
                convolution=conv(16, 16, 8, 4),
            ),
            "prompt_encoder SAM2_1TinyPromptEncoderFLOAT16 main": floats16(2 * 8 + 4 * 16, matmul=linear(2, 2, 8)),
        },
        is_slow=True,
    ),
    "Real-ESRGAN, a tile": Public(
        vision.real_esrgan,
        {
            "real_esrgan RealESRGAN_x2 main": floats16(
                sum(9 * inputs * outputs + outputs for _, inputs, outputs in ESRGAN),
                convolution=sum(conv(*each, 9) for each in ESRGAN),
                moved_bytes=256 * (3 * 4 + 3 * 2)  # the image in float16
                + 3 * 2 * 256 * 4 * 2  # three leaky ReLU
                + 2 * 256 * (12 + 16 + 20) * 2  # three concatenations
                + 3 * 256 * 8 * 2  # a sum
                + (256 + 1024) * 8 * 2  # twice as wide
                + 2 * 1024 * 8 * 2,  # the last leaky ReLU
                working_bytes=2 * 1024 * 8 * 2,
            )
        },
    ),
}  # fmt: skip


def payloads(file: Path) -> int:
    """Bytes of all tensors in a weight file, by walking over it."""
    data, at, total = file.read_bytes(), 64, 0
    while at < len(data):
        mark, _, size, start = struct.unpack_from("<IIQQ", data, at)
        assert mark == 0xDEADBEEF
        total += size
        at = -(-(start + size) // 64) * 64
    return total


def blocks_of(public: Public, folder: Path) -> Iterator[tuple[str, FoundBlock]]:
    for block in find_packages([folder], None, public.choices).blocks:
        for function in block.functions.values():
            yield f"{block.component} {block.unit} {function.name}", block


def is_same_compiled(block: FoundBlock, public: Public, path: Path) -> bool:
    """Whether the block's package counts the same when it is read as text, as a compiled package has it."""
    (package,) = block.packages
    again = read_package(compiled(package, path))
    (own,) = block.functions.values()
    shapes = {name: shape for name, shape in public.choices.shapes.items() if name in {v.name for v in own.inputs}}
    function, _ = fixed(again, again.function(own.name), shapes)
    assert again.default_function == package.default_function
    return count(function) == count(own) and weights_of([again]) == weights_of([package])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.exhaustive if PUBLIC[name].is_slow else []) for name in PUBLIC]
)
def test_a_public_package_is_counted_as_by_hand(tmp_path, name):
    public = PUBLIC[name]
    folder = tmp_path / public.make.__name__
    folder.mkdir()
    torch_flops = public.make(folder)
    found = dict(blocks_of(public, folder))
    counted = {unit: count(block.functions["plain"]) for unit, block in found.items()}
    weights = {unit: weights_of(block.packages) for unit, block in found.items()}
    assert {
        unit: Figures(
            weights[unit].parameters - weights[unit].filler,
            weights[unit].stored_bytes - weights[unit].filler_bytes,
            work.matmul_flops, work.attention_flops, work.convolution_flops,
            None if public.units[unit].moved_bytes is None else work.moved_bytes,
            None if public.units[unit].working_bytes is None else work.peak_bytes,
        )
        for unit, work in counted.items()
    } == public.units  # fmt: skip
    assert not any(work.unknown or work.open_loops for work in counted.values())
    for number, (unit, block) in enumerate(found.items()):
        flops = torch_flops.get(block.unit, torch_flops.get(unit.partition(" ")[2]))
        if flops is not None and "lstm" not in counted[unit].operations:  # which PyTorch does not count
            assert counted[unit].flops == flops
        stored = sum(payloads(file) for file in block.path.rglob("weight.bin"))
        assert stored <= weights[unit].stored_bytes <= stored + 256, "short vectors lie in the program"
        assert is_same_compiled(block, public, tmp_path / f"{number}.mlmodelc"), unit
    described = describe(find_packages([folder], None, public.choices), *load_profile("iphone15pro"), name=name)
    assert all(row.functions[0].run_s > 0 for row in described.estimate.packages)


def test_twenty_public_models_and_more_are_counted():
    assert len(PUBLIC) >= 20


def model_of(kinds: Sequence[str], pipeline: str = "") -> bytes:
    """A model of one kind, or a pipeline of several; neural networks have three layers."""
    model: Any = model_class()()
    inner = [model_class()() for _ in kinds] if pipeline else [model]
    for each, kind in zip(inner, kinds, strict=True):
        getattr(each, kind).SetInParent()
        for _ in range(3 if kind.startswith("neuralNetwork") else 0):
            getattr(each, kind).layers.add()
    if pipeline:
        holder = model.pipeline if pipeline == "pipeline" else getattr(model, pipeline).pipeline
        holder.models.extend(inner)
    data: bytes = model.SerializeToString()
    return data


NETWORK = "a neural network of 3 layers, the older form of Core ML's models"
CONVERT = "Convert its source again as an ML Program"
ON_A_PHONE = "is part of iOS, not of this file: time it on a phone"
NO_NETWORK = "It is no network, and costs next to nothing beside one."
REFUSED = {
    "BERTSQUADFP16.mlmodel": (model_of(["neuralNetwork"]), NETWORK, CONVERT),
    "Resnet50Int8LUT.mlmodel": (model_of(["neuralNetworkClassifier"]), NETWORK, CONVERT),
    "MobileNetV2.mlmodel": (model_of(["neuralNetworkClassifier"]), NETWORK, CONVERT),
    "YOLOv3.mlmodel": (
        model_of(["neuralNetwork", "nonMaximumSuppression"], "pipeline"),
        f"{NETWORK} and non-maximum suppression", CONVERT,
    ),
    "ImageClassifierOfCreateML.mlmodel": (
        model_of(["visionFeaturePrint", "glmClassifier"], "pipelineClassifier"),
        "image features of Apple's own and a linear classifier", ON_A_PHONE,
    ),
    "SoundClassifierOfCreateML.mlmodel": (
        model_of(["soundAnalysisPreprocessing", "neuralNetworkClassifier"], "pipelineClassifier"),
        f"preparation of sound of Apple's own and {NETWORK}", ON_A_PHONE,
    ),
    "HousePrices.mlmodel": (
        model_of(["featureVectorizer", "treeEnsembleRegressor"], "pipelineRegressor"),
        "a feature vectorizer and a tree ensemble", NO_NETWORK,
    ),
    "Sentiment.mlmodel": (model_of(["textClassifier"]), "a text classifier of Create ML", ON_A_PHONE),
}  # fmt: skip
"""Of Apple's gallery, and as Create ML makes them."""


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_ml_program_is_told_for_what_it_is(tmp_path, capsys, name):
    data, what, mend = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    assert main(["profile", "estimate", str(tmp_path / name)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"holds {what}, not an ML Program, so its work cannot be counted" in said and mend in said


def test_every_kind_of_model_in_the_format_has_a_name():
    """Also those that a later coremltools brings: this fails then."""
    kinds = {each.name for each in model_class().DESCRIPTOR.oneofs_by_name["Type"].fields}
    programs = {name for name in kinds if name.startswith(("pipeline", "neuralNetwork"))} | {"mlProgram"}
    assert kinds - programs == KINDS.keys()
