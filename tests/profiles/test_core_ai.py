"""What a block costs that Core AI loads, worked out by hand from round figures (worlds/costs.py)."""

import math

import numpy as np
import pytest
from msgspec.structs import replace
from worlds.costs import costs, figure, with_core_ai

from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.cost_model import price
from ondevice_sora.profiles.costs import figures
from ondevice_sora.profiles.devices import device_keys, load_device
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.models.model import Unit, Work
from ondevice_sora.profiles.pricing import price_blocks
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.simulator.interval import draw

UNITS = (Unit("a", 10, Work(matmul_flops=4, working_elements=30)), Unit("b", 25, Work(matmul_flops=2)))
EVERYWHERE = replace(
    with_core_ai(costs()),
    processors=dict.fromkeys(("cpu", "gpu", "ane"), replace(costs().processors["gpu"], charged_share=figure(0.5))),
)
"""A CPU, a GPU and a Neural Engine alike, of which Core ML's share is half charged."""


def block(loading="core_ai", compute_units="cpu_and_gpu", precision="float32", **facts):
    """35 numbers in float32: 140 bytes."""
    return BlockSpec(
        "toy", "denoiser", 0, "a..b", UNITS, "plain", precision, compute_units, loading=loading, **facts
    )  # fmt: skip


def told(priced):
    return priced.resident_bytes[0], priced.clean_bytes[0], priced.working_bytes[0]


@pytest.mark.parametrize(
    ("loading", "compute_units", "resident", "clean", "working"),
    [
        ("core_ml", "cpu_and_gpu", 70, 0, 60),
        ("core_ai", "cpu_and_gpu", 0, 140, 60),
        ("core_ai", "cpu_and_ne", 280, 0, 60),
        ("core_ai", "all", 280, 0, 60),
        ("core_ai", "cpu_only", 70, 0, 60),
    ],
)
def test_weights_on_the_gpu_are_clean_and_on_the_engine_charged(loading, compute_units, resident, clean, working):
    """30 elements of 4 bytes, half of them charged; on the engine of 2 bytes, all of them charged."""
    assert told(price([block(loading, compute_units)], EVERYWHERE)) == (resident, clean, working)


def test_a_file_is_mapped_as_it_is_stored():
    """A GPU that Core ML loads for holds 8 bits unpacked, in two bytes."""
    small = [block(loading, precision="int8") for loading in ("core_ai", "core_ml")]
    priced = price(small, with_core_ai(costs()))
    assert (priced.resident_bytes, priced.clean_bytes, priced.stored_bytes) == ((0, 70), (35, 0), (35, 35))


def test_a_load_reads_the_file_and_the_first_one_finishes_what_was_compiled():
    """0.5 + 140 / 10; the first one 140 / 7 besides. What fits in the page cache is not read."""
    priced = price([block()], with_core_ai(costs()))
    assert (priced.load_warm_s.item(), priced.load_cold_s.item()) == pytest.approx((14.5, 34.5))
    cached = price([block()], with_core_ai(costs()), is_cached=True)
    assert cached.load_warm_s.item() == pytest.approx(0.5)


def test_a_component_that_does_not_stay_in_memory_is_read_in_every_run():
    """0.5 + 6 / 2 seconds of work; 140 / 10 of reading, which the first run after a load has behind it."""
    some = [block(component_bytes=size) for size in (200, 201)]
    priced = price(some, with_core_ai(costs()), clean_room=200.0)
    assert priced.run_s[:, 0].tolist() == pytest.approx([3.5, 17.5])
    assert priced.first_run_s[:, 0].tolist() == pytest.approx([6.5, 6.5])
    assert priced.run_marks[1]["published"] == pytest.approx(14 / 17.5)
    assert sum(priced.run_marks[1].values()) == pytest.approx(1.0)


def test_a_block_that_does_not_stay_in_memory_is_charged():
    rooms = [price([block(component_bytes=140)], with_core_ai(costs()), clean_room=room) for room in (140.0, 139.0)]
    assert [told(priced)[:2] for priced in rooms] == [(0, 140), (140, 0)]


def test_what_is_compiled_for_the_engine_does_not_fall_back():
    assert block("core_ml", "cpu_and_ne", engine_bytes=100).falls_back
    assert not block("core_ai", "cpu_and_ne", engine_bytes=100).falls_back


def test_what_was_measured_is_core_mls():
    seen = Measurement("toy", "denoiser", "a", "b", resident_bytes=figure(999.0), load_warm_s=figure(9.0))
    priced = price_blocks([block(), block("core_ml")], with_core_ai(costs()), (seen,))
    assert priced.resident_bytes == (0, 999)
    assert priced.load_warm_s[:, 0].tolist() == pytest.approx([14.5, 9.0])


def test_the_figures_are_the_same_on_every_device_and_say_where_they_come_from():
    """They are the system's way with files, seen on few phones: nothing scales with a chip."""
    known = {name: each for name, each in figures(load_profile("iphone15pro")[0].costs).items() if "core_ai" in name}
    assert len(known) == 5 and all(each.source and each.mark in ("published", "estimated") for each in known.values())
    for key in ("iphone17pro", "ipadprom1"):
        other = figures(load_profile(key)[0].costs)
        assert {name: other[name] for name in known} == known


def test_core_ai_is_there_from_the_a17_pro_and_the_m1_on():
    without = {"iphone12", "iphone12pro", "iphone13", "iphone13pro", "iphone14", "iphone14pro", "iphone15", "iphonese3"}
    assert {key for key in device_keys() if not load_device(key).has_core_ai()} == without
    assert [load_device("iphone15pro").has_core_ai(version) for version in ("26.4", "27", "27.1")] == [
        False, True, True,
    ]  # fmt: skip


def test_its_figures_change_no_other_draw():
    """Intervals of plans that Core ML loads are what they were."""
    profile, _ = load_profile("iphone15pro")
    bare = replace(profile, costs=replace(profile.costs, core_ai=None))
    both = [draw(each, 5, np.random.default_rng(1)) for each in (profile, bare)]
    assert all(np.array_equal(both[0][name], both[1][name]) for name in both[1])
    assert both[0]["core_ai.finish_bytes_per_s"].std() > 0


def test_without_figures_nothing_is_known_of_the_room():
    profile, device = load_profile("iphone15pro")
    assert profile.clean_room(device) == pytest.approx(0.4 * device.hardware.ram_bytes.value)
    assert replace(profile, costs=replace(profile.costs, core_ai=None)).clean_room(device) == math.inf
