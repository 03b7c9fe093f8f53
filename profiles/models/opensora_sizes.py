"""The sizes of Open-Sora's networks, and the shape of one network evaluation."""

from __future__ import annotations

import msgspec


class TextEncoderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A T5 v1.1 encoder. `tokens` is the length that every prompt is padded to."""

    layers: int = 24
    hidden: int = 4096
    heads: int = 64
    head_width: int = 64
    feed_forward: int = 10240
    vocabulary: int = 32128
    relative_buckets: int = 32
    tokens: int = 300


class DenoiserConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An STDiT3: `depth` spatial and as many temporal units, one velocity and one sigma channel per latent channel.

    `embed_frames` adds to every token an embedding of its frame's number; the published model does not.
    """

    depth: int = 28
    hidden: int = 1152
    heads: int = 16
    patch: int = 2
    mlp_ratio: int = 4
    timestep_width: int = 256
    embed_frames: bool = False


class DecoderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The VAEs' decoding halves. Widths and multipliers run from the finest level to the coarsest, as in the sources.

    temporal_upsample[i] doubles the frames between levels i+1 and i. `group_frames` are decoded in time together,
    `batch_frames` in space.
    """

    temporal_filters: int = 128
    temporal_multipliers: tuple[int, ...] = (1, 2, 2, 4)
    temporal_upsample: tuple[bool, ...] = (False, True, True)
    temporal_res: int = 4
    spatial_widths: tuple[int, ...] = (128, 256, 512, 512)
    spatial_res: int = 3
    group_frames: int = 17
    batch_frames: int = 4

    @property
    def frame_factor(self) -> int:
        """Pixel frames a latent frame stands for."""
        return int(2 ** sum(self.temporal_upsample))

    @property
    def side_factor(self) -> int:
        """Pixels along a side that a latent pixel stands for."""
        return int(2 ** (len(self.spatial_widths) - 1))

    def groups(self, frames: int) -> dict[int, int]:
        """Pixel frames of a temporal pass -> number of such passes, the ragged last group apart."""
        return _groups(frames, self.group_frames)

    def batches(self, frames: int) -> dict[int, int]:
        """Frames of a spatial pass -> number of such passes."""
        return _groups(frames, self.batch_frames)

    def latent_frames(self, frames: int) -> int:
        """68 frames -> 20: each group of 17 becomes 5, and a last group of r becomes ceil(r/4)."""
        return sum(-(-group // self.frame_factor) * count for group, count in self.groups(frames).items())


class OpenSoraConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sizes of Open-Sora v1.2; other numbers describe a smaller model of the same classes."""

    text_encoder: TextEncoderConfig = TextEncoderConfig()
    denoiser: DenoiserConfig = DenoiserConfig()
    decoder: DecoderConfig = DecoderConfig()
    latent_channels: int = 4


OPENSORA_V1_2 = OpenSoraConfig()


class VideoShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shape of one network evaluation: latent frames, rows and columns, and text lengths in tokens."""

    branches: int
    frames: int
    rows: int
    columns: int
    text_tokens: int
    caption_tokens: int

    @property
    def area(self) -> int:
        return self.rows * self.columns

    def places(self, patch: int) -> int:
        """Tokens a frame: the frame zero-padded to whole patches."""
        return -(-self.rows // patch) * -(-self.columns // patch)


def _groups(frames: int, size: int) -> dict[int, int]:
    full, rest = divmod(frames, size)
    return {length: count for length, count in ((size, full), (rest, 1)) if length and count}
