"""What is loaded, kept and evicted when: decided before the run, within the budget or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.rows import Part, Row

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import FirstSteps, Lpl, Tdtm


def loads(toy):
    """(step, block) of every load."""
    schedule, _ = toy.schedule()
    return [(visit.step, schedule.blocks[visit.block].name) for visit in schedule.visits if visit.loads]


def test_without_residents_every_visit_loads(toy):
    assert len(loads(toy.with_(steps=3))) == 9


def test_a_number_keeps_the_first_blocks(toy):
    assert loads(toy.with_(steps=2, keep=2))[3:] == [(1, "b2")]


def test_a_list_keeps_the_blocks_it_names(toy):
    assert loads(toy.with_(steps=2, keep=("b1",)))[3:] == [(1, "b0"), (1, "b2")]


def test_residents_are_evicted_after_their_last_visit(toy):
    schedule, _ = toy.with_(steps=2, keep=3).schedule()
    assert [visit.evicts for visit in schedule.visits] == [False] * 3 + [True] * 3


def test_the_papers_policy_keeps_what_the_first_step_leaves_free(toy):
    """The first step needs two blocks and working memory, 210 bytes; 250 more hold two blocks."""
    kept = toy.with_(steps=2, prefetch=1, keep="paper", limit=460)
    assert loads(kept)[3:] == [(1, "b2")]


def test_the_apps_policy_keeps_by_its_170_mb_rule(toy):
    """1500 MB are free and 180 needed beside block 1: kept while free > 690, at 1500, 1330, 1160, 990 and 820."""
    app = toy.with_(blocks=12, steps=2, size=170_000_000, working=10_000_000, limit=1_500_000_000, keep="app")
    second_step = [block for step, block in loads(app) if step == 1]
    assert second_step == ["b0", "b6", "b7", "b8", "b9", "b10", "b11"]


def test_the_app_releases_everything_where_lpl_would_leap(toy):
    app = toy.with_(blocks=4, steps=18, keep="app", limit=2_000_000_000)
    assert (15, "b1") not in loads(app)
    assert (16, "b1") in loads(app)
    assert (17, "b1") not in loads(app)
    assert (16, "b1") not in loads(app.with_(lpl=Lpl(mode="fixed", leap_step=17)))


def test_the_app_overlaps_neither_the_first_step_nor_the_ends_of_a_pass(toy):
    schedule, _ = toy.with_(blocks=4, steps=2, prefetch="app").schedule()
    ahead = [index - 1 - visit.gate for index, visit in enumerate(schedule.visits)]
    assert ahead == [0, 0, 0, 0, 0, 0, 1, 0]


def test_belady_fills_the_budget_with_residents(toy):
    """Room for three of four blocks walked in a circle: MIN misses every third visit after the first step."""
    kept = toy.with_(blocks=4, steps=3, prefetch=1, keep="belady", budget=310)
    assert len(loads(kept.with_(keep="none"))) == 12
    assert len(loads(kept)) == 4 + 4


def test_a_budget_holds_prefetching_back_before_it_is_crossed(toy):
    roomy, _ = toy.with_(prefetch=1, budget=210).schedule()
    tight, _ = toy.with_(prefetch=1, budget=209).schedule()
    assert [visit.gate for visit in roomy.visits] == [-1, -1, 0]
    assert [visit.gate for visit in tight.visits] == [-1, 0, 1]


def test_a_budget_that_cannot_be_kept_names_block_and_bytes(toy):
    with pytest.raises(UserError, match=r"block 'b1' of denoiser needs 310 B .* 10 B more than the budget of 300 B"):
        toy.with_(sizes=(100, 300, 100), budget=300).schedule()


def test_fixed_residents_that_do_not_fit_are_refused(toy):
    with pytest.raises(UserError, match="200 B kept resident"):
        toy.with_(steps=2, keep=3, budget=250).schedule()


def test_a_block_needed_again_within_the_window_is_not_loaded_twice(toy):
    single = toy.with_(blocks=1, steps=3, prefetch=1)
    assert loads(single) == [(0, "b0")]


def test_a_block_held_by_a_window_alone_is_given_up_to_the_budget():
    """Beside a0's run, 250 bytes, 20 are free: neither block is held until its next visit, which the window reaches."""
    row = Row((Part((100, 100), (2.0, 2.0), (3.0, 3.0), working=(150, 40), prefetch=2),), steps=2)
    assert list(row.with_(budget=350).gates()) == [(0, "a0"), (0, "a1")]
    assert list(row.with_(budget=270).gates()) == [(0, "a0"), (0, "a1"), (1, "a0"), (1, "a1")]


def test_variants_in_two_packages_are_cold_twice_and_in_one_once(toy):
    def cold_loads(packages):
        merged = toy.with_(steps=2, tdtm=Tdtm(steps=FirstSteps(1), packages=packages))
        return sum(visit.cold for visit in merged.schedule()[0].visits)

    assert cold_loads("separate") == 6
    assert cold_loads("shared") == 3


def test_the_other_variant_of_a_resident_package_needs_no_load(toy):
    def later_loads(packages):
        merged = toy.with_(steps=3, keep=2, tdtm=Tdtm(steps=(1,), packages=packages))
        return loads(merged)[3:]

    assert later_loads("shared") == [(1, "b2"), (2, "b2")]
    assert later_loads("separate") == [(1, "b0"), (1, "b1"), (1, "b2"), (2, "b2")]


def test_gates_lie_before_their_visits_so_that_nothing_can_deadlock(toy):
    schedule, _ = toy.with_(blocks=5, steps=4, prefetch=3, keep="belady", budget=410).schedule()
    assert all(visit.gate < index for index, visit in enumerate(schedule.visits))


def test_fixed_leap_ends_after_the_leap_step(toy):
    schedule, _ = toy.with_(steps=10, lpl=Lpl(mode="fixed", leap_step=3)).schedule()
    assert {visit.step for visit in schedule.visits} == {0, 1, 2, 3}


def test_a_window_opens_no_load_but_its_own():
    """The decoder may load three visits ahead, the denoiser not at all: b0 and b1 wait for the loads before them."""
    row = Row((Part.equal(3, prefetch=0), Part.equal(2, prefetch=3, passes=1)), steps=2)
    assert set(row.gates().items()) == {
        *(((step, f"a{index}"), 0) for step in range(2) for index in range(3)), ((0, "b0"), 1), ((0, "b1"), 2),
    }  # fmt: skip


def test_blocks_that_are_kept_hold_no_later_load_up():
    """In the last step nothing of the denoiser is loaded but a0: b0 may be right after, three visits ahead."""
    row = Row((Part.equal(3, prefetch=0, keep=("a1", "a2")), Part.equal(1, prefetch=3, passes=1)), steps=2)
    assert row.gates()[(1, "a0")] == 0
    assert row.gates()[(0, "b0")] == 3
    assert row.with_(budget=409).gates()[(0, "b0")] == 2


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=3),
    st.integers(1, 4),
)
def test_no_load_begins_before_its_own_window_says(parts, steps):
    row = Row(tuple(Part.equal(n, prefetch=window, keep=min(kept, n)) for n, window, kept in parts), steps=steps)
    windows = dict(zip(row.names, [window for _, window, _ in parts], strict=True))
    for (_, block), ahead in row.gates().items():
        assert ahead <= windows[block[0]]
