"""Sound: WhisperKit's three packages, Parakeet, MusicGen with EnCodec, Silero's detector of speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ondevice_sora.runtime.coreml.quiet import quietly
from worlds.public.conversion import converted
from worlds.public.layers import Attention, Block, SplitEinsum


class MelSpectrogram(nn.Module):
    """Sound [1600] -> 8 bands [1, 8, 1, 100], by a Fourier transform that is a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.transform, self.bands = nn.Conv1d(1, 2 * 33, 64, 16, bias=False), nn.Parameter(torch.zeros(8, 33))

    def forward(self, audio: Tensor) -> Tensor:
        padded = functional.pad(audio[None, None], (24, 24), mode="reflect")
        real, imaginary = self.transform(padded).chunk(2, dim=1)
        bands = self.bands @ (real**2 + imaginary**2)
        return torch.log10(bands.clamp(min=1e-10)).unsqueeze(2)


class WhisperLayer(nn.Module):
    """In the layout of the Neural Engine: x [1, C, 1, T], normalised over C."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SplitEinsum(width, heads)
        self.up, self.down = nn.Conv2d(width, 4 * width, 1), nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(normalised(self.norm_1, x))
        return x + self.down(functional.gelu(self.up(normalised(self.norm_2, x))))


def normalised(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean(dim=1, keepdim=True)
    scaled = centred * torch.rsqrt(centred.pow(2).mean(dim=1, keepdim=True) + norm.eps)
    return scaled * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)


class AudioEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_1, self.conv_2 = nn.Conv2d(8, 16, (1, 3), padding=(0, 1)), nn.Conv2d(16, 16, (1, 3), (1, 2), (0, 1))
        self.positions, self.layer = nn.Parameter(torch.zeros(1, 16, 1, 50)), WhisperLayer(16, 2)

    def forward(self, melspectrogram: Tensor) -> Tensor:
        x = functional.gelu(self.conv_2(functional.gelu(self.conv_1(melspectrogram))))
        return self.layer(x + self.positions)


class TextDecoder(nn.Module):
    """One token with caches [1, 16, 1, 24] that the package keeps; a mask says where the token's place is.

    The encoder's keys and values are computed from its output in each run, as in packages without a cache for them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(60, 16), nn.Embedding(24, 16)
        self.q, self.k, self.v, self.o = (nn.Conv2d(16, 16, 1) for _ in range(4))
        self.crossing, self.norm_1, self.norm_2 = SplitEinsum(16, 2, 16), nn.LayerNorm(16), nn.LayerNorm(16)
        for name in WHISPER_CACHES:
            self.register_buffer(name, torch.zeros(1, 16, 1, 24))

    def forward(self, token: Tensor, length: Tensor, update: Tensor, padding: Tensor, encoded: Tensor) -> Tensor:
        x = (self.tokens(token) + self.positions(length))[:, :, None, None]
        h = normalised(self.norm_1, x)
        place = update[:, None, None, :]
        self.self_attn_key_cache.mul_(1 - place).add_(self.k(h) * place)
        self.self_attn_value_cache.mul_(1 - place).add_(self.v(h) * place)
        q = self.q(h).view(1, 2, 8, 1).transpose(2, 3)
        scores = q @ self.self_attn_key_cache.view(1, 2, 8, 24) * 8**-0.5 + padding[:, None, None, :]
        found = scores.softmax(dim=-1) @ self.self_attn_value_cache.view(1, 2, 8, 24).transpose(2, 3)
        x = x + self.o(found.transpose(2, 3).reshape(1, 16, 1, 1))
        x = x + self.crossing(normalised(self.norm_2, x), encoded)
        return functional.linear(x.flatten(1), self.tokens.weight)


WHISPER_CACHES = ("self_attn_key_cache", "self_attn_value_cache")


def whisperkit(folder: Path) -> dict[str, int]:
    one = torch.zeros(1, dtype=torch.long)
    decoder = {
        "input_ids": one, "cache_length": one, "kv_cache_update_mask": torch.zeros(1, 24),
        "decoder_key_padding_mask": torch.zeros(1, 24), "encoder_output_embeds": torch.rand(1, 16, 1, 50),
    }  # fmt: skip
    return {
        "MelSpectrogram": converted(MelSpectrogram(), {"audio": torch.rand(1600)}, folder / "MelSpectrogram.mlpackage"),
        "AudioEncoder": converted(
            AudioEncoder(), {"melspectrogram_features": torch.rand(1, 8, 1, 100)}, folder / "AudioEncoder.mlpackage"
        ),
        "TextDecoder": converted(
            TextDecoder(), decoder, folder / "TextDecoder.mlpackage", target="iOS18",
            states=dict.fromkeys(WHISPER_CACHES, (1, 16, 1, 24)),
        ),
    }  # fmt: skip


class Conformer(nn.Module):
    """Of Parakeet: half feed forward, attention, a gated convolution a channel, half feed forward."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.into, self.norms = nn.Conv2d(1, 4, 3, (2, 2), 1), nn.ModuleList([nn.LayerNorm(width) for _ in range(5)])
        self.project = nn.Linear(16, width)
        self.halves = nn.ModuleList(
            [nn.Sequential(nn.Linear(width, 64), nn.SiLU(), nn.Linear(64, width)) for _ in range(2)]
        )
        self.attention, self.gated = Attention(width, 2), nn.Conv1d(width, 2 * width, 1)
        self.depthwise, self.out = nn.Conv1d(width, width, 9, padding=4, groups=width), nn.Conv1d(width, width, 1)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.project(self.into(mel[:, None]).permute(0, 2, 1, 3).flatten(2))
        x = x + 0.5 * self.halves[0](self.norms[0](x))
        x = x + self.attention(self.norms[1](x))
        h = functional.glu(self.gated(self.norms[2](x).transpose(1, 2)), dim=1)
        x = x + self.out(functional.silu(self.depthwise(h))).transpose(1, 2)
        return self.norms[4](x + 0.5 * self.halves[1](self.norms[3](x)))


class Predictor(nn.Module):
    """One token, with the state of an LSTM in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.cells = nn.Embedding(40, 16), nn.LSTM(16, 16, batch_first=True)

    def forward(self, targets: Tensor, h_in: Tensor, c_in: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, (h, c) = self.cells(self.tokens(targets), (h_in, c_in))
        return x, h, c


class Joint(nn.Module):
    """Which token comes next, and how many frames it lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder, self.out = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 46)

    def forward(self, encoder: Tensor, decoder: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.out(functional.relu(self.encoder(encoder) + self.decoder(decoder)))
        return logits[..., :41].argmax(dim=-1), logits[..., 41:].argmax(dim=-1)


def parakeet(folder: Path) -> dict[str, int]:
    state = torch.zeros(1, 1, 16)
    targets = torch.zeros(1, 1, dtype=torch.long)
    return {
        "Encoder": converted(Conformer(), {"mel": torch.rand(1, 24, 8)}, folder / "Encoder.mlpackage", target="iOS17"),
        "Decoder": converted(
            Predictor(), {"targets": targets, "h_in": state, "c_in": state}, folder / "Decoder.mlpackage",
            target="iOS17",
        ),
        "JointDecision": converted(
            Joint(), {"encoder_step": torch.rand(1, 1, 16), "decoder_step": torch.rand(1, 1, 16)},
            folder / "JointDecision.mlpackage", target="iOS17",
        ),
    }  # fmt: skip


class MusicGen(nn.Module):
    """Four codebooks of tokens [1, 4, 12], summed, and a head for each."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(33, 16) for _ in range(4)])
        self.layer, self.heads = (
            Block(16, 2, 32, context=24),
            nn.ModuleList([nn.Linear(16, 32, bias=False) for _ in range(4)]),
        )
        self.register_buffer("mask", torch.full((12, 12), -1e4).triu(1))

    def forward(self, ids: Tensor, context: Tensor) -> Tensor:
        x = self.tables[0](ids[:, 0])
        for number in (1, 2, 3):
            x = x + self.tables[number](ids[:, number])
        x = self.layer(x, context, self.mask)
        return torch.stack([head(x) for head in self.heads], dim=1)


class EnCodec(nn.Module):
    """Codes [1, 4, 12] -> sound: tables summed, an LSTM, and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(33, 16) for _ in range(4)])
        self.cells, self.into = nn.LSTM(16, 16, batch_first=True), nn.Conv1d(16, 16, 7, padding=3)
        self.up, self.out = nn.ConvTranspose1d(16, 8, 8, 4, 2), nn.Conv1d(8, 1, 7, padding=3)

    def forward(self, codes: Tensor) -> Tensor:
        x = sum(table(codes[:, number]) for number, table in enumerate(self.tables))
        x = (x + self.cells(x)[0]).transpose(1, 2)
        return self.out(functional.elu(self.up(functional.elu(self.into(x)))))


def musicgen(folder: Path) -> dict[str, int]:
    codes = torch.zeros(1, 4, 12, dtype=torch.long)
    return {
        "decoder": converted(
            MusicGen(),
            {"input_ids": codes, "states": torch.rand(1, 9, 24)},
            folder / "decoder.mlpackage",
            target="iOS17",
        ),
        "encodec": converted(EnCodec(), {"codes": codes}, folder / "encodec.mlpackage", target="iOS17"),
    }


class Kokoro(nn.Module):
    """A speech synthesiser's predictor: tokens of any number, an LSTM in both directions, durations."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.conv = nn.Embedding(40, 16), nn.Conv1d(16, 16, 5, padding=2)
        self.cells, self.durations = nn.LSTM(16, 8, batch_first=True, bidirectional=True), nn.Linear(16, 5)

    def forward(self, ids: Tensor) -> Tensor:
        x = functional.leaky_relu(self.conv(self.tokens(ids).transpose(1, 2)), 0.2).transpose(1, 2)
        return self.durations(self.cells(x)[0]).sigmoid().sum(dim=-1)


def kokoro(folder: Path) -> dict[str, int]:
    """1 to 512 tokens, for iOS 17."""
    ids = torch.zeros(1, 50, dtype=torch.long)
    path = folder / "kokoro_duration.mlpackage"
    shapes = {"input_ids": lambda ct: (1, ct.RangeDim(1, 512, 20))}
    return {path.stem: converted(Kokoro(), {"input_ids": ids}, path, target="iOS17", shapes=shapes)}


def silero(folder: Path) -> dict[str, int]:
    """A detector of speech with one front end for 16 kHz and one for 8 kHz, chosen in the program, before an LSTM."""
    random = np.random.default_rng(0)

    def weight(*shape: int) -> Any:
        return random.uniform(-1, 1, shape).astype(np.float32)

    wide, narrow, head = weight(16, 1, 32), weight(16, 1, 16), weight(1, 16)
    ih, hh, bias, zeros = weight(64, 16), weight(64, 16), weight(64), np.zeros((1, 16), np.float32)
    with quietly() as ct:
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import types

        @Builder.program(
            input_specs=[Builder.TensorSpec((1, 1, 512), types.fp32), Builder.TensorSpec((1,), types.int32)],
            opset_version=ct.target.iOS17,
        )
        def program(sound: Any, rate: Any) -> Any:
            def fast() -> Any:
                return Builder.relu(x=Builder.conv(x=sound, weight=wide, strides=[32], pad_type="valid"))

            def slow() -> Any:
                half = Builder.slice_by_index(x=sound, begin=[0, 0, 0], end=[1, 1, 256])
                return Builder.relu(x=Builder.conv(x=half, weight=narrow, strides=[16], pad_type="valid"))

            is_fast = Builder.squeeze(x=Builder.equal(x=rate, y=16000))
            frames = Builder.transpose(x=Builder.cond(pred=is_fast, _true_fn=fast, _false_fn=slow), perm=[2, 0, 1])
            cells = Builder.lstm(
                x=frames, initial_h=zeros, initial_c=zeros, weight_ih=ih, weight_hh=hh, bias=bias,
                direction="forward", output_sequence=False,
            )  # fmt: skip
            return Builder.sigmoid(x=Builder.linear(x=Builder.squeeze(x=cells[0], axes=[0]), weight=head))

        model = ct.convert(
            program, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS17, skip_model_load=True,
            compute_precision=ct.precision.FLOAT32,
        )  # fmt: skip
        model.save(str(folder / "silero_vad.mlpackage"))
    return {}
