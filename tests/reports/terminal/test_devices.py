"""Devices, profiles, measurements and fits on a terminal: every figure with its value, spread and mark."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from worlds.terminals import WIDTHS, Shown, has_line

from ondevice_sora.profiles.costs import figures
from ondevice_sora.profiles.devices import Device, Hardware, MemoryLimit
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.profile import FitRecord, FittedCell, FittedParameter, RunNoise, load_profile
from ondevice_sora.reports.terminal.devices import (
    print_catalogue,
    print_fit,
    print_measurements,
    print_profile,
    show_value,
)

PHONE = Device(
    name="Toy phone",
    chip="T1",
    system="toyOS",
    hardware=Hardware(
        ram_bytes=Figure(8e9, "published", "a data sheet", 0.07),
        dram_bytes_per_s=Figure(5e10, "estimated", "a guess of somebody who has seen many such phones, and kept count"),
    ),
    memory_limits=(
        MemoryLimit(Figure(3.3e9, "published", "a forum"), os_from="17", os_until="18.1"),
        MemoryLimit(Figure(6e9, "estimated", "a guess"), entitlement=True),
    ),
    notes=("made by hand",),
    key="toyphone",
)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_catalogue_gives_both_limits_with_their_marks(shown: Shown, width: int) -> None:
    bare = replace(PHONE, key="bare", name="Bare phone", memory_limits=PHONE.memory_limits[:1])
    out = shown(width, lambda: print_catalogue([PHONE, bare]))
    assert has_line(out, "toyphone", "Toy phone", "T1", "8.00 GB", "3.30 GB published")
    assert has_line(out, "toyphone", "6.00 GB estimated")
    assert has_line(out, "bare", "unknown")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_profile_shows_every_figure_with_value_spread_and_mark(shown: Shown, width: int) -> None:
    profile, _ = load_profile("iphone15pro")
    out = shown(width, lambda: print_profile(profile, PHONE))
    assert out.startswith("Toy phone, T1, toyOS\nnote: made by hand\n\nHardware\n")
    assert has_line(out, "ram_bytes", "8.00 GB", "7 %", "published", "a data sheet")
    assert has_line(out, "3.30 GB  default, 17 to 18.1 (published: a forum)")
    assert has_line(out, "6.00 GB  with the entitlement, any version (estimated: a guess)")
    for name, figure in figures(profile.costs).items():
        spread = f"{figure.spread * 100:.0f} %" if figure.spread else ""
        assert has_line(out, name, show_value(name, figure.value), spread, figure.mark), name


@pytest.mark.parametrize("width", WIDTHS)
def test_a_profile_names_the_machines_that_it_is_for(shown: Shown, width: int) -> None:
    profile, _ = load_profile("iphone15pro")
    phone = replace(PHONE, machines=("Toy1,1", "Toy1,2"))
    assert has_line(shown(width, lambda: print_profile(profile, phone)), "machines: Toy1,1 Toy1,2")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_profile_shows_how_much_whole_runs_differ(shown: Shown, width: int) -> None:
    profile, _ = load_profile("iphone15pro")
    assert "Whole runs differ" not in shown(width, lambda: print_profile(profile, PHONE))
    noisy = replace(profile, noise=RunNoise(0.042, 9, "12 runs"))
    assert has_line(shown(width, lambda: print_profile(noisy, PHONE)), "Whole runs differ by 4.2% (12 runs)")


@pytest.mark.parametrize("width", WIDTHS)
def test_measured_blocks_show_medians_and_leave_the_rest_empty(shown: Shown, width: int) -> None:
    seconds = Figure(0.25, "measured", "5 samples")
    block = Measurement(
        "toy", "denoiser", "u0", "u3", variant="tdtm", load_warm_s=seconds, run_s=Figure(1.5, "measured", "5 samples")
    )
    profile, _ = load_profile("iphone15pro")
    out = shown(width, lambda: print_measurements(replace(profile, measurements=(block,))))
    assert out.startswith("Measured blocks\n")
    assert has_line(out, "denoiser u0..u3 (tdtm)", "CPU + GPU", "250 ms", "1.50 s")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_fit_shows_residuals_and_what_it_learned(shown: Shown, width: int) -> None:
    fit = FitRecord(
        command="profile fit",
        cells=(FittedCell("a case with a long name that folds somewhere", "total_s", "Table 1", 100.0, 101.0),),
        parameters=(FittedParameter("loads.read_bytes_per_s", 1.4e9, 0.2, 1.5e9, 0.1, 0.5),),
        correlation=((),),
        noise=0.02,
        contradictions=("Table 1 says one thing, Table 5 another.",),
    )
    out = shown(width, lambda: print_fit(fit))
    assert "100.00 s" in out and "101.00 s" in out and "+1.00 %" in out
    assert has_line(out, "loads.read_bytes_per_s", "1.40 GB/s", "20 %", "1.50 GB/s", "10 %", "50 %")
    assert out.endswith("contradiction: Table 1 says one thing, Table 5 another.\n")


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("read_bytes_per_s", 1.45e9, "1.45 GB/s"),
        ("gpu_flops_per_s", 2.15e12, "2.15 TFLOP/s"),
        ("ane_ops_per_s", 35e12, "35 TOP/s"),
        ("prepare_bytes_per_s", 1e18, "no limit"),
        ("held_bytes", 2.0, "2 B"),
        ("baseline_bytes", 150e6, "150 MB"),
        ("load_fixed_s", 0.041, "41.0 ms"),
        ("load_rate", 0.75, "0.75"),
    ],
)
def test_a_figure_is_written_with_the_unit_that_its_name_carries(name: str, value: float, written: str) -> None:
    assert show_value(name, value) == written
