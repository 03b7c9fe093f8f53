"""Reference vectors beside ours on a terminal."""

from __future__ import annotations

import pytest
from worlds.terminals import WIDTHS, Shown, has_line

from ondevice_sora.records.checks import CaseResult
from ondevice_sora.reports.terminal.reference import print_reference

RESULTS = [
    CaseResult("stdit3.npz", "block 0", 1.2e-6, 5e-5),
    CaseResult("stdit3.npz", "block 1", 7e-5, 5e-5, "float32"),
    CaseResult(
        "vae.npz", "a case with a name that is longer than the column", None, 1e-5, "needs a file that is missing"
    ),
]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_case_says_how_far_it_is_and_what_was_not_compared_why(shown: Shown, width: int) -> None:
    out = shown(width, lambda: print_reference(RESULTS))
    assert has_line(out, "block 0", "stdit3.npz", "ok", "1.2e-06", "5e-05")
    assert has_line(out, "block 1", "stdit3.npz", "OVER", "float32", "7.0e-05", "5e-05")
    assert has_line(out, "a case with a name", "vae.npz", "needs a file", "1e-05")
    assert out.endswith("2 cases compared, 1 over tolerance, 1 not compared.\n")
