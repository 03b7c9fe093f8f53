"""Embeddings of time and place in STDiT3 (Open-Sora v1.2). All are computed in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoid(values_N: Tensor, num_channels: int) -> Tensor:
    """Cosines then sines of `values_N` at geometric frequencies: [N] -> [N, num_channels].

    f_k = exp(-ln(10000) * k / (num_channels / 2)).
    """
    half = num_channels // 2
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32, device=values_N.device) / half)
    angles = values_N[:, None].float() * frequencies[None]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


def spatial_position(grid_height: int, grid_width: int, num_channels: int, scale: float) -> Tensor:
    """Position embedding of a grid of patches, row-major: [grid_height * grid_width, num_channels].

    The first half of the channels encodes the column, the second the row; in each, sines come before cosines.
    Coordinates are stretched to a square of side round(sqrt(patches)) and divided by `scale`, sqrt(height * width) /
    512 in pixels.
    """
    side = round(math.sqrt(grid_height * grid_width))
    quarter = num_channels // 4
    exponents = torch.arange(0, 2 * quarter, 2, dtype=torch.float32) / (2 * quarter)
    frequencies = 1.0 / (10000.0**exponents)

    def encode(length: int) -> Tensor:
        coordinates = torch.arange(length, dtype=torch.float32) / scale * (side / length)
        angles = coordinates[:, None] * frequencies[None]
        return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)

    columns = encode(grid_width)[None].expand(grid_height, -1, -1)
    rows = encode(grid_height)[:, None].expand(-1, grid_width, -1)
    return torch.cat([columns, rows], dim=-1).reshape(grid_height * grid_width, num_channels)


def rotary_frequencies(head_channels: int) -> Tensor:
    """The frequencies that a checkpoint stores as `rope.freqs`: 10000^(-2k/d), [d / 2], whatever the default device."""
    exponents = torch.arange(0, head_channels, 2, dtype=torch.float32, device="cpu") / head_channels
    return 1.0 / (10000.0**exponents)


def rotary_table(frequencies: Tensor, num_positions: int) -> Tensor:
    """Cosines and sines for positions 0..num_positions-1, each frequency twice in a row: [2, num_positions, d]."""
    positions = torch.arange(num_positions, dtype=frequencies.dtype, device=frequencies.device)
    angles = (positions[:, None] * frequencies[None]).repeat_interleave(2, dim=-1)
    return torch.stack([torch.cos(angles), torch.sin(angles)])


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Rotary embedding of x [..., positions, d]: channels (0, 1), (2, 3), ... are turned as pairs."""
    cosine, sine = table[0], table[1]
    pairs = x.reshape(*x.shape[:-1], x.shape[-1] // 2, 2)
    turned = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=-1).reshape(x.shape)
    return x * cosine + turned * sine
