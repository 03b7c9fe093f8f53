"""The encoder of T5 v1.1, which reads Open-Sora's prompts, as an ordered list of units.

Arithmetic and parameter names are those of the published checkpoints (T5EncoderModel, v1.1: gated GELU, no biases,
attention scores not scaled). Only the first layer owns the table of relative positions; it hands the resulting bias
to the others.

Shapes: B prompts, L tokens, D model channels, H heads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from ondevice_sora.runtime.networks.config import Channels, Heads, Layers, Tokens
from ondevice_sora.runtime.networks.units import State, Unit, run_units

# Keys of the published config.json that do not change what the encoder computes.
IGNORED_SETTINGS = frozenset(
    {
        "_name_or_path", "architectures", "classifier_dropout", "decoder_start_token_id", "dense_act_fn",
        "dropout_rate", "dtype", "eos_token_id", "initializer_factor", "is_encoder_decoder", "is_gated_act",
        "model_type", "num_decoder_layers", "output_past", "pad_token_id", "tie_word_embeddings", "torch_dtype",
        "transformers_version", "use_cache",
    }
)  # fmt: skip

# What a checkpoint of the whole T5 holds besides the encoder.
UNUSED_PREFIXES = ("decoder.", "lm_head.")


@dataclass(frozen=True)
class T5Config:
    """Sizes of a T5 v1.1 encoder; the defaults are the published XXL."""

    vocab_size: Tokens = 32128
    d_model: Channels = 4096
    d_kv: Channels = 64
    d_ff: Channels = 10240
    num_layers: Layers = 24
    num_heads: Heads = 64
    relative_attention_num_buckets: Annotated[int, msgspec.Meta(ge=4, le=4096)] = 32
    relative_attention_max_distance: Tokens = 128
    layer_norm_epsilon: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1e-6
    feed_forward_proj: str = "gated-gelu"

    def __post_init__(self) -> None:
        if self.feed_forward_proj != "gated-gelu":
            raise ValueError(f"feed_forward_proj: {self.feed_forward_proj!r} is not T5 v1.1, which has 'gated-gelu'")
        exact = self.relative_attention_num_buckets // 4
        if self.relative_attention_max_distance <= exact:
            what = f"relative_attention_max_distance: {self.relative_attention_max_distance}"
            raise ValueError(f"{what} is not above {exact}, up to which each distance has a bucket")


class T5Norm(nn.Module):
    """x / rms(x) * weight, without mean or bias."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.d_model))
        self.eps = config.layer_norm_epsilon

    def forward(self, x: Tensor) -> Tensor:
        variance = x.float().square().mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + self.eps)).to(self.weight.dtype)


def relative_buckets(length: int, num_buckets: int, max_distance: int) -> Tensor:
    """Bucket of every (query, key) pair of a sequence, int64 [length, length].

    Half the buckets are for keys after the query. In each half the first half stands for one distance each; beyond,
    buckets widen logarithmically up to `max_distance`, and the last takes all that is farther.
    """
    positions = torch.arange(length)
    offset = positions[None, :] - positions[:, None]
    per_sign = num_buckets // 2
    num_exact = per_sign // 2
    distance = offset.abs()
    # Distances below num_exact are not taken from the logarithm; the clamp keeps it defined for them.
    ratio = torch.log(distance.clamp(min=1).float() / num_exact) / math.log(max_distance / num_exact)
    logarithmic = (num_exact + (ratio * (per_sign - num_exact)).to(torch.int64)).clamp(max=per_sign - 1)
    return torch.where(offset > 0, per_sign, 0) + torch.where(distance < num_exact, distance, logarithmic)


class T5Attention(nn.Module):
    def __init__(self, config: T5Config, has_relative_bias: bool) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        inner = config.num_heads * config.d_kv
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        if has_relative_bias:
            self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.num_heads)

    def forward(self, x_BLD: Tensor, bias_BHLL: Tensor) -> Tensor:
        num_prompts, length, _ = x_BLD.shape

        def heads(projected: Tensor) -> Tensor:
            return projected.reshape(num_prompts, length, self.num_heads, -1).transpose(1, 2)

        query, key, value = heads(self.q(x_BLD)), heads(self.k(x_BLD)), heads(self.v(x_BLD))
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias_BHLL, scale=1.0)
        out: Tensor = self.o(attended.transpose(1, 2).reshape(num_prompts, length, -1))
        return out


class T5SelfAttentionLayer(nn.Module):
    def __init__(self, config: T5Config, has_relative_bias: bool) -> None:
        super().__init__()
        self.SelfAttention = T5Attention(config, has_relative_bias)
        self.layer_norm = T5Norm(config)

    def forward(self, x_BLD: Tensor, bias_BHLL: Tensor) -> Tensor:
        attended: Tensor = self.SelfAttention(self.layer_norm(x_BLD), bias_BHLL)
        return x_BLD + attended


class T5GatedDense(nn.Module):
    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.wo(functional.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))
        return out


class T5FeedForwardLayer(nn.Module):
    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.DenseReluDense = T5GatedDense(config)
        self.layer_norm = T5Norm(config)

    def forward(self, x: Tensor) -> Tensor:
        transformed: Tensor = self.DenseReluDense(self.layer_norm(x))
        return x + transformed


class T5Layer(nn.Module):
    """Attention, then feed-forward; the checkpoint calls it a block and its halves layers 0 and 1."""

    def __init__(self, config: T5Config, has_relative_bias: bool) -> None:
        super().__init__()
        self.layer = nn.ModuleList([T5SelfAttentionLayer(config, has_relative_bias), T5FeedForwardLayer(config)])

    def forward(self, x_BLD: Tensor, bias_BHLL: Tensor) -> Tensor:
        attention, feed_forward = self.layer
        out: Tensor = feed_forward(attention(x_BLD, bias_BHLL))
        return out


class T5Stack(nn.Module):
    def __init__(self, config: T5Config, embed_tokens: nn.Embedding) -> None:
        super().__init__()
        self.embed_tokens = embed_tokens
        self.block = nn.ModuleList(
            [T5Layer(config, has_relative_bias=index == 0) for index in range(config.num_layers)]
        )
        self.final_layer_norm = T5Norm(config)


class T5Encoder(nn.Module):
    """Prompt tokens to the caption that the denoiser attends to."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config, self.shared)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Last hidden state [B, L, D], padding rows too, for int64 ids and mask [B, L], mask 0 at padding."""
        return run_units(self.units(), self.initial_state(input_ids, attention_mask))["caption"]

    def initial_state(self, input_ids: Tensor, attention_mask: Tensor) -> State:
        return {"input_ids": input_ids, "attention_mask": attention_mask}

    def units(self) -> list[Unit]:
        """embed, layer_0, layer_1, ..., final_norm."""
        layers = [self._layer_unit(index) for index in range(self.config.num_layers)]
        norm = self.encoder.final_layer_norm
        return [
            Unit("embed", ("input_ids",), ("text_hidden",), self.shared, {"shared": self.shared}),
            *layers,
            Unit("final_norm", ("text_hidden",), ("caption",), norm, {"encoder.final_layer_norm": norm}),
        ]

    def _layer_unit(self, index: int) -> Unit:
        layer = self.encoder.block[index]
        modules = {f"encoder.block.{index}": layer}
        if index > 0:
            return Unit(f"layer_{index}", ("text_hidden", "text_bias"), ("text_hidden",), layer, modules)

        def run_first(text_hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
            bias = self._attention_bias(attention_mask)
            return layer(text_hidden, bias), bias

        return Unit("layer_0", ("text_hidden", "attention_mask"), ("text_hidden", "text_bias"), run_first, modules)

    def _attention_bias(self, attention_mask: Tensor) -> Tensor:
        """Relative positions plus the padding mask, added to attention scores: [B, H, L, L]."""
        table = self.get_submodule("encoder.block.0.layer.0.SelfAttention.relative_attention_bias")
        buckets = relative_buckets(
            attention_mask.shape[1],
            self.config.relative_attention_num_buckets,
            self.config.relative_attention_max_distance,
        )
        positions_1HLL = table(buckets.to(attention_mask.device)).permute(2, 0, 1)[None]
        lowest = torch.finfo(positions_1HLL.dtype).min
        padding = torch.zeros_like(attention_mask, dtype=positions_1HLL.dtype).masked_fill(attention_mask == 0, lowest)
        bias: Tensor = positions_1HLL + padding[:, None, None]
        return bias
