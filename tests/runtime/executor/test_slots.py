"""Which buffer every load goes to: never one that is in use, as few and as small as the order of visits allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from worlds.networks import DENOISER_CONFIG
from worlds.partitioned import network_of, plan_of, scheduled

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.executor.slots import Holding, assign
from ondevice_sora.runtime.networks.network import Network
from ondevice_sora.runtime.networks.stdit3 import STDiT3


@dataclass
class Step:
    """A visit as far as slots are concerned."""

    block: int
    loads: bool = True
    evicts: bool = True
    gate: int = -1


@dataclass
class Walk:
    visits: list[Step] = field(default_factory=list)
    held: tuple[int, ...] = ()


def assigned(visits: list[Step], sizes: dict[int, int]) -> Any:
    walk: Any = Walk(visits)
    return assign(walk, lambda block: f"file {block}", sizes.__getitem__)


def test_one_after_another_takes_one_buffer_of_the_largest_size() -> None:
    """Each load waits for the eviction of the block before it."""
    found = assigned([Step(0), Step(1, gate=0), Step(2, gate=1)], {0: 100, 1: 300, 2: 200})
    assert found.buffer_bytes == (300,)
    assert found.holdings == (
        Holding("file 0", 100, start=0, buffer=0, until=0, keep=300),
        Holding("file 1", 300, start=1, buffer=0, until=1, keep=200),
        Holding("file 2", 200, start=2, buffer=0, until=2, keep=0),
    )


def test_what_is_held_before_the_first_visit_has_a_buffer_for_good() -> None:
    walk: Any = Walk([Step(0, loads=False, evicts=False), Step(1)], held=(0,))
    found = assign(walk, lambda block: f"file {block}", {0: 100, 1: 50}.__getitem__)
    there = Holding("file 0", 100, start=-1, buffer=0, until=2)
    assert found.held == ((0, there),)
    assert found.holdings == (there, Holding("file 1", 50, start=1, buffer=1, until=1))


def test_one_load_ahead_takes_two_buffers() -> None:
    visits = [Step(0), Step(1), Step(2, gate=0), Step(3, gate=1)]
    found = assigned(visits, dict.fromkeys(range(4), 100))
    assert found.buffer_bytes == (100, 100)
    assert [holding.buffer for holding in found.holdings] == [0, 1, 0, 1]


def test_the_smallest_free_buffer_that_is_large_enough_is_taken() -> None:
    visits = [Step(0), Step(1), Step(2), Step(3, gate=2), Step(4, gate=2)]
    found = assigned(visits, {0: 300, 1: 100, 2: 200, 3: 150, 4: 90})
    assert [holding.buffer for holding in found.holdings] == [0, 1, 2, 2, 1]
    assert found.buffer_bytes == (300, 100, 200)


def test_where_none_is_large_enough_the_largest_free_one_grows() -> None:
    found = assigned([Step(0), Step(1), Step(2, gate=1)], {0: 100, 1: 200, 2: 250})
    assert found.buffer_bytes == (100, 250)


def test_a_resident_block_keeps_its_buffer_and_is_loaded_once() -> None:
    visits = [Step(0, evicts=False), Step(1), Step(0, loads=False, evicts=False), Step(1, gate=1)]
    found = assigned(visits, {0: 100, 1: 50})
    assert [holding.buffer for holding in found.holdings] == [0, 1, 0, 1]
    assert found.holdings[0] is found.holdings[2]
    assert found.holdings[0].until == len(visits), "it is never evicted"


def test_both_variants_of_a_block_lie_in_one_holding() -> None:
    walk: Any = Walk([Step(0, evicts=False), Step(1, loads=False)])
    found = assign(walk, lambda _: "one file", lambda _: 100)
    assert found.holdings[0] is found.holdings[1]
    assert found.holdings[0].until == 1


@cache
def bare_network() -> Network:
    with torch.device("meta"):
        return network_of(STDiT3(DENOISER_CONFIG))


@given(
    blocks=st.sampled_from(["unit", 2, 3]), prefetch=st.integers(0, 9), steps=st.integers(1, 4),
    keep=st.sampled_from(["none", "optimal", "paper", 1, 2]), tdtm=st.sampled_from(["none", "all", (0,)]),
    packages=st.sampled_from(["shared", "separate"]), budget=st.sampled_from([None, 300_000, 200_000]),
)  # fmt: skip
def test_no_two_blocks_lie_in_a_buffer_at_once(**settings: Any) -> None:
    """Whatever the threads' timing: a load begins when its gate has finished, and no earlier holding is left then."""
    try:
        schedule, _ = scheduled(plan_of(**settings), bare_network())
    except UserError:
        assume(False)
    sizes = {number: spec.stored_bytes for number, spec in enumerate(schedule.blocks)}
    separate = schedule.plan.tdtm.packages == "separate"
    found = assign(
        schedule,
        lambda b: schedule.blocks[b].name + (schedule.blocks[b].variant if separate else ""),
        sizes.__getitem__,
    )
    last: dict[int, Holding] = {}
    for index, (visit, holding) in enumerate(zip(schedule.visits, found.holdings, strict=True)):
        assert holding.start <= index <= holding.until
        if visit.loads:
            assert holding.size <= found.buffer_bytes[holding.buffer]
            before = last.get(holding.buffer)
            assert before is None or before.until <= visit.gate
            last[holding.buffer] = holding


def test_a_file_that_comes_again_is_another_holding() -> None:
    found = assigned([Step(0), Step(0, gate=0)], {0: 100})
    assert [(holding.start, holding.until) for holding in found.holdings] == [(0, 0), (1, 1)]
    assert found.buffer_bytes == (100,)
