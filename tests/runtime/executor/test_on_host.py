"""A plan is followed here as far as its budget allows, and what is not is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import ComponentPlan, Memory, Plan, Sampler, Tdtm, UnitsPerBlock
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.model import Component, Model, Unit, Work
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.on_host import HostCosts, Settled, budget_of, settle
from ondevice_sora.runtime.executor.probing import UnitCosts
from ondevice_sora.runtime.executor.store import StoredTensor
from ondevice_sora.runtime.executor.unit_store import UnitFile

PAGE = 4096
NAMES = ("a", "b", "c", "d")
MODEL = Model(
    "four units",
    "made up",
    (Component("denoiser", "steps", tuple(Unit(name, 1, Work(), Work()) for name in NAMES)),),
)


def costs(sizes: Sequence[int], working: int = 1, read: int = 0, run_s: float = 1.0) -> HostCosts:
    """Sizes and working memory in pages."""
    files = [
        UnitFile("denoiser", number, name, (StoredTensor(name, "F32", (size * PAGE // 4,), 0, size * PAGE),))
        for number, (name, size) in enumerate(zip(NAMES, sizes, strict=True))
    ]
    units = {
        ("denoiser", name, variant): UnitCosts(
            run_s / (1 + (variant == "tdtm")), working * PAGE, read * PAGE, left_bytes=0
        )
        for name in NAMES
        for variant in ("plain", "tdtm")
    }
    return HostCosts(files, units, read_bytes_per_s=PAGE)  # type: ignore[arg-type]


def plan(**settings: Any) -> Plan:
    tdtm = settings.pop("tdtm", Tdtm())
    start = settings.pop("start", "first")
    component = ComponentPlan(**{"blocks": UnitsPerBlock(2), "compute_units": "cpu_and_ne", "prefetch": 1, **settings})
    return Plan("p", "m", sampler=Sampler(3), tdtm=tdtm, components={"denoiser": component}, start=start)


def settled(of: Plan, prices: HostCosts, pages: int) -> Settled:
    return settle(of, MODEL, {}, prices, budget=pages * PAGE, baseline_bytes=0)


def names(found: Settled) -> list[str]:
    return [block.name for block in found.schedule.blocks]


def test_blocks_that_fit_are_the_plan_s() -> None:
    found = settled(plan(), costs([2, 2, 2, 2]), 9)
    assert names(found) == ["a..b", "c..d"]
    assert found.told == ()
    assert {block.processor for block in found.schedule.blocks} == {"cpu"}
    assert found.schedule.needed_bytes == (8 + 1) * PAGE


def test_a_block_that_does_not_fit_is_cut_into_its_units_and_the_others_are_not() -> None:
    found = settled(plan(), costs([2, 2, 4, 4]), 8)
    assert names(found) == ["a..b", "c", "d"]
    assert found.told == ("denoiser: 3 blocks instead of 2, which do not all fit the budget here",)
    assert found.schedule.needed_bytes <= 8 * PAGE


def test_windows_give_way_to_the_budget_and_blocks_do_not_for_it() -> None:
    found = settled(plan(prefetch=3), costs([2, 2, 2, 2]), 5)
    assert names(found) == ["a..b", "c..d"]
    assert found.schedule.needed_bytes == (4 + 1) * PAGE


@pytest.mark.parametrize("keep", [("a", "c"), 2, "always"])
def test_what_is_to_be_kept_and_does_not_fit_becomes_whatever_fits(keep: Any) -> None:
    start = "loaded" if keep == "always" else "first"
    found = settled(plan(keep=keep, start=start), costs([2, 2, 2, 2]), 6)
    assert found.told[-1] == "what the plan keeps resident does not fit the budget here; whatever fits is kept"
    assert found.schedule.needed_bytes <= 6 * PAGE
    kept = settled(plan(keep=keep, start=start), costs([2, 2, 2, 2]), 9)
    assert kept.told == ()
    loads = [visit.loads for visit in kept.schedule.visits]
    assert sum(loads) == (0 if keep == "always" else 2)


def test_kept_blocks_named_by_their_first_units_may_be_cut() -> None:
    found = settled(plan(blocks=UnitsPerBlock(3), keep=("a",)), costs([1, 2, 3, 1]), 6)
    assert names(found) == ["a", "b", "c", "d"]
    loads = [found.schedule.blocks[visit.block].name for visit in found.schedule.visits if visit.loads]
    assert loads.count("a") == 1


def test_working_memory_of_a_block_is_that_of_its_hungriest_unit_and_what_the_block_has_read() -> None:
    prices = costs([1, 1, 1, 1], working=5, read=2)
    assert prices.working_bytes("denoiser", ["a"], "plain") == 7 * PAGE
    assert prices.working_bytes("denoiser", ["a", "b"], "plain") == 9 * PAGE


def test_not_even_one_unit_fits() -> None:
    with pytest.raises(UserError, match=r"unit 'd' of denoiser alone needs 36.9 kB here, in float32") as caught:
        settled(plan(), costs([2, 2, 4, 8]), 8)
    assert caught.value.mend == "Allow 36.9 kB, or ask for a smaller video."
    assert caught.value.field == "$.memory.budget"


def test_expected_seconds_are_loads_behind_runs() -> None:
    """Blocks of 4 pages at a page a second, running for 2 s: what is loaded ahead is waited for all the same."""
    found = settled(plan(), costs([2, 2, 2, 2]), 9)
    assert found.seconds() == {"denoiser": pytest.approx(6 * 4 + 2)}
    kept = settled(plan(keep=2), costs([2, 2, 2, 2]), 9)
    assert kept.seconds() == {"denoiser": pytest.approx(2 * 4 + 2 + 4 * 2)}


def test_merged_steps_take_what_merged_units_take() -> None:
    merged = settled(plan(keep=2, tdtm=Tdtm("all")), costs([2, 2, 2, 2]), 9)
    assert merged.seconds() == {"denoiser": pytest.approx(2 * 4 + 1 + 4 * 1)}


def test_a_plan_without_budget_takes_most_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "available_bytes", lambda: 10_000)
    assert budget_of(plan()) == 8_000
    assert budget_of(replace(plan(), memory=Memory(ByteCount(777)))) == 777
    monkeypatch.setattr(footprint, "available_bytes", lambda: None)
    monkeypatch.setattr(footprint, "physical_bytes", lambda: 10_000)
    assert budget_of(plan()) == 5_000
