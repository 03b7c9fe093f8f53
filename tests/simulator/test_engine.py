"""The engine plays a schedule as one can by hand."""

from dataclasses import replace
from itertools import pairwise

import pytest

from ondevice_sora.plans.heat import Heat
from ondevice_sora.plans.schema import FirstSteps, Packages, Tdtm
from ondevice_sora.simulator.engine import play


def test_sequential_plan_never_overlaps(toy):
    assert toy.spans() == [
        ("load", "b0", 0, 2), ("run", "b0", 2, 5),
        ("load", "b1", 5, 7), ("run", "b1", 7, 10),
        ("load", "b2", 10, 12), ("run", "b2", 12, 15),
    ]  # fmt: skip


def test_prefetch_hides_load_behind_run(toy):
    assert toy.with_(prefetch=1).spans() == [
        ("load", "b0", 0, 2), ("load", "b1", 2, 4), ("run", "b0", 2, 5),
        ("load", "b2", 5, 7), ("run", "b1", 5, 8), ("run", "b2", 8, 11),
    ]  # fmt: skip


def test_prefetch_runs_across_step_boundaries(toy):
    spans = toy.with_(prefetch=1, steps=2).spans()
    second_step = [span for span in spans if span[1] == "b0"][2:]
    assert second_step == [("load", "b0", 8, 10), ("run", "b0", 11, 14)]


def test_a_window_of_two_loads_two_visits_ahead(toy):
    assert toy.with_(prefetch=2).spans()[:4] == [
        ("load", "b0", 0, 2), ("load", "b1", 2, 4), ("run", "b0", 2, 5), ("load", "b2", 4, 6),
    ]  # fmt: skip


def test_kept_blocks_are_loaded_once(toy):
    spans = toy.with_(steps=2, keep=3).spans()
    assert spans[-3:] == [("run", "b0", 15, 18), ("run", "b1", 18, 21), ("run", "b2", 21, 24)]
    assert sum(span[0] == "load" for span in spans) == 3


def test_the_devices_first_load_is_cold_and_every_load_has_a_first_run(toy):
    spans = toy.with_(blocks=1, steps=2, cold_s=7.0, first_run_s=4.0).spans()
    assert spans == [("load", "b0", 0, 7), ("run", "b0", 7, 11), ("load", "b0", 11, 13), ("run", "b0", 13, 17)]


def test_what_is_kept_has_one_first_run(toy):
    spans = toy.with_(blocks=1, steps=2, keep=1, first_run_s=4.0).spans()
    assert spans == [("load", "b0", 0, 2), ("run", "b0", 2, 6), ("run", "b0", 6, 9)]


def test_packages_that_are_specialised_already_load_as_later_ones(toy):
    spans = toy.with_(blocks=1, steps=2, cold_s=7.0, first_run_s=4.0, start="cached").spans()
    assert spans == [("load", "b0", 0, 2), ("run", "b0", 2, 6), ("load", "b0", 6, 8), ("run", "b0", 8, 12)]


def test_what_stays_from_the_generation_before_neither_loads_nor_runs_for_the_first_time(toy):
    stays = toy.with_(blocks=1, steps=2, cold_s=7.0, first_run_s=4.0, keep="always")
    assert stays.spans() == [("load", "b0", 0, 7), ("run", "b0", 7, 11), ("run", "b0", 11, 14)]
    assert stays.with_(start="loaded").spans() == [("run", "b0", 0, 3), ("run", "b0", 3, 6)]


def test_what_stays_is_charged_from_the_first_second_and_is_never_evicted(toy):
    outcome = toy.with_(blocks=2, keep="always", start="loaded").play()
    assert [(s.time_s, s.resident, s.working) for s in outcome.memory] == [(0, 200, 10), (3, 200, 10), (6, 200, 0)]
    assert {span.action for span in outcome.spans} == {"run"}


def test_what_unloaded_blocks_left_behind_is_there_in_the_next_generation(toy):
    outcome = toy.with_(blocks=2, residual=0.5, start="loaded").play()
    assert {sample.residual for sample in outcome.memory} == {100}


def test_what_stays_may_be_over_the_limit_before_anything_runs(toy):
    kill = toy.with_(keep="always", start="loaded", limit=299).play().kill
    assert (kill.time_s, kill.action, kill.block, kill.footprint_bytes) == (0, "run", "b0", 310)


def test_eviction_takes_the_runners_time(toy):
    spans = toy.with_(blocks=2, unload_s=0.5).spans()
    assert spans[-1] == ("run", "b1", 7.5, 10.5)


def test_loading_and_running_slow_each_other_only_while_both_go_on(toy):
    """b1's 2 s of loading at half speed take 4 s; b0's run has done 2 of its 3 s by then and ends at 7 s."""
    spans = toy.with_(blocks=2, prefetch=1, load_rate=0.5, run_rate=0.5).spans()
    assert spans == [("load", "b0", 0, 2), ("load", "b1", 2, 6), ("run", "b0", 2, 7), ("run", "b1", 7, 10)]


def test_heat_slows_later_runs_to_the_floor(toy):
    hot = toy.with_(blocks=1, steps=60, keep=1, run_s=10.0, heat=Heat(True, floor=0.5, time_constant_s=20.0))
    runs = [end - start for action, _, start, end in hot.spans() if action == "run"]
    assert 10.0 < runs[0] < 12.0
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(runs))
    assert runs[-1] == pytest.approx(20.0, rel=1e-9)


def test_memory_is_charged_while_loading_and_working_memory_while_running(toy):
    samples = [(s.time_s, s.resident, s.loading, s.working) for s in toy.with_(blocks=1).play().memory]
    assert samples == [(0, 0, 100, 0), (2, 100, 0, 10), (5, 0, 0, 0)]


def test_a_load_in_progress_may_hold_more_than_the_block(toy):
    outcome = toy.with_(blocks=1, transient=0.5).play()
    assert [s.loading for s in outcome.memory] == [150, 0, 0]
    assert outcome.peak_bytes == 150


def test_residual_memory_stays_after_the_first_unload_only(toy):
    outcome = toy.with_(blocks=2, steps=2, residual=0.2).play()
    assert outcome.memory[-1].residual == 40
    assert outcome.memory[-1].total == 40


def test_residual_memory_counts_by_package_not_by_variant(toy):
    """Two blocks in both variants: packages that they share leave 20 bytes each, those they do not 20 for either."""
    cases: list[tuple[Packages, int, int]] = [("shared", 40, 150), ("separate", 80, 170)]
    for packages, left, peak in cases:
        merged = toy.with_(blocks=2, steps=2, residual=0.2, tdtm=Tdtm(steps=FirstSteps(1), packages=packages))
        assert merged.play().memory[-1].residual == left
        assert merged.play().peak_bytes == merged.finish().peak_bytes == merged.schedule()[0].needed_bytes == peak


def test_crossing_the_limit_ends_the_generation_with_block_and_moment(toy):
    outcome = toy.with_(prefetch=1, limit=205, baseline=1).play()
    kill = outcome.kill
    assert kill is not None
    assert (kill.time_s, kill.action, kill.block, kill.footprint_bytes) == (2, "run", "b0", 211)
    assert max(span.end_s for span in outcome.spans) == 2


def test_what_is_under_way_breaks_off_at_the_kill(toy):
    outcome = toy.with_(prefetch=2, sizes=(100, 100, 500), limit=600).play()
    assert outcome.kill is not None
    assert outcome.kill.time_s == 4
    assert ("run", "b0", 2, 4) in [(s.action, s.block, s.start_s, s.end_s) for s in outcome.spans]


def test_the_loader_and_the_runner_may_meet_the_limit_in_the_same_moment(toy):
    """Load of b0 has ended: its run and the load of b1 both charge at 2 s, and either is too much."""
    outcome = toy.with_(prefetch=2, limit=105).play()
    kill = outcome.kill
    assert kill is not None
    assert (kill.time_s, kill.action, kill.block, kill.footprint_bytes) == (2, "load", "b1", 200)
    assert outcome.memory[-1].total == 200
    assert [(s.action, s.block, s.start_s, s.end_s) for s in outcome.spans] == [("load", "b0", 0, 2)]


def test_without_a_limit_the_same_plan_shows_what_it_would_need(toy):
    unlimited = toy.with_(prefetch=1, limit=205, baseline=1)
    assert unlimited.play(is_limited=False).kill is None
    assert unlimited.play(is_limited=False).peak_bytes == 211


def test_same_input_gives_the_same_trace(toy):
    one = toy.with_(steps=4, prefetch=2, load_rate=0.7, run_rate=0.6)
    assert one.play().spans == one.play().spans
    assert one.play().memory == one.play().memory


def test_what_goes_wrong_in_a_run_ends_no_simulation_as_if_it_were_done(toy):
    """The runner died of a ledger that gives back more than it holds, and the time so far was told as the total."""
    toy = toy.with_(steps=2, tdtm=Tdtm(steps=FirstSteps(1)), keep=1)
    schedule, costs = toy.schedule()
    odd = replace(costs, resident_bytes=tuple(100 if b.variant == "tdtm" else 120 for b in schedule.blocks))
    with pytest.raises(AssertionError, match="more given back than held"):
        play(schedule, odd, toy.machine)
