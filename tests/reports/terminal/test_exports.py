"""What `export` says of its blocks: those made in this run, and those kept from one before."""

from __future__ import annotations

import pytest
from worlds.terminals import Shown

from ondevice_sora.records.exports import ExportedPart
from ondevice_sora.reports.terminal.exports import print_export

PARTS = [ExportedPart("denoiser", 28, 1_200_000_000, "float16")]


@pytest.mark.parametrize(
    ("num_made", "num_blocks", "sentence"),
    [
        (28, 28, "28 blocks made"),
        (1, 1, "1 block made"),
        (27, 28, "27 blocks made, 1 kept from before"),
        (0, 28, "0 blocks made, 28 kept from before"),
    ],
)
def test_only_a_run_that_found_blocks_speaks_of_them(
    shown: Shown, num_made: int, num_blocks: int, sentence: str
) -> None:
    assert shown(80, lambda: print_export(PARTS, num_made, num_blocks)).splitlines()[-1] == sentence
