"""The temporal half of Open-Sora v1.2's VAE: 4 times fewer frames, the same place resolution.

Convolutions are causal: they look back in time only, past the start onto zeros. Parameter names and arithmetic are
those of Open-Sora tag v1.2.0. Legend: B videos, C channels, T frames, H rows, W columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from ondevice_sora.runtime.networks.config import Channels, Layers, divides
from ondevice_sora.runtime.networks.units import Unit

GROUP_NORM_EPS = 1e-5


Multiplier = Annotated[int, msgspec.Meta(ge=1, le=64)]


@dataclass(frozen=True)
class TemporalVAEConfig:
    """Sizes of a temporal VAE; the defaults are the published one."""

    in_out_channels: Channels = 4
    latent_embed_dim: Channels = 4
    embed_dim: Channels = 4
    filters: Channels = 128
    num_res_blocks: Layers = 4
    channel_multipliers: Annotated[tuple[Multiplier, ...], msgspec.Meta(min_length=1, max_length=8)] = (1, 2, 2, 4)
    temporal_downsample: Annotated[tuple[bool, ...], msgspec.Meta(max_length=7)] = (False, True, True)
    num_groups: Channels = 32

    def __post_init__(self) -> None:
        for width in self.widths:
            divides("filters times channel_multipliers", width, "num_groups", self.num_groups)
        if len(self.temporal_downsample) != len(self.channel_multipliers) - 1:
            raise ValueError("temporal_downsample: one is needed between any two channel_multipliers")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at each level, the level of full frame rate first."""
        return tuple(self.filters * multiplier for multiplier in self.channel_multipliers)

    @property
    def downsample_factor(self) -> int:
        """Frames that share one latent frame."""
        return int(2 ** sum(self.temporal_downsample))


class CausalConv3d(nn.Module):
    """Convolution [B, C, T, H, W] padded with zeros: before the first frame only, and on all four sides."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, bias: bool = True, time_stride: int = 1
    ) -> None:
        super().__init__()
        before = kernel_size - 1 + (1 - time_stride)
        side = kernel_size // 2
        self.padding = (side, side, side, side, before, 0)
        self.conv = nn.Conv3d(in_channels, out_channels, kernel_size, stride=(time_stride, 1, 1), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(functional.pad(x, self.padding))
        return out


class GroupNorm3d(nn.GroupNorm):
    """Group norm of [B, C, T, H, W], seen as [B, C, T, H * W]: Core ML's version of it would have six dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(3)).reshape(x.shape)


class ResidualBlock3d(nn.Module):
    """Norm, SiLU, convolution, twice, added to the input; the input passes a 1x1x1 convolution where widths differ."""

    def __init__(self, in_channels: int, out_channels: int, num_groups: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm3d(num_groups, in_channels, eps=GROUP_NORM_EPS)
        self.conv1 = CausalConv3d(in_channels, out_channels, 3, bias=False)
        self.norm2 = GroupNorm3d(num_groups, out_channels, eps=GROUP_NORM_EPS)
        self.conv2 = CausalConv3d(out_channels, out_channels, 3, bias=False)
        if in_channels != out_channels:
            self.conv3 = CausalConv3d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.conv1(functional.silu(self.norm1(x)))
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        shortcut: Tensor = self.conv3(x) if hasattr(self, "conv3") else x
        return shortcut + hidden


def depth_to_time(x: Tensor, factor: int = 2) -> Tensor:
    """[B, C * factor, T, H, W] -> [B, C, T * factor, H, W]; channel c * factor + s becomes frame t * factor + s."""
    batch, channels, frames, height, width = x.shape
    split = x.reshape(batch * channels // factor, factor, frames, height, width).transpose(1, 2)
    return split.reshape(batch, channels // factor, frames * factor, height, width)


class TemporalEncoder(nn.Module):
    def __init__(self, config: TemporalVAEConfig) -> None:
        super().__init__()
        widths, groups = config.widths, config.num_groups
        self.conv_in = CausalConv3d(config.in_out_channels, config.filters, 3, bias=False)
        self.block_res_blocks = nn.ModuleList()
        self.conv_blocks = nn.ModuleList()
        width_before = config.filters
        for level, width in enumerate(widths):
            self.block_res_blocks.append(_residual_blocks(width_before, width, config))
            width_before = width
            if level < len(config.temporal_downsample):
                downsamples = config.temporal_downsample[level]
                self.conv_blocks.append(CausalConv3d(width, width, 3, time_stride=2) if downsamples else nn.Identity())
        self.res_blocks = _residual_blocks(widths[-1], widths[-1], config)
        self.norm1 = GroupNorm3d(groups, widths[-1], eps=GROUP_NORM_EPS)
        self.conv2 = CausalConv3d(widths[-1], 2 * config.latent_embed_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level, residual_blocks in enumerate(self.block_res_blocks):
            assert isinstance(residual_blocks, nn.ModuleList)
            for residual_block in residual_blocks:
                x = residual_block(x)
            if level < len(self.conv_blocks):
                x = self.conv_blocks[level](x)
        for residual_block in self.res_blocks:
            x = residual_block(x)
        out: Tensor = self.conv2(functional.silu(self.norm1(x)))
        return out


class TemporalDecoder(nn.Module):
    """Layers of the decoder; `TemporalVAE.decode_units` says in which order they run."""

    def __init__(self, config: TemporalVAEConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv1 = CausalConv3d(config.embed_dim, widths[-1], 3)
        self.res_blocks = _residual_blocks(widths[-1], widths[-1], config)
        self.block_res_blocks = nn.ModuleList()
        self.conv_blocks = nn.ModuleList()
        for level, width in enumerate(widths):
            width_before = widths[level + 1] if level + 1 < len(widths) else widths[-1]
            self.block_res_blocks.append(_residual_blocks(width_before, width, config))
        for level, upsamples in enumerate(config.temporal_downsample):
            width = widths[level + 1]
            self.conv_blocks.append(CausalConv3d(width, 2 * width, 3) if upsamples else nn.Identity())
        self.norm1 = GroupNorm3d(config.num_groups, widths[0], eps=GROUP_NORM_EPS)
        self.conv_out = CausalConv3d(widths[0], config.in_out_channels, 3)


def _residual_blocks(in_channels: int, out_channels: int, config: TemporalVAEConfig) -> nn.ModuleList:
    return nn.ModuleList(
        [
            ResidualBlock3d(in_channels if index == 0 else out_channels, out_channels, config.num_groups)
            for index in range(config.num_res_blocks)
        ]
    )


class TemporalVAE(nn.Module):
    """Temporal encoder (where asked for) and decoder, with the 1x1x1 convolutions between them and the latents."""

    def __init__(self, config: TemporalVAEConfig, with_encoder: bool = True) -> None:
        super().__init__()
        self.config = config
        if with_encoder:
            self.encoder = TemporalEncoder(config)
            self.quant_conv = CausalConv3d(2 * config.latent_embed_dim, 2 * config.embed_dim, 1)
        self.post_quant_conv = CausalConv3d(config.embed_dim, config.latent_embed_dim, 1)
        self.decoder = TemporalDecoder(config)

    def latent_frames(self, num_frames: int) -> int:
        """Latent frames that `num_frames` are encoded to."""
        return math.ceil(num_frames / self.config.downsample_factor)

    def encode_moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents, each [B, embed_dim, T / 4, H, W]; zeros fill up before the first."""
        missing = -x.shape[2] % self.config.downsample_factor
        mean, log_variance = self.quant_conv(self.encoder(functional.pad(x, (0, 0, 0, 0, missing, 0)))).chunk(2, dim=1)
        return mean, log_variance

    def decode_units(self, num_frames: int, scale: Tensor, shift: Tensor, prefix: str = "") -> list[Unit]:
        """input, res_*, level3_res_*, level3_up, ..., output: the units that decode one chunk to `num_frames` frames.

        The first unit turns normalised latents into the decoder's by `scale` and `shift` [1, C, 1, 1, 1]; the last
        drops the frames before the first that were filled up. `prefix` stands before the checkpoint names.
        """
        surplus = -num_frames % self.config.downsample_factor
        decoder = self.decoder

        def module(name: str) -> dict[str, nn.Module]:
            return {prefix + name: self.get_submodule(name)}

        def enter(latent_chunk: Tensor) -> Tensor:
            hidden: Tensor = decoder.conv1(self.post_quant_conv(latent_chunk * scale + shift))
            return hidden

        def leave(hidden: Tensor) -> Tensor:
            frames: Tensor = decoder.conv_out(functional.silu(decoder.norm1(hidden)))
            return frames[:, :, surplus:]

        def layer(name: str, path: str) -> Unit:
            return Unit(name, ("hidden",), ("hidden",), self.get_submodule(path), module(path))

        def upsampling(name: str, path: str) -> Unit:
            conv = self.get_submodule(path)
            return Unit(name, ("hidden",), ("hidden",), lambda hidden: depth_to_time(conv(hidden)), module(path))

        units = [
            Unit(
                "input",
                ("latent_chunk",),
                ("hidden",),
                enter,
                module("post_quant_conv") | module("decoder.conv1"),
                {"scale": scale, "shift": shift},
            )
        ]
        per_level = range(self.config.num_res_blocks)
        units += [layer(f"res_{index}", f"decoder.res_blocks.{index}") for index in per_level]
        for level in reversed(range(len(self.config.widths))):
            units += [
                layer(f"level{level}_res_{index}", f"decoder.block_res_blocks.{level}.{index}") for index in per_level
            ]
            if level > 0 and self.config.temporal_downsample[level - 1]:
                units.append(upsampling(f"level{level}_up", f"decoder.conv_blocks.{level - 1}"))
        end = module("decoder.norm1") | module("decoder.conv_out")
        return [*units, Unit("output", ("hidden",), ("latent_frames",), leave, end)]


def sample_gaussian(mean: Tensor, log_variance: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A draw from the encoder's distribution."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * noise
