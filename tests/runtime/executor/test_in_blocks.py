"""A full-size plan generates here what the whole model does, to the bit, within its budget, from a store of units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from worlds.blockwise import IDS, MASK, PHONE, begun, planned, whole
from worlds.tiny import save_tiny_model

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.executor import in_blocks
from ondevice_sora.runtime.executor.in_blocks import BlockwiseVideo, Place
from ondevice_sora.runtime.executor.unit_store import StoredAs


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("stored_as", ["checkpoint", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "text",
    [
        PHONE,
        f"{PHONE}tdtm: {{steps: {{first: 2}}, packages: separate}}\n",
        f"{PHONE}tdtm: {{steps: all, units: [spatial_*]}}\nlpl: {{mode: fixed, leap_step: 1}}\n",
        f"{PHONE}lpl: {{mode: dynamic, rule: curvature, accepted_error: 9}}\nmemory: {{budget: 6 MB}}\n",
        "components: {denoiser: {keep: always}}\nstart: loaded\n",
    ],
    ids=["as on a phone", "tdtm in packages of its own", "leapt", "leapt by a rule", "loaded before"],
)
def test_the_video_is_the_whole_model_s(weights: Path, tmp_path: Path, text: str, stored_as: StoredAs) -> None:
    of = planned(weights, tmp_path, text)
    work = begun(of, tmp_path / "store", stored_as)
    work.write()
    found, trace = work.generate(IDS, MASK, seed=3)
    expected = whole(of, weights, stored_as, seed=3)
    assert torch.equal(found.sample.latent, expected.sample.latent)
    assert np.array_equal(found.frames, expected.frames)
    assert found.sample.leap_step == expected.sample.leap_step
    assert trace.model == "Open-Sora v1.2"
    assert trace.peak_bytes <= work.expected.needed_bytes <= work.budget
    assert {span.lane for span in trace.spans} == {"load", "cpu"}


def test_half_precision_halves_the_store_and_not_the_vectors(weights: Path, tmp_path: Path) -> None:
    of = planned(weights, tmp_path)
    sizes = {}
    both: tuple[StoredAs, StoredAs] = ("checkpoint", "float16")
    for stored_as in both:
        files = BlockwiseVideo(of, tmp_path / stored_as, stored_as).files
        tensors = [tensor for file in files for tensor in file.tensors]
        sizes[stored_as] = sum(tensor.num_bytes for tensor in tensors if len(tensor.shape) > 1)
        assert {tensor.dtype for tensor in tensors if len(tensor.shape) == 1} == {"F32"}
    assert sizes["float16"] < 0.51 * sizes["checkpoint"]


def test_progress_names_every_block_of_every_pass(weights: Path, tmp_path: Path) -> None:
    work = begun(planned(weights, tmp_path, "components: {denoiser: {blocks: {units_per_block: 2}}}\n"), tmp_path / "s")
    work.write()
    places: list[Place] = []
    work.generate(IDS, MASK, seed=0, on_block=places.append)
    of_denoiser = [(p.step, p.steps, p.block, p.blocks) for p in places if p.component == "denoiser"]
    assert of_denoiser == [(step, 4, block, 2) for step in (1, 2, 3, 4) for block in (1, 2)]
    assert [p.component for p in places if p.block == 1] == (
        ["text_encoder"] + 4 * ["denoiser"] + 2 * ["decoder.temporal"] + 5 * ["decoder.spatial"]
    )
    assert all(place.expected_s > 0 for place in places)


def test_what_is_expected_covers_every_component(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_blocks, "LARGE_BYTES", 1)
    expected = begun(planned(weights, tmp_path, PHONE), tmp_path / "store").expected
    assert set(expected.seconds) == {"text_encoder", "denoiser", "decoder.temporal", "decoder.spatial"}
    assert all(seconds > 0 for seconds in expected.seconds.values())
    assert 0 < expected.write_bytes < expected.store_bytes, "its first files are written"


def test_a_store_that_is_there_is_used_by_other_plans_of_the_weights(weights: Path, tmp_path: Path) -> None:
    first = begun(planned(weights, tmp_path, "components: {denoiser: {blocks: unit}}\n"), tmp_path / "store")
    first.write()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()}
    of = planned(weights, tmp_path, "components: {denoiser: {blocks: whole}}\nmemory: {budget: 9 MB}\n")
    work = begun(of, tmp_path / "store")
    assert work.expected.write_bytes == 0
    work.write()
    found, _ = work.generate(IDS, MASK, seed=0)
    assert np.array_equal(found.frames, whole(of, weights).frames)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()} == before


def test_a_budget_that_no_unit_fits_is_refused_with_what_would_do(weights: Path, tmp_path: Path) -> None:
    work = BlockwiseVideo(planned(weights, tmp_path, "memory: {budget: 1 MB}\n"), tmp_path / "store")
    with pytest.raises(UserError, match=r"unit '\w+' of [\w.]+ alone needs .* MB here, in float32") as caught:
        work.probe()
    assert caught.value.field == "$.memory.budget"
    assert "Allow " in str(caught.value.mend)
    assert not (tmp_path / "store").exists()
