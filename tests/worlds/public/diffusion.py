"""Diffusion: Stable Diffusion 1.5, XL and 3 as Apple's and Argmax's converters write them, Stable Audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from worlds.public.conversion import converted, palettes
from worlds.public.layers import Attention, Block, FeedForward, ResidualBlock, SplitEinsum

STEM = "Stable_Diffusion_version_runwayml_stable-diffusion-v1-5"
TOKENS = 77


class ClipText(nn.Module):
    """Token ids [1, 77] -> the states of all tokens, and that of the last."""

    def __init__(self, vocabulary: int = 49, width: int = 16, heads: int = 2) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(TOKENS, width)
        self.layer, self.norm = Block(width, heads, 4 * width), nn.LayerNorm(width)
        self.register_buffer("mask", torch.full((TOKENS, TOKENS), -1e4).triu(1))

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.tokens(ids) + self.positions(torch.arange(TOKENS))
        x = self.norm(self.layer(x, mask=self.mask))
        return x, x[torch.arange(1), ids.argmax(dim=-1)]


class SpatialTransformer(nn.Module):
    """Of the UNet: [1, C, H, W] with a context [1, context, 1, tokens], in the layout of the Neural Engine."""

    def __init__(self, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.norm, self.into, self.out = nn.GroupNorm(2, width), nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.attention, self.crossing = SplitEinsum(width, heads), SplitEinsum(width, heads, context)
        self.up, self.down = nn.Conv2d(width, 8 * width, 1), nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        h = self.into(self.norm(x)).flatten(2).unsqueeze(2)
        h = h + self.attention(h)
        h = h + self.crossing(h, context)
        value, gate = self.up(h).chunk(2, dim=1)
        h = h + self.down(value * functional.gelu(gate))
        return x + self.out(h.reshape(x.shape))


class UnetStart(nn.Module):
    """The first chunk of a UNet: downwards and the middle. latent [2, 4, 8, 8] is one sample here."""

    def __init__(self, width: int = 16, context: int = 24) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Conv2d(8, 32, 1), nn.SiLU(), nn.Conv2d(32, 32, 1))
        self.into, self.block = nn.Conv2d(4, width, 3, padding=1), ResidualBlock(width, width, 32)
        self.transformer = SpatialTransformer(width, 2, context)
        self.down, self.middle = nn.Conv2d(width, 2 * width, 3, 2, 1), ResidualBlock(2 * width, 2 * width, 32)

    def forward(self, sample: Tensor, timestep: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        angles = timestep[:, None] * torch.exp(-torch.arange(4) * 2.0)
        time = self.time(torch.cat([angles.cos(), angles.sin()], dim=-1)[:, :, None, None])
        skip = self.transformer(self.block(self.into(sample), time), states)
        return self.middle(self.down(skip), time), skip, time


class UnetEnd(nn.Module):
    """The second chunk: upwards, with what the first one left."""

    def __init__(self, width: int = 16, context: int = 24) -> None:
        super().__init__()
        self.up, self.block = nn.Conv2d(2 * width, width, 3, padding=1), ResidualBlock(2 * width, width, 32)
        self.transformer = SpatialTransformer(width, 2, context)
        self.norm, self.out = nn.GroupNorm(2, width), nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, hidden: Tensor, skip: Tensor, time: Tensor, states: Tensor) -> Tensor:
        x = self.up(functional.interpolate(hidden, scale_factor=2.0, mode="nearest"))
        x = self.transformer(self.block(torch.cat([x, skip], dim=1), time), states)
        return self.out(functional.silu(self.norm(x)))


class VaeDecoder(nn.Module):
    """latent [1, 4, 8, 8] -> image [1, 3, 16, 16]"""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.before, self.into = nn.Conv2d(4, 4, 1), nn.Conv2d(4, width, 3, padding=1)
        self.norm, self.attention = nn.GroupNorm(2, width), Attention(width, 1)
        self.block, self.up = ResidualBlock(width, width // 2), nn.Conv2d(width, width, 3, padding=1)
        self.last, self.out = nn.GroupNorm(2, width // 2), nn.Conv2d(width // 2, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.into(self.before(z))
        h = self.attention(self.norm(x).flatten(2).transpose(1, 2))
        x = x + h.transpose(1, 2).reshape(x.shape)
        x = self.block(self.up(functional.interpolate(x, scale_factor=2.0, mode="nearest")))
        return self.out(functional.silu(self.last(x)))


class SafetyChecker(nn.Module):
    """pixels [1, 3, 16, 16] and images [1, 16, 16, 3] -> images, black where a concept is near, and which are."""

    def __init__(self, width: int = 16, projected: int = 12, concepts: int = 17) -> None:
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, width, 8, 8, bias=False), nn.Parameter(torch.zeros(1, 1, width))
        self.positions, self.layer = nn.Parameter(torch.zeros(1, 5, width)), Block(width, 2, 4 * width)
        self.norm, self.projection = nn.LayerNorm(width), nn.Linear(width, projected, bias=False)
        self.concepts, self.thresholds = (
            nn.Parameter(torch.zeros(concepts, projected)),
            nn.Parameter(torch.zeros(concepts)),
        )

    def forward(self, clip: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([self.token, self.patches(clip).flatten(2).transpose(1, 2)], dim=1) + self.positions
        embedding = self.projection(self.norm(self.layer(x)[:, 0]))
        near = functional.normalize(embedding, dim=-1) @ functional.normalize(self.concepts, dim=-1).T - self.thresholds
        is_found = (near > 0).float().sum(dim=1) > 0
        return images * (1 - is_found.float())[:, None, None, None], is_found.float()


def stable_diffusion(folder: Path) -> dict[str, int]:
    """ml-stable-diffusion's torch2coreml: --attention-implementation SPLIT_EINSUM --chunk-unet --quantize-nbits 6, with
    a VAE encoder and a ControlNet's UNet beside it."""
    states = torch.rand(1, 24, 1, TOKENS)
    sample, time = torch.rand(1, 4, 8, 8), torch.rand(1)
    hidden, skip = torch.rand(1, 32, 4, 4), torch.rand(1, 16, 8, 8)
    made = {
        "text_encoder": (ClipText(), {"input_ids": torch.zeros(1, TOKENS, dtype=torch.long)}, None),
        "unet_chunk1": (
            UnetStart(), {"sample": sample, "timestep": time, "encoder_hidden_states": states}, palettes(6),
        ),
        "unet_chunk2": (
            UnetEnd(),
            {"hidden": hidden, "skip": skip, "time": torch.rand(1, 32, 1, 1), "encoder_hidden_states": states},
            palettes(6),
        ),
        "vae_decoder": (VaeDecoder(), {"z": sample}, None),
        "safety_checker": (
            SafetyChecker(), {"clip_input": torch.rand(1, 3, 16, 16), "images": torch.rand(1, 16, 16, 3)}, None,
        ),
        "vae_encoder": (nn.Conv2d(3, 8, 3), {"image": torch.rand(1, 3, 16, 16)}, None),
        "control-unet": (nn.Conv2d(4, 4, 3), {"sample": sample}, None),
    }  # fmt: skip
    return {
        f"{STEM}_{name}": converted(module, inputs, folder / f"{STEM}_{name}.mlpackage", compressed=compressed)
        for name, (module, inputs, compressed) in made.items()
    }


class FiveConvolutions(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.into = nn.Conv2d(4, width, 1)
        for bits in (1, 2, 4, 6, 8):
            self.add_module(f"bits_{bits}", nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.out = nn.Conv2d(width, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.into(x)
        for bits in (1, 2, 4, 6, 8):
            x = functional.silu(self.get_submodule(f"bits_{bits}")(x))
        return self.out(x)


def sdxl(folder: Path) -> dict[str, int]:
    """ml-stable-diffusion's mixed-bit palettization: another number of bits for each layer, some left as they are."""

    def mixed(ct: Any, model: Any) -> Any:
        tools = ct.optimize.coreml
        names = list(tools.get_weights_metadata(model, weight_threshold=1000))
        configs = {
            name: tools.OpPalettizerConfig("uniform", bits, weight_threshold=0)
            for name, bits in zip(names, (1, 2, 4, 6, 8), strict=True)
        }
        return tools.palettize_weights(model, tools.OptimizationConfig(op_name_configs=configs))

    path = folder / "unet.mlpackage"
    return {
        "unet": converted(
            FiveConvolutions(), {"sample": torch.rand(1, 4, 8, 8)}, path, target="iOS17", compressed=mixed
        )
    }


class JointBlock(nn.Module):
    """Of Stable Diffusion 3: tokens of the image and of the text attend to all of both, each modulated by the time."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        for side in ("image", "text"):
            self.add_module(f"{side}_modulation", nn.Linear(width, 6 * width))
            self.add_module(f"{side}_qkv", nn.Linear(width, 3 * width))
            self.add_module(f"{side}_out", nn.Linear(width, width))
            self.add_module(f"{side}_feed_forward", FeedForward(width, 4 * width))

    def forward(self, image: Tensor, text: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        sides, split, parts = {"image": image, "text": text}, {}, {}
        for side, x in sides.items():
            parts[side] = self.get_submodule(f"{side}_modulation")(functional.silu(time))[:, None].chunk(6, dim=-1)
            h = functional.layer_norm(x, x.shape[-1:]) * (1 + parts[side][0]) + parts[side][1]
            split[side] = [
                each.unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for each in self.get_submodule(f"{side}_qkv")(h).chunk(3, dim=-1)
            ]
        q, k, v = (torch.cat(each, dim=2) for each in zip(split["image"], split["text"], strict=True))
        found = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        own = {"image": found[:, : image.shape[1]], "text": found[:, image.shape[1] :]}
        results = []
        for side, x in sides.items():
            x = x + parts[side][2] * self.get_submodule(f"{side}_out")(own[side])
            h = functional.layer_norm(x, x.shape[-1:]) * (1 + parts[side][3]) + parts[side][4]
            results.append(x + parts[side][5] * self.get_submodule(f"{side}_feed_forward")(h))
        return results[0], results[1]


class T5Layer(nn.Module):
    """Attention with a bias of relative positions, which a table of 32 buckets gives."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.tokens, self.bias = nn.Embedding(50, width), nn.Embedding(32, heads)
        self.attention = Attention(width, heads, bias=False)
        self.feed_forward = FeedForward(width, 2 * width, is_gated=True, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        distance = (torch.arange(20)[None] - torch.arange(20)[:, None]).clamp(-15, 16) + 15
        bias = self.bias(distance).permute(2, 0, 1)[None]
        x = self.tokens(ids)
        x = x + self.attention(x, mask=bias)
        return x + self.feed_forward(x)


def stable_diffusion_3(folder: Path) -> dict[str, int]:
    """As DiffusionKit writes it: compiled names, iOS 18, fused attention."""
    made = {
        "MultiModalDiffusionTransformer": (
            JointBlock(), {"image": torch.rand(1, 64, 32), "text": torch.rand(1, 20, 32), "time": torch.rand(1, 32)},
        ),
        "TextEncoderT5": (T5Layer(), {"input_ids": torch.zeros(1, 20, dtype=torch.long)}),
    }  # fmt: skip
    return {
        name: converted(module, inputs, folder / f"{name}.mlpackage", target="iOS18")
        for name, (module, inputs) in made.items()
    }


class Snake(nn.Module):
    """x + sin(a x)^2 / a, of Stable Audio's decoder."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(self.alpha * x) ** 2 / (self.alpha + 1e-9)


class Oobleck(nn.Module):
    """latent [1, 8, 16] -> two channels of sound, four times as long."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.up = nn.Conv1d(8, 16, 7, padding=3), nn.ConvTranspose1d(16, 8, 8, 4, 2)
        self.snakes = nn.ModuleList([Snake(16), Snake(8), Snake(8)])
        self.dilated, self.out = nn.Conv1d(8, 8, 7, padding=9, dilation=3), nn.Conv1d(8, 2, 7, padding=3, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        x = self.up(self.snakes[0](self.into(z)))
        x = x + self.dilated(self.snakes[1](x))
        return self.out(self.snakes[2](x))


def stable_audio(folder: Path) -> dict[str, int]:
    block = Block(32, 4, 64, context=24, is_fused=True)
    latent = {"x": torch.rand(1, 16, 32), "context": torch.rand(1, 10, 24)}
    return {
        "dit": converted(block, latent, folder / "dit.mlpackage", target="iOS18"),
        "decoder": converted(Oobleck(), {"z": torch.rand(1, 8, 16)}, folder / "decoder.mlpackage", target="iOS18"),
    }
