"""How weights are stored and what the arithmetic is in: one name, or the two said apart."""

from pathlib import Path
from typing import Any

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.reading import parse_yaml
from ondevice_sora.plans.plan_file import read_plan
from ondevice_sora.plans.schema import ComponentPlan, plan_data
from ondevice_sora.profiles.models.model import WEIGHT_BYTES, activation_bytes, multiplies_in_float16, weight_bytes


def plan(settings: str):
    return read_plan(
        parse_yaml(f"name: x\nmodel: opensora\ncomponents: {{denoiser: {{{settings}}}}}\n", Path("x.yaml"))
    ).plan


@pytest.mark.parametrize(
    ("settings", "stored"),
    [
        ("", "float32"),
        ("precision: mixed", "mixed"),
        ("weights: int6", "int6"),
        ("weights: int6, activations: float16", "int6"),
        ("weights: int6, activations: float32", "int6_float32"),
        ("weights: float16", "float16"),
        ("weights: float16, activations: float32", "mixed"),
        ("weights: float32", "float32"),
        ("activations: float16", "float16"),
    ],
)
def test_a_pair_of_formats_is_one_precision(settings, stored):
    assert plan(settings).component("denoiser").stored == stored


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("precision: int8, activations: float16", r"components.denoiser.activations: has no effect beside `precision`"),
        ("precision: int8, weights: int8", r"components.denoiser.weights: has no effect beside `precision`"),
        ("weights: float32, activations: float16", r"Core ML stores the weights of float16 arithmetic in float16"),
        ("weights: int5", r"'int5' is not one of the choices"),
    ],
)
def test_what_says_a_thing_twice_or_cannot_be_is_refused(settings, told):
    with pytest.raises(UserError, match=told):
        plan(settings)


def test_a_plan_is_written_as_it_was_said():
    assert plan_data(plan("weights: int4"))["components"]["denoiser"]["weights"] == "int4"
    assert ComponentPlan(precision="int8").stored == "int8"


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_weights_of_few_bits_take_their_bits_and_a_table(bits):
    name: Any = f"int{bits}"
    wide: Any = f"{name}_float32"
    assert bits / 8 <= WEIGHT_BYTES[name] <= bits / 8 + 0.005
    assert weight_bytes(name) == weight_bytes(wide)
    assert (activation_bytes(name), activation_bytes(wide)) == (2, 4)
    assert multiplies_in_float16(name) and not multiplies_in_float16(wide)
