"""Prices in which measured figures stand instead of the model's (tests/profiles/test_costs.py has the model's)."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from worlds.costs import costs, figure

from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.cost_model import price
from ondevice_sora.profiles.costs import nominal, replace_figures
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.models.model import Unit, Work
from ondevice_sora.profiles.pricing import price_blocks, sampled_name

UNITS = (
    Unit("a", 10, Work(matmul_flops=4, working_elements=30)),
    Unit("b", 20, Work(matmul_flops=2, working_elements=50), tables=5),
)


def block(units=UNITS):
    return BlockSpec("toy", "denoiser", 0, "a..b", units, "plain", "float32", "cpu_and_gpu")


def measured(first="a", last="b", **values):
    plain = Measurement("toy", "denoiser", first, last)
    return msgspec.structs.replace(plain, **marked(**values))


def marked(**values):
    return {name: figure(value, mark="measured") for name, value in values.items()}


def seconds(priced, name):
    return getattr(priced, name)[:, 0].tolist()


def test_measured_figures_stand_instead_of_the_models():
    """The first run keeps what it adds to a later one, and a cold load is never faster than a warm one."""
    priced = price_blocks([block()], costs(), [measured(run_s=5.0, load_warm_s=90.0, working_bytes=77.0)])
    assert seconds(priced, "run_s") == [5.0]
    assert seconds(priced, "first_run_s") == [8.0]
    assert seconds(priced, "load_warm_s") == seconds(priced, "load_cold_s") == [90.0]
    assert (priced.working_bytes, priced.resident_bytes) == ((77,), (140,))
    assert (priced.load_marks, priced.run_marks) == (({"measured": 1.0},), ({"measured": 1.0},))


def test_a_measured_run_counts_twice_where_branches_take_turns():
    """Its first run after a load is slower once. Between two parts a call is saved at either run."""
    turned = tuple(msgspec.structs.replace(unit, plain=unit.plain.in_turn(2, 0)) for unit in UNITS)
    priced = price_blocks([block(turned)], costs(), [measured(run_s=5.0, first_run_s=6.0)])
    assert (seconds(priced, "run_s"), seconds(priced, "first_run_s")) == ([10.0], [11.0])
    parts = [measured("a", "a", run_s=5.0), measured("b", "b", run_s=4.0)]
    assert seconds(price_blocks([block(turned)], costs(), parts), "run_s") == [2 * (5.0 + 4.0 - 0.5)]


def test_a_measurement_changes_only_its_own_block_and_no_other_price_list():
    other = msgspec.structs.replace(UNITS[0], name="c")
    blocks = [block(), block((other,))]
    before, after = price(blocks, costs()), price_blocks(blocks, costs(), [measured(run_s=5.0, unload_s=9.0)])
    assert seconds(after, "run_s") == [5.0, seconds(before, "run_s")[1]]
    assert seconds(after, "unload_s") == [9.0, 0.25]
    assert seconds(before, "unload_s") == [0.25, 0.25]


def together(*parts, sample=None, blocks=None):
    return price_blocks(blocks or [block()], costs(), parts, sample)


def test_seconds_and_bytes_of_parts_add_up_and_what_is_spent_once_a_call_is_spent_once():
    """Loads save 1 s, first ones 2 s more; runs save half a second."""
    found = together(
        measured("a", "a", load_warm_s=20.0, load_cold_s=30.0, run_s=50.0, first_run_s=60.0, resident_bytes=10,
                 working_bytes=7),
        measured("b", "b", load_warm_s=40.0, load_cold_s=50.0, run_s=10.0, first_run_s=20.0, resident_bytes=20,
                 working_bytes=3),
    )  # fmt: skip
    assert seconds(found, "load_warm_s") == [59.0]
    assert seconds(found, "load_cold_s") == [77.0]
    assert seconds(found, "run_s") == [59.5]
    assert seconds(found, "first_run_s") == [79.5]
    assert seconds(found, "unload_s") == [0.25]
    assert (found.resident_bytes, found.working_bytes) == ((30,), (7,))


def test_a_whole_takes_no_less_than_its_longest_part():
    found = together(
        measured("a", "a", load_warm_s=20.0, load_cold_s=20.0, run_s=50.0),
        measured("b", "b", load_warm_s=0.5, load_cold_s=1.0, run_s=0.25),
    )
    assert (seconds(found, "load_warm_s"), seconds(found, "load_cold_s")) == ([20.0], [20.0])
    assert seconds(found, "run_s") == [50.0]


def test_what_one_part_lacks_the_model_fills_in_and_the_rest_stays_measured():
    """The model gives b alone: 25 numbers, 100 bytes; a load 1 + 10 + 5, first 2 + 40 more; a run 0.5 + 2 / 2."""
    found = together(measured("a", "a", load_warm_s=20.0, load_cold_s=30.0, run_s=50.0, working_bytes=900))
    assert seconds(found, "load_warm_s") == [20.0 + 16.0 - 1.0]
    assert seconds(found, "load_cold_s") == [30.0 + 58.0 - 3.0]
    assert seconds(found, "run_s") == [50.0 + 1.5 - 0.5]
    assert seconds(found, "first_run_s") == [51.0 + 3.0]
    assert (found.resident_bytes, found.working_bytes) == ((40 + 100,), (900,))
    assert found.run_marks[0]["measured"] == pytest.approx(50.0 / 51.5)


def test_only_what_was_measured_is_told_to_be():
    """Later loads and runs were measured: a first load and a first run rest on the model's figures all the same."""
    found = together(measured(load_warm_s=20.0, run_s=50.0))
    assert found.marks_of_load(0, is_cold=False) == found.marks_of_run(0, is_first=False) == {"measured": 1.0}
    assert "measured" not in found.marks_of_load(0, is_cold=True)
    assert found.marks_of_run(0, is_first=True) == pytest.approx({"measured": 50 / 53, "estimated": 3 / 53})
    whole = together(measured(load_warm_s=20.0, load_cold_s=90.0, run_s=50.0, first_run_s=60.0))
    assert whole.marks_of_load(0, is_cold=True) == whole.marks_of_run(0, is_first=True) == {"measured": 1.0}


@pytest.mark.parametrize("measured_variants", [("plain",), ("tdtm",), ("plain", "tdtm")])
def test_variants_of_a_block_hold_the_same_whichever_was_measured(measured_variants):
    """They share a package: what was charged at the load of one was not what the other gave back."""
    merging = tuple(msgspec.structs.replace(unit, tdtm=unit.plain) for unit in UNITS)
    plain = block(merging)
    held = {"plain": 150.0, "tdtm": 130.0}
    known = [
        msgspec.structs.replace(measured(resident_bytes=held[variant]), variant=variant)
        for variant in measured_variants
    ]
    for blocks in ([plain], [replace(plain, variant="tdtm")], [plain, replace(plain, variant="tdtm")]):
        found = price_blocks(blocks, costs(), known)
        assert found.resident_bytes == (max(held[variant] for variant in measured_variants),) * len(blocks)
        assert found.run_s.shape == (len(blocks), 1) and len(found.run_marks) == len(blocks)


def test_the_models_first_run_is_added_once_to_what_was_measured_of_parts():
    found = together(measured("a", "a", run_s=50.0, first_run_s=54.0), measured("b", "b", run_s=10.0))
    assert seconds(found, "first_run_s") == [59.5 + 4.0 + 3.0]


def test_the_reviews_pair_keeps_what_was_measured_of_either_part():
    """d0: a later load, a run, 30 MB of working memory, 150 MB resident. d1: loads and runs, 200 MB by the model."""
    units = (
        Unit("d0", 25_000_000, Work(working_elements=10**6)),
        Unit("d1", 50_000_000, Work(working_elements=2 * 10**6)),
    )
    pair = BlockSpec("toy", "den", 0, "d0..d1", units, "plain", "float32", "cpu_and_gpu")
    d0 = Measurement(
        "toy", "den", "d0", "d0", **marked(load_warm_s=0.3, run_s=5, working_bytes=30e6, resident_bytes=150e6)
    )
    d1 = Measurement("toy", "den", "d1", "d1", **marked(load_warm_s=0.5, load_cold_s=2.0, run_s=7, first_run_s=9))
    known = replace_figures(costs(), {
        "loads.load_fixed_s": figure(0.1), "loads.specialise_fixed_s": figure(0.5),
        "loads.read_bytes_per_s": figure(1e9), "loads.prepare_bytes_per_s": figure(2e9),
        "loads.specialise_bytes_per_s": figure(1e9),
    })  # fmt: skip
    found = price_blocks([pair], known, [d0, d1])
    assert found.resident_bytes == (350_000_000,)
    assert found.working_bytes == (30_000_000,)
    assert seconds(found, "load_warm_s") == pytest.approx([0.7])
    assert seconds(found, "load_cold_s") == pytest.approx([0.95 + 2.0 - 0.6])


def test_a_sample_may_have_other_values_of_what_was_measured():
    sample = {name: np.repeat(values, 2) for name, values in nominal(costs()).items()}
    sample[sampled_name(1, "run_s")] = np.array([4.0, 6.0])
    found = together(measured("z", "z", run_s=1.0), measured(run_s=5.0, load_warm_s=90.0), sample=sample)
    assert found.run_s.tolist() == [[4.0, 6.0]]
    assert found.load_warm_s.tolist() == [[90.0, 90.0]]
    assert found.first_run_s.tolist() == [[7.0, 9.0]]
