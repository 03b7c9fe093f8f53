"""Damaged and hostile packages: an error of one line or a correct result; no crash, no hang, nothing opened outside.

Seeded, so that a failure comes back: its number is in the test's name and in the message.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("coremltools")

from worlds.alarms import ends_in
from worlds.coreml_packages import Writer, set_type, write_manifest

from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.runtime.coreml.estimate.estimate import describe
from ondevice_sora.runtime.coreml.estimate.folders import find_packages
from ondevice_sora.runtime.coreml.package.reading import read_package

CASES = 600
HANGS_S = 20
MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
EDGES = (0, 1, -1, 2, 63, 64, 65, 255, 2**31 - 1, 2**31, 2**40, 2**53, 2**62, 2**63 - 1)


def whole_package(path: Path) -> Path:
    """A bit of everything: products, attention, compressed weights, control flow, two functions, state."""
    writer = Writer("plain")
    writer.input("x", "fp32", (1, 8, 6, 6))
    for name in ("q", "k", "v"):
        writer.input(name, "fp32", (1, 2, 6, 4))
    writer.input("mask", "fp32", (1, 1, 1, 6))
    writer.weight("taps", np.ones((4, 8, 3, 3), np.float32), "fp32")
    writer.weight("data", np.ones((16, 64), np.int8), "int8")
    writer.weight("scale", np.ones((16, 1), np.float32), "fp32")
    writer.const("shape", "int32", (2,), [1, 64])
    writer.operation("constexpr_blockwise_shift_scale", "w", "fp32", (16, 64), data="data", scale="scale")
    writer.operation("conv", "a", "fp32", (1, 4, 4, 4), x="x", weight="taps", groups=("int32", (), [1]))
    reshape = writer.operation("reshape", "b", "fp32", (1, 64), x="a")
    reshape.inputs["shape"].arguments.add().name = "shape"
    writer.operation("linear", "c", "fp32", (1, 16), x="b", weight="w")
    writer.operation("reduce_mean", "mean", "fp32", (1, 1), x="c", axes=("int32", (1,), [1]))
    writer.operation("sub", "d", "fp32", (1, 16), x="c", y="mean")
    writer.operation("matmul", "e", "fp32", (1, 1), x="d", y="c", transpose_y=("bool", (), [True]))
    writer.operation("einsum", "f", "fp32", (1, 16), values=["d", "c"], equation=("string", (), ["ij,ij->ij"]))
    attended = {"query": "q", "key": "k", "value": "v", "attn_mask": "mask"}
    writer.operation("scaled_dot_product_attention", "g", "fp32", (1, 2, 6, 4), **attended)
    loop = writer.operation("while_loop", "h", "fp32", (1, 16), loop_vars="f")
    inner = loop.blocks.add()
    set_type(inner.inputs.add(name="i").type, "fp32", (1, 16))
    step = inner.operations.add(type="relu")
    step.inputs["x"].arguments.add().name = "i"
    set_type(step.outputs.add(name="j").type, "fp32", (1, 16))
    inner.outputs.append("j")
    writer.operation("transpose", "turned", "fp32", (1, 6, 2, 4), x="g", perm=("int32", (4,), [0, 2, 1, 3]))
    writer.outputs("e", "h", "turned")
    functions = writer.model.mlProgram.functions
    functions["tdtm"].CopyFrom(functions["plain"])
    writer.model.description.defaultFunctionName = "plain"
    return writer.save(path)


def flip_bits(random: random.Random, package: Path) -> None:
    path = package / random.choice([MODEL, MODEL, WEIGHTS, "Manifest.json"])
    data = bytearray(path.read_bytes())
    for _ in range(random.choice([1, 1, 2, 4, 16])):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def truncate(random: random.Random, package: Path) -> None:
    path = package / random.choice([MODEL, MODEL, WEIGHTS, "Manifest.json"])
    data = path.read_bytes()
    path.write_bytes(data[: random.randrange(len(data))])


def splice(random: random.Random, package: Path) -> None:
    """A range removed, doubled, or overwritten by another one or by noise."""
    path = package / random.choice([MODEL, MODEL, WEIGHTS, "Manifest.json"])
    data = path.read_bytes()
    start, end = sorted(random.randrange(len(data)) for _ in range(2))
    other = random.randrange(len(data))
    middle = random.choice([b"", data[start:end] * 2, data[other : other + end - start], random.randbytes(end - start)])
    path.write_bytes(data[:start] + middle + data[end:])


def alter_message(random: random.Random, package: Path) -> None:
    """A field of the program set to an edge case, or a message removed, doubled or moved: still valid protobuf."""
    from ondevice_sora.runtime.coreml.package.messages import model_class

    path = package / MODEL
    model = model_class()()
    model.ParseFromString(path.read_bytes())
    for _ in range(random.choice([1, 1, 2, 5])):
        alter_field(random, model.mlProgram)
    path.write_bytes(model.SerializeToString())


def alter_field(random: random.Random, message) -> None:
    while True:
        fields = message.ListFields()
        if not fields:
            return
        descriptor, value = random.choice(fields)
        if descriptor.message_type is None:
            break
        if descriptor.message_type.GetOptions().map_entry:
            key = random.choice(sorted(value))
            if random.random() < 0.1 or not hasattr(value[key], "ListFields"):
                del value[key]
                return
            message = value[key]
        elif hasattr(value, "append") or hasattr(value, "add"):
            if random.random() < 0.15:
                rearrange(random, value)
                return
            message = random.choice(list(value))
        else:
            if random.random() < 0.05:
                message.ClearField(descriptor.name)
                return
            message = value
    name = descriptor.name
    if hasattr(value, "append"):
        if value and not isinstance(value[0], str) and random.random() < 0.5:
            set_quietly(lambda: value.__setitem__(random.randrange(len(value)), random.choice(EDGES)))
        else:
            rearrange(random, value)
    elif isinstance(value, bool):
        setattr(message, name, not value)
    elif isinstance(value, int):
        set_quietly(lambda: setattr(message, name, random.choice(EDGES)))
    elif isinstance(value, float):
        setattr(message, name, random.choice([0.0, -1.0, float("nan"), float("inf"), 1e38]))
    elif isinstance(value, bytes):
        setattr(message, name, value[: random.randrange(len(value) + 1)] * random.choice([1, 2]))
    else:
        names = ["", "x", "a", "w", "..", "/etc/passwd", "@model_path/../../secret", "n\nl", "\x1b[31m", "é" * 3000]
        setattr(message, name, random.choice([*names, "linear", "conv", "cond", "matmul", "constexpr_x", "lstm"]))


def rearrange(random: random.Random, values) -> None:
    items = list(values)
    kind = random.choice(["remove", "double", "shuffle"])
    if kind == "remove":
        del values[random.randrange(len(items))]
    elif kind == "double":
        values.extend(items)
    else:
        random.shuffle(items)
        del values[:]
        values.extend(items)


def set_quietly(change) -> None:
    """Some edges do not fit the field's type."""
    with suppress(ValueError, TypeError):
        change()


def hostile_manifest(random: random.Random, package: Path) -> None:
    path = random.choice(
        [
            "../../../etc/passwd", "/etc/passwd", "..", ".", "", "/", "com.apple.CoreML/../../../x", "a\0b", "\\..\\..",
            "com.apple.CoreML", "x" * 5000, "a/" * 3000 + "b", "~/.ssh/id_rsa", "file:///etc/passwd", "CON", "é\u2028",
            "com.apple.CoreML/model.mlmodel/", "com.apple.CoreML//model.mlmodel", "./com.apple.CoreML/model.mlmodel",
        ]
    )  # fmt: skip
    write_manifest(package, path)
    manifest = package / "Manifest.json"
    data = json.loads(manifest.read_text())
    kind = random.randrange(8)
    if kind == 0:
        data["rootModelIdentifier"] = random.choice([None, 7, [], "other", "x" * 10**5])
    elif kind == 1:
        data["itemInfoEntries"] = random.choice([None, [], {}, {"model-id": None}, {"model-id": {"path": 3}}, "x"])
    elif kind == 2:
        data["itemInfoEntries"] |= {f"entry {number}": {"path": path} for number in range(2000)}
    text = json.dumps(data)
    if kind == 3:
        text = random.choice(["", "null", "[]", "{", "\ufeff" + text, '{"a":' * 5000, text * 2, "NaN", "\x00" * 100])
    elif kind == 4:
        text = " " * (2 << 20) + text
    manifest.write_text(text, encoding="utf-8")


def hostile_files(random: random.Random, package: Path) -> None:
    """Links, pipes, folders and holes where files are expected."""
    path = package / random.choice([MODEL, WEIGHTS, "Manifest.json", "Data", "Data/com.apple.CoreML"])
    kept = package.parent / "kept"
    shutil.move(path, kept)
    kind = random.choice(["link", "loop", "outside", "pipe", "folder", "nothing", "empty", "hole"])
    if kind == "link":
        path.symlink_to(kept)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "outside":
        path.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "hole":
        path.touch()
        os.truncate(path, 1 << 42)


MUTATIONS = (flip_bits, truncate, splice, alter_message, alter_message, hostile_manifest, hostile_files)


class Watch:
    """What files were opened while `on`, by Python's audit events: a hook cannot be removed, only switched off."""

    def __init__(self) -> None:
        self.on = False
        self.events: list[tuple[str, str, bool]] = []
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            self.events.append((event, os.fsdecode(arguments[0]), bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))))
        elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate"):
            self.events.append((event, os.fsdecode(arguments[0]), True))
        elif event in ("subprocess.Popen", "os.system", "socket.connect"):
            self.events.append((event, str(arguments[0]), True))


@pytest.fixture(scope="module")
def watch():
    return Watch()


def examine(package: Path) -> str:
    """Everything that is done with a package: 'read' if it is usable, else the complaint's class."""
    profile, device = load_profile("iphone15pro")
    try:
        found = find_packages([package])
        for function in found.blocks[0].packages[0].functions.values():
            for constant in function.all_constants():
                if not constant.stored_bytes > 1 << 20:
                    constant.array()
        described = describe(found, profile, device, compute_units="cpu_and_ne", name="fuzzed")
    except UserError as error:
        for text in (error.what, error.where or "", error.mend or ""):
            assert "\n" not in text and text.isprintable(), repr(text)[:500]
            assert len(text) < 2_000
        return "refused"
    msgspec.convert(msgspec.to_builtins(described.model), Model)
    (row,) = described.estimate.packages
    assert 0 <= row.weight_bytes <= row.file_bytes
    for estimated in row.functions:
        assert estimated.run_s >= 0 and np.isfinite(estimated.run_s)
    return "read"


@pytest.mark.parametrize("part", range(6))
def test_a_damaged_package_is_refused_in_one_line_or_read(tmp_path, watch, part):
    """A hundred mutated packages a part."""
    original = whole_package(tmp_path / "original.mlpackage")
    examine(original)  # so that what is imported on first use is there
    outcomes: Counter[str] = Counter()
    for number in range(part * CASES // 6, (part + 1) * CASES // 6):
        chance = random.Random(number)
        home = tmp_path / str(number)
        package = shutil.copytree(original, home / "fuzzed.mlpackage")
        mutation = MUTATIONS[number % len(MUTATIONS)]
        mutation(chance, package)
        watch.events.clear()
        try:
            with ends_in(HANGS_S, AssertionError(f"not done in {HANGS_S} s")):
                watch.on = True
                outcomes[examine(package)] += 1
        except Exception as error:
            raise AssertionError(f"case {number}, {mutation.__name__}: {type(error).__name__}: {error}") from error
        finally:
            watch.on = False
        outside = [event for event in watch.events if event[2] or not event[1].startswith(f"{package}/")]
        assert not outside, f"case {number}, {mutation.__name__}: {outside}"
        shutil.rmtree(home)
    assert outcomes["refused"] >= 20, outcomes
    assert outcomes["read"] >= 5, outcomes


def test_the_original_is_read(tmp_path):
    package = read_package(whole_package(tmp_path / "original.mlpackage"))
    assert examine(package.path) == "read"
