"""The spatial half of Open-Sora v1.2's VAE: an AutoencoderKL, 8 times smaller on each side.

Parameter names are those of the published checkpoints. Every frame is an image of its own. Legend: N frames, C
channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from torch import Tensor, nn
from torch.nn import functional

from ondevice_sora.runtime.networks.config import Channels, Layers, divides
from ondevice_sora.runtime.networks.units import Unit

GROUP_NORM_EPS = 1e-6

# Keys of a published config.json that do not change what the networks compute: the types of the blocks
# are always the plain convolutional ones, and the scaling factor is the caller's.
IGNORED_SETTINGS = frozenset(
    {
        "_class_name", "_diffusers_version", "_name_or_path", "act_fn", "down_block_types", "force_upcast",
        "sample_size", "scaling_factor", "up_block_types",
    }
)  # fmt: skip


@dataclass(frozen=True)
class SpatialVAEConfig:
    """Sizes of an AutoencoderKL; the defaults are the one of Open-Sora v1.2 (an SDXL VAE)."""

    in_channels: Channels = 3
    out_channels: Channels = 3
    block_out_channels: Annotated[tuple[Channels, ...], msgspec.Meta(min_length=1, max_length=8)] = (
        128, 256, 512, 512,
    )  # fmt: skip
    layers_per_block: Layers = 2
    latent_channels: Channels = 4
    norm_num_groups: Channels = 32

    def __post_init__(self) -> None:
        for channels in self.block_out_channels:
            divides("block_out_channels", channels, "norm_num_groups", self.norm_num_groups)

    @property
    def downsample_factor(self) -> int:
        """Pixels on a side that share one latent pixel."""
        return int(2 ** (len(self.block_out_channels) - 1))


class ResidualBlock2d(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, num_groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(num_groups, in_channels, eps=GROUP_NORM_EPS)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(num_groups, out_channels, eps=GROUP_NORM_EPS)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.conv1(functional.silu(self.norm1(x)))
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        shortcut: Tensor = self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x
        return shortcut + hidden


class ImageAttention(nn.Module):
    """Single-head attention among all places of a frame."""

    def __init__(self, channels: int, num_groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(num_groups, channels, eps=GROUP_NORM_EPS)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        places = self.group_norm(x).flatten(2).transpose(1, 2)
        attended = functional.scaled_dot_product_attention(
            self.to_q(places)[:, None], self.to_k(places)[:, None], self.to_v(places)[:, None]
        )
        out: Tensor = self.to_out[0](attended[:, 0])
        return x + out.transpose(1, 2).reshape(x.shape)


class MidBlock(nn.Module):
    def __init__(self, channels: int, num_groups: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([ImageAttention(channels, num_groups)])
        self.resnets = nn.ModuleList([ResidualBlock2d(channels, channels, num_groups) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.resnets[1](self.attentions[0](self.resnets[0](x)))
        return out


class Downsample(nn.Module):
    """Half the size, by a strided convolution padded with zeros on the right and at the bottom."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(functional.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Twice the size, by repeating pixels, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


class Level(nn.Module):
    """Residual blocks of one resolution; `resample` is the change to the next, under the checkpoint's name for it."""

    def __init__(
        self, in_channels: int, out_channels: int, num_layers: int, num_groups: int, **resample: nn.Module
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            [
                ResidualBlock2d(in_channels if index == 0 else out_channels, out_channels, num_groups)
                for index in range(num_layers)
            ]
        )
        for name, module in resample.items():
            self.add_module(name, nn.ModuleList([module]))

    def forward(self, x: Tensor) -> Tensor:
        for layers in self.children():
            assert isinstance(layers, nn.ModuleList)
            for layer in layers:
                x = layer(x)
        return x


class Encoder(nn.Module):
    def __init__(self, config: SpatialVAEConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels, config.norm_num_groups
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for level, width in enumerate(widths):
            resample = {"downsamplers": Downsample(width)} if level + 1 < len(widths) else {}
            self.down_blocks.append(
                Level(widths[max(level - 1, 0)], width, config.layers_per_block, groups, **resample)
            )
        self.mid_block = MidBlock(widths[-1], groups)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=GROUP_NORM_EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        out: Tensor = self.conv_out(functional.silu(self.conv_norm_out(self.mid_block(x))))
        return out


class Decoder(nn.Module):
    """Layers of the decoder; `SpatialVAE.decode_units` says in which order they run."""

    def __init__(self, config: SpatialVAEConfig) -> None:
        super().__init__()
        widths, groups = tuple(reversed(config.block_out_channels)), config.norm_num_groups
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.mid_block = MidBlock(widths[0], groups)
        self.up_blocks = nn.ModuleList()
        for level, width in enumerate(widths):
            resample = {"upsamplers": Upsample(width)} if level + 1 < len(widths) else {}
            self.up_blocks.append(
                Level(widths[max(level - 1, 0)], width, config.layers_per_block + 1, groups, **resample)
            )
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=GROUP_NORM_EPS)
        self.conv_out = nn.Conv2d(widths[-1], config.out_channels, 3, padding=1)


class SpatialVAE(nn.Module):
    """Encoder (where asked for) and decoder, with the 1x1 convolutions between them and the latents."""

    def __init__(self, config: SpatialVAEConfig, with_encoder: bool = True) -> None:
        super().__init__()
        self.config = config
        latent = config.latent_channels
        if with_encoder:
            self.encoder = Encoder(config)
            self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1)
        self.decoder = Decoder(config)
        self.post_quant_conv = nn.Conv2d(latent, latent, 1)

    def encode_moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents, each [N, latent_channels, H / 8, W / 8]."""
        mean, log_variance = self.quant_conv(self.encoder(x)).chunk(2, dim=1)
        return mean, log_variance

    def decode_units(self, latent_scaling: float, prefix: str = "") -> list[Unit]:
        """input, mid_res_0, mid_attention, mid_res_1, up0_res_0, ..., up0_up, ..., output: latent frames to images.

        The first unit divides latents by `latent_scaling`. `prefix` stands before the checkpoint names.
        """
        decoder = self.decoder

        def module(path: str) -> dict[str, nn.Module]:
            return {prefix + path: self.get_submodule(path)}

        def layer(name: str, path: str) -> Unit:
            return Unit(name, ("hidden",), ("hidden",), self.get_submodule(path), module(path))

        def enter(latent_frames: Tensor) -> Tensor:
            hidden: Tensor = decoder.conv_in(self.post_quant_conv(latent_frames / latent_scaling))
            return hidden

        def leave(hidden: Tensor) -> Tensor:
            images: Tensor = decoder.conv_out(functional.silu(decoder.conv_norm_out(hidden)))
            return images

        entry = module("post_quant_conv") | module("decoder.conv_in")
        units = [
            Unit("input", ("latent_frames",), ("hidden",), enter, entry),
            layer("mid_res_0", "decoder.mid_block.resnets.0"),
            layer("mid_attention", "decoder.mid_block.attentions.0"),
            layer("mid_res_1", "decoder.mid_block.resnets.1"),
        ]
        num_levels = len(self.config.block_out_channels)
        for level in range(num_levels):
            path = f"decoder.up_blocks.{level}"
            units += [
                layer(f"up{level}_res_{index}", f"{path}.resnets.{index}")
                for index in range(self.config.layers_per_block + 1)
            ]
            if level + 1 < num_levels:
                units.append(layer(f"up{level}_up", f"{path}.upsamplers.0"))
        end = module("decoder.conv_norm_out") | module("decoder.conv_out")
        return [*units, Unit("output", ("hidden",), ("images",), leave, end)]
