"""`keep: optimal` is what it says, against every plan that could have been written instead."""

import random
from itertools import combinations, product

import pytest
from worlds.rows import Part, Row, random_row

from ondevice_sora.base.compiled import has_compiler
from ondevice_sora.plans.optimal import choice, question
from ondevice_sora.plans.schema import Lpl, Sampler, Tdtm
from ondevice_sora.simulator.changes.change import loading
from ondevice_sora.simulator.prepare import load_inputs, prepare
from ondevice_sora.simulator.scheduled import to_play

needs_numba = pytest.mark.skipif(not has_compiler(), reason="numba is not installed")
ROUNDING = 1 + 1e-9


def optimal(row):
    return row.keeping(*["optimal"] * len(row.parts))


def prefixes(row):
    """With every number of blocks kept from the first of each component, and with the paper's."""
    for keeps in product(*(range(len(part.sizes) + 1) for part in row.parts)):
        yield row.keeping(*keeps)
    yield row.keeping(*["paper"] * len(row.parts))


def lists(row):
    """With every set of blocks kept."""
    sets = []
    for name, part in zip(row.names, row.parts, strict=True):
        blocks = [f"{name}{index}" for index in range(len(part.sizes))]
        sets.append([kept or "none" for many in range(len(blocks) + 1) for kept in combinations(blocks, many)])
    for keeps in product(*sets):
        yield row.keeping(*keeps)


def assert_none_is_better(row, others):
    """None that can be kept is faster, nor as fast with fewer bytes loaded."""
    seconds, loaded = optimal(row).comes_to()
    for other in others:
        if (found := other.comes_to()) is not None:
            assert seconds <= found[0] * ROUNDING, other
            assert loaded <= found[1] or seconds < found[0] / ROUNDING, other


def assert_more_is_never_slower(rows):
    times = [optimal(row).comes_to()[0] for row in rows]
    for row, before, after in zip(rows[1:], times, times[1:], strict=False):
        assert after <= before * ROUNDING, row


@pytest.mark.parametrize("seed", range(15))
def test_no_prefix_and_no_list_is_better(seed):
    row = random_row(random.Random(seed), most_blocks=4)
    assert_none_is_better(row, [*prefixes(row), *lists(row)])


@pytest.mark.parametrize("seed", range(15))
def test_more_budget_or_more_window_is_never_slower(seed):
    row = random_row(random.Random(seed), most_blocks=4)
    draw = random.Random(seed)
    least, most = row.bounds
    budgets = sorted([row.budget, most, *(draw.randint(least, most) for _ in range(3))])
    assert_more_is_never_slower([row.with_(budget=budget) for budget in budgets])
    assert_more_is_never_slower([row.loading(*[window] * len(row.parts)) for window in range(5)])


@pytest.mark.exhaustive
def test_the_same_of_five_hundred_plans():
    for seed in range(1000, 1500):
        row = random_row(random.Random(seed), most_blocks=5)
        assert_none_is_better(row, [*prefixes(row), *lists(row)])
        least, most = row.bounds
        draw = random.Random(seed)
        budgets = sorted([row.budget, most, *(draw.randint(least, most) for _ in range(3))])
        assert_more_is_never_slower([row.with_(budget=budget) for budget in budgets])
        assert_more_is_never_slower([row.loading(*[window] * len(row.parts)) for window in range(5)])


def test_the_smallest_block_that_makes_room_is_let_go():
    """3 bytes are missing beside a0's run. Belady's MIN gives up what comes last, however large; a3's 20 bytes do."""
    sizes = (80, 80, 40, 20, 40, 320)
    part = Part(sizes, tuple(0.1 + size / 100 for size in sizes), (1.0,) * 6, (20, 0, 0, 4, 20, 0))
    row = Row((part,), steps=6, budget=597)
    assert optimal(row).comes_to() == row.keeping(("a0", "a1", "a2", "a4", "a5")).comes_to()
    assert optimal(row).comes_to()[1] == 580 + 5 * 20
    assert row.keeping("belady").comes_to()[1] > 2_000


def test_without_prices_it_loads_the_fewest_bytes():
    """As where a plan is exported: nothing is known of seconds."""
    row = random_row(random.Random(5), most_blocks=4)
    free = row.with_(
        parts=tuple(part.with_(load_s=(0.0,) * len(part.sizes), run_s=(0.0,) * len(part.sizes)) for part in row.parts)
    )
    fewest = min(found[1] for other in lists(free) if (found := other.comes_to()) is not None)
    assert optimal(free).comes_to()[1] <= fewest


def test_many_blocks_and_a_long_generation_lose_to_no_prefix():
    """Too many sets to play each, and too many visits to play each whole."""
    draw = random.Random(3)
    sizes = tuple(draw.randint(50, 150) for _ in range(14))
    part = Part(sizes, tuple(size / 50 for size in sizes), tuple(draw.uniform(0.5, 4.0) for _ in sizes), prefetch=2)
    other = Part.equal(10, passes=20, prefetch=1)
    row = Row((part, other), steps=40, load_rate=0.8, run_rate=0.7)
    for budget in (400, 700, 1_000, 1_300):
        held = row.with_(budget=budget)
        seconds, _ = optimal(held).comes_to()
        rest = [held.keeping(many, "optimal") for many in range(15)]
        rest += [held.keeping("optimal", many) for many in range(11)]
        rest += [held.keeping("belady", "belady"), held.keeping("paper", "paper")]
        assert all(seconds <= found[0] * ROUNDING for each in rest if (found := each.comes_to()) is not None)


@pytest.mark.parametrize("name", ["ours-192", "ours-256"])
def test_the_ready_plans_are_as_fast_as_with_any_rule(name):
    loaded, setting = load_inputs(name)
    ours = prepare(loaded, setting)

    def seconds(keep):
        return ours.changed(loading(ours, ["denoiser"], keep=keep)).finish().total_s

    assert ours.finish().total_s <= min(map(seconds, ["none", "paper", "belady", *range(11)])) * ROUNDING


def test_what_is_chosen_is_the_same_however_early_a_generation_ends():
    loaded, setting = load_inputs("ours-256")
    dynamic = Lpl(mode="dynamic", stop_steps={10: 0.4, 15: 0.6})
    prepared = prepare(loaded.changed(lpl=dynamic, sampler=Sampler(steps=30)), setting)
    chosen = [other.schedule.chosen for _, other in prepared.outcomes()]
    assert chosen == [prepared.schedule.chosen] * 2
    assert [other.num_evaluations for _, other in prepared.outcomes()] == [11, 16]


def test_what_is_chosen_fits_however_late_a_generation_ends():
    """With a package of its own, the variant of the first step is kept for the third only where there is one."""
    loaded, setting = load_inputs("ours-256")
    plan = loaded.changed(
        sampler=Sampler(steps=4),
        lpl=Lpl(mode="dynamic", stop_steps={1: 0.6, 3: 0.4}),
        tdtm=Tdtm(steps=(0, 2), packages="separate"),
    )
    prepared = prepare(plan, setting)
    assert [other.num_evaluations for _, other in prepared.outcomes()] == [2, 4]
    assert to_play(prepared.plan, prepared.described, setting).num_evaluations == 4


def test_without_a_budget_it_fills_what_is_available_and_no_more():
    row = Row((Part.equal(4, prefetch=1),), steps=5)
    assert optimal(row.with_(limit=420)).comes_to()[1] == 400
    tight = optimal(row.with_(limit=310))
    assert tight.schedule()[0].needed_bytes <= 310
    assert 400 < tight.comes_to()[1] < row.comes_to()[1]


@needs_numba
def test_compiled_or_not_the_same_is_chosen(monkeypatch):
    for seed in range(8):
        row = optimal(random_row(random.Random(seed), most_blocks=3))
        found = []
        for is_compiled in (True, False):
            monkeypatch.setattr(question, "pays", lambda seconds, answer=is_compiled: answer)
            found.append(row.schedule()[0].chosen)
        assert found[0] == found[1]


@needs_numba
def test_a_choice_that_takes_long_goes_on_compiled_and_comes_to_the_same(monkeypatch):
    """A wide window makes so many candidates that simulating a plan and its changes took minutes."""
    row = optimal(random_row(random.Random(5), most_blocks=3))
    monkeypatch.setattr(question, "pays", lambda seconds: False)
    wanted = row.schedule()[0].chosen
    asked = []

    def pays(seconds):
        asked.append(seconds)
        return len(asked) > 20

    monkeypatch.setattr(question, "pays", pays)
    assert row.schedule()[0].chosen == wanted
    assert asked[1:] == sorted(asked[1:])
    assert len(asked) == 21


def test_the_work_is_bounded(monkeypatch):
    """However many candidates there are: what is chosen then is the best of those that were played."""
    monkeypatch.setattr(choice, "WORK", 1_000)
    row = random_row(random.Random(7), most_blocks=5)
    assert optimal(row).comes_to() is not None
