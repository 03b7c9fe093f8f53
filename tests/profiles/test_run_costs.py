"""What a run costs on each processor, by hand from round figures (worlds/costs.py)."""

import msgspec
import numpy as np
import pytest
from worlds.costs import costs, figure

from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.cost_model import price
from ondevice_sora.profiles.costs import EngineLoads, nominal
from ondevice_sora.profiles.models.model import Unit, Work

UNIT = Unit(
    "a", 10, Work(matmul_flops=4, attention_flops=4, convolution_flops=8, moved_elements=8, working_elements=30)
)


def block(units=(UNIT,), precision="float32", compute_units="cpu_and_gpu", **settings):
    return BlockSpec("toy", "net", 0, "a", units, "plain", precision, compute_units, **settings)


def with_engine(**changes):
    """The round costs with an engine of twice the GPU's rates, which loads in its own way."""
    known = costs(**changes)
    gpu = known.processors["gpu"]
    engine = msgspec.structs.replace(
        gpu,
        matmul_flops_per_s=figure(4.0), attention_flops_per_s=figure(8.0), convolution_flops_per_s=figure(16.0),
        moved_bytes_per_s=figure(32.0), dispatch_s=figure(0.25), first_run_s=figure(0.0),
    )  # fmt: skip
    loads = EngineLoads(figure(0.5), figure(10.0), figure(100.0), figure(1.5), figure(7e7))
    return msgspec.structs.replace(known, processors={"gpu": gpu, "ane": engine}, engine_loads=loads)


def run_s(spec, known, **settings):
    return float(price([spec], known, **settings).run_s[0, 0])


def test_operations_in_float16_are_faster_by_the_factor_and_move_half_the_bytes():
    """0.5 + (4/2 + 4/4 + 8/8) / 2 + 8 x 2 / 16, against 0.5 + 4 + 8 x 4 / 16 in float32."""
    known = costs(float16_factor=figure(2.0))
    assert run_s(block(), known) == pytest.approx(6.5)
    assert run_s(block(precision="float16"), known) == pytest.approx(3.5)
    assert run_s(block(precision="mixed"), known) == pytest.approx(4.5)


def in_turn(waiting=7):
    """Two runs of UNIT, one after the other."""
    return msgspec.structs.replace(UNIT, plain=UNIT.plain.in_turn(2, waiting))


def test_two_runs_in_turn_take_two_calls_and_the_memory_of_one_beside_what_waits():
    """2 x (0.5 + 6); what the first run after a load adds comes once; one load. 4 bytes x (30 + 7)."""
    once, twice = price([block()], costs()), price([block((in_turn(),))], costs())
    assert twice.run_s[0, 0] == pytest.approx(2 * once.run_s[0, 0]) == pytest.approx(13.0)
    assert twice.first_run_s[0, 0] - twice.run_s[0, 0] == once.first_run_s[0, 0] - once.run_s[0, 0] == 3.0
    assert twice.working_bytes == (4 * 37,)
    assert (twice.load_warm_s[0, 0], twice.resident_bytes) == (once.load_warm_s[0, 0], once.resident_bytes)


def test_weights_are_read_again_for_the_second_run():
    """40 bytes at 8 a second, or at a bus of 4 with 32 of activations, are more than the operations."""
    known = costs(weight_bytes_per_s=figure(8.0))
    assert run_s(block(), known) == pytest.approx(6.5)
    slow = costs(weight_bytes_per_s=figure(4.0))
    assert run_s(block((in_turn(),)), slow) == pytest.approx(2 * run_s(block(), slow)) == pytest.approx(21.0)
    bus = [run_s(block(units), costs(), dram_bytes_per_s=4.0) for units in ((UNIT,), (in_turn(),))]
    assert bus == [pytest.approx(18.0), pytest.approx(36.0)]


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_bits_of_weights_change_no_operation(bits):
    known = costs(float16_factor=figure(2.0))
    assert run_s(block(precision=f"int{bits}"), known) == run_s(block(precision="float16"), known)
    assert run_s(block(precision=f"int{bits}_float32"), known) == run_s(block(), known)


def test_the_engine_computes_in_float16_whatever_the_plan_says():
    """0.25 + 4/4 + 4/8 + 8/16 + 8 x 2 / 32."""
    for precision in ("float32", "float16", "int4_float32"):
        assert run_s(block(precision=precision, compute_units="cpu_and_ne"), with_engine()) == pytest.approx(2.75)


def test_weights_stream_into_the_engine_as_they_are_stored_while_it_computes():
    """10 weights at 2 bytes a second, and a dispatch: 10.25 s in float16, 5.25 s in 8 bits; operations take 2.5 s."""
    known = with_engine(weight_bytes_per_s=figure(2.0))
    assert run_s(block(precision="float16", compute_units="cpu_and_ne"), known) == pytest.approx(10.25)
    assert run_s(block(precision="int8", compute_units="cpu_and_ne"), known) == pytest.approx(5.25)
    assert run_s(block(precision="int2", compute_units="cpu_and_ne"), known) == pytest.approx(2.75)


def test_the_memory_bus_bounds_no_run_of_the_engine():
    assert run_s(block(compute_units="cpu_and_ne"), with_engine(), dram_bytes_per_s=1.0) == pytest.approx(2.75)


def test_a_package_that_the_engine_refuses_is_priced_on_the_gpu_and_compiled_in_vain_at_every_load():
    """10 weights of 2 bytes against 19: the GPU's load of 1 + 20/10 + 20/20, and 7e7 x 10 / 1e8."""
    known = with_engine()
    fits = block(precision="float16", compute_units="cpu_and_ne", engine_bytes=20)
    refused = block(precision="float16", compute_units="cpu_and_ne", engine_bytes=19)
    assert (fits.processor, fits.falls_back, refused.processor, refused.falls_back) == ("ane", False, "gpu", True)
    assert run_s(refused, known) == run_s(block(precision="float16"), known)
    assert float(price([refused], known).load_warm_s[0, 0]) == pytest.approx(4.0 + 7.0)
    assert price([refused], known).resident_bytes == price([block(precision="float16")], known).resident_bytes


def test_a_first_load_on_the_engine_grows_with_parameters_and_not_with_their_bits():
    """0.5 + 20/10 + 20/10 later; 100 x (10 / 1e8)^1.5 more at first."""
    known = with_engine()
    for precision, later in (("float16", 4.5), ("int8", 2.5)):
        priced = price([block(precision=precision, compute_units="cpu_and_ne")], known)
        assert float(priced.load_warm_s[0, 0]) == pytest.approx(later)
        assert float(priced.load_cold_s[0, 0] - priced.load_warm_s[0, 0]) == pytest.approx(100 * 1e-7**1.5)


def test_one_package_compiles_longer_than_its_parts():
    known = with_engine()
    parts = [block((msgspec.structs.replace(UNIT, name=name),), compute_units="cpu_and_ne") for name in "abcd"]
    whole = block(tuple(part.units[0] for part in parts), compute_units="cpu_and_ne")
    compiled = [
        float(priced.load_cold_s[0, 0] - priced.load_warm_s[0, 0])
        for priced in (price([p], known) for p in (*parts, whole))
    ]
    assert compiled[-1] == pytest.approx(2 * sum(compiled[:-1]))


def test_a_load_of_what_the_page_cache_holds_reads_nothing():
    """Of 1 + 40/10 + 40/20 the reading goes, of a first load too."""
    cached, read = price([block()], costs(), is_cached=True), price([block()], costs())
    assert float(cached.load_warm_s[0, 0]) == pytest.approx(3.0)
    assert float(read.load_cold_s[0, 0] - cached.load_cold_s[0, 0]) == pytest.approx(4.0)


def test_all_is_priced_as_the_engine_and_its_samples_have_the_gpu_too():
    known = with_engine()
    sample = {name: np.repeat(values, 8) for name, values in nominal(known).items()}
    priced = price([block(compute_units="all")], known, sample)
    on_engine, on_gpu = run_s(block(compute_units="cpu_and_ne"), known), run_s(block(), known)
    assert priced.run_s[0].tolist() == pytest.approx([on_engine] * 3 + [on_gpu] + [on_engine] * 3 + [on_gpu])


def test_convolutions_work_in_more_memory_than_their_activations_take():
    """30 elements of 4 bytes; of all operations, half convolve: 1.5 times as much at a factor of 2."""
    assert price([block()], costs(convolution_working_factor=figure(2.0))).working_bytes == (180,)
