"""The branches of guidance in one batch or one after the other: one video, whoever plays it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from worlds.blockwise import IDS, MASK, begun, loaded, whole
from worlds.tiny import save_tiny_model

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.checks import check_plan
from ondevice_sora.plans.schema import Plan, Sampler
from ondevice_sora.profiles.models.model import Branches
from ondevice_sora.runtime.executor.in_blocks import BlockwiseVideo
from ondevice_sora.runtime.models import PlannedVideo

BLOCKS = "components: {denoiser: {blocks: {units_per_block: 2}, keep: optimal}}\n"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("weights"))


def planned(weights: Path, folder: Path, branches: Branches) -> PlannedVideo:
    plan = loaded(folder, BLOCKS).plan
    return PlannedVideo.of(replace(plan, sampler=replace(plan.sampler, branches=branches)), weights)


def working_bytes(work: BlockwiseVideo) -> int:
    """The most that a block of the denoiser takes."""
    assert work.settled is not None
    priced = zip(work.settled.schedule.blocks, work.settled.costs.working_bytes, strict=True)
    return max(size for block, size in priced if block.component == "denoiser")


def test_the_video_is_the_same_but_for_the_rounding_of_a_batch(weights: Path, tmp_path: Path) -> None:
    batch, in_turn = (whole(planned(weights, tmp_path, branches), weights) for branches in ("batch", "in_turn"))
    assert (batch.sample.latent - in_turn.sample.latent).abs().max() < 1e-4 * batch.sample.latent.abs().max()
    assert int(abs(batch.frames.astype(int) - in_turn.frames.astype(int)).max()) <= 1


def test_in_blocks_it_is_the_same_to_the_bit_and_no_block_is_loaded_twice(weights: Path, tmp_path: Path) -> None:
    expected = whole(planned(weights, tmp_path, "in_turn"), weights, seed=3)
    loads, working = {}, {}
    for branches in ("batch", "in_turn"):
        work = begun(planned(weights, tmp_path, branches), tmp_path / "store")
        work.write()
        found, trace = work.generate(IDS, MASK, seed=3)
        loads[branches] = [(span.block, span.step) for span in trace.spans if span.action == "load"]
        working[branches] = working_bytes(work)
        assert trace.peak_bytes <= work.expected.needed_bytes
    assert torch.equal(found.sample.latent, expected.sample.latent)
    assert (found.frames == expected.frames).all()
    assert loads["in_turn"] == loads["batch"]
    assert 0.5 < working["in_turn"] / working["batch"] < 0.8, "half of it, and what the other branch starts from"


def test_with_one_branch_there_is_nothing_to_take_turns() -> None:
    with pytest.raises(UserError, match=r"branches: has no effect: a guidance of 1.0 computes one branch"):
        check_plan(Plan("x", "toy", sampler=Sampler(3, 1.0, "in_turn")))
