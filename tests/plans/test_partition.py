"""How units are cut into blocks, and what is said of a cut that leaves one out."""

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.partition import cut, partition
from ondevice_sora.plans.schema import BlockEntry, ComponentPlan, Plan, UnitsPerBlock
from ondevice_sora.profiles.models.model import Component, Model, Unit, Work

UNITS = ("in", "a", "b", "c", "out")
DENOISER = Component("denoiser", "steps", tuple(Unit(name, 1, Work()) for name in UNITS))
DECODER = tuple(Component(f"decoder.{stage}", 1, (Unit("d", 1, Work()),)) for stage in ("temporal", "spatial"))
MODEL = Model("toy", "made up", (DENOISER, *DECODER))
REFERENCE = {"denoiser": (("in",), ("a", "b", "c"), ("out",))}


def plan(**components):
    return Plan("p", "toy", components={name.replace("_", "."): entry for name, entry in components.items()})


def blocks(how, reference=REFERENCE):
    found = partition(plan(denoiser=ComponentPlan(blocks=how)), DENOISER, reference)
    assert [block.index for block in found] == list(range(len(found)))
    assert [unit.name for block in found for unit in block.units] == list(UNITS)
    return [block.name for block in found]


def test_the_ways_to_cut():
    assert blocks("whole") == ["in..out"]
    assert blocks("unit") == ["in", "a", "b", "c", "out"]
    assert blocks("reference") == ["in", "a..c", "out"]
    assert blocks("reference", {}) == blocks("unit"), "a model without a reference app"
    assert blocks(UnitsPerBlock(2)) == ["in..a", "b..c", "out"]
    assert blocks(UnitsPerBlock(9)) == ["in..out"]
    assert blocks(("in..b", "c", "out")) == ["in..b", "c", "out"]


def test_a_block_may_run_elsewhere_than_its_component():
    settings = ComponentPlan(blocks=("in..b", BlockEntry("c..out", "cpu_only")), compute_units="cpu_and_ne")
    found = partition(plan(denoiser=settings), DENOISER, {})
    assert [block.compute_units for block in found] == ["cpu_and_ne", "cpu_only"]


@pytest.mark.parametrize(
    ("entries", "field", "message"),
    [
        (("in", "b..out"), "[1]", "unit 'a' is in no block\nThe next block starts with 'a'."),
        (("in..b", "b..out"), "[1]", "unit 'b' is in a block already\nThe next block starts with 'c'."),
        (("in..c",), "", "unit 'out' is in no block"),
        (("in..out", "in"), "[1]", "unit 'in' is in a block already\nThe blocks end with 'out' already."),
        (("b..a",), "[0]", "'a' comes before 'b'\nWrite 'a..b'."),
        (("in..d",), "[0]", "denoiser has no unit 'd'"),
        (("in..",), "[0]", "'in..' names no block\nWrite a unit, or first..last."),
    ],
)
def test_a_cut_that_does_not_cover_every_unit_once_is_refused(entries, field, message):
    with pytest.raises(UserError) as refused:
        blocks(entries)
    assert refused.value.field == f"$.components.denoiser.blocks{field}"
    assert message in f"{refused.value.what}\n{refused.value.mend}"


def test_stages_take_their_familys_settings_unless_they_have_their_own():
    both = plan(decoder=ComponentPlan(blocks=("d..d",)))
    assert [len(found) for found in cut(both, MODEL, {}).values()] == [5, 1, 1]
    with pytest.raises(UserError) as refused:
        cut(plan(decoder=ComponentPlan(blocks=("e",))), MODEL, {})
    assert refused.value.field == "$.components.decoder.blocks[0]", "where the user wrote it"


def test_a_component_that_the_model_does_not_have_is_refused():
    with pytest.raises(UserError, match="toy has no such component\nDid you mean 'denoiser'") as refused:
        cut(plan(denoyser=ComponentPlan()), MODEL, {})
    assert refused.value.field == "$.components.denoyser"
