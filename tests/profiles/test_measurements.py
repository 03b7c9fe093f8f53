"""Which measured parts a block is put together from."""

from __future__ import annotations

from dataclasses import replace

from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.measurements import MeasuredBlocks, Measurement
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


def names(known: list[Measurement], spec: BlockSpec) -> list[tuple[str, str, str] | int]:
    """What was measured of each part; of those without, how many units they are."""
    return [
        part.end - part.start if part.measured is None else (m.first_unit, m.last_unit, m.variant)
        for part in MeasuredBlocks(known).parts(spec)
        for _, m in [part.measured or (0, measured("none"))]
    ]


ALL = [measured(name, variant=variant) for name in ("in", "a", "b", "out") for variant in ("plain", "tdtm")]


def test_parts_follow_one_another_and_longer_ones_come_first() -> None:
    assert names(ALL, block(1, 3)) == [("a", "a", "plain"), ("b", "b", "plain"), ("out", "out", "plain")]
    assert names([*ALL, measured("a", "b")], block(1, 3)) == [("a", "b", "plain"), ("out", "out", "plain")]


def test_a_part_without_a_tdtm_variant_is_taken_as_it_is() -> None:
    assert names(ALL, block(0, 1, "tdtm")) == [("in", "in", "plain"), ("a", "a", "tdtm")]


def test_units_that_were_not_measured_are_parts_of_their_own() -> None:
    assert names([measured("a"), measured("out")], block(1, 3)) == [("a", "a", "plain"), 1, ("out", "out", "plain")]
    assert names([measured("a")], block(0, 3)) == [1, ("a", "a", "plain"), 2]


def test_a_block_of_which_nothing_was_measured_has_no_parts() -> None:
    assert names([measured("a", "b")], block(1, 1)) == []
    assert names(ALL, replace(block(1, 1), precision="float16")) == []


def test_measurements_of_no_part_of_any_block_are_told() -> None:
    unused = unused_measurements(ALL, [block(1, 2)])
    assert {(m.first_unit, m.variant) for m in unused} == {
        (m.first_unit, m.variant) for m in ALL
    } - {("a", "plain"), ("b", "plain")}  # fmt: skip
