"""Units are measured once a kind, and bytes are counted as tensors come and go."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from worlds.blockwise import planned
from worlds.tiny import save_tiny_model

from ondevice_sora.runtime.executor.probing import LiveBytes, probe_units
from ondevice_sora.runtime.executor.unit_store import unit_files

MB = 1 << 20


def square(side: int = 512) -> torch.Tensor:
    return torch.ones(side, side)


def test_bytes_are_counted_while_a_tensor_exists() -> None:
    with LiveBytes() as live:
        a = square()
        b = a + 1
        assert (live.now, live.peak) == (2 * MB, 2 * MB)
        del a
        assert (live.now, live.peak) == (MB, 2 * MB)
        c = b * 2
        assert (live.now, live.peak) == (2 * MB, 2 * MB)
        d = c * b
        assert live.peak == 3 * MB
    assert d.shape == (512, 512)


def test_views_and_what_was_there_before_count_nothing() -> None:
    known = square()
    with LiveBytes([known]) as live:
        view = known.t()[3:]
        known += 1
        assert (live.now, live.peak) == (0, 0)
        copied = view.contiguous()
        assert live.now == copied.numel() * 4


def test_what_is_held_inside_of_a_function_counts() -> None:
    def chained(x: torch.Tensor) -> torch.Tensor:
        return (x + 1).relu().sum()

    with LiveBytes() as live:
        chained(square())
    assert live.peak == 3 * MB
    assert live.now == 0


def test_a_convolution_copies_its_input_and_its_kernel_while_it_runs() -> None:
    image, kernel = torch.ones(1, 4, 64, 64), torch.ones(8, 4, 3, 3)
    with LiveBytes([image, kernel]) as live:
        torch.nn.functional.conv2d(image, kernel, padding=1)
    output = 8 * 64 * 64 * 4
    assert live.peak == output + image.nbytes + kernel.nbytes
    assert live.now == 0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("stored_as", ["checkpoint", "float16"])
def test_every_unit_has_costs_and_each_kind_ran_once(weights: Path, tmp_path: Path, stored_as: str) -> None:
    of = planned(weights, tmp_path, "tdtm: {steps: all, units: [temporal_*]}\n")
    files = unit_files(of.video.networks, of.source, stored_as)  # type: ignore[arg-type]
    ran: list[str] = []
    found = probe_units(of.video.networks, of.shapes(), files, ran.append)
    plain = {(network.name, unit.name, "plain") for network in of.video.networks for unit in network.plain}
    assert set(found) == plain | {("denoiser", "temporal_0", "tdtm")}
    assert len(ran) < len(found), "residual blocks of one width are of one kind"
    assert all(costs.run_s > 0 and costs.state_bytes > 0 for costs in found.values())


def test_working_memory_is_what_a_unit_makes_and_widens(weights: Path, tmp_path: Path) -> None:
    """`embed` looks up 24 tokens of 8 channels. Nothing else exists, but for the table in float32 if it is widened."""
    of = planned(weights, tmp_path)
    table = 27 * 8
    for stored_as, widened in (("checkpoint", 0), ("bfloat16", 4 * table)):
        files = unit_files(of.video.networks, of.source, stored_as)  # type: ignore[arg-type]
        costs = probe_units(of.video.networks, of.shapes(), files)["text_encoder", "embed", "plain"]
        assert costs.working_bytes == 4 * 24 * 8 + widened
        assert costs.state_bytes == 2 * 8 * 24, "ids, and the mask that a later layer reads"


def test_probing_leaves_the_networks_as_they_were(weights: Path, tmp_path: Path) -> None:
    of = planned(weights, tmp_path)
    model = of.video.model
    before = model.decoder.scale.clone(), model.decoder.shift.clone(), list(model.denoiser.parameters())
    probe_units(of.video.networks, of.shapes(), unit_files(of.video.networks, of.source, "checkpoint"))
    assert torch.equal(model.decoder.scale, before[0])
    assert torch.equal(model.decoder.shift, before[1])
    assert all(now is then for now, then in zip(model.denoiser.parameters(), before[2], strict=True))
