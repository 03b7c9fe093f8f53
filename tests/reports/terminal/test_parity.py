"""Exported blocks beside PyTorch's on a terminal."""

from __future__ import annotations

import pytest
from worlds.terminals import WIDTHS, Shown, has_line

from ondevice_sora.records.checks import ParityRow
from ondevice_sora.reports.terminal.parity import print_parity

ROWS = [
    ParityRow("denoiser", "spatial_0..temporal_3", "STDiT3 block", "x", 1e-7, 1e-5),
    ParityRow("denoiser", "spatial_0..temporal_3", "STDiT3 block", "y", 3e-6, 1e-5),
    ParityRow("decoder.spatial", "up0", "VAE block", "frames", 2e-5, 1e-5),
]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_block_shows_its_worst_tensor_and_whether_that_is_allowed(shown: Shown, width: int) -> None:
    out = shown(width, lambda: print_parity(ROWS))
    assert has_line(out, "spatial_0..temporal_3", "denoiser", "STDiT3 block", "y", "ok")
    assert "3.0e-06" in out
    assert has_line(out, "up0", "decoder.spatial", "VAE block", "frames", "OVER")
    assert "1.0e-07" not in out
    assert " ".join(out.split()).endswith(
        "2 blocks compared, 1 over tolerance. Worst: up0 of decoder.spatial, error 2.0e-05 of 1e-05 allowed."
    )
