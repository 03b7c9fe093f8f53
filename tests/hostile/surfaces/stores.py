"""Block stores, on a run from one."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hostile.inputs import NOT_FILES, NOT_JSON, Input, altered, dumped

RUN = "run --plan plan.yaml --store blocks"
Change = Callable[[Any], object]


def changed(path: Path, change: Change) -> None:
    """A JSON file with its data changed in place, or replaced by what the change gives."""
    data = json.loads(path.read_text())
    given = change(data)
    path.write_text(dumped(data if given is None else given), "utf-8", "surrogatepass")


def stores() -> Iterator[Input]:
    def store(name: str, change: Change, command: str = RUN, **more: Any) -> Input:
        return Input(
            name, command, made=("store",), arrange=lambda w: changed(w / "blocks/manifest.json", change), **more
        )

    yield Input("as it was", f"{RUN} --verify --trace out.json", made=("store",), expected="fine", writes=("out.json",))
    for kind, content in (NOT_FILES | NOT_JSON).items():
        yield Input(f"the manifest is {kind}", RUN, {"blocks/manifest.json": content}, ("store",))
    for kind, content in NOT_FILES.items():
        yield Input(f"a block is {kind}", RUN, made=("store",), arrange=partial(_block, content=content))
        yield Input(f"the model is {kind}", RUN, {"blocks/model.yaml": content}, ("store",))
    yield Input("a block is a link out of the store", RUN, made=("store",), arrange=_linked)
    yield Input("a block is cut short", RUN, made=("store",), arrange=lambda w: _cut(w, -1))
    yield Input("a block is longer", RUN, made=("store",), arrange=lambda w: _cut(w, 1))
    yield Input("a block's header is altered", RUN, made=("store",), arrange=lambda w: _flip(w, 20))
    yield Input(
        "a block's data are altered, verified", f"{RUN} --verify", made=("store",), arrange=lambda w: _flip(w, -1)
    )
    for file in (
        "../outside/outside.safetensors",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b.safetensors",
        "manifest.json",
        "model.yaml",
        "a\0.safetensors",
        "\x1b[31m.safetensors",
        "x" * 5000 + ".safetensors",
        ".safetensors",
        "a\n.safetensors",
        "C:\\x.safetensors",
        "nowhere.safetensors",
    ):
        yield store(f"a block's file is {file[:30]!r}", partial(_first_block, file=file))
    for name, change in {
        "tensors that overlap": lambda m: _tensor(m, 1).update(
            start=0, end=_tensor(m, 1)["end"] - _tensor(m, 1)["start"]
        ),
        "tensors shifted by 64": lambda m: _shift(m, 64),
        "tensors shifted back by 64": lambda m: _shift(m, -64),
        "a tensor beyond the data": lambda m: _tensor(m).update(start=10**9, end=10**9 + 64),
        "a tensor that ends before it starts": lambda m: _tensor(m).update(start=64, end=0),
        "a tensor of another shape": lambda m: _tensor(m).update(shape=[*_tensor(m)["shape"][::-1], 1]),
        "a tensor of other bytes": lambda m: _tensor(m).update(end=_tensor(m)["end"] - 4),
        "a tensor of another type": lambda m: _tensor(m).update(dtype="F16"),
        "a tensor of an unknown type": lambda m: _tensor(m).update(dtype="F8"),
        "a tensor of 9 dimensions": lambda m: _tensor(m).update(shape=[1] * 9),
        "a tensor of a negative size": lambda m: _tensor(m).update(shape=[-4, -4]),
        "a tensor of 10^13 numbers": lambda m: _tensor(m).update(shape=[10**13], end=4 * 10**13),
        "NUL in a tensor's name": lambda m: _tensor(m).update(name="a\0b"),
        "ESC in a tensor's name": lambda m: _tensor(m).update(name="\x1b[31m"),
        "a tensor of another name": lambda m: _tensor(m).update(name="other"),
        "a tensor twice": lambda m: _first(m)["tensors"].append(_tensor(m)),
        "a tensor missing": lambda m: _first(m)["tensors"].pop(),
        "no tensors": lambda m: _first(m).update(tensors=[]),
        "a block twice": lambda m: m["blocks"].append(_first(m)),
        "a block missing": lambda m: m["blocks"].pop(),
        "no blocks": lambda m: m.update(blocks=[]),
        "blocks of another component": lambda m: [block.update(component="decoder") for block in m["blocks"]],
        "blocks of other units": lambda m: _first(m).update(first_unit="x", last_unit="y"),
        "more data than the file has": lambda m: _first(m).update(data_bytes=_first(m)["data_bytes"] + 4096),
        "10^13 bytes of data": lambda m: _first(m).update(data_bytes=10**13),
        "data that start at 0": lambda m: _first(m).update(data_start=0),
        "data that start at 10^13": lambda m: _first(m).update(data_start=10**13),
        "another checksum": lambda m: _first(m).update(checksum="0"),
        "another format": lambda m: m.update(format="ondevice-sora-store-0"),
        "ESC in the model's name": lambda m: m.update(model="\x1b[31m"),
    }.items():
        yield store(name, change)
    config: dict[str, tuple[Any, ...]] = {
        "depth": (10**9, -1, 0, "1", None, 0.5, 2, 10**30, [1]), "hidden_size": (0, -32, 33, 64, 10**9, "x"),
        "num_heads": (0, -2, 3, 5, 10**9), "patch_size": ([], [1], [0, 0, 0], [1, 2, 2, 2], "x", [10**9] * 3),
        "mlp_ratio": (0, -4.0, 1e300, "4"), "caption_channels": (0, -8, 10**9), "in_channels": (0, 10**9),
        "model_max_length": (0, 10**9), "qk_norm": (1, "yes"),
    }  # fmt: skip
    for field, values in config.items():
        for value in values:
            yield store(f"origin: {field} of {value}", partial(_configured, field=field, value=value))
    description: dict[str, tuple[Any, ...]] = {
        "size": ([], [2, 4], [0, 0, 0], [-2, 4, 4], [10**9] * 3, "x", [4096, 4096, 4096]),
        "text_tokens": (0, -1, 10**9, "3", None, 5),
        "kind": ("vae", None, 3, ""),
        "more": (1,),
    }
    for field, values in description.items():
        for value in values:
            yield store(f"origin: {field} of {value}", partial(_described, field=field, value=value))
    origins: tuple[Any, ...] = (
        {},
        None,
        [],
        "x",
        {"kind": "small"},
        {"kind": "small", "weights": "/nowhere"},
        {"kind": "small", "weights": "/dev/zero"},
        {"kind": "small", "weights": "a\0b"},
    )
    for value in origins:
        yield store(f"origin is {value}", partial(_set, origin=value))
    yield store("origin with NaN", lambda m: json.loads(json.dumps(m).replace('"mlp_ratio": 4.0', '"mlp_ratio": NaN')))
    for place in ("cuts", "cuts/PARTITION"):
        yield Input(
            f"{place} is a link out of the store",
            RUN.replace("plan.yaml", "pairs.yaml"),
            made=("store",),
            arrange=partial(_linked_cuts, place=place),
        )
    yield Input(
        "cut otherwise",
        RUN.replace("plan.yaml", "pairs.yaml"),
        made=("store",),
        expected="fine",
        arrange=_pairs,
        writes=("blocks/cuts*",),
    )
    for threads in ("-5", "0", "1e3", str(10**30), "x", ""):
        yield Input(f"--threads {threads!r}", [*RUN.split(), "--threads", threads], made=("store",))
    for number in range(60):
        yield store(f"altered {number}", partial(_altered, number=number), expected="either")


def _set(manifest: Any, **values: Any) -> None:
    manifest.update(values)


def _configured(manifest: Any, field: str, value: Any) -> None:
    manifest["origin"]["config"][field] = value


def _described(manifest: Any, field: str, value: Any) -> None:
    manifest["origin"][field] = value


def _altered(manifest: Any, number: int) -> Any:
    return list(altered(manifest, 60, 21))[number][1]


def _first_block(manifest: Any, **values: Any) -> None:
    _first(manifest).update(values)


def _first(manifest: Any) -> Any:
    return manifest["blocks"][0]


def _tensor(manifest: Any, number: int = 0) -> Any:
    return _first(manifest)["tensors"][number]


def _shift(manifest: Any, by: int) -> None:
    for entry in _first(manifest)["tensors"][1:]:
        entry.update(start=entry["start"] + by, end=entry["end"] + by)


def _block_file(work: Path) -> Path:
    return next(iter(sorted((work / "blocks").glob("*.safetensors"))))


def _block(work: Path, content: Any) -> None:
    path = _block_file(work)
    path.unlink()
    content(path)


def _linked(work: Path) -> None:
    """A link to the very file, elsewhere: nothing but its place is wrong."""
    path = _block_file(work)
    path.rename(work.parent / "outside" / path.name)
    path.symlink_to(work.parent / "outside" / path.name)


def _cut(work: Path, by: int) -> None:
    path = _block_file(work)
    data = path.read_bytes()
    path.write_bytes(data[:by] if by < 0 else data + b"x")


def _flip(work: Path, at: int) -> None:
    path = _block_file(work)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _pairs(work: Path) -> None:
    text = (work / "plan.yaml").read_text()
    (work / "pairs.yaml").write_text(text.replace("blocks: unit", "blocks: {units_per_block: 2}"))


def _linked_cuts(work: Path, place: str) -> None:
    from ondevice_sora.commands.main import main

    _pairs(work)
    target = work.parent / "outside" / "cuts"
    target.mkdir()
    if place == "cuts":
        (work / "blocks" / "cuts").symlink_to(target)
        return
    with contextlib.chdir(work), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(RUN.replace("plan.yaml", "pairs.yaml").split())
    (cut,) = (work / "blocks" / "cuts").iterdir()
    shutil.rmtree(cut)
    cut.symlink_to(target)


SURFACES = {"block store": stores}
