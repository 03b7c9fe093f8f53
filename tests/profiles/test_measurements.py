"""A block put together from measured parts takes what they take, and spends what is spent once a call once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.measurements import MeasuredBlocks, Measurement, put_together
from ondevice_sora.profiles.models.model import Unit, Variant, Work
from ondevice_sora.profiles.pricing import unused_measurements

UNITS = tuple(Unit(name, 10, Work(), None if name == "in" else Work()) for name in ("in", "a", "b", "out"))


def block(first: int, last: int, variant: Variant = "plain") -> BlockSpec:
    return BlockSpec("m", "denoiser", 0, "x", UNITS[first : last + 1], variant, "float32", "cpu_only")


def measured(first: str, last: str | None = None, variant: Variant = "plain", **figures: float) -> Measurement:
    marked = {name: Figure(value, "measured", "toy", 0.1) for name, value in figures.items()}
    return Measurement(
        "m", "denoiser", first, last or first, variant, compute_units="cpu_only", **marked  # type: ignore[arg-type]
    )  # fmt: skip


def names(known: list[Measurement], spec: BlockSpec) -> list[tuple[str, str, str]]:
    return [(m.first_unit, m.last_unit, m.variant) for m in MeasuredBlocks(known).parts(spec)]


ALL = [measured(name, variant=variant) for name in ("in", "a", "b", "out") for variant in ("plain", "tdtm")]


def test_parts_follow_one_another_and_longer_ones_come_first() -> None:
    assert names(ALL, block(1, 3)) == [("a", "a", "plain"), ("b", "b", "plain"), ("out", "out", "plain")]
    assert names([*ALL, measured("a", "b")], block(1, 3)) == [("a", "b", "plain"), ("out", "out", "plain")]


def test_a_part_without_a_tdtm_variant_is_taken_as_it_is() -> None:
    assert names(ALL, block(0, 1, "tdtm")) == [("in", "in", "plain"), ("a", "a", "tdtm")]


def test_one_missing_part_leaves_the_whole_block_to_the_model() -> None:
    assert names([measured("a"), measured("out")], block(1, 3)) == []
    other = replace(block(1, 1), precision="float16")
    assert names(ALL, other) == []


def test_seconds_and_bytes_add_up_and_fixed_parts_are_spent_once() -> None:
    parts = [
        measured("a", load_warm_s=2.0, load_cold_s=3.0, run_s=5.0, first_run_s=6.0, resident_bytes=10, working_bytes=7),
        measured("b", load_warm_s=4.0, load_cold_s=5.0, run_s=1.0, first_run_s=2.0, resident_bytes=20, working_bytes=3),
    ]
    found = put_together(parts, load_fixed_s=0.5, specialise_fixed_s=0.25, dispatch_s=0.125)
    values = {
        name: figure.value
        for name in ("load_warm_s", "load_cold_s", "run_s", "first_run_s", "resident_bytes", "working_bytes")
        if (figure := getattr(found, name)) is not None
    }
    assert values == {
        "load_warm_s": 5.5, "load_cold_s": 7.25, "run_s": 5.875, "first_run_s": 7.875, "resident_bytes": 30,
        "working_bytes": 7,
    }  # fmt: skip
    assert (found.first_unit, found.last_unit) == ("a", "b")
    assert found.run_s is not None and found.run_s.spread == pytest.approx((0.5**2 + 0.1**2) ** 0.5 / 6.0)


def test_what_one_part_lacks_the_whole_lacks() -> None:
    found = put_together([measured("a", run_s=1.0), measured("b")], 0.0, 0.0, 0.0)
    assert found.run_s is None


def test_measurements_of_no_part_of_any_block_are_told() -> None:
    unused = unused_measurements(ALL, [block(1, 2)])
    assert {(m.first_unit, m.variant) for m in unused} == {
        (m.first_unit, m.variant) for m in ALL
    } - {("a", "plain"), ("b", "plain")}  # fmt: skip
