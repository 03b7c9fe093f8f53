"""Layers that public models are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Attention(nn.Module):
    """x [1, T, width] over itself or a context [1, S, of its width]; score matrices, or one fused operation."""

    def __init__(
        self, width: int, heads: int, *, kv_heads: int | None = None, head: int | None = None,
        context: int | None = None, bias: bool = True, is_fused: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.heads, self.kv_heads, self.head = heads, kv_heads or heads, head or width // heads
        self.is_fused = is_fused
        self.q = nn.Linear(width, heads * self.head, bias=bias)
        self.k = nn.Linear(context or width, self.kv_heads * self.head, bias=bias)
        self.v = nn.Linear(context or width, self.kv_heads * self.head, bias=bias)
        self.o = nn.Linear(heads * self.head, width, bias=bias)

    def split(self, x: Tensor, heads: int) -> Tensor:
        return x.unflatten(-1, (heads, self.head)).transpose(1, 2)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        source = x if context is None else context
        q, k, v = self.split(self.q(x), self.heads), self.split(self.k(source), self.kv_heads), self.v(source)
        return self.attend(q, k, self.split(v, self.kv_heads), mask)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if self.kv_heads != self.heads:
            k = k.repeat_interleave(self.heads // self.kv_heads, dim=1)
            v = v.repeat_interleave(self.heads // self.kv_heads, dim=1)
        if self.is_fused:
            found = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            scores = (q @ k.transpose(-1, -2)) * self.head**-0.5
            found = torch.softmax(scores if mask is None else scores + mask, dim=-1) @ v
        return self.o(found.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers, or three of them gated."""

    def __init__(self, width: int, hidden: int, *, is_gated: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=bias)
        self.gate = nn.Linear(width, hidden, bias=bias) if is_gated else None
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(
            functional.gelu(self.up(x)) if self.gate is None else functional.silu(self.gate(x)) * self.up(x)
        )


class Block(nn.Module):
    """A layer of a transformer: attention, attention to a context if there is one, two linear layers."""

    def __init__(self, width: int, heads: int, hidden: int, *, context: int | None = None, is_fused: bool = False):
        super().__init__()
        self.norm_1, self.attention = nn.LayerNorm(width), Attention(width, heads, is_fused=is_fused)
        self.crossing = None if context is None else Attention(width, heads, context=context, is_fused=is_fused)
        self.norm_2 = None if context is None else nn.LayerNorm(width)
        self.norm_3, self.feed_forward = nn.LayerNorm(width), FeedForward(width, hidden)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.norm_1(x), mask=mask)
        if self.crossing is not None:
            x = x + self.crossing(self.norm_2(x), context)
        return x + self.feed_forward(self.norm_3(x))


class SplitEinsum(nn.Module):
    """Attention as Apple writes it for the Neural Engine: x [1, C, 1, T], convolutions of one tap, head by head."""

    def __init__(self, width: int, heads: int, context: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.o = nn.Conv2d(width, width, 1, bias=False), nn.Conv2d(width, width, 1)
        self.k, self.v = (nn.Conv2d(context or width, width, 1, bias=False) for _ in range(2))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        source = x if context is None else context
        q, k, v = self.q(x), self.k(source).transpose(1, 3), self.v(source)
        head = q.shape[1] // self.heads
        found = []
        for q_h, k_h, v_h in zip(q.split(head, 1), k.split(head, 3), v.split(head, 1), strict=True):
            scores = torch.einsum("bchq,bkhc->bkhq", q_h, k_h) * head**-0.5
            found.append(torch.einsum("bkhq,bchk->bchq", scores.softmax(dim=1), v_h))
        return self.o(torch.cat(found, dim=1))


class ResidualBlock(nn.Module):
    """Of a diffusion UNet or a VAE: [1, C, H, W], with a time embedding or without."""

    def __init__(self, inputs: int, outputs: int, time: int | None = None) -> None:
        super().__init__()
        self.norm_1, self.conv_1 = nn.GroupNorm(2, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = None if time is None else nn.Conv2d(time, outputs, 1)
        self.norm_2, self.conv_2 = nn.GroupNorm(2, outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        h = self.conv_1(functional.silu(self.norm_1(x)))
        if self.time is not None:
            h = h + self.time(functional.silu(time))
        h = self.conv_2(functional.silu(self.norm_2(h)))
        return h + (x if self.skip is None else self.skip(x))


class ConvNorm(nn.Sequential):
    """A convolution, its batch normalisation, which conversion folds into it, and an activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        taps: int,
        stride: int = 1,
        groups: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        parts = [
            nn.Conv2d(inputs, outputs, taps, stride, taps // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*parts, *([] if activation is None else [activation]))
