"""Prices in which measured figures stand instead of the model's (tests/profiles/test_costs.py has the model's)."""

import msgspec
from worlds.costs import costs, figure

from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import price
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.models.model import Unit, Work
from ondevice_sora.profiles.pricing import price_blocks

UNITS = (
    Unit("a", 10, Work(matmul_flops=4, working_elements=30)),
    Unit("b", 20, Work(matmul_flops=2, working_elements=50), tables=5),
)


def block(units=UNITS):
    return BlockSpec("toy", "denoiser", 0, "a..b", units, "plain", "float32", "cpu_and_gpu")


def measured(**values):
    plain = Measurement("toy", "denoiser", "a", "b")
    return msgspec.structs.replace(plain, **{name: figure(value, mark="measured") for name, value in values.items()})


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


def test_a_measurement_changes_only_its_own_block_and_no_other_price_list():
    other = msgspec.structs.replace(UNITS[0], name="c")
    blocks = [block(), block((other,))]
    before, after = price(blocks, costs()), price_blocks(blocks, costs(), [measured(run_s=5.0, unload_s=9.0)])
    assert seconds(after, "run_s") == [5.0, seconds(before, "run_s")[1]]
    assert seconds(after, "unload_s") == [9.0, 0.25]
    assert seconds(before, "unload_s") == [0.25, 0.25]
