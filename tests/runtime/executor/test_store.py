"""The store holds what the network holds, in files that everybody reads, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from msgspec.structs import replace
from safetensors import safe_open
from safetensors.torch import load_file
from worlds.partitioned import network_of, plan_of, stored

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.partition import cut
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.profiles.costs import bytes_alone
from ondevice_sora.profiles.models.catalogue import listed_model as read_listed
from ondevice_sora.runtime.executor import store as store_module
from ondevice_sora.runtime.executor.reading import FileReader
from ondevice_sora.runtime.executor.store import ALIGNMENT, Store, partition_hash
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.networks.description import describe_networks
from ondevice_sora.runtime.networks.network import weights
from ondevice_sora.runtime.networks.stdit3 import STDiT3


def test_the_files_are_safetensors_with_an_aligned_data_section(denoiser: STDiT3, tmp_path: Path) -> None:
    store = stored(tmp_path, plan_of(2), network_of(denoiser))
    found = {}
    for block in store.manifest.blocks:
        tensors = load_file(store.path(block))
        assert block.data_start % ALIGNMENT == 0
        assert store.path(block).stat().st_size == block.file_bytes
        assert sorted(tensors) == sorted(entry.name for entry in block.tensors)
        with safe_open(store.path(block), "pt") as stream:
            assert len(list(stream.keys())) == len(tensors)
        found.update(tensors)
    expected = dict(pair for unit in network_of(denoiser).plain for pair in weights(unit))
    assert sorted(found) == sorted(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_unchanged_blocks_are_not_written_again(denoiser: STDiT3, tmp_path: Path) -> None:
    store = stored(tmp_path, plan_of(2), network_of(denoiser))
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    denoiser.final_layer.linear.bias += 1
    store = stored(tmp_path, plan_of(2), network_of(denoiser))
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    assert len(after) == len(before) == len(store.manifest.blocks)
    assert len(before.items() - after.items()) == 1
    store.verify()


def test_another_partition_leaves_no_files_of_the_old_one(denoiser: STDiT3, tmp_path: Path) -> None:
    stored(tmp_path, plan_of("unit"), network_of(denoiser))
    store = stored(tmp_path, plan_of("whole"), network_of(denoiser))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"manifest.json", "model.yaml", *(block.file for block in store.manifest.blocks)}
    assert len(store.manifest.blocks) == 1


def test_the_manifest_names_model_partition_and_checksums(denoiser: STDiT3, tmp_path: Path) -> None:
    network = network_of(denoiser)
    manifest = Store.open(stored(tmp_path, plan_of(3), network).directory).manifest
    model = describe_networks("toy", [network])
    assert manifest.partition == partition_hash("toy", cut(plan_of(3), model, {}))
    assert manifest.partition != partition_hash("toy", cut(plan_of(2), model, {}))
    assert all(len(block.checksum) == 64 for block in manifest.blocks)
    assert read_listed("model.yaml", tmp_path)[0] == model


@pytest.mark.parametrize("failing_write", range(4))
def test_a_full_disk_leaves_the_store_that_was_there(
    denoiser: STDiT3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_write: int
) -> None:
    stored(tmp_path, plan_of(2), network_of(denoiser))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for parameter in denoiser.parameters():
        parameter += 1
    calls = 0
    write_all = store_module.write_all

    def fail(descriptor: int, data: bytes | memoryview) -> None:
        nonlocal calls
        calls += 1
        if calls > failing_write:
            os.write(descriptor, bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_all(descriptor, data)

    monkeypatch.setattr(store_module, "write_all", fail)
    with pytest.raises(UserError, match=r"block 'input..spatial_0' of denoiser cannot be written: No space left"):
        stored(tmp_path, plan_of(2), network_of(denoiser))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_verify_names_the_block_that_was_altered(denoiser: STDiT3, tmp_path: Path) -> None:
    store = stored(tmp_path, plan_of(2), network_of(denoiser))
    store.verify()
    path = store.path(store.manifest.blocks[1])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"block 'temporal_0..spatial_1' of denoiser is not as it was written"):
        store.verify()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "no block store"),
        ("{", "manifest.json: not valid JSON"),
        ('{"model": "m"}', "manifest.json: not a block store's manifest"),
        ('{"format": "x", "model": "m"}', "manifest.json: format 'x' is not"),
    ],
)
def test_what_is_no_store_is_said_so(tmp_path: Path, text: str | None, complaint: str) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=complaint):
        Store.open(tmp_path)


def test_a_store_cut_finer_serves_a_block_with_several_files(denoiser: STDiT3, tmp_path: Path) -> None:
    store = stored(tmp_path, plan_of(2), network_of(denoiser))
    names = [block.name for block in store.files_of("denoiser", "temporal_0", "output")]
    assert names == ["temporal_0..spatial_1", "temporal_1..output"]


@pytest.mark.parametrize("units", [("input", "input"), ("spatial_0", "temporal_0"), ("temporal_0", "input")])
def test_a_store_cut_otherwise_is_refused(denoiser: STDiT3, tmp_path: Path, units: tuple[str, str]) -> None:
    store = stored(tmp_path, plan_of(2), network_of(denoiser))
    with pytest.raises(UserError, match=r"no block '[\w.]+' of denoiser; it has input..spatial_0, temporal_0"):
        store.files_of("denoiser", *units)


def altered(store: Store, change: Callable[[dict[str, Any]], object]) -> str:
    """What is said of the store after its manifest was changed."""
    path = store.directory / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError) as caught:
        Store.open(store.directory)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def first(manifest: dict[str, Any]) -> dict[str, Any]:
    return cast(dict[str, Any], manifest["blocks"][0])


def shift(manifest: dict[str, Any], by: int) -> None:
    for entry in first(manifest)["tensors"][1:]:
        entry.update(start=entry["start"] + by, end=entry["end"] + by)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda m: first(m).update(file="../out.safetensors"), "blocks[0].file: expected the name of a .safetensors"),
        (lambda m: first(m).update(file="/etc/passwd"), "blocks[0].file: expected the name of a .safetensors"),
        (lambda m: first(m).update(file=".hidden.safetensors"), "blocks[0].file: expected the name of a .safetensors"),
        (lambda m: first(m).update(file="model.yaml"), "blocks[0].file: expected the name of a .safetensors file"),
        (lambda m: first(m).update(file="a\n.safetensors"), "blocks[0].file: expected the name of a .safetensors file"),
        (lambda m: m["blocks"].append(first(m)), "blocks[3]: block 'input..spatial_0' of denoiser stands twice"),
        (lambda m: first(m).update(data_bytes=10**30), "blocks[0].data_bytes: expected a whole number"),
        (lambda m: first(m).update(data_bytes=1), "blocks[0].data_bytes: 1, but the tensors have"),
        (lambda m: first(m).update(data_start=0), "blocks[0].data_start: not where the header"),
        (lambda m: first(m).update(checksum="0"), "blocks[0].checksum: expected 64 hexadecimal digits"),
        (lambda m: first(m)["tensors"][0].update(start=64), "blocks[0].tensors[0]: "),
        (lambda m: first(m)["tensors"][0].update(start=9, end=3), "blocks[0].tensors[0]: F32 "),
        (lambda m: first(m)["tensors"][0].update(dtype="F64"), "blocks[0].tensors[0].dtype: 'F64' is not one of"),
        (lambda m: first(m)["tensors"][0].update(dtype="F16"), "blocks[0].tensors[0]: F16 "),
        (lambda m: first(m)["tensors"][0].update(shape=[-1, 2]), "tensors[0].shape[0]: expected a whole number >= 0"),
        (lambda m: first(m)["tensors"][0].update(shape=[1] * 9), "blocks[0].tensors[0].shape: expected a list of"),
        (lambda m: first(m)["tensors"][0].update(name="a\0b"), "blocks[0].tensors[0].name: expected one line"),
        (lambda m: first(m)["tensors"][0].update(name=first(m)["tensors"][1]["name"]), "a tensor stands twice"),
        (lambda m: shift(m, 64), "blocks[0].tensors[1]: begins at byte"),
        (lambda m: shift(m, -64), "blocks[0].tensors[1]: begins at byte"),
    ],
)  # fmt: skip
def test_a_manifest_that_contradicts_itself_is_refused_before_anything_is_read(
    denoiser: STDiT3, tmp_path: Path, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    assert complaint in altered(stored(tmp_path, plan_of(2), network_of(denoiser)), change)


def retyped(store: Store, name: str, changes: dict[str, object]) -> Store:
    """The store with a tensor that its manifest and its file say to be another: they agree with each other."""
    blocks = []
    for block in store.manifest.blocks:
        tensors = tuple(replace(entry, **changes) if entry.name == name else entry for entry in block.tensors)
        blocks.append(replace(block, tensors=tensors))
    return Store(store.directory, replace(store.manifest, blocks=tuple(blocks)))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "other.weight"}, "block 'input..spatial_0' has other weights than the network: other.weight"),
        ({"shape": (3 * 16, 16)[::-1]}, "spatial_blocks.0.attn.qkv.weight is torch.float32 "),
        ({"dtype": "I32"}, "spatial_blocks.0.attn.qkv.weight is torch.int32 "),
    ],
)
def test_weights_that_are_not_the_network_s_are_refused_before_memory_is_asked_for(
    denoiser: STDiT3, tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    network = network_of(denoiser)
    schedule, _ = build_schedule(plan_of(2), describe_networks("toy", [network]), {}, bytes_alone())
    store = retyped(stored(tmp_path, plan_of(2), network), "spatial_blocks.0.attn.qkv.weight", changes)
    with pytest.raises(UserError, match=complaint):
        TorchBlocks(schedule, [network], store)


def test_a_link_in_a_store_is_not_read(denoiser: STDiT3, tmp_path: Path) -> None:
    store = stored(tmp_path / "store", plan_of(2), network_of(denoiser))
    path = store.path(store.manifest.blocks[0])
    path.rename(tmp_path / "elsewhere.safetensors")
    path.symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(UserError, match=r"cannot be read .this is a link, not a file"):
        store.verify()
    with pytest.raises(UserError, match="cannot be read: this is a link, not a file"):
        FileReader(store).read(store.manifest.blocks[0], memoryview(bytearray(1 << 20)), lambda count: None)
    (store.directory / "manifest.json").rename(tmp_path / "manifest.json")
    (store.directory / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(UserError, match=r"manifest.json: this is a link, not a file"):
        Store.open(store.directory)


@pytest.mark.parametrize("text", ["mine\n", '{"format": "another-1"}'])
def test_a_manifest_that_is_not_a_store_s_is_never_written_over(denoiser: STDiT3, tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json"):
        stored(tmp_path, plan_of(2), network_of(denoiser))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"manifest.json": text}
