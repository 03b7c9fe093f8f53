"""Weights folders, on a video made with one, and looked at."""

from __future__ import annotations

import json
import os
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hostile.inputs import NOT_FILES, NOT_JSON, Expected, Input, dumped

GENERATE = ["generate", "a red circle moving left", *["--plan", "plan.yaml", "--weights", "weights", "-o", "video.gif"]]
CHECK = ["weights", "check", "weights", "--model", "small"]
WEIGHTS = "weights/denoiser/model.safetensors"
CONFIG = "weights/{}/config.json"


def weights() -> Iterator[Input]:
    def pickled(name: str, make: Callable[[dict[str, Any]], Any], **more: Any) -> Input:
        return Input(f".bin: {name}", GENERATE, made=("weights",), arrange=lambda w: _pickle(w, make), **more)

    def tensors(name: str, make: Callable[[dict[str, Any]], Any], **more: Any) -> Input:
        return Input(f"safetensors: {name}", GENERATE, made=("weights",), arrange=lambda w: _save(w, make), **more)

    yield Input("as they were", GENERATE, made=("weights",), expected="fine", writes=("video.*",))
    yield pickled("as they were", lambda t: t, expected="fine", writes=("video.*",))
    for name, make in KINDS.items():
        yield pickled(name, partial(_with_first, make=make))
        if name not in ("sparse", "sparse, compressed", "quantised", "on meta", "nested", "text", "a list"):
            yield tensors(name, partial(_with_first, make=make))
    for name, make in {
        "a list of tensors": lambda t: list(t.values()),
        "a tensor": lambda t: next(iter(t.values())),
        "nothing": lambda t: {},
        "a state dict in a state dict": lambda t: {"state_dict": {"state_dict": t}},
        "numbers for names": lambda t: dict(enumerate(t.values())),
        "a name of 100,000 letters": lambda t: t | {"n" * 100_000: next(iter(t.values()))},
        "ESC in a name": lambda t: t | {"\x1b[31m": next(iter(t.values()))},
        "code": lambda t: t | {"x": _Harm()},
    }.items():
        yield pickled(name, make)
    yield Input(".bin: deflated", GENERATE, made=("weights",), arrange=_deflated)
    for length in (0, 5, 100, 0.5, 0.99):
        yield Input(f".bin: cut at {length}", GENERATE, made=("weights",), arrange=partial(_cut_pickle, length=length))
        yield Input(
            f"safetensors: cut at {length}", GENERATE, made=("weights",), arrange=partial(_shorten, length=length)
        )
    for name, header in {
        "a header of 2^60 bytes": struct.pack("<Q", 1 << 60),
        "a header that is no JSON": struct.pack("<Q", 4) + b"nope",
        "a header nested without end": struct.pack("<Q", 20_000) + b"[" * 20_000,
        "an empty header": struct.pack("<Q", 2) + b"{}",
        "offsets beyond the file": _header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 10**12]}}),
        "offsets backwards": _header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}),
        "a shape that overflows": _header({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 0]}}),
        "an unknown type": _header({"a": {"dtype": "X", "shape": [4], "data_offsets": [0, 16]}}),
    }.items():
        yield Input(f"safetensors: {name}", GENERATE, {WEIGHTS: header}, ("weights",))
    for kind, content in NOT_FILES.items():
        yield Input(f"the weights are {kind}", GENERATE, {WEIGHTS: content}, ("weights",))
        yield Input(f"a configuration is {kind}", GENERATE, {CONFIG.format("denoiser"): content}, ("weights",))
    yield Input(
        "the weights are a link to a file",
        GENERATE,
        made=("weights",),
        arrange=_moved,
        expected="fine",
        writes=("video.*",),
    )
    for component in ("text_encoder", "denoiser", "decoder"):
        for kind, text in NOT_JSON.items():
            if component == "denoiser" or kind in ("empty", "nested without end", "NaN", "a list"):
                yield Input(
                    f"{component}: config.json is {kind}", GENERATE, {CONFIG.format(component): text}, ("weights",)
                )
    for component, field, value in SIZES:
        yield Input(
            f"{component}: {field} of {str(value)[:20]}",
            GENERATE,
            made=("weights",),
            arrange=partial(_configured, component=component, field=field, value=value),
        )
    yield Input(
        "an index as it should be", GENERATE, made=("weights",), expected="fine", writes=("video.*",), arrange=_index
    )
    for kind, text in NOT_JSON.items():
        yield Input(f"the index is {kind}", GENERATE, {WEIGHTS + ".index.json": text}, ("weights",))
    for shard in (
        "../denoiser/model.safetensors",
        "/etc/passwd",
        "nowhere.safetensors",
        "config.json",
        "",
        ".",
        "..",
        "x" * 100_000,
        "a\0b",
        "\x1b[31m",
    ):
        yield Input(
            f"the index names {shard[:30]!r}", GENERATE, made=("weights",), arrange=partial(_index, shard=shard)
        )
    for value in (None, 3, [], {"a": None}, {"a": ["x"]}, {"a": {"b": "c"}}):
        yield Input(f"the index's map is {value}", GENERATE, made=("weights",), arrange=partial(_mapped, mapping=value))
    yield Input("no weights", GENERATE, made=("weights",), arrange=lambda w: (w / WEIGHTS).unlink())
    yield Input("two weight files", GENERATE, {"weights/denoiser/b.safetensors": "x"}, ("weights",))
    yield Input(
        "weights of another component",
        GENERATE,
        made=("weights",),
        arrange=lambda w: (w / "weights/decoder/model.safetensors").replace(w / WEIGHTS),
    )
    for place in ("nowhere", "plan.yaml", "/dev/zero", ""):
        yield Input(f"--weights {place!r}", [*GENERATE, "--weights", place], made=("weights",))


def looked_at() -> Iterator[Input]:
    """The same folders, looked at and not loaded: what only values tell, passes."""
    for each in weights():
        if each.command == GENERATE:
            expected: Expected = "fine" if each.expected == "fine" else "either"
            yield replace(each, command=CHECK, expected=expected, statuses=(0,), writes=())
    for kind, content in NOT_FILES.items():
        for name in ("config.json", "model.bin", ".model.safetensors.0123456789ab.partial", "spiece.model"):
            if kind != "a folder" or name != "config.json":
                files = {f"weights/text_encoder/{name}": content}
                for model in ("small", "opensora"):
                    command = [*CHECK[:-1], model]
                    yield Input(
                        f"{model}: {name} is {kind}", command, files, ("weights",), expected="either", statuses=(0,)
                    )
    for name, text in {
        "a pointer of Git LFS": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "empty": "",
        "one byte": "\x1b",
    }.items():
        yield Input(f"the weights are {name}", CHECK, {WEIGHTS: text}, ("weights",))
    for place in ("nowhere", "plan.yaml", "/dev/zero", "", "a\0b"):
        yield Input(f"of {place!r}", ["weights", "check", place], made=("weights",))
    for model in ("", "sdxl", "\x1b[31m"):
        yield Input(f"--model {model!r}", [*CHECK[:-1], model], made=("weights",))


SIZES: list[tuple[str, str, Any]] = [
    *(("text_encoder", "num_layers", value) for value in (10**9, -1, 0, "1", None, 1.5)),
    *(("text_encoder", "num_heads", value) for value in (-3, 0, 10**9)),
    *(("text_encoder", "d_model", value) for value in (0, 10**9, 7)),
    ("text_encoder", "vocab_size", 10**12), ("text_encoder", "relative_attention_num_buckets", 0),
    ("text_encoder", "relative_attention_max_distance", 8), ("text_encoder", "layer_norm_epsilon", -1),
    ("text_encoder", "feed_forward_proj", "relu"),
    *(("denoiser", "depth", value) for value in (10**9, -1, 0, "1", None, [1], 10**30)),
    *(("denoiser", "num_heads", value) for value in (-3, 0, 5, 10**9)),
    *(("denoiser", "hidden_size", value) for value in (0, 17, 10**9)),
    *(("denoiser", "patch_size", value) for value in ([], [0, 0, 0], [1, 2], [10**9] * 3, "x")),
    ("denoiser", "mlp_ratio", 0), ("denoiser", "mlp_ratio", 1e300), ("denoiser", "in_channels", 8),
    ("denoiser", "caption_channels", 16), ("denoiser", "unknown", 1), ("denoiser", "\x1b[31m", 1),
    ("decoder", "spatial", 3), ("decoder", "spatial", []), ("decoder", "temporal", None),
    ("decoder", "spatial", {"block_out_channels": []}), ("decoder", "spatial", {"block_out_channels": [10**9]}),
    ("decoder", "spatial", {"norm_num_groups": 3}), ("decoder", "spatial", {"layers_per_block": -1}),
    ("decoder", "spatial", {"x": 1}), ("decoder", "temporal", {"filters": 0}),
    ("decoder", "temporal", {"num_groups": 0}),
    ("decoder", "temporal", {"channel_multipliers": []}), ("decoder", "temporal", {"temporal_downsample": [True]}),
    ("decoder", "scale", [0, 0, 0, 0]), ("decoder", "scale", []), ("decoder", "shift", ["x"]),
    ("decoder", "latent_scaling", 0), ("decoder", "chunk_frames", 0), ("decoder", "batch_frames", -4),
]  # fmt: skip
"""Component, setting and value of configurations that are no model's."""


def _torch() -> Any:
    import torch

    return torch


class _Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("../outside/ran",)


def _nested(tensor: Any) -> Any:
    torch = _torch()
    with warnings.catch_warnings(action="ignore"):
        return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


def _compressed(tensor: Any) -> Any:
    with warnings.catch_warnings(action="ignore"):
        return tensor.reshape(tensor.shape[0], -1).to_sparse_csr()


def _quantised(tensor: Any) -> Any:
    torch = _torch()
    with warnings.catch_warnings(action="ignore"):
        return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


KINDS: dict[str, Callable[[Any], Any]] = {
    "sparse": lambda t: t.to_sparse(),
    "sparse, compressed": _compressed,
    "integers": lambda t: t.to(_torch().int64),
    "bytes": lambda t: t.to(_torch().uint8),
    "bool": lambda t: t.to(_torch().bool),
    "complex": lambda t: t.to(_torch().complex64),
    "float8": lambda t: t.to(_torch().float8_e4m3fn),
    "quantised": _quantised,
    "on meta": lambda t: t.to("meta"),
    "nested": _nested,
    "text": lambda t: "weights",
    "a list": lambda t: [1.0],
    "NaN": lambda t: t.clone().fill_(float("nan")),
    "one NaN": lambda t: _one(t, float("nan")),
    "infinity": lambda t: _one(t, float("inf")),
    "minus infinity": lambda t: _one(t, -float("inf")),
    "another shape": lambda t: t[None],
    "one number": lambda t: t.sum(),
    "none at all": lambda t: t[:0],
}
"""What may stand where a weight belongs."""


def _one(tensor: Any, value: float) -> Any:
    changed = tensor.clone()
    changed.view(-1)[0] = value
    return changed


def _with_first(tensors: dict[str, Any], make: Callable[[Any], Any]) -> dict[str, Any]:
    """The first matrix replaced."""
    name = next(name for name, tensor in tensors.items() if tensor.dim() == 2)
    return tensors | {name: make(tensors[name])}


def _loaded(work: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    tensors: dict[str, Any] = load_file(work / WEIGHTS)
    return tensors


def _save(work: Path, make: Callable[[dict[str, Any]], Any]) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in make(_loaded(work)).items()}, work / WEIGHTS)


def _pickle(work: Path, make: Callable[[dict[str, Any]], Any]) -> None:
    made = make(_loaded(work))
    (work / WEIGHTS).unlink()
    _torch().save(made, work / "weights/denoiser/model.bin")


def _deflated(work: Path) -> None:
    _pickle(work, lambda tensors: tensors)
    path = work / "weights/denoiser/model.bin"
    stored = path.rename(path.with_name("stored"))
    with zipfile.ZipFile(stored) as given, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as deflated:
        for name in given.namelist():
            deflated.writestr(name, given.read(name))
    stored.unlink()


def _shorten(work: Path, length: float, name: str = WEIGHTS) -> None:
    path = work / name
    data = path.read_bytes()
    path.write_bytes(data[: int(length * len(data)) if 0 < length < 1 else int(length)])


def _cut_pickle(work: Path, length: float) -> None:
    _pickle(work, lambda tensors: tensors)
    _shorten(work, length, "weights/denoiser/model.bin")


def _header(tensors: Any) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * 16


def _moved(work: Path) -> None:
    """As a download cache has it: the file lies elsewhere, under another name."""
    (work / WEIGHTS).rename(work / "weights" / "blob")
    (work / WEIGHTS).symlink_to("../blob")


def _configured(work: Path, component: str, field: str, value: Any) -> None:
    path = work / CONFIG.format(component)
    data = json.loads(path.read_text())
    if isinstance(value, dict) and isinstance(data.get(field), dict):
        value = data[field] | value
    path.write_text(json.dumps(data | {field: value}))


def _index(work: Path, shard: str = "model.safetensors") -> None:
    _mapped(work, dict.fromkeys(_loaded(work), shard))


def _mapped(work: Path, mapping: Any) -> None:
    (work / (WEIGHTS + ".index.json")).write_text(dumped({"metadata": {}, "weight_map": mapping}))


SURFACES = {"weights": weights, "weights check": looked_at}
