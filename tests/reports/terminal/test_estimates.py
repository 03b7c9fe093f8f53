"""What packages cost, on a terminal."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from worlds.terminals import WIDTHS, Shown, has_line

from ondevice_sora.records.estimate import Estimate, EstimatedFunction, EstimatedPackage
from ondevice_sora.reports.terminal.estimates import print_estimate

MB = 10**6
PLAIN = EstimatedFunction(
    component="denoiser", unit="unet_chunk1", variant="plain", function="main", operations={"conv": 3, "matmul": 5},
    matmul_flops=6e11, attention_flops=3e11, convolution_flops=1e11, moved_bytes=10 * MB, working_bytes=50 * MB,
    load_cold_s=2.0, load_warm_s=0.5, run_s=1.5, load_marks={"published": 1.0},
    run_marks={"fitted": 0.75, "estimated": 0.25},
)  # fmt: skip
PACKAGE = EstimatedPackage(
    path="a.mlpackage", compute_units="cpu_and_gpu", precision="float16", file_bytes=101 * MB, weight_bytes=100 * MB,
    filler_bytes=2 * MB, parameters=50 * MB, held_bytes={"cpu_and_gpu": 120 * MB},
    functions=[PLAIN, replace(PLAIN, variant="tdtm", run_s=1.0)], notes=["larger than 1.00 GB"],
)  # fmt: skip
ESTIMATE = Estimate(
    "Toy phone", [PACKAGE, replace(PACKAGE, functions=[replace(PLAIN, unit="unet_chunk2")])], ["a note"]
)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_function_has_a_line_and_what_its_package_shares_stands_once(shown: Shown, width: int) -> None:
    out = shown(width, lambda: print_estimate(ESTIMATE))
    assert out.startswith("Toy phone · estimated from the packages, not run\n")
    assert has_line(out, "denoiser unet_chunk1 ", "CPU + GPU", "float16", "1", "100 MB", "120 MB", "50.0 MB")
    assert has_line(out, "denoiser unet_chunk1 (tdtm)", "1", "50.0 MB")
    assert not has_line(out, "denoiser unet_chunk1 (tdtm)", "100 MB")
    for value in ("2.00 s", "500 ms", "1.50 s", "1.00 s"):
        assert value in out
    assert has_line(out, "total, each once", "2", "200 MB", "240 MB", "50.0 MB at most")


@pytest.mark.parametrize("width", WIDTHS)
def test_operations_marks_and_notes_follow(shown: Shown, width: int) -> None:
    out = " ".join(shown(width, lambda: print_estimate(ESTIMATE)).split())
    for said in (
        "FLOPs: 60 % matrix products, 30 % attention, 10 % convolutions",
        "operations: 15 matmul, 9 conv",
        "on disk, conversion adds 4.00 MB: zeros for biases, paddings and the like",
        "run seconds rest on figures that are 75 % fitted, 25 % estimated",
        "note: 2 packages, the first unet_chunk1: larger than 1.00 GB",
        "note: a note",
    ):
        assert said in out, said


def test_many_notes_are_counted(shown: Shown) -> None:
    many = replace(PACKAGE, notes=[f"note {index}" for index in range(23)])
    out = shown(120, lambda: print_estimate(replace(ESTIMATE, packages=[many])))
    assert "note: and 3 more, see --json" in out
    assert "each once" not in out
