"""A store written from a checkpoint, a file a unit: it goes on where it was, and is never of other weights."""

from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from worlds.blockwise import planned
from worlds.tiny import save_tiny_model

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import Interrupted
from ondevice_sora.runtime.executor import unit_store
from ondevice_sora.runtime.executor.store import Store
from ondevice_sora.runtime.executor.unit_store import StoredAs, UnitStoreWriter, unit_files
from ondevice_sora.runtime.models import PlannedVideo
from ondevice_sora.runtime.networks.components import load_text_to_video
from ondevice_sora.runtime.networks.sources import CheckpointWeights


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "weights")


def writer(of: PlannedVideo, folder: Path, stored_as: StoredAs = "checkpoint") -> UnitStoreWriter:
    return UnitStoreWriter(folder, of.name, unit_files(of.video.networks, of.source, stored_as), of.source, stored_as)


def test_it_holds_the_checkpoint_s_weights_and_no_others(weights: Path, tmp_path: Path) -> None:
    made = writer(planned(weights, tmp_path), tmp_path / "store")
    made.write()
    store = made.store()
    store.verify()
    assert [block.name for block in store.manifest.blocks] == [file.unit for file in made.files]
    found = {}
    for block in store.manifest.blocks:
        found.update(load_file(store.path(block)))
    model = load_text_to_video(weights)
    expected = {name: value for network in vars(model).values() for name, value in network.state_dict().items()}
    expected.pop("encoder.embed_tokens.weight", None)  # tied to shared.weight
    assert sorted(found) == sorted(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_one_weight_at_a_time_is_read(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    read = CheckpointWeights.as_stored

    def spied(self: CheckpointWeights, component: str, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        asked.append(name)
        return read(self, component, name, shape)

    monkeypatch.setattr(CheckpointWeights, "as_stored", spied)
    made = writer(planned(weights, tmp_path), tmp_path / "store")
    assert asked == []
    made.write()
    assert asked == [tensor.name for file in made.files for tensor in file.tensors]


@pytest.mark.parametrize("after", [0, 1, 7])
def test_an_interrupted_one_is_no_store_and_goes_on_from_its_finished_files(
    weights: Path, tmp_path: Path, after: int
) -> None:
    of, finished = planned(weights, tmp_path), 0

    def interrupt(_: object) -> None:
        nonlocal finished
        finished += 1
        if finished == after:
            raise Interrupted(2)

    made = writer(of, tmp_path / "store")
    if after:
        with pytest.raises(Interrupted):
            made.write(on_file=interrupt)
        with pytest.raises(UserError, match="the store is not complete"):
            Store.open(tmp_path / "store")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("*.safetensors")}
    again = writer(of, tmp_path / "store")
    assert len(again.files) - len(again.remaining) == after == len(before)
    again.write()
    files = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("*.safetensors")}
    assert before.items() <= files.items()
    assert len(files) == len(again.files)
    assert {path.name for path in (tmp_path / "store").iterdir()} == {*files, "manifest.json"}
    again.store().verify()


def test_a_file_that_was_cut_short_is_written_again(weights: Path, tmp_path: Path) -> None:
    of = planned(weights, tmp_path)
    writer(of, tmp_path / "store").write()
    store = Store.open(tmp_path / "store")
    path = store.path(store.manifest.blocks[3])
    path.write_bytes(path.read_bytes()[:-1])
    again = writer(of, tmp_path / "store")
    assert [file.unit for file in again.remaining] == [store.manifest.blocks[3].first_unit]
    again.write()
    again.store().verify()


def test_weights_are_told_apart_by_their_values_and_not_by_where_they_lie(weights: Path, tmp_path: Path) -> None:
    writer(planned(weights, tmp_path), tmp_path / "store").write()
    shutil.copytree(weights, tmp_path / "copy")
    assert writer(planned(tmp_path / "copy", tmp_path), tmp_path / "store").remaining == []
    file = tmp_path / "copy" / "denoiser" / "model.safetensors"
    tensors = load_file(file)
    tensors["spatial_blocks.0.mlp.fc2.weight"] += 0.5
    save_file(tensors, file)
    with pytest.raises(UserError, match="a block store of other weights, or of these in another precision"):
        writer(planned(tmp_path / "copy", tmp_path), tmp_path / "store")
    with pytest.raises(UserError, match="a block store of other weights, or of these in another precision"):
        writer(planned(weights, tmp_path), tmp_path / "store", "float16")


def test_a_manifest_that_is_not_a_store_s_is_left_alone(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("mine")
    with pytest.raises(UserError, match=r"manifest\.json: not valid JSON"):
        writer(planned(weights, tmp_path), tmp_path)
    assert (tmp_path / "manifest.json").read_text() == "mine"


def test_too_small_a_disk_is_told_before_anything_is_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = writer(planned(weights, tmp_path), tmp_path / "not" / "there")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, made.remaining_bytes))
    made.check_disk()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, made.remaining_bytes - 1))
    with pytest.raises(UserError, match=r"the block store takes \d+ kB of disk; \d+ kB are free there"):
        made.check_disk()
    assert not (tmp_path / "not").exists()


def test_a_disk_that_fills_up_keeps_what_is_finished(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, calls, write_all = planned(weights, tmp_path), 0, unit_store.write_all

    def fail(descriptor: int, data: bytes | memoryview) -> None:
        nonlocal calls
        calls += 1
        if calls > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_all(descriptor, data)

    monkeypatch.setattr(unit_store, "write_all", fail)
    made = writer(of, tmp_path / "store")
    with pytest.raises(UserError, match="the store cannot be written: No space left"):
        made.write()
    assert 0 < len(made.remaining) < len(made.files)
    monkeypatch.undo()
    again = writer(of, tmp_path / "store")
    assert again.remaining == made.remaining
    assert not [path for path in (tmp_path / "store").iterdir() if path.name.startswith(".")]


def test_a_value_beyond_float16_is_refused_by_name(weights: Path, tmp_path: Path) -> None:
    file = weights / "denoiser" / "model.safetensors"
    tensors = load_file(file)
    tensors["spatial_blocks.0.mlp.fc2.weight"][3, 2] = 1e6
    save_file(tensors, file)
    of = planned(weights, tmp_path)
    with pytest.raises(UserError, match=r"spatial_blocks\.0\.mlp\.fc2\.weight has values too large for float16"):
        writer(of, tmp_path / "half", "float16").write()
    writer(of, tmp_path / "brain", "bfloat16").write()


@pytest.mark.parametrize(
    ("given", "shape", "stored_as", "expected"),
    [
        (torch.float32, (8, 8), "checkpoint", torch.float32),
        (torch.bfloat16, (8, 8), "checkpoint", torch.bfloat16),
        (torch.float64, (8, 8), "checkpoint", torch.float32),
        (torch.float32, (8, 8), "float16", torch.float16),
        (torch.float64, (8, 1, 8), "bfloat16", torch.bfloat16),
        (torch.float32, (8,), "float16", torch.float32),
        (torch.float32, (1, 4, 1, 1, 1), "float16", torch.float32),
        (torch.bfloat16, (8, 8), "float16", torch.bfloat16),
    ],
)
def test_only_matrices_are_rounded_and_only_where_it_saves_bytes(
    given: torch.dtype, shape: tuple[int, ...], stored_as: StoredAs, expected: torch.dtype
) -> None:
    assert unit_store.stored_type(given, shape, stored_as) == expected
