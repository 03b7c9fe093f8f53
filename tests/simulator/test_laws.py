"""Laws that hold for every profile and plan, drawn at random.

A law applies to nearly every draw: budgets lie between what a plan needs at least and what it takes without one, and a
draw that is refused all the same counts for nothing (`assume`), so that Hypothesis draws another and complains of many.
"""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from worlds.toys import Toy

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.heat import NO_HEAT, Heat
from ondevice_sora.plans.schema import FirstSteps, Lpl, Tdtm
from ondevice_sora.simulator.bounds import bounds_of

seconds = st.floats(0.0, 50.0)
rates = st.floats(0.5, 1.0)


@st.composite
def toys(draw, interference=True, heats=True):
    """Any number of blocks, sizes, costs, steps, windows, residents, variants, with or without a budget."""
    blocks = draw(st.integers(1, 8))
    steps = draw(st.integers(1, 12))
    sizes = tuple(draw(st.lists(st.integers(1, 1000), min_size=blocks, max_size=blocks)))
    load_s = draw(seconds)
    run_s = draw(seconds)
    keep = draw(st.sampled_from(["none", "paper", "app", "belady", "optimal", "always", *range(blocks + 1)]))
    merging = draw(st.sampled_from(["none", "all", FirstSteps(min(1, steps))]))
    return Toy(
        blocks=blocks,
        steps=steps,
        sizes=sizes,
        load_s=load_s,
        run_s=run_s,
        cold_s=load_s + draw(seconds),
        first_run_s=run_s + draw(seconds),
        unload_s=draw(st.sampled_from([0.0, 0.25])),
        working=draw(st.integers(0, 300)),
        baseline=draw(st.integers(0, 100)),
        limit=draw(st.integers(100, 10_000)),
        prefetch=draw(st.sampled_from([0, 1, 2, 5, "app"])),
        keep=keep,
        start=draw(st.sampled_from(["first", "cached", "loaded"])),
        tdtm=Tdtm(steps=merging, packages=draw(st.sampled_from(["shared", "separate"]))),
        lpl=draw(st.sampled_from([Lpl(), Lpl(mode="fixed", leap_step=0)])),
        load_rate=draw(rates) if interference else 1.0,
        run_rate=draw(rates) if interference else 1.0,
        transient=draw(st.sampled_from([0.0, 0.5])),
        residual=draw(st.sampled_from([0.0, 0.1, 1.5])),
        heat=Heat(True, 0.6, 80.0) if heats and draw(st.booleans()) else NO_HEAT,
    )


@st.composite
def budgeted(draw, /, **settings):
    """The same with a budget that can be kept and that decides something."""
    toy = draw(toys(**settings)).budgeted(draw(st.floats(0.0, 1.0)))
    try:
        toy.schedule()
    except UserError:  # fixed residents leave no room for what the loader must have besides
        assume(False)
    return toy


@settings(max_examples=300)
@given(st.one_of(toys(), budgeted()))
def test_the_recurrence_equals_the_engine(toy):
    outcome, finish = toy.play(is_limited=False), toy.finish()
    assert finish.total_s == pytest.approx(outcome.total_s, rel=1e-9, abs=1e-9)
    assert finish.peak_bytes == outcome.peak_bytes


@given(toys(heats=False))
def test_every_total_lies_between_its_bounds(toy):
    schedule, costs = toy.schedule()
    bounds = bounds_of(schedule, costs)
    total = toy.finish().total_s
    assert bounds.lower_s <= total * (1 + 1e-9) + 1e-9
    assert total <= bounds.sequential_s * (1 + 1e-9) + 1e-9


@given(toys())
def test_spans_follow_each_other_on_every_lane_and_never_go_back(toy):
    spans = toy.play(is_limited=False).spans
    last: dict[str, float] = {}
    for span in spans:
        lane = "load" if span.action == "load" else "run"
        assert 0 <= span.start_s <= span.end_s
        assert span.start_s >= last.get(lane, 0.0)
        last[lane] = span.end_s


def held_before(toy):
    """The packages that are in memory before the first second."""
    schedule, _ = toy.schedule()
    blocks = [block for block, held in zip(schedule.blocks, schedule.columns.is_held, strict=True) if held]
    return {(block.name, block.variant if toy.tdtm.packages == "separate" else "") for block in blocks}


@given(toys())
def test_no_block_runs_before_it_is_loaded_nor_after_it_is_evicted(toy):
    """Variants that share a package are loaded and evicted as one."""
    resident = held_before(toy)
    for span in toy.play(is_limited=False).spans:
        key = (span.block, span.variant if toy.tdtm.packages == "separate" else "")
        if span.action == "load":
            assert key not in resident
            resident.add(key)
        elif span.action == "run":
            assert key in resident
        else:
            resident.remove(key)


def packages_of(schedule):
    """For each block, whether it is the first with its package."""
    is_separate = schedule.plan.tdtm.packages == "separate"
    packages = [block.package(is_separate) for block in schedule.blocks]
    return [packages.index(package) == number for number, package in enumerate(packages)]


@given(toys())
def test_the_ledger_is_never_negative_and_ends_with_what_stays(toy):
    outcome = toy.play(is_limited=False)
    for sample in outcome.memory:
        assert min(sample.resident, sample.loading, sample.working, sample.residual) >= 0
    last = outcome.memory[-1]
    schedule, costs = toy.schedule()
    stays = sum(size for size, number in zip(costs.resident_bytes, packages_of(schedule), strict=True) if number)
    assert (last.resident, last.loading, last.working) == (stays if toy.keep == "always" else 0, 0, 0)


@given(budgeted())
def test_a_budget_is_never_exceeded(toy):
    schedule, _ = toy.schedule()
    assert toy.play(is_limited=False).peak_bytes <= schedule.needed_bytes <= toy.budget


@given(toys(), st.floats(0.0, 1.0, exclude_max=True))
def test_a_plan_below_its_smallest_budget_is_refused(toy, share):
    """One block at a time, nothing kept: less than that no plan of these blocks can do with."""
    alone = toy.with_(prefetch=0, keep="none")
    least = alone.schedule()[0].needed_bytes
    alone.with_(budget=least).schedule()
    with pytest.raises(UserError, match="more than the budget of"):
        toy.with_(budget=int(share * least)).schedule()


@given(toys())
def test_what_is_needed_bounds_what_is_used(toy):
    schedule, _ = toy.schedule()
    assert toy.play(is_limited=False).peak_bytes <= schedule.needed_bytes


def test_what_packages_leave_behind_is_needed_after_the_last_visit_too():
    """Each of two blocks holds 100 bytes and leaves 150: more than the second one took while it ran."""
    toy = Toy(blocks=2, size=100, working=10, residual=1.5)
    assert toy.play(is_limited=False).peak_bytes == toy.schedule()[0].needed_bytes == 300
    with pytest.raises(UserError, match="more than the budget of"):
        toy.with_(budget=299).schedule()


@given(toys(interference=False, heats=False), st.floats(0.1, 1.0))
def test_faster_loading_is_never_slower(toy, factor):
    faster = toy.with_(load_s=toy.load_s * factor, cold_s=toy.cold_s * factor)
    assert faster.finish().total_s <= toy.finish().total_s + 1e-9


@given(toys(), st.integers(0, 8))
def test_more_residents_never_reload_more_bytes(toy, kept):
    kept = min(kept, toy.blocks)
    fewer = toy.with_(keep=max(0, kept - 1), prefetch=1)
    more = toy.with_(keep=kept, prefetch=1)
    assert loaded_bytes(more) <= loaded_bytes(fewer)


@given(st.integers(2, 8), st.integers(2, 8), st.integers(0, 3), st.integers(0, 8))
def test_beladys_residents_reload_no_more_than_the_papers(blocks, steps, prefetch, room):
    """Equal blocks, and a budget for up to eight more than one at a time: for those Belady's MIN is optimal."""
    toy = Toy(blocks=blocks, steps=steps, prefetch=prefetch, size=100, working=10, budget=110 + 100 * room)
    assert loaded_bytes(toy.with_(keep="belady")) <= loaded_bytes(toy.with_(keep="paper"))


def test_beladys_residents_reload_fewer_where_the_papers_leave_room_idle():
    """Four blocks, room for three, window of one: the paper keeps one; MIN holds three, whichever come next."""
    toy = Toy(blocks=4, steps=4, prefetch=1, size=100, working=10, budget=310)
    assert loaded_bytes(toy.with_(keep="belady")) < loaded_bytes(toy.with_(keep="paper")) < loaded_bytes(toy)


@given(toys(interference=False, heats=False))
def test_peaks_grow_with_what_is_held(toy):
    toy = toy.with_(residual=0.0, transient=0.0)
    alone = toy.with_(prefetch=0, keep="none").play(is_limited=False).peak_bytes
    ahead = toy.with_(prefetch=1, keep="none").play(is_limited=False).peak_bytes
    everything = toy.with_(prefetch=1, keep=toy.blocks).play(is_limited=False).peak_bytes
    assert alone <= ahead <= everything


def loaded_bytes(toy):
    schedule, costs = toy.schedule()
    return sum(costs.stored_bytes[visit.block] for visit in schedule.visits if visit.loads)


@given(
    st.integers(2, 6),
    st.integers(5, 40),
    seconds,
    seconds,
    rates,
    rates,
    st.sampled_from([0, 1, 2, 3]),
    st.integers(0, 3),
)
def test_passes_that_are_not_replayed_end_when_the_engine_says(
    blocks, steps, load_s, run_s, load_rate, run_rate, window, kept
):
    toy = Toy(
        blocks=blocks, steps=steps, load_s=load_s, run_s=run_s, load_rate=load_rate, run_rate=run_rate, prefetch=window,
        keep=min(kept, blocks),
    )  # fmt: skip
    ends = {}
    for span in toy.play().spans:
        if span.action != "load":
            ends[span.step] = span.end_s
    assert [finish for _, _, finish in toy.finish().passes] == pytest.approx(list(ends.values()), rel=1e-9, abs=1e-9)


@given(st.one_of(toys(heats=False), budgeted(heats=False)))
def test_variants_that_share_packages_are_loaded_as_if_there_were_one(toy):
    """TDTM changes no load, gate or eviction of a plan with shared packages, nor what is left behind."""
    plain = toy.with_(tdtm=Tdtm())
    merged = plain.with_(tdtm=Tdtm(steps=FirstSteps(1), packages="shared")).schedule()[0]
    moves = [
        [(visit.loads, visit.cold, visit.gate, visit.evicts, visit.leaves) for visit in schedule.visits]
        for schedule in (merged, plain.schedule()[0])
    ]
    assert moves[0] == moves[1]
    assert sum(visit.cold for visit in merged.visits) == (toy.blocks if toy.start == "first" else 0)
