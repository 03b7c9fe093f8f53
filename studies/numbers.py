"""Worked values for another implementation of what an export's runtime does, such as the phone's in Swift.

    python -m ondevice_sora.studies.numbers runtime/ios/numbers

writes every file anew, except the toy tokenizer if there is one, by the functions that generate. docs/coreml.md lists
them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.leap import Curvature, Fixed, Leap, Never, Plateau, resolved
from ondevice_sora.plans.schema import Lpl
from ondevice_sora.profiles.models.catalogue import PromptForm
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig
from ondevice_sora.runtime.sampling.generation import to_frames
from ondevice_sora.runtime.sampling.leap import Observation, Recording, rule_of
from ondevice_sora.runtime.sampling.sampler import flow_timesteps, replay, sample
from ondevice_sora.runtime.small import model as small
from ondevice_sora.runtime.small.dataset import VOCABULARY, describe, held_out_scenes, training_scene
from ondevice_sora.runtime.small.vocabulary import TOKENIZER
from ondevice_sora.runtime.tokenizers.document import encoded, read_tokenizer
from ondevice_sora.runtime.tokenizers.published import read_published
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer
from ondevice_sora.studies.toy_tokenizer import sentences, train

FORMAT = "ondevice-sora-numbers-1"
WORDS, UNIGRAM = "tokenizer-words.json", "tokenizer-unigram.json"
NUM_STEPS = 30
LATENT = (1, 4, 3, 4, 4)
"""Of the trajectory that leap rules look at: samples, channels, frames, rows, columns."""

Files = dict[str, bytes]


def numbers(tokenizers: Files) -> Files:
    """Every file by its name. `tokenizers` are the two documents, by theirs."""
    return {
        **tokenizers,
        **_json(
            "tokens.json",
            "Prompts and their ids, without the padding behind them.",
            0,
            {"rows": list(_tokens(tokenizers))},
        ),
        **_json("sentences.json", "Prompts of the words, and why each is refused.", 0, {"rows": list(_sentences())}),
        **_json("noise.json", "The first and the last values of noise: float32.", 2e-6, {"rows": list(_noise())}),
        **_json("times.json", "Times at which the network is evaluated.", 1e-9, {"rows": list(_times())}),
        **_json("euler.json", "One step with guidance, conditional half first.", 1e-6, {"rows": list(_euler())}),
        **_json("ab2.json", "Steps of the two-step Adams-Bashforth method on uneven times.", 1e-5, _ab2()),
        **_leaps(),
        **_json("decoding.json", "Chunks of latent frames, batches of frames.", 0, {"rows": list(_decoding())}),
        **_json("rounding.json", "Values of images, float32, and their bytes.", 0, {"rows": list(_rounding())}),
    }


def _json(name: str, about: str, tolerance: float, content: dict[str, Any]) -> Files:
    """A file of JSON, a row a line. `tolerance` is how far a number may be from what is written."""
    head = json.dumps({"format": FORMAT, "about": about, "tolerance": tolerance}, ensure_ascii=False)[1:-1]
    parts = [f"{{{head}"]
    for key, value in content.items():
        rows = ",\n  ".join(json.dumps(row) for row in value) if key == "rows" else None
        parts.append(f'"{key}": {json.dumps(value)}' if rows is None else f'"{key}": [\n  {rows}\n ]')
    return {name: (",\n ".join(parts) + "}\n").encode()}


# Tokens

TOY_FORM = PromptForm(" aesthetic score: 6.5.", True, "as Open-Sora's")
TOY_LENGTH = 48
SPACES = dict.fromkeys("\u00a0\u3000\t\n\r\u2003", " ")
NOTHING = dict.fromkeys("\u200b\ufeff\u00ad\u0001\u001b", "")
LONGER = {"\u2026": "...", "\u00bd": "1\u20442", "\u33a5": "m3", "\ufb01": "fi", "\ufb03": "ffi", "\u2122": "tm"}
COMPOSED = {
    "e\u0301": "\u00e9",
    "e\u0302": "\u00ea",
    "e\u0302\u0301": "\u1ebf",
    "a\u0300": "\u00e0",
    "u\u0308": "\u00fc",
}
OTHERS = {"\u00a8": " \u0308", "\uff0c": ",", "\u201c": '"', "\u201d": '"', "\u2019": "'"}
WIDE = {chr(0xFF10 + digit): str(digit) for digit in range(10)} | {chr(0xFF41 + n): chr(0x61 + n) for n in range(26)}
RULES = SPACES | NOTHING | LONGER | COMPOSED | OTHERS | WIDE
"""The toy's normalisation: outputs that are longer, shorter, empty, spaces, or begin with one; inputs of several."""

PROMPTS = [
    "a red circle",
    "A RED circle, moving Left.",
    "x",
    "a drone flies over a winding coastal road",
    "Un caf\u00e9 tr\u00e8s t\u00f4t",
    "e\u0301te\u0301 e\u0302\u0301 a\u0300 E\u0301 e\u0302e",
    "  spaces   at \t both \n ends  ",
    "\u00a0\u3000no-break\u00a0and wide\u3000",
    "fu\ufb03x \ufb01n",
    "\uff46\uff55\uff4c\uff4c \uff11\uff12\uff13\uff0c wide",
    "zero\u200bwidth\ufeff and\u00adsoft",
    "control\u0001 and\u001b[31m escape",
    "\u00bd \u33a5 \u2122 \u2026",
    "\u00a8 at the start and at the end \u00a8",
    "\u2581 below \u2581\u2581 the line \u2581",
    "\u65e5\u672c\u8a9e and \ud55c\uad6d\uc5b4",
    "\U0001f600\U0001f44d\U0001f3fd smile",
    "\u039f\u0394\u039f\u03a3 \u03a3",
    "\u0130stanbul",
    "</s> <pad> <unk> <extra_id_0>",
    '1906: 13 minutes (no cut); 100% "real"',
    "qqqqzzzz wwww",
    "a" * 30,
    "\u0000nul\u0000",
    "",
    " \t\u200b\u3000",
    "\u2581\u2581",
    "a red circle " * 40,
]
WORDS_PROMPTS = [
    "a red circle",
    "A RED Circle, moving left.",
    " a\u00a0small\tblue\u3000square\n",
    "a red circle,a green triangle",
    "..a,.",
    " ".join(["red"] * 23),
    "",
    " ,. \n",
    "a rde circle",
    "\u0392",
    " ".join(["red"] * 24),
]
WHY = {"is empty": "empty", "does not know": "unknown", "the model reads": "long"}
"""What a refusal says in Python, and the word for it that depends on no language."""


def toy_tokenizers(folder: Path) -> Files:
    """Both documents. The toy is the folder's own, if it has one: each release of sentencepiece may train another."""
    toy = folder / UNIGRAM
    return {WORDS: encoded(TOKENIZER.document), UNIGRAM: toy.read_bytes() if toy.is_file() else trained()}


def trained() -> bytes:
    """The toy's document."""

    def numbers_of(text: str) -> str:
        return " ".join(f"{ord(letter):X}" for letter in text)

    with TemporaryDirectory() as scratch:
        rules, model = Path(scratch) / "rules.tsv", Path(scratch) / "toy.model"
        rules.write_text("".join(f"{numbers_of(one)}\t{numbers_of(other)}\n" for one, other in RULES.items()))
        train(model, sentences(), vocab_size=300, character_coverage=1.0, normalization_rule_tsv=str(rules))
        return encoded(read_published(model, TOY_LENGTH, TOY_FORM))


def _tokens(tokenizers: Files) -> Iterator[dict[str, Any]]:
    with TemporaryDirectory() as scratch:
        for name, prompts in ((WORDS, WORDS_PROMPTS), (UNIGRAM, PROMPTS)):
            (Path(scratch) / name).write_bytes(tokenizers[name])
            tokenizer = Tokenizer.of(read_tokenizer(Path(scratch) / name))
            for prompt in prompts:
                yield {"tokenizer": name, "prompt": prompt, **_outcome(tokenizer, prompt)}


def _outcome(tokenizer: Tokenizer, prompt: str) -> dict[str, Any]:
    try:
        ids, mask = tokenizer.encode(prompt)
    except UserError as error:
        return {"refused": next(why for said, why in WHY.items() if said in error.what)}
    return {"ids": ids[0, : int(mask.sum())].tolist()}


# Sentences

NUM_RANDOM = 80
"""Prompts of each kind that is drawn."""
TYPED = [
    *WORDS_PROMPTS,
    "red",
    "a small yellow square",
    "a red circle and a blue square",
    "a circle on a white background moving down",
    "a red circle moving left and a blue square moving up quickly on a black background",
    "A Red CIRCLE, moving Left.",
    "a red cat moving left",
    "a rectangle moving leftwards, slow, on a grey background",
    "bleu bleu bleue",
    "a \u001b[31mred circle moving left",
    "a \U0001f534 circle moving left",
    "a re\u0301d circle moving left",
    "a" * 100 + " circle moving left",
    "a red circle moving left " * 4,
    "it's a red circle moving left",
    "\u202eleft",
]


def _sentences() -> Iterator[dict[str, Any]]:
    """Taught sentences; two objects; their words shuffled; words at random; letters left out, doubled and swapped."""
    draw = random.Random(18)
    taught = [describe(draw.choice(held_out_scenes()), np.random.default_rng(index)) for index in range(NUM_RANDOM)]
    scenes = (training_scene(3, index)[0] for index in itertools.count())
    two = itertools.islice((describe(scene) for scene in scenes if len(scene.objects) == 2), NUM_RANDOM // 4)
    shuffled = [" ".join(draw.sample(prompt.split(), len(prompt.split()))) for prompt in taught]
    drawn = [" ".join(draw.choices(VOCABULARY, k=draw.randint(1, 12))) for _ in range(NUM_RANDOM)]
    misspelt = [_misspelt(prompt, draw) for prompt in taught]
    for prompt in dict.fromkeys([*TYPED, *taught, *two, *shuffled, *drawn, *misspelt]):
        yield {"prompt": prompt, **_verdict(prompt)}


def _misspelt(prompt: str, draw: random.Random) -> str:
    letters = list(prompt)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(letters) - 1)
        letters[at : at + 2] = draw.choice(
            [letters[at : at + 1], [*letters[at : at + 2]] * 2, letters[at : at + 2][::-1]]
        )
    return "".join(letters)


def _verdict(prompt: str) -> dict[str, Any]:
    try:
        TOKENIZER.encode(prompt)
        TOKENIZER.check_sentence(prompt)
    except UserError as error:
        return {"what": error.what, "mend": error.mend}
    return {}


# Noise, times, one step

SEEDS = (0, 1, 2, 7, 42, 123, 1234, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 42, 2**63 - 1)
COUNTS = (16, 17, 24, 31, 32, 33, 100, 1000, 1001, 5120, 46_080, 81_920)
"""46,080 and 81,920 are the noise of Open-Sora at 192 x 192 and 256 x 256, 68 frames."""
SHOWN = 20


def _noise() -> Iterator[dict[str, Any]]:
    pairs = [*itertools.product((0, 42), COUNTS), *((seed, 40) for seed in SEEDS), *((seed, 1029) for seed in SEEDS)]
    for seed, count in pairs:
        values = torch.randn(count, generator=torch.Generator().manual_seed(seed))
        yield {"seed": seed, "count": count, "first": values[:16].tolist(), "last": values[-SHOWN:].tolist()}


def _times() -> Iterator[dict[str, Any]]:
    shapes = (
        (64, 64, 68),
        (192, 192, 68),
        (256, 256, 68),
        (512, 512, 51),
        (720, 1280, 102),
        (192, 192, 5),
        (64, 96, 1),
    )
    for steps, (height, width, frames), discrete, transform in itertools.product(
        (1, 2, 5, 16, 30), shapes, (False, True), (False, True)
    ):
        if transform or (height, width, frames) == shapes[0]:
            asked = {
                "height": height,
                "width": width,
                "num_frames": frames,
                "discrete": discrete,
                "transform": transform,
            }
            yield {"steps": steps, **asked, "times": list(flow_timesteps(steps, **asked))}  # type: ignore[arg-type]


def _euler() -> Iterator[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(1, 4, 2, 2, 2, generator=generator)
    velocity = torch.randn(2, 8, 2, 2, 2, generator=generator)

    def denoise(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        return velocity[: len(latents)]

    for guidance, (before, after) in itertools.product((1.0, 2.5, 7.0), ((1000.0, 966.6666666666667), (33.25, 0.0))):
        times = (before, after) if after else (before,)
        recording = Recording()
        result = sample(denoise, latent, times, guidance_scale=guidance, leap=recording)
        stepped = recording.seen[1].latent if after else result.latent
        yield {
            "guidance": guidance,
            "time": before,
            "time_after": after,
            "latent_shape": list(latent.shape),
            "latent": latent.flatten().tolist(),
            "velocity_shape": list(velocity.shape),
            "velocity": velocity.flatten().tolist(),
            "stepped": stepped.flatten().tolist(),
        }


def _ab2() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(2)
    shape = (1, 4, 2, 2, 2)
    latent = torch.randn(shape, generator=generator)
    times = (1000.0, 900.0, 640.0, 250.0, 90.0)
    velocities = [torch.randn(shape, generator=generator) for _ in times]
    stepped: list[Tensor] = []

    def denoise(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        stepped.append(latents)
        return velocities[step]

    result = sample(denoise, latent, times, guidance_scale=1.0, solver="ab2")
    after = [*stepped[1:], result.latent]
    rows = [
        {"time": time, "velocity": velocity.flatten().tolist(), "stepped": end.flatten().tolist()}
        for time, velocity, end in zip(times, velocities, after, strict=True)
    ]
    return {"latent_shape": list(shape[1:]), "times": list(times), "latent": latent.flatten().tolist(), "rows": rows}


# Leaps

LEAPS: dict[str, Leap] = {
    "none": Never(),
    "fixed": Fixed(17),
    "paper": resolved(Lpl(mode="dynamic", rule="paper"), NUM_STEPS),
    "gpu_code": resolved(Lpl(mode="dynamic", rule="gpu_code"), NUM_STEPS),
    "plateau, early": Plateau(tolerance=2e-3, patience=2, first_step=3, over="whole"),
    "plateau of a slice": Plateau(tolerance=1e-3, patience=3, first_step=9, over="slice"),
    "curvature": resolved(Lpl(mode="dynamic", rule="curvature", accepted_error=0.1), NUM_STEPS),
    "bent_curvature": resolved(Lpl(mode="dynamic", rule="bent_curvature", accepted_error=0.1), NUM_STEPS),
    "curvature, never": Curvature(1e-9, bend=False),
}


@dataclass(frozen=True)
class Walk:
    """A run of all steps: its times, and what a rule sees at each."""

    times: tuple[float, ...]
    seen: list[Observation]


def recorded_walk() -> Walk:
    """Along a drift that turns less and less, and swings on the way, so that cosines rise and fall."""
    generator = torch.Generator().manual_seed(1)
    noise, straight, turning, swinging = (torch.randn(LATENT, generator=generator) for _ in range(4))

    def denoise(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        time = float(timesteps[0]) / 1000
        swing = 2 * time * math.sin(25 * time)
        drift = straight + 2 * time**2 * turning + swing * swinging - 0.2 * time * latents[:1]
        return drift.expand(len(latents), *LATENT[1:])

    times = flow_timesteps(NUM_STEPS, height=64, width=64, num_frames=68, transform=False)
    recording = Recording()
    sample(denoise, noise, times, guidance_scale=1.0, leap=recording)
    return Walk(times, recording.seen)


def _leaps() -> Files:
    walk = recorded_walk()
    rows, landed = [], []
    for name, leap in LEAPS.items():
        result = replay(walk.seen, walk.times, leap=rule_of(leap))
        row: dict[str, Any] = {"name": name, "leap": msgspec.to_builtins(leap), "leap_step": result.leap_step}
        row["verdicts"] = [record.leapt for record in result.steps]
        if isinstance(leap, Curvature):
            row["errors"] = [record.estimated_error for record in result.steps]
        elif isinstance(leap, Plateau):
            row["cosines"] = [getattr(record, f"cosine_{leap.over}") for record in result.steps]
        rows.append(row)
        landed.append(result.latent)
    about = (
        "Rules on the same drifts, step by step until they leap. trajectory.bin has latent and drift of every step, "
        "leapt.bin where each rule ends: float32, little-endian, of these shapes."
    )
    trajectory = torch.stack([torch.stack([seen.latent, seen.drift]) for seen in walk.seen])
    content = {
        "num_steps": NUM_STEPS,
        "times": list(walk.times),
        "trajectory_shape": list(trajectory.shape),
        "leapt_shape": [len(landed), *LATENT],
        "rows": rows,
    }
    return {
        **_json("leap.json", about, 1e-5, content),
        "trajectory.bin": _float32(trajectory),
        "leapt.bin": _float32(torch.stack(landed)),
    }


def _float32(values: Tensor) -> bytes:
    return values.numpy().astype("<f4").tobytes()


# Decoding

SHAPES = (
    *((64, 64, frames) for frames in (1, 3, 4, 5, 16, 17, 18, 20, 34, 51, 66, 68, 70)),
    (192, 192, 68),
    (256, 320, 35),
)


def _decoding() -> Iterator[dict[str, Any]]:
    short = replace(small.VIDEO_VAE, chunk_frames=8, batch_frames=3)
    for config, (height, width, frames) in itertools.product((VideoVAEConfig(), short), SHAPES):
        with torch.device("meta"):
            decoder = VideoVAE(
                replace(small.VIDEO_VAE, chunk_frames=config.chunk_frames, batch_frames=config.batch_frames)
            )
        size = config.latent_size(frames, height, width)
        latents = range(size[0])
        chunks = [[latents[place][0], len(latents[place]), count] for place, count in config.chunks(size[0], frames)]
        numbered = torch.arange(frames)[None, None, :, None, None]
        batches = [batch.flatten().tolist() for batch in decoder.batches(numbered)]
        yield {
            "num_frames": frames,
            "height": height,
            "width": width,
            "chunk_latent_frames": config.chunk_latent_frames,
            "latent_size": list(size),
            "chunks": chunks,
            "batches": [[batch[0], len(batch)] for batch in batches],
        }


def _rounding() -> Iterator[dict[str, Any]]:
    """Values exactly in the middle between two bytes, where float32 has them, those next to them, and those outside."""
    middles = np.array([value for value in map(_middle, range(255)) if value is not None], np.float32)
    near = [np.nextafter(middles, np.float32(side)).astype(np.float32) for side in (-2, 2)]
    others = np.array([-1, 1, -1.5, 7, 0, -0.0, 1e-8, -1e-8, 0.999999, -0.999999, 1 / 3], np.float32)
    for name, values in (("middles", middles), ("below", near[0]), ("above", near[1]), ("others", others)):
        yield {"name": name, "values": [float(value) for value in values], "bytes": _bytes_of(values)}


def _middle(byte: int) -> np.float32 | None:
    """A value whose level, as float32 computes it, is the byte and a half; None if there is none."""
    value = np.float32((byte + 0.5) / 127.5 - 1)
    for _ in range(8):
        level = (value + np.float32(1)) * np.float32(127.5)
        if level == byte + 0.5:
            return value
        value = np.nextafter(value, np.float32(2 if level < byte + 0.5 else -2))
    return None


def _bytes_of(values: NDArray[np.float32]) -> list[int]:
    image = torch.from_numpy(values).reshape(1, 1, 1, -1).expand(3, 1, 1, -1)
    frames: list[int] = to_frames(image)[0, 0, :, 0].tolist()
    return frames


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write")
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in numbers(toy_tokenizers(folder)).items():
        (folder / name).write_bytes(data)
        print(f"{len(data):8} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
