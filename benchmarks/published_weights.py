"""Random weights as Open-Sora v1.2's lie on a disk when downloaded: the same files, names, shapes and types.

    python -m benchmarks.published_weights DIR --dtype bfloat16
    python -m benchmarks.published_weights DIR --sizes tiny

    text_encoder/   config.json, pytorch_model-0000N-of-0000M.bin and their index, and a tokenizer of random pieces
    denoiser/       config.json, model.safetensors
    decoder/        config.json, model.safetensors with the encoder's half

Values are those that an export without weights has (scales that keep activations near one). They are drawn and written
a tensor or a shard at a time: at full size, 25.5 GB in float32 and half of that in the other types, in about 2 GB of
memory. The published text encoder comes in 2 shards; here there are as many as it takes.
"""

from __future__ import annotations

import argparse
import json
import random
import string
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ondevice_sora.base.files.writing import write_json
from ondevice_sora.base.units import format_bytes
from ondevice_sora.runtime.executor.store import DTYPE_NAMES, StoredTensor, header_bytes
from ondevice_sora.runtime.models import random_weights, without_weights
from ondevice_sora.runtime.networks.components import CONFIG_FILE, DECODER, DENOISER, TEXT_ENCODER, WEIGHTS_FILE
from ondevice_sora.runtime.networks.sources import WeightSource
from ondevice_sora.runtime.networks.spatial_vae import SpatialVAEConfig
from ondevice_sora.runtime.networks.stdit3 import STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config
from ondevice_sora.runtime.networks.temporal_vae import TemporalVAEConfig
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig
from ondevice_sora.runtime.tokenizers.document import Piece, UnigramDocument
from ondevice_sora.runtime.tokenizers.unigram import model_file

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SHARD_BYTES = 1_000_000_000
RESERVED_IDS = 128
"""Ids of T5's vocabulary that no piece of its tokenizer has: 32,128 rows of the embedding, 32,000 pieces."""


@dataclass(frozen=True)
class Sizes:
    """The three networks' sizes."""

    text_encoder: T5Config
    denoiser: STDiT3Config
    decoder: VideoVAEConfig


FULL = Sizes(T5Config(), STDiT3Config(), VideoVAEConfig())
TINY = Sizes(
    T5Config(vocab_size=RESERVED_IDS + 160, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=2),
    STDiT3Config(depth=2, hidden_size=32, num_heads=2, caption_channels=16),
    VideoVAEConfig(
        spatial=SpatialVAEConfig(block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=2),
        temporal=TemporalVAEConfig(filters=4, num_res_blocks=1, num_groups=2),
    ),
)
SIZES = {"full": FULL, "tiny": TINY}

T5_SETTINGS = {
    "architectures": ["T5EncoderModel"], "decoder_start_token_id": 0, "dense_act_fn": "gelu_new", "dropout_rate": 0.1,
    "eos_token_id": 1, "initializer_factor": 1.0, "is_encoder_decoder": True, "is_gated_act": True, "model_type": "t5",
    "num_decoder_layers": 24, "output_past": True, "pad_token_id": 0, "tie_word_embeddings": False, "use_cache": True,
}  # fmt: skip
STDIT3_SETTINGS = {
    "architectures": ["STDiT3"], "class_dropout_prob": 0.1, "drop_path": 0.0, "enable_flash_attn": True,
    "enable_layernorm_kernel": True, "enable_sequence_parallelism": False, "freeze_y_embedder": True,
    "input_size": [None, None, None], "model_type": "STDiT3", "only_train_temporal": False, "skip_y_embedder": False,
}  # fmt: skip
VAE_SETTINGS: dict[str, Any] = {
    "architectures": ["VideoAutoencoderPipeline"], "cal_loss": False, "freeze_vae_2d": False, "from_pretrained": None,
    "micro_frame_size": 17, "model_type": "VideoAutoencoderPipeline", "scale": [3.85, 2.32, 2.33, 3.06],
    "shift": [-0.1, 0.34, 0.27, 0.98],
    "vae_2d": {
        "from_pretrained": "PixArt-alpha/pixart_sigma_sdxlvae_T5_diffusers", "micro_batch_size": 4, "subfolder": "vae",
        "type": "VideoAutoencoderKL",
    },
    "vae_temporal": {"from_pretrained": None, "type": "VAE_Temporal_SD"},
}  # fmt: skip
"""What the published config.json have besides sizes, as the classes of Open-Sora v1.2 and transformers write them."""


def write_published_weights(
    directory: Path,
    sizes: Sizes = FULL,
    dtype: torch.dtype = torch.float32,
    *,
    seed: int = 0,
    shard_bytes: int = SHARD_BYTES,
    in_safetensors: bool = False,
) -> None:
    """Write the three folders into `directory`. `in_safetensors` has the text encoder in shards of that kind instead.

    Raises FileExistsError for a component's folder that is there.
    """
    model = without_weights(sizes.text_encoder, sizes.denoiser, sizes.decoder)
    with torch.device("meta"):
        decoder = VideoVAE(sizes.decoder, with_encoder=True)
    drawn = _Drawn(random_weights(model, seed), dtype)
    folders = {name: directory / name for name in (TEXT_ENCODER, DENOISER, DECODER)}
    for folder in folders.values():
        folder.mkdir(parents=True)
    kind = str(dtype).removeprefix("torch.")
    _write_shards(folders[TEXT_ENCODER], drawn, model.text_encoder, shard_bytes, in_safetensors)
    write_tokenizer(folders[TEXT_ENCODER], sizes.text_encoder.vocab_size - RESERVED_IDS, seed)
    _write_whole(folders[DENOISER] / WEIGHTS_FILE, drawn, DENOISER, model.denoiser)
    _write_whole(folders[DECODER] / WEIGHTS_FILE, drawn, DECODER, decoder)
    write_json(folders[TEXT_ENCODER] / CONFIG_FILE, asdict(sizes.text_encoder) | T5_SETTINGS | {"torch_dtype": kind})
    denoiser = {name: value for name, value in asdict(sizes.denoiser).items() if name != "embed_frames"}
    write_json(folders[DENOISER] / CONFIG_FILE, denoiser | STDIT3_SETTINGS | {"torch_dtype": kind})
    is_published = sizes.decoder == FULL.decoder
    write_json(folders[DECODER] / CONFIG_FILE, VAE_SETTINGS if is_published else asdict(sizes.decoder))


@dataclass(frozen=True)
class _Drawn:
    """Values of a source in another type."""

    source: WeightSource
    dtype: torch.dtype

    def tensor(self, component: str, name: str, shape: tuple[int, ...]) -> Tensor:
        return self.source.read(component, {name: shape})[name].to(self.dtype).contiguous()


def _write_shards(folder: Path, drawn: _Drawn, network: nn.Module, shard_bytes: int, in_safetensors: bool) -> None:
    """A text encoder's weights and their index. Of tied tensors a pickle has every name, safetensors have the first."""
    held = network.state_dict(keep_vars=True)
    first_names = {id(tensor): name for name, tensor in reversed(held.items())}
    shapes = {name: tuple(held[name].shape) for name in held if first_names[id(held[name])] == name}
    suffix, stem = (".safetensors", "model") if in_safetensors else (".bin", "pytorch_model")
    shards = list(_shards(shapes, drawn.dtype.itemsize, shard_bytes))
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"{stem}-{number:05}-of-{len(shards):05}{suffix}"
        tensors = {name: drawn.tensor(TEXT_ENCODER, name, shapes[name]) for name in names}
        if in_safetensors:
            save_file(tensors, folder / file, metadata={"format": "pt"})
        else:
            tied = {name: first_names[id(tensor)] for name, tensor in held.items()}
            tensors = {name: tensors[first] for name, first in tied.items() if first in tensors}
            torch.save(tensors, folder / file)
        weight_map |= dict.fromkeys(tensors, file)
    total = sum((folder / file).stat().st_size for file in set(weight_map.values()))
    write_json(folder / f"{stem}{suffix}.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def _shards(shapes: Mapping[str, tuple[int, ...]], item_bytes: int, shard_bytes: int) -> Iterator[list[str]]:
    """Names in order, as many to a shard as it holds, at least one."""
    shard: list[str] = []
    filled = 0
    for name, shape in shapes.items():
        size = torch.Size(shape).numel() * item_bytes
        if shard and filled + size > shard_bytes:
            yield shard
            shard, filled = [], 0
        shard.append(name)
        filled += size
    yield shard


def _write_whole(path: Path, drawn: _Drawn, component: str, network: nn.Module) -> None:
    """One safetensors file, a tensor at a time."""
    entries, position = [], 0
    for name, tensor in network.state_dict().items():
        size = tensor.numel() * drawn.dtype.itemsize
        entries.append(StoredTensor(name, DTYPE_NAMES[drawn.dtype], tuple(tensor.shape), position, position + size))
        position += size
    with path.open("xb") as stream:
        stream.write(header_bytes(entries))
        for entry in entries:
            values = drawn.tensor(component, entry.name, entry.shape)
            stream.write(values.reshape(-1).view(torch.uint8).numpy().data)


# A tokenizer


def write_tokenizer(folder: Path, num_pieces: int, seed: int) -> None:
    """A sentencepiece model of random pieces, and the files that transformers has beside it.

    T5's control pieces come first, then every printable ASCII character, so that any prompt of those is read.
    """
    texts = [*MARKS, *_words(num_pieces - len(MARKS), seed)]
    scores = [0.0] * len(MARKS) + [-2.0 - rank / 1024 for rank in range(num_pieces - len(MARKS))]
    document = UnigramDocument(
        length=300,
        pad=0,
        end=1,
        unknown=2,
        suffix="",
        lower_case=True,
        example="",
        controls=(0, 1),
        charsmap=b"",
        pieces=tuple(map(Piece, texts, scores)),
    )
    (folder / "spiece.model").write_bytes(model_file(document))
    extra = [f"<extra_id_{number}>" for number in range(100)]
    special = {"additional_special_tokens": extra, "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    write_json(folder / "special_tokens_map.json", special)
    more = {"extra_ids": 100, "model_max_length": 512, "tokenizer_class": "T5Tokenizer"}
    write_json(folder / "tokenizer_config.json", special | more)


MARKS = ("<pad>", "</s>", "<unk>")


def _words(count: int, seed: int) -> list[str]:
    """Different pieces: characters first, longer ones after them."""
    found = dict.fromkeys(["\u2581", *map(chr, range(0x21, 0x7F))])
    chance = random.Random(seed)
    while len(found) < count:
        word = "".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 7)))
        found[chance.choice(["", "\u2581"]) + word] = None
    return list(found)[:count]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of all weights (default %(default)s)")
    parser.add_argument("--sizes", choices=SIZES, default="full", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--safetensors", action="store_true", help="the text encoder too, which is published as pickles"
    )
    options = parser.parse_args(arguments)
    try:
        write_published_weights(
            options.directory,
            SIZES[options.sizes],
            DTYPES[options.dtype],
            seed=options.seed,
            in_safetensors=options.safetensors,
        )
    except FileExistsError as error:
        parser.error(f"{error.filename} is there already")
    print(json.dumps(_listed(options.directory), indent=1))
    print(f"Wrote {options.directory}, {format_bytes(sum(_sizes(options.directory)))}", file=sys.stderr)
    return 0


def _listed(directory: Path) -> dict[str, int]:
    """Bytes of every file, by its path in the folder."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.stat().st_size for path in files}


def _sizes(directory: Path) -> Iterable[int]:
    return _listed(directory).values()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
