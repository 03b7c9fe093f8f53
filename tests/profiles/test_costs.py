"""What a block costs, worked out by hand from round figures (worlds/costs.py)."""

import numpy as np
import pytest
from worlds.costs import costs, figure

from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.cost_model import price
from ondevice_sora.profiles.costs import figure_range, figures, nominal, replace_figures
from ondevice_sora.profiles.models.model import Unit, Work

WORK = Work(
    matmul_flops=4, attention_flops=4, convolution_flops=8, moved_elements=8, working_elements=30, token_merges=2
)
UNITS = (
    Unit("a", 10, WORK),
    Unit("b", 20, Work(matmul_flops=2, working_elements=50), Work(matmul_flops=1), tables=5),
)


def block(units=UNITS, precision="float32", variant="plain"):
    return BlockSpec("toy", "denoiser", 0, "a..b", units, variant, precision, "cpu_and_gpu")


def seconds(priced, name):
    return getattr(priced, name)[:, 0].tolist()


def test_a_load_is_a_call_bytes_read_and_bytes_made_ready():
    """35 numbers in float32 are 140 bytes: 1 + 140 / 10 + 140 / 20; specialising adds 2 + (140 + 140) / 5."""
    priced = price([block()], costs())
    assert priced.stored_bytes == priced.resident_bytes == (140,)
    assert seconds(priced, "load_warm_s") == pytest.approx([22.0])
    assert seconds(priced, "load_cold_s") == pytest.approx([80.0])
    assert seconds(priced, "unload_s") == [0.25]


def test_a_run_is_a_call_and_its_operations():
    """0.5 + 6 / 2 + 4 / 4 + 8 / 8 + 8 x 4 bytes / 16 + 2 x 0.125; the first one also compiles for 3 s."""
    priced = price([block()], costs())
    assert seconds(priced, "run_s") == pytest.approx([7.75])
    assert seconds(priced, "first_run_s") == pytest.approx([10.75])


def test_working_memory_is_that_of_the_largest_unit():
    assert price([block()], costs()).working_bytes == (50 * 4,)


@pytest.mark.parametrize(
    ("precision", "stored", "resident", "working"),
    [
        ("float32", 140, 140, 200),
        ("float16", 70, 70, 100),
        ("mixed", 70, 70, 200),
        ("int8", 35, 70, 100),
        ("int8_float32", 35, 70, 200),
    ],
)
def test_precision_decides_bytes(precision, stored, resident, working):
    """int8 weights are held in two bytes each here; activations beside them are in float16."""
    priced = price([block(precision=precision)], costs())
    assert (priced.stored_bytes, priced.resident_bytes, priced.working_bytes) == ((stored,), (resident,), (working,))


def test_a_merging_unit_does_its_own_work_and_others_what_they_always_do():
    assert seconds(price([block(variant="tdtm")], costs()), "run_s") == pytest.approx([7.25])


def test_no_run_is_faster_than_its_bytes_cross_the_memory_bus():
    """140 bytes of weights and 32 of activations at 2 bytes a second."""
    assert seconds(price([block()], costs(), dram_bytes_per_s=2.0), "run_s") == pytest.approx([86.0])


def test_only_the_charged_share_of_bytes_counts():
    priced = price([block()], costs(charged_share=figure(0.5)))
    assert (priced.resident_bytes, priced.working_bytes, priced.stored_bytes) == ((70,), (100,), (140,))


def test_samples_are_priced_each_as_if_alone():
    known = costs()
    sample = {name: np.repeat(column, 3) for name, column in nominal(known).items()}
    sample["loads.read_bytes_per_s"] = np.array([10.0, 20.0, 40.0])
    sample["processors.gpu.matmul_flops_per_s"] = np.array([2.0, 1.0, 4.0])
    priced = price([block()], known, sample)
    assert priced.load_warm_s.tolist() == [pytest.approx([22.0, 15.0, 11.5])]
    assert priced.run_s.tolist() == [pytest.approx([7.75, 10.75, 6.25])]
    for column in range(3):
        alone = price([block()], known, {name: values[[column]] for name, values in sample.items()})
        for one, all_of_them in zip(alone.seconds, priced.seconds, strict=True):
            assert one[:, 0].tolist() == pytest.approx(all_of_them[:, column].tolist())


def test_marks_share_the_seconds_that_rest_on_them():
    """Of a warm load's 22 s, 14 are read at a published rate; of a run's 7.75 s, 3 at a fitted one."""
    priced = price([block()], costs())
    assert priced.load_marks[0] == pytest.approx({"published": 14 / 22, "estimated": 8 / 22})
    assert priced.run_marks[0] == pytest.approx({"fitted": 3 / 7.75, "estimated": 4.75 / 7.75})


def test_first_loads_and_first_runs_rest_on_what_they_add_too():
    """Of a first load's 80 s, 56 are specialised at a fitted rate; of a first run's 10.75 s, 3 were measured."""
    marks = {"specialise_bytes_per_s": figure(5.0, mark="fitted"), "first_run_s": figure(3.0, mark="measured")}
    priced = price([block()], costs(**marks))
    cold_s, first_s = priced.load_cold_s[0, 0], priced.first_run_s[0, 0]
    added_s = 2 * 140 / 5.0
    assert cold_s == pytest.approx(22 + 2 + added_s)
    found = priced.marks_of_load(0, is_cold=True)
    assert found == pytest.approx({"published": 14 / cold_s, "fitted": added_s / cold_s, "estimated": 10 / cold_s})
    found = priced.marks_of_run(0, is_first=True)
    assert found == pytest.approx({"fitted": 3 / first_s, "estimated": 4.75 / first_s, "measured": 3 / first_s})


def test_figures_are_named_and_replaced_by_dotted_names():
    known = costs()
    changed = replace_figures(known, {"loads.unload_s": figure(9.0), "baseline_bytes": figure(7.0)})
    differing = {name for name, one in figures(changed).items() if one != figures(known)[name]}
    assert differing == {"loads.unload_s", "baseline_bytes"}
    with pytest.raises(AssertionError, match="no such figures"):
        replace_figures(known, {"lods.unload_s": figure(9.0)})


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("loads.read_bytes_per_s", 1.0, 1e18),
        ("processors.gpu.charged_share", 0.0, 1.0),
        ("loads.transient_share", 0.0, 10.0),
        ("processors.gpu.load_rate", 0.01, 10.0),
        ("thermal.time_constant_s", 0.1, 1e6),
        ("loads.unload_s", 0.0, 1e6),
        ("loads.compressed_held_bytes", 0.0, 16.0),
        ("baseline_bytes", 0.0, 1e13),
    ],
)
def test_the_end_of_a_name_says_what_is_physical(name, low, high):
    assert figure_range(name) == (low, high)
