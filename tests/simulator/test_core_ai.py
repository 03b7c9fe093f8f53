"""Plans that Core AI loads: clean pages are mapped and not charged, in every engine and answer alike."""

import random
from dataclasses import replace as with_fields

import pytest
from msgspec.structs import replace
from worlds.brute_force import brute_force
from worlds.costs import with_clean_room
from worlds.instances import instance, played_candidates

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.records.ladder import Rung
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.fast import finish
from ondevice_sora.simulator.ladder import ladder, simulated
from ondevice_sora.simulator.prepare import load_inputs
from ondevice_sora.simulator.search.search import search
from ondevice_sora.simulator.simulate import simulation_of

MODEL = """
name: pair
source: made up
components:
  - name: denoiser
    passes: steps
    units:
      - {name: a, parameters: 100_000_000, plain: {matmul_flops: 2e11, working_elements: 10_000_000}}
      - {name: b, parameters: 150_000_000, plain: {matmul_flops: 2e11, working_elements: 30_000_000}}
"""
PLAN = "{name: pair, model: pair.yaml, sampler: {steps: 3}, components: {denoiser: {blocks: unit, precision: float16"
A, B, WORKING = 200_000_000, 300_000_000, 60_000_000
BASELINE = 150_000_000


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "pair.yaml").write_text(MODEL)

    def read(settings="loading: core_ai"):
        path = tmp_path / "plan.yaml"
        path.write_text(f"{PLAN}, {settings}}}}}}}\n")
        return load_plan(str(path))

    return read


def simulated_on(loaded, device="iphone15pro", room=None, **settings):
    _, setting = load_inputs(loaded, device, **settings)
    return simulation_of(loaded, setting if room is None else with_clean_room(setting, room))


@pytest.mark.parametrize(
    ("settings", "peak", "clean"),
    [
        ("loading: core_ml, prefetch: 0", BASELINE + B + WORKING, 0),
        ("loading: core_ai, prefetch: 0", BASELINE + WORKING, B),
        ("loading: core_ai, prefetch: 1", BASELINE + WORKING, A + B),
        ("loading: core_ai, keep: 2", BASELINE + WORKING, A + B),
        ("loading: core_ai, compute_units: cpu_only, prefetch: 0", BASELINE + B + WORKING, 0),
        ("loading: core_ai, compute_units: cpu_and_ne, prefetch: 0", BASELINE + round(1.84 * B) + WORKING, 0),
    ],
)
def test_memory_is_what_it_is_by_hand(plan, settings, peak, clean):
    found = simulated_on(plan(settings))
    assert found.result.peak_bytes == found.trace.peak_bytes == found.prepared.finish().peak_bytes == peak
    assert max(sample.clean for sample in found.trace.memory) == clean
    assert found.trace.memory[-1].clean == 0


def test_what_stays_is_told_with_its_weights_and_takes_nothing_of_the_peak(plan):
    result = simulated_on(plan("loading: core_ai, keep: 2")).result
    (stays,) = result.residents
    assert (stays.always, stays.always_bytes) == (["a", "b"], A + B)
    assert sum(part.bytes for part in result.peak.parts) == result.peak_bytes == BASELINE + WORKING


def test_a_budget_holds_what_is_charged(plan):
    loaded = plan("loading: core_ai")
    tight = replace(loaded.plan, memory=replace(loaded.plan.memory, budget=BASELINE + WORKING))
    _, setting = load_inputs(loaded)
    simulation_of(loaded.changed(memory=tight.memory), setting)
    with pytest.raises(UserError, match=r"needs 370 MB \(150 MB baseline, 200 MB weights, 20.0 MB working memory\)"):
        simulation_of(plan("loading: core_ml").changed(memory=tight.memory), setting)


def test_what_does_not_stay_is_read_again_unless_it_is_loaded_ahead(plan):
    """500 MB in 499 MB of room: with both kept, each later pass reads them during its runs, 500 MB / 1.45 GB/s."""
    kept = [simulated_on(plan("loading: core_ai, keep: 2"), room=room).result for room in (A + B, A + B - 1)]
    assert kept[1].total_s - kept[0].total_s == pytest.approx(2 * (A + B) / 1.45e9)
    ahead = simulated_on(plan("loading: core_ai, prefetch: 1"), room=A + B - 1).result
    assert ahead.total_s < kept[1].total_s


def test_a_block_larger_than_the_room_is_charged(plan):
    found = simulated_on(plan("loading: core_ai, prefetch: 0"), room=B - 1)
    assert found.result.peak_bytes == BASELINE + B + WORKING
    (told,) = [caution for caution in found.result.cautions if "taken to be charged" in caution]
    assert told.startswith("Block 'b' of denoiser is 300 MB")


def test_every_answer_says_what_it_assumes(plan):
    cautions = " ".join(simulated_on(plan("loading: core_ai, keep: 2")).result.cautions)
    assert "published observations of two iPhones, none made here" in cautions
    assert "Up to 500 MB are mapped so at once; with the footprint of that moment that is" in cautions
    assert "Not modelled: that iOS drops clean pages" in cautions
    assert "reads its weights from storage again" not in cautions
    assert "read" in " ".join(simulated_on(plan("loading: core_ai, keep: 2"), room=A + B - 1).result.cautions)
    assert "1.84 bytes for each stored" in " ".join(
        simulated_on(plan("loading: core_ai, compute_units: cpu_and_ne")).result.cautions
    )
    assert not simulated_on(plan("loading: core_ml")).result.cautions


@pytest.mark.parametrize(("device", "version"), [("iphone14", None), ("iphone15pro", "18.1"), ("iphone17pro", "26.4")])
def test_a_device_without_core_ai_refuses_it_with_one_message(plan, device, version):
    with pytest.raises(UserError, match="Core AI runs models compiled ahead of time on an A17 Pro") as refused:
        simulated_on(plan(), device, os_version=version)
    told = str(refused.value)
    assert "plan.yaml:1: components.denoiser.loading: " in told and "Write loading: core_ml" in told


def test_a_profile_without_its_figures_refuses_it(plan):
    loaded = plan()
    _, setting = load_inputs(loaded)
    bare = replace(setting.profile, costs=replace(setting.profile.costs, core_ai=None))
    with pytest.raises(UserError, match="profile iphone15pro has no figures for Core AI"):
        simulation_of(loaded, with_fields(setting, profile=bare))


def test_the_ladder_shows_it(plan):
    loaded = plan()
    devices = [load_inputs(loaded, key)[1].device for key in ("iphone14", "iphone15pro")]
    found = ladder("pair", devices, lambda device, rung: simulated(loaded, device.key, rung), ["a note"])
    (old, new, *_) = found.rungs
    assert isinstance(old, Rung) and old.verdict is None and "A17 Pro" in old.problem
    assert new.verdict == "fits" and new.peak_bytes == BASELINE + WORKING
    assert found.notes == ["a note"]


ROOMS = (0, 10**8, 3 * 10**8, 10**12)
"""Of clean pages: none, less than most blocks, less than most components, any amount."""


@pytest.mark.parametrize("room", ROOMS)
def test_the_recurrence_and_the_compiled_search_equal_the_engine(room, tmp_path):
    draw, played = random.Random(room), 0
    for seed in range(300, 312):
        problem = instance(seed, tmp_path, 4, clean_room=room)
        for found, schedule, costs, place in played_candidates(problem, draw, 5):
            outcome = play(schedule, costs, place.machine, is_limited=False)
            whole = finish(schedule, costs, place.machine)
            assert whole.total_s == pytest.approx(outcome.total_s, rel=1e-9)
            assert whole.peak_bytes == outcome.peak_bytes <= schedule.needed_bytes <= problem.budget
            assert found[:3] == (whole.total_s, whole.peak_bytes, schedule.needed_bytes)
            played += 1
    assert played > 20


@pytest.mark.parametrize("room", ROOMS)
def test_the_search_finds_the_best_of_all_plans_and_its_bound_holds(room, tmp_path):
    for seed in range(400, 406):
        problem = instance(seed, tmp_path, 4, clean_room=room)
        found = search(problem)
        assert found.best.score == pytest.approx(brute_force(problem), rel=1e-9), seed
        assert found.bound <= found.best.score * (1 + 1e-9)
        assert all(part.loading == "core_ai" for part in problem.parts)
