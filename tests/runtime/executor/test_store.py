"""The store holds what the network holds, in files that everybody reads, whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from worlds.partitioned import network_of, plan_of, stored

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.partition import cut
from ondevice_sora.profiles.models.catalogue import listed_model as read_listed
from ondevice_sora.runtime.executor import store as store_module
from ondevice_sora.runtime.executor.scheduling import describe_networks
from ondevice_sora.runtime.executor.store import ALIGNMENT, Store, partition_hash
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
    [(None, "no block store"), ("{", "not a manifest"), ('{"format": "x", "model": "m"}', "not a manifest")],
)
def test_what_is_no_store_is_said_so(tmp_path: Path, text: str | None, complaint: str) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=complaint):
        Store.open(tmp_path)


def test_a_store_cut_otherwise_is_refused(denoiser: STDiT3, tmp_path: Path) -> None:
    store = stored(tmp_path, plan_of(2), network_of(denoiser))
    with pytest.raises(UserError, match=r"no block 'input..output' of denoiser; it has input..spatial_0, "):
        store.block("denoiser", "input", "output")
