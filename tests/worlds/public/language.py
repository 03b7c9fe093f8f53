"""Language models: Apple's Mistral and Llama 3.1, ANEMLL's Llama in chunks, OpenELM, GPT-2 with its loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ondevice_sora.runtime.coreml.quiet import quietly
from worlds.public.conversion import converted, integers, palettes
from worlds.public.layers import Attention, FeedForward, RMSNorm

WIDTH, HEADS, KV_HEADS, HIDDEN, VOCABULARY, CONTEXT, LAYERS = 64, 4, 2, 96, 192, 128, 2


def rotated(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary position embedding: x [1, heads, tokens, head]."""
    half = x.shape[-1] // 2
    angles = positions.float()[:, None] * torch.exp(-torch.arange(half) * 0.5)
    first, second = x[..., :half], x[..., half:]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class Layer(nn.Module):
    """Of Llama and Mistral: grouped queries, a gated feed forward, no biases."""

    def __init__(self, is_fused: bool) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = RMSNorm(WIDTH), RMSNorm(WIDTH)
        self.attention = Attention(WIDTH, HEADS, kv_heads=KV_HEADS, bias=False, is_fused=is_fused)
        self.feed_forward = FeedForward(WIDTH, HIDDEN, is_gated=True, bias=False)


class CachedModel(nn.Module):
    """Token ids [1, n] and a mask [1, 1, n, end] -> logits [1, n, vocabulary], with caches that the package keeps."""

    def __init__(self, is_fused: bool) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList([Layer(is_fused) for _ in range(LAYERS)])
        self.norm, self.head = RMSNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)
        for name in CACHES:
            self.register_buffer(name, torch.zeros(CACHE))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        end = mask.shape[-1]
        begin = end - ids.shape[-1]
        x = self.tokens(ids)
        positions = torch.arange(begin, end)
        for index, layer in enumerate(self.layers):
            own, h = layer.attention, layer.norm_1(x)
            q, k = rotated(own.split(own.q(h), HEADS), positions), rotated(own.split(own.k(h), KV_HEADS), positions)
            self.keyCache[index, :, :, begin:end, :] = k
            self.valueCache[index, :, :, begin:end, :] = own.split(own.v(h), KV_HEADS)
            keys, values = self.keyCache[index, :, :, :end, :], self.valueCache[index, :, :, :end, :]
            x = x + own.attend(q, keys, values, mask)
            x = x + layer.feed_forward(layer.norm_2(x))
        return self.head(self.norm(x))


CACHES = ("keyCache", "valueCache")
CACHE = (LAYERS, 1, KV_HEADS, CONTEXT, WIDTH // HEADS)


def cached(path: Path, is_fused: bool) -> dict[str, int]:
    def upto(ct: Any) -> Any:
        return ct.RangeDim(1, CONTEXT, 1)

    flops = converted(
        CachedModel(is_fused),
        {"inputIds": torch.zeros(1, 4, dtype=torch.long), "causalMask": torch.zeros(1, 1, 4, 9)},
        path,
        target="iOS18",
        outputs=["logits"],
        shapes={"inputIds": lambda ct: (1, upto(ct)), "causalMask": lambda ct: (1, 1, upto(ct), upto(ct))},
        states=dict.fromkeys(CACHES, CACHE),
        compressed=integers("int4", 1000, granularity="per_block", block_size=32),
    )
    return {path.stem: flops}


def mistral(folder: Path) -> dict[str, int]:
    """Apple's example of 2024: int4 in blocks of 32, two caches that the package keeps, score matrices."""
    return cached(folder / "StatefulMistral7BInstructInt4.mlpackage", False)


def llama(folder: Path) -> dict[str, int]:
    """Apple's article on Llama 3.1: the same, with fused attention."""
    return cached(folder / "Llama31Instruct.mlpackage", True)


class Convolved(nn.Module):
    """A linear layer as a convolution of one tap, as ANEMLL writes all of them: x [1, tokens, inputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)


class AnemllChunk(nn.Module):
    """One layer for one token or for a batch of them, with one cache of keys and values [2, heads, context, head]."""

    def __init__(self) -> None:
        super().__init__()
        head = WIDTH // HEADS
        self.norm_1, self.norm_2 = RMSNorm(WIDTH), RMSNorm(WIDTH)
        self.q, self.k, self.v = (Convolved(WIDTH, n * head) for n in (HEADS, KV_HEADS, KV_HEADS))
        self.o = Convolved(WIDTH, WIDTH)
        self.gate, self.up, self.down = Convolved(WIDTH, HIDDEN), Convolved(WIDTH, HIDDEN), Convolved(HIDDEN, WIDTH)
        self.register_buffer("kv_cache_0", torch.zeros(ANEMLL_CACHE))

    def forward(self, hidden: Tensor, positions: Tensor, mask: Tensor, start: Tensor) -> Tensor:
        tokens, h = hidden.shape[1], self.norm_1(hidden)
        q, k, v = (
            each(h).unflatten(-1, (heads, -1)).transpose(1, 2)
            for each, heads in ((self.q, HEADS), (self.k, KV_HEADS), (self.v, KV_HEADS))
        )
        self.kv_cache_0[0:1, :, start : start + tokens, :] = rotated(k, positions)
        self.kv_cache_0[1:2, :, start : start + tokens, :] = v
        keys, values = (
            each.repeat_interleave(HEADS // KV_HEADS, dim=1) for each in (self.kv_cache_0[0:1], self.kv_cache_0[1:2])
        )
        scores = rotated(q, positions) @ keys.transpose(-1, -2) * q.shape[-1] ** -0.5 + mask
        hidden = hidden + self.o((scores.softmax(dim=-1) @ values).transpose(1, 2).flatten(2))
        h = self.norm_2(hidden)
        return hidden + self.down(functional.silu(self.gate(h)) * self.up(h))


ANEMLL_CACHE = (2, KV_HEADS, CONTEXT, WIDTH // HEADS)
BATCH = 32


class AnemllHead(nn.Module):
    """Logits in eight parts, each from a convolution of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([Convolved(WIDTH, VOCABULARY // 8) for _ in range(8)])

    def forward(self, hidden: Tensor) -> tuple[Tensor, ...]:
        return tuple(part(hidden) for part in self.parts)


def anemll(folder: Path) -> dict[str, int]:
    """Embeddings of one token or a batch; layers for both as two functions with the same weights; the head. 6 bits."""
    grouped = palettes(6, 1000, granularity="per_grouped_channel", group_size=8)
    with quietly() as ct:
        sizes = ct.EnumeratedShapes([(1, 1), (1, BATCH)], default=(1, 1))
    flops = {
        "llama_embeddings": converted(
            nn.Embedding(VOCABULARY, WIDTH), {"input_ids": torch.zeros(1, 1, dtype=torch.long)},
            folder / "llama_embeddings.mlpackage", target="iOS18", shapes={"input_ids": lambda ct: sizes},
        ),
        "llama_lm_head_lut6": converted(
            AnemllHead(), {"hidden_states": torch.rand(1, 1, WIDTH)}, folder / "llama_lm_head_lut6.mlpackage",
            target="iOS18", compressed=grouped,
        ),
    }  # fmt: skip
    name = "llama_FFN_PF_lut6_chunk_01of01"
    parts = folder.parent / "parts"
    for function, tokens in (("infer", 1), ("prefill", BATCH)):
        inputs = {
            "hidden_states": torch.rand(1, tokens, WIDTH), "position_ids": torch.arange(tokens),
            "causal_mask": torch.zeros(1, 1, tokens, CONTEXT), "current_pos": torch.zeros(1, dtype=torch.long),
        }  # fmt: skip
        flops[f"{name} {function}"] = converted(
            AnemllChunk(), inputs, parts / f"{function}.mlpackage", target="iOS18",
            states={"kv_cache_0": ANEMLL_CACHE}, compressed=grouped,
        )  # fmt: skip
    with quietly() as ct:
        described = ct.utils.MultiFunctionDescriptor()
        for function in ("infer", "prefill"):
            described.add_function(str(parts / f"{function}.mlpackage"), "main", function)
        described.default_function_name = "infer"
        ct.utils.save_multifunction(described, str(folder / f"{name}.mlpackage"))
    return flops


class OpenElm(nn.Module):
    """Token ids [1, 16] -> logits. Each layer has its own number of heads; the head is the table of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.norm = nn.Embedding(VOCABULARY, WIDTH), RMSNorm(WIDTH)
        self.norms = nn.ModuleList([RMSNorm(WIDTH) for _ in range(4)])
        self.attention = nn.ModuleList(
            [Attention(WIDTH, heads, kv_heads=kv, head=16, bias=False) for heads, kv in ((2, 1), (6, 2))]
        )
        self.forwards = nn.ModuleList([FeedForward(WIDTH, n, is_gated=True, bias=False) for n in (32, 80)])
        self.register_buffer("mask", torch.full((16, 16), -1e4).triu(1))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids)
        for index in range(2):
            x = x + self.attention[index](self.norms[2 * index](x), mask=self.mask)
            x = x + self.forwards[index](self.norms[2 * index + 1](x))
        return functional.linear(self.norm(x), self.tokens.weight)


def openelm(folder: Path) -> dict[str, int]:
    ids = torch.zeros(1, 16, dtype=torch.long)
    name = "OpenELM-270M-Instruct-128-float32"
    return {name: converted(OpenElm(), {"input_ids": ids}, folder / f"{name}.mlpackage", is_float32=True)}


def gpt2_loop(folder: Path) -> dict[str, int]:
    """A greedy decoder that is a loop in the program: from 8 tokens of 16 to all, each round over all 16."""
    tokens, width, vocabulary = 16, 32, 100
    random = np.random.default_rng(0)

    def weight(*shape: int) -> Any:
        return random.uniform(-1, 1, shape).astype(np.float32)

    table, positions, head = weight(vocabulary, width), weight(tokens, width), weight(vocabulary, width)
    q, k, v, o = (weight(width, width) for _ in range(4))
    up, down = weight(4 * width, width), weight(width, 4 * width)
    mask = np.triu(np.full((tokens, tokens), -1e4, np.float32), 1)
    with quietly() as ct:
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import types

        @Builder.program(input_specs=[Builder.TensorSpec((1, tokens), types.int32)], opset_version=ct.target.iOS17)
        def program(ids: Any) -> Any:
            def goes_on(count: Any, text: Any) -> Any:
                return Builder.less(x=count, y=tokens)

            def round_of(count: Any, text: Any) -> Any:
                x = Builder.add(x=Builder.gather(x=table, indices=text, axis=0), y=positions)
                h = Builder.layer_norm(x=x, axes=[-1])
                scores = Builder.matmul(
                    x=Builder.linear(x=h, weight=q), y=Builder.linear(x=h, weight=k), transpose_y=True
                )
                scores = Builder.softmax(x=Builder.add(x=scores, y=mask), axis=-1)
                x = Builder.add(
                    x=x, y=Builder.linear(x=Builder.matmul(x=scores, y=Builder.linear(x=h, weight=v)), weight=o)
                )
                x = Builder.add(x=x, y=Builder.linear(x=Builder.gelu(x=Builder.linear(x=x, weight=up)), weight=down))
                best = Builder.reduce_argmax(x=Builder.linear(x=x, weight=head), axis=-1)
                chosen = Builder.gather(x=best, indices=Builder.sub(x=count, y=1), axis=1)
                text = Builder.scatter(
                    data=text,
                    indices=Builder.expand_dims(x=count, axes=[0]),
                    updates=Builder.expand_dims(x=chosen, axes=[1]),
                    axis=1,
                )
                return Builder.add(x=count, y=1), text

            return Builder.while_loop(_cond=goes_on, _body=round_of, loop_vars=(np.int32(8), ids))[1]

        model = ct.convert(
            program, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS17, skip_model_load=True
        )
        model.save(str(folder / "gpt2.mlpackage"))
    return {}
