"""STDiT3, the denoiser of Open-Sora v1.2, as an ordered list of units.

Arithmetic and parameter names are those of the published model (Open-Sora tag v1.2.0), so its weights load unchanged.
Two things are expressed otherwise, with equal results: the reference drops masked caption tokens and packs those of all
samples into one row, here an additive mask hides them, so that shapes do not depend on the prompt; and what the
reference derives from the input's shape is fixed when the units are built.

Shapes: B samples (both guidance branches count), T latent frames, S patches a frame, C hidden channels, L caption
tokens, F frames told apart by the timestep: 1, or T where a frame mask is given.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from ondevice_sora.runtime.networks.config import Channels, Heads, Layers, Ratio, Tokens, divides
from ondevice_sora.runtime.networks.embeddings import (
    rotary_frequencies,
    rotary_table,
    rotate,
    sinusoid,
    spatial_position,
)
from ondevice_sora.runtime.networks.merging import merge_frames, unmerge_frames
from ondevice_sora.runtime.networks.units import State, Unit, run_units

LAYER_NORM_EPS = 1e-6
TIMESTEP_FREQUENCIES = 256

# Keys of the published config.json that do not change what inference computes.
IGNORED_SETTINGS = frozenset(
    {
        "_name_or_path", "architectures", "class_dropout_prob", "drop_path", "dtype", "enable_flash_attn",
        "enable_layernorm_kernel", "enable_sequence_parallelism", "force_huggingface", "freeze_y_embedder",
        "input_size", "model_type", "only_train_temporal", "skip_y_embedder", "torch_dtype", "transformers_version",
    }
)  # fmt: skip


PatchSide = Annotated[int, msgspec.Meta(ge=1, le=64)]


@dataclass(frozen=True)
class STDiT3Config:
    """Sizes of an STDiT3; the defaults are STDiT3-XL/2, the published model."""

    depth: Layers = 28
    hidden_size: Channels = 1152
    num_heads: Heads = 16
    patch_size: tuple[PatchSide, PatchSide, PatchSide] = (1, 2, 2)
    in_channels: Channels = 4
    caption_channels: Channels = 4096
    model_max_length: Tokens = 300
    mlp_ratio: Ratio = 4.0
    qk_norm: bool = True
    pred_sigma: bool = True
    input_sq_size: Channels = 512
    embed_frames: bool = False
    """Whether tokens are told which latent frame they belong to. Published models are not: all they know of time is how
    far frames lie apart, so no frame can be told from another before something shows in it."""

    def __post_init__(self) -> None:
        divides("hidden_size", self.hidden_size, "num_heads", self.num_heads)
        divides("hidden_size", self.hidden_size, "sines and cosines of rows and columns, that is", 4)
        divides("the width of a head", self.head_channels, "pairs of channels, that is", 2)
        if int(self.hidden_size * self.mlp_ratio) < 1:
            raise ValueError(f"mlp_ratio: {self.mlp_ratio} leaves the MLP no channels")

    @property
    def out_channels(self) -> int:
        """Velocity channels, and as many unused ones where the model also predicts a variance."""
        return 2 * self.in_channels if self.pred_sigma else self.in_channels

    @property
    def head_channels(self) -> int:
        return self.hidden_size // self.num_heads


class LatentSize(NamedTuple):
    """Shape of a latent video: frames, and rows and columns of latent pixels."""

    frames: int
    height: int
    width: int


class PixelSize(NamedTuple):
    """Height and width of the video in pixels, which set the scale of the position embedding."""

    height: float
    width: float


class Linear2(nn.Module):
    """Linear, tanh-GELU, Linear: the MLP of a block and the caption projection."""

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels, hidden_channels)
        self.fc2 = nn.Linear(hidden_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))
        return out


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last dimension, the mean square taken in float32."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x_float = x.float()
        normed = x_float * torch.rsqrt(x_float.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * normed.to(x.dtype)


class SelfAttention(nn.Module):
    """Multi-head attention within each sequence: [N, length, C] -> [N, length, C]."""

    def __init__(self, channels: int, num_heads: int, qk_norm: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.q_norm = RMSNorm(channels // num_heads) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(channels // num_heads) if qk_norm else nn.Identity()
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, rotary: Tensor | None) -> Tensor:
        num_sequences, length, channels = x.shape
        qkv = self.qkv(x).reshape(num_sequences, length, 3, self.num_heads, channels // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = self.q_norm(query), self.k_norm(key)
        if rotary is not None:
            query, key = rotate(query, rotary), rotate(key, rotary)
        attended = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(attended.transpose(1, 2).reshape(num_sequences, length, channels))
        return out


class CrossAttention(nn.Module):
    """Attention of every video token to the caption of its sample: [B, N, C], [B, L, C] -> [B, N, C]."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_linear = nn.Linear(channels, channels)
        self.kv_linear = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x_BNC: Tensor, caption_BLC: Tensor, caption_bias_B11L: Tensor) -> Tensor:
        num_samples, num_tokens, channels = x_BNC.shape
        head_channels = channels // self.num_heads
        query = self.q_linear(x_BNC).reshape(num_samples, num_tokens, self.num_heads, head_channels).transpose(1, 2)
        keys_values = self.kv_linear(caption_BLC).reshape(num_samples, -1, 2, self.num_heads, head_channels)
        key, value = keys_values.permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=caption_bias_B11L)
        out: Tensor = self.proj(attended.transpose(1, 2).reshape(num_samples, num_tokens, channels))
        return out


def scaled_normal(rows: int, channels: int) -> Tensor:
    """Values to train from, of variance 1 / channels: [rows, channels].

    None are drawn on the meta device: PyTorch imports a computer algebra system for that, 75 MB of memory.
    """
    values = torch.empty(rows, channels)
    return values if values.is_meta else values.normal_().div_(channels**0.5)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift


class STDiT3Block(nn.Module):
    """One spatial or temporal block: attention within frames, or along time at each place; then caption; then MLP."""

    def __init__(self, config: STDiT3Config, temporal: bool) -> None:
        super().__init__()
        self.temporal = temporal
        channels = config.hidden_size
        self.scale_shift_table = nn.Parameter(scaled_normal(6, channels))
        self.attn = SelfAttention(channels, config.num_heads, config.qk_norm)
        self.cross_attn = CrossAttention(channels, config.num_heads)
        self.mlp = Linear2(channels, int(channels * config.mlp_ratio), channels)

    def forward(
        self,
        x_BTSC: Tensor,
        caption_BLC: Tensor,
        caption_bias_B11L: Tensor,
        t_mlp_BF6C: Tensor,
        rotary_2Td: Tensor | None = None,
        merge: bool = False,
    ) -> Tensor:
        """The block's output, [B, T, S, C].

        With `merge` (TDTM), self-attention and cross-attention see pair-averaged frames and give their result to both
        frames of a pair; the MLP, the gates and the residuals keep all frames.
        """
        num_samples, num_frames, _, channels = x_BTSC.shape
        modulation = (t_mlp_BF6C + self.scale_shift_table.reshape(-1)).unsqueeze(2)
        shift_attn, scale_attn, gate_attn, shift_mlp, scale_mlp, gate_mlp = modulation.chunk(6, dim=-1)

        normed = modulate(self._norm(x_BTSC), shift_attn, scale_attn)
        attended = self._self_attention(merge_frames(normed) if merge else normed, rotary_2Td)
        x_BTSC = x_BTSC + gate_attn * (unmerge_frames(attended, num_frames) if merge else attended)

        query = merge_frames(x_BTSC) if merge else x_BTSC
        told = self.cross_attn(query.reshape(num_samples, -1, channels), caption_BLC, caption_bias_B11L)
        told = told.reshape(query.shape)
        x_BTSC = x_BTSC + (unmerge_frames(told, num_frames) if merge else told)

        transformed: Tensor = self.mlp(modulate(self._norm(x_BTSC), shift_mlp, scale_mlp))
        return x_BTSC + gate_mlp * transformed

    def _norm(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS)

    def _self_attention(self, x_BTSC: Tensor, rotary_2Td: Tensor | None) -> Tensor:
        num_samples, num_frames, num_patches, channels = x_BTSC.shape
        if not self.temporal:
            attended: Tensor = self.attn(x_BTSC.reshape(-1, num_patches, channels), None)
            return attended.reshape(x_BTSC.shape)
        assert rotary_2Td is not None, "a temporal block needs the rotary table"
        attended = self.attn(x_BTSC.transpose(1, 2).reshape(-1, num_frames, channels), rotary_2Td[:, :num_frames])
        return attended.reshape(num_samples, num_patches, num_frames, channels).transpose(1, 2)


class FinalLayer(nn.Module):
    """Norm, modulation by the timestep, projection to a patch's values: [B, T, S, C] -> [B, T, S, values]."""

    def __init__(self, config: STDiT3Config) -> None:
        super().__init__()
        self.scale_shift_table = nn.Parameter(scaled_normal(2, config.hidden_size))
        self.linear = nn.Linear(config.hidden_size, math.prod(config.patch_size) * config.out_channels)

    def forward(self, x_BTSC: Tensor, t_BC: Tensor, t_zero_BC: Tensor | None, frame_mask_BT: Tensor | None) -> Tensor:
        modulated = self._norm_and_modulate(x_BTSC, t_BC)
        if frame_mask_BT is not None:
            # The published code normalises and modulates frames outside the mask twice, first with t, then with t = 0.
            assert t_zero_BC is not None, "a frame mask needs the embedding of t = 0"
            twice = self._norm_and_modulate(modulated, t_zero_BC)
            modulated = torch.where(frame_mask_BT[:, :, None, None], modulated, twice)
        out: Tensor = self.linear(modulated)
        return out

    def _norm_and_modulate(self, x_BTSC: Tensor, t_BC: Tensor) -> Tensor:
        shift, scale = (self.scale_shift_table[None] + t_BC[:, None])[:, None].chunk(2, dim=2)
        normed = functional.layer_norm(x_BTSC, x_BTSC.shape[-1:], eps=LAYER_NORM_EPS)
        return modulate(normed, shift, scale)


class PatchEmbed(nn.Module):
    """Convolution whose kernel is its stride: [B, C_in, T, H, W] -> [B, T_p, S, C]; odd sizes are zero-padded."""

    def __init__(self, config: STDiT3Config) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.proj = nn.Conv3d(config.in_channels, config.hidden_size, config.patch_size, stride=config.patch_size)

    def forward(self, latent: Tensor) -> Tensor:
        missing = [-size % patch for size, patch in zip(latent.shape[2:], self.patch_size, strict=True)]
        padded = functional.pad(latent, (0, missing[2], 0, missing[1], 0, missing[0]))
        patches: Tensor = self.proj(padded)
        return patches.flatten(3).permute(0, 2, 3, 1)


class ScalarEmbedder(nn.Module):
    """Embedding of one number a sample, the timestep or the frame rate: [N] -> [N, C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(TIMESTEP_FREQUENCIES, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, values_N: Tensor) -> Tensor:
        weight = self.mlp[0].weight
        assert isinstance(weight, Tensor)
        out: Tensor = self.mlp(sinusoid(values_N, TIMESTEP_FREQUENCIES).to(weight.dtype))
        return out


class CaptionEmbedder(nn.Module):
    """Projection of the text encoder's output, and the caption that stands for no caption."""

    y_embedding: Tensor

    def __init__(self, config: STDiT3Config) -> None:
        super().__init__()
        self.register_buffer("y_embedding", scaled_normal(config.model_max_length, config.caption_channels))
        self.y_proj = Linear2(config.caption_channels, config.hidden_size, config.hidden_size)

    def forward(self, caption: Tensor) -> Tensor:
        out: Tensor = self.y_proj(caption)
        return out


class Rotary(nn.Module):
    """Holder of the rotary frequencies, which the published checkpoint stores."""

    def __init__(self, config: STDiT3Config) -> None:
        super().__init__()
        self.freqs = nn.Parameter(rotary_frequencies(config.head_channels), requires_grad=False)


class STDiT3(nn.Module):
    """The denoiser: noisy latent video, timestep and caption to the velocity towards the data."""

    def __init__(self, config: STDiT3Config) -> None:
        super().__init__()
        self.config = config
        channels = config.hidden_size
        self.rope = Rotary(config)
        self.x_embedder = PatchEmbed(config)
        self.t_embedder = ScalarEmbedder(channels)
        self.fps_embedder = ScalarEmbedder(channels)
        if config.embed_frames:
            self.frame_embedder = ScalarEmbedder(channels)
        self.t_block = nn.Sequential(nn.SiLU(), nn.Linear(channels, 6 * channels))
        self.y_embedder = CaptionEmbedder(config)
        self.spatial_blocks = nn.ModuleList([STDiT3Block(config, temporal=False) for _ in range(config.depth)])
        self.temporal_blocks = nn.ModuleList([STDiT3Block(config, temporal=True) for _ in range(config.depth)])
        self.final_layer = FinalLayer(config)

    @property
    def block_names(self) -> tuple[str, ...]:
        """Names of the units that TDTM can act on, in order."""
        return tuple(f"{kind}_{index}" for index in range(self.config.depth) for kind in ("spatial", "temporal"))

    def forward(
        self,
        latent: Tensor,
        timestep: Tensor,
        caption: Tensor,
        *,
        pixels: PixelSize,
        fps: Tensor,
        text_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        merged_blocks: Collection[str] = (),
        attended_tokens: int | None = None,
        first_frame: int = 0,
    ) -> Tensor:
        """Velocity (and, with pred_sigma, as many unused channels): [B, C_out, T, H, W] in float32.

        latent [B, C_in, T, H, W]; timestep [B] on the scale 0..1000; caption [B, L, caption_channels]; fps [1] or
        [B]; text_mask [B or 1, L], non-zero where a token counts; frame_mask [B, T] bool, False where a frame is
        given and counts as free of noise. `merged_blocks` names the blocks that run as their TDTM variant; the blocks
        see the first `attended_tokens` of the caption, all unless given. `first_frame` is the number of the first
        latent frame, for a piece of a video.
        """
        state = self.initial_state(latent, timestep, caption, fps=fps, text_mask=text_mask, frame_mask=frame_mask)
        size = LatentSize(*latent.shape[2:])
        units = self.units(
            size,
            pixels,
            merged_blocks=merged_blocks,
            with_frame_mask=frame_mask is not None,
            attended_tokens=attended_tokens,
            first_frame=first_frame,
        )
        return run_units(units, state)["velocity"]

    def initial_state(
        self,
        latent: Tensor,
        timestep: Tensor,
        caption: Tensor,
        *,
        fps: Tensor,
        text_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> State:
        """What the first unit reads. A text mask of one row serves all samples; none means every token counts."""
        if text_mask is None:
            text_mask = torch.ones(1, caption.shape[1], dtype=torch.int64, device=caption.device)
        state = {
            "latent": latent,
            "timestep": timestep,
            "fps": fps,
            "caption": caption,
            "text_mask": text_mask.repeat(latent.shape[0] // text_mask.shape[0], 1),
        }
        return state if frame_mask is None else {**state, "frame_mask": frame_mask}

    def units(
        self,
        size: LatentSize,
        pixels: PixelSize,
        *,
        merged_blocks: Collection[str] = (),
        with_frame_mask: bool = False,
        attended_tokens: int | None = None,
        first_frame: int = 0,
    ) -> list[Unit]:
        """input, spatial_0, temporal_0, ..., output for videos of one size.

        Captions may be longer than the `attended_tokens` that the blocks see; what lies beyond must be masked.
        `first_frame` is the number of the first latent frame, which matters with `embed_frames`.
        """
        unknown = set(merged_blocks) - set(self.block_names)
        if unknown:
            raise ValueError(f"no such blocks: {', '.join(sorted(unknown))}")
        blocks = [self._block_unit(name, merge=name in merged_blocks) for name in self.block_names]
        first = self._input_unit(size, pixels, with_frame_mask, attended_tokens, first_frame)
        return [first, *blocks, self._output_unit(size, with_frame_mask)]

    def _grid(self, size: LatentSize) -> LatentSize:
        """Number of patches along each axis."""
        frames, height, width = (
            math.ceil(length / patch) for length, patch in zip(size, self.config.patch_size, strict=True)
        )
        return LatentSize(frames, height, width)

    def _input_unit(
        self,
        size: LatentSize,
        pixels: PixelSize,
        with_frame_mask: bool,
        attended_tokens: int | None,
        first_frame: int,
    ) -> Unit:
        grid = self._grid(size)
        scale = math.sqrt(pixels.height * pixels.width) / self.config.input_sq_size
        position_SC = spatial_position(grid.height, grid.width, self.config.hidden_size, scale)
        device = self.rope.freqs.device
        frames_T = torch.arange(first_frame, first_frame + grid.frames, dtype=torch.float32, device=device)

        def prepare(
            latent: Tensor,
            timestep: Tensor,
            fps: Tensor,
            caption: Tensor,
            text_mask: Tensor,
            frame_mask: Tensor | None = None,
        ) -> tuple[Tensor, ...]:
            dtype = self.x_embedder.proj.weight.dtype
            patches_BTSC = self.x_embedder(latent.to(dtype))
            hidden = patches_BTSC + position_SC.to(patches_BTSC)
            if self.config.embed_frames:
                hidden = hidden + self.frame_embedder(frames_T)[:, None]
            fps_BC = self.fps_embedder(fps)
            t_BC = self.t_embedder(timestep) + fps_BC
            t_mlp_BFC = self.t_block(t_BC)[:, None]
            told = self.y_embedder(caption.to(dtype))[:, :attended_tokens]
            text_mask = text_mask[:, :attended_tokens]
            hides = torch.zeros_like(text_mask, dtype=dtype).masked_fill(text_mask == 0, torch.finfo(dtype).min)
            rotary = rotary_table(self.rope.freqs, grid.frames)
            if frame_mask is None:
                return hidden, t_BC, t_mlp_BFC, told, hides[:, None, None], rotary
            t_zero_BC = self.t_embedder(torch.zeros_like(timestep)) + fps_BC
            t_mlp_BFC = torch.where(frame_mask[:, :, None], t_mlp_BFC, self.t_block(t_zero_BC)[:, None])
            return hidden, t_BC, t_mlp_BFC, told, hides[:, None, None], rotary, t_zero_BC

        reads: tuple[str, ...] = ("latent", "timestep", "fps", "caption", "text_mask")
        writes: tuple[str, ...] = ("hidden", "t", "t_mlp", "caption_tokens", "caption_bias", "rotary")
        if with_frame_mask:
            reads, writes = (*reads, "frame_mask"), (*writes, "t_zero")
        names = ["x_embedder", "t_embedder", "fps_embedder", "t_block", "y_embedder", "rope"]
        if self.config.embed_frames:
            names.append("frame_embedder")
        return Unit("input", reads, writes, prepare, {name: self.get_submodule(name) for name in names})

    def _block_unit(self, name: str, merge: bool) -> Unit:
        kind, index = name.split("_")
        prefix = f"{kind}_blocks.{index}"
        block = self.get_submodule(prefix)

        def run(
            hidden: Tensor, caption: Tensor, caption_bias: Tensor, t_mlp: Tensor, rotary: Tensor | None = None
        ) -> Tensor:
            out: Tensor = block(hidden, caption, caption_bias, t_mlp, rotary, merge=merge)
            return out

        reads = ("hidden", "caption_tokens", "caption_bias", "t_mlp")
        return Unit(name, (*reads, "rotary") if kind == "temporal" else reads, ("hidden",), run, {prefix: block})

    def _output_unit(self, size: LatentSize, with_frame_mask: bool) -> Unit:
        grid = self._grid(size)

        def finish(hidden: Tensor, t: Tensor, t_zero: Tensor | None = None, frame_mask: Tensor | None = None) -> Tensor:
            patches = self.final_layer(hidden, t, t_zero, frame_mask)
            video = self.unpatchify(patches, grid)
            return video[:, :, : size.frames, : size.height, : size.width].float()

        reads = ("hidden", "t", "t_zero", "frame_mask") if with_frame_mask else ("hidden", "t")
        return Unit("output", reads, ("velocity",), finish, {"final_layer": self.final_layer})

    def unpatchify(self, patches: Tensor, grid: LatentSize) -> Tensor:
        """[B, T_p, S, pt * ph * pw * C_out] -> [B, C_out, T_p * pt, H_p * ph, W_p * pw], in at most five dimensions."""
        num_samples = patches.shape[0]
        pt, ph, pw = self.config.patch_size
        frames = patches.reshape(num_samples * grid.frames, grid.height * grid.width, pt, -1).transpose(1, 2)
        rows = frames.reshape(num_samples * grid.frames * pt * grid.height, grid.width, ph, -1).transpose(1, 2)
        video = rows.reshape(num_samples, grid.frames * pt, grid.height * ph, grid.width * pw, -1)
        return video.permute(0, 4, 1, 2, 3)
