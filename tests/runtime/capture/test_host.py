"""A capture of blocks prices any partition of them: what it finds in traces is what they were made from."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.writing import write_yaml
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.schedule import MemoryModel, Schedule
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.plans.schema import ComponentPlan, Plan, Sampler, Tdtm, UnitsPerBlock
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.models.catalogue import listed_model
from ondevice_sora.profiles.pricing import price_blocks
from ondevice_sora.profiles.profile import Profile, load_profile, profile_data
from ondevice_sora.records.trace import Trace
from ondevice_sora.runtime.capture import host
from ondevice_sora.runtime.capture.conditions import BUSY, mismatches
from ondevice_sora.runtime.capture.host import KINDS, profile_of_trials
from ondevice_sora.runtime.capture.measured_run import Trial
from ondevice_sora.runtime.capture.plans import ALONE, BESIDE, KEPT, PROBE, capture_plan
from ondevice_sora.runtime.capture.subjects import StandIn, write_subject
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.store import MODEL, Store
from ondevice_sora.runtime.networks.stdit3 import LatentSize, STDiT3Config
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.machine import machine_of
from ondevice_sora.simulator.simulate import simulate

CONFIG = STDiT3Config(depth=2, hidden_size=32, num_heads=2, caption_channels=8, model_max_length=4)
FIXED_S, READ_BYTES_PER_S = 0.002, 4e6
LOAD_RATE, RUN_RATE = 0.8, 0.9
WORKING, BASELINE = 5_000, 70_000
LIMIT = 10**12


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_subject(tmp_path_factory.mktemp("store"), StandIn(CONFIG, LatentSize(2, 4, 4), 3), {})


def true_run_s(unit: str, variant: str) -> float:
    return 0.010 + 0.003 * (len(unit) % 4) - (0.004 if variant == "tdtm" else 0.0)


def truth(store: Store, captured: Profile) -> Profile:
    """The costs that the traces are made with: a machine's, in which every block is priced by its units."""
    figures = captured.costs.loads
    loads = msgspec.structs.replace(
        figures,
        load_fixed_s=figure(FIXED_S),
        read_bytes_per_s=figure(READ_BYTES_PER_S),
        specialise_fixed_s=figure(0.0),
        unload_s=figure(0.0005),
    )
    processor = msgspec.structs.replace(
        captured.costs.processors["cpu"],
        dispatch_s=figure(0.0), load_rate=figure(LOAD_RATE), run_rate=figure(RUN_RATE), first_run_s=figure(0.0),
    )  # fmt: skip
    costs = msgspec.structs.replace(
        captured.costs, loads=loads, processors={"cpu": processor}, baseline_bytes=figure(BASELINE)
    )
    runs = tuple(
        Measurement(
            model=store.manifest.model, component="denoiser", first_unit=m.first_unit, last_unit=m.last_unit,
            variant=m.variant, compute_units="cpu_only", run_s=figure(true_run_s(m.first_unit, m.variant)),
            working_bytes=figure(WORKING),
        )
        for m in captured.measurements
    )  # fmt: skip
    return msgspec.structs.replace(captured, costs=costs, measurements=runs)


def figure(value: float) -> Figure:
    return Figure(value, "measured", "made up")


def schedule_of(store: Store, plan: Plan, profile: Profile) -> tuple[Schedule, Any]:
    model = listed_model(MODEL, store.directory)[0]

    def priced(blocks: Any) -> Any:
        return price_blocks(blocks, profile.costs, profile.measurements)

    return build_schedule(plan, model, {}, priced, MemoryModel.of(profile.costs))


def total_s(store: Store, plan: Plan, profile: Profile) -> float:
    schedule, costs = schedule_of(store, plan, profile)
    return play(schedule, costs, machine_of(profile.costs, LIMIT)).total_s


def trial(store: Store, name: str, profile: Profile, slowness: float = 1.0, **changes: Any) -> Trial:
    """What the executor would have written, had it run on the machine of `profile`, so many times as slow."""
    if name == PROBE:
        measured = profile.measurements
        return Trial("", working_bytes=[("denoiser", m.first_unit, m.variant, WORKING) for m in measured])
    schedule, costs = schedule_of(store, capture_plan(store, name), profile)
    outcome = play(schedule, costs, machine_of(profile.costs, LIMIT))
    change = msgspec.structs.replace
    spans = [change(s, start_s=s.start_s * slowness, end_s=s.end_s * slowness) for s in outcome.spans]
    trace = Trace("measured", name, "host", "m", spans, outcome.memory, LIMIT)
    return Trial("", trace, added_bytes=schedule.needed_bytes, **changes)


@pytest.fixture(scope="module")
def profiles(store: Store) -> tuple[Profile, Profile]:
    """The true one and the one captured from traces that it makes."""
    # A first capture, of traces that take no time, lists the blocks and the figures that do not matter.
    blank = {name: [trial(store, name, nothing(store))] for name in KINDS}
    true = truth(store, profile_of_trials(store, blank, threads=1))
    trials = {name: [trial(store, name, true)] for name in KINDS}
    return true, profile_of_trials(store, trials, threads=1)


def nothing(store: Store) -> Profile:
    profile = load_profile("iphone15pro")[0]
    costs = msgspec.structs.replace(
        profile.costs,
        processors={"cpu": profile.costs.processors["gpu"]},
        loads=msgspec.structs.replace(profile.costs.loads, transient_share=figure(0.0), residual_share=figure(0.0)),
    )
    variants = [("input", "plain"), ("output", "plain")]
    variants += [(f"{kind}_{i}", v) for i in (0, 1) for kind in ("spatial", "temporal") for v in ("plain", "tdtm")]
    units = tuple(
        Measurement("m", "denoiser", unit, unit, variant=variant)  # type: ignore[arg-type]
        for unit, variant in variants
    )
    return msgspec.structs.replace(profile, costs=costs, measurements=units)


def test_what_made_the_traces_is_found_in_them(profiles: tuple[Profile, Profile]) -> None:
    found = profiles[1].costs
    assert found.loads.load_fixed_s.value == pytest.approx(FIXED_S, rel=1e-3)
    assert found.loads.read_bytes_per_s.value == pytest.approx(READ_BYTES_PER_S, rel=1e-3)
    assert found.processors["cpu"].load_rate.value == pytest.approx(LOAD_RATE, rel=1e-3)
    assert found.processors["cpu"].run_rate.value == pytest.approx(RUN_RATE, rel=1e-3)
    assert found.loads.unload_s.value == pytest.approx(0.0005, rel=1e-3)
    assert found.baseline_bytes.value == BASELINE


def test_every_variant_of_every_block_has_its_figures_and_samples(profiles: tuple[Profile, Profile]) -> None:
    measured = {(m.first_unit, m.variant): m for m in profiles[1].measurements}
    assert {unit for unit, variant in measured if variant == "tdtm"} == {
        "spatial_0", "temporal_0", "spatial_1", "temporal_1",
    }  # fmt: skip
    for (unit, variant), m in measured.items():
        assert m.run_s is not None and m.run_s.value == pytest.approx(true_run_s(unit, variant), rel=1e-3)
        assert m.working_bytes is not None and m.working_bytes.value == WORKING
        assert len(m.samples["run_s"]) >= 2
        assert ("load_warm_s" in m.samples) == (variant == "plain")


def captured(store: Store, true: Profile, *slowness: float, **changes: Any) -> Profile:
    """The profile of one round of trials for each slowness."""
    trials = {name: [trial(store, name, true, slow, **changes) for slow in slowness] for name in KINDS}
    return profile_of_trials(store, trials, threads=1)


def with_processor(true: Profile, **changes: Figure) -> Profile:
    processor = msgspec.structs.replace(true.costs.processors["cpu"], **changes)
    return msgspec.structs.replace(true, costs=msgspec.structs.replace(true.costs, processors={"cpu": processor}))


def test_first_runs_are_those_after_each_load(store: Store, profiles: tuple[Profile, Profile]) -> None:
    """Alone, every run follows a load; where blocks are kept, two runs of each variant do not."""
    found = captured(store, with_processor(profiles[0], first_run_s=figure(0.002)), 1.0)
    assert found.costs.processors["cpu"].first_run_s.value == pytest.approx(0.002, rel=1e-3)
    for m in found.measurements:
        assert m.first_run_s is not None and m.run_s is not None
        assert m.run_s.value == pytest.approx(true_run_s(m.first_unit, m.variant), rel=1e-3)
        assert m.first_run_s.value == pytest.approx(m.run_s.value + 0.002, rel=1e-3)
        assert len(m.samples["run_s"]) == (5 if m.first_unit in ("input", "output") else 2)


def test_noise_is_how_far_whole_runs_lie_from_what_their_blocks_come_to(
    store: Store, profiles: tuple[Profile, Profile]
) -> None:
    """Three kinds of run, each a tenth faster and slower than the middle one; the figures err by a third of that."""
    noise = captured(store, profiles[0], 0.9, 1.0, 1.1).noise
    assert noise is not None and noise.num_runs == 9 - 3 + 1
    deviation = (3 * (math.log(0.9) ** 2 + math.log(1.1) ** 2) / 6) ** 0.5
    assert noise.spread == pytest.approx(deviation * (1 + 1 / 3) ** 0.5, rel=1e-3)


def test_an_interval_holds_nine_of_ten_runs_of_a_machine_that_varies(
    store: Store, profiles: tuple[Profile, Profile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole runs differ by 8 %. Of thirty captures of four rounds, the share of such runs that each interval holds."""
    for name in ("matmul_flops_per_s", "copied_bytes_per_s"):
        monkeypatch.setattr(host, name, lambda: 1e12)
    random, true, varies = np.random.default_rng(20250204), profiles[0], NormalDist(0.0, 0.08)
    plan = LoadedPlan(capture_plan(store, ALONE))
    always_s = total_s(store, plan.plan, true)
    held = []
    for _ in range(30):
        slowness = {name: np.exp(varies.stdev * random.standard_normal(4)) for name in KINDS}
        trials = {name: [trial(store, name, true, float(slow)) for slow in slowness[name]] for name in KINDS}
        write_yaml(tmp_path / "host.yaml", profile_data(profile_of_trials(store, trials, threads=1)))
        interval = simulate(plan, str(tmp_path / "host.yaml")).result.interval_s
        assert interval is not None
        low, high = (varies.cdf(math.log(end / always_s)) for end in interval)
        held.append(high - low)
    assert np.mean(held) == pytest.approx(0.9, abs=0.05)


def test_one_round_says_nothing_of_how_much_runs_differ(profiles: tuple[Profile, Profile]) -> None:
    assert profiles[1].noise is None


def test_a_busy_machine_is_told(store: Store, profiles: tuple[Profile, Profile]) -> None:
    quiet = captured(store, profiles[0], 1.0, cpu_share=0.99, load_average=0.4)
    assert quiet.conditions["load average"] == "0.4 to 0.4"
    assert quiet.conditions["processor time of runs"] == "99 % of their time"
    assert BUSY not in quiet.conditions
    busy = captured(store, profiles[0], 1.0, cpu_share=0.55, load_average=1e3).conditions[BUSY]
    assert busy.startswith("This machine was busy: runs had a processor 55 % of their time and 1000.0 programs wanted")


def test_a_rate_that_nothing_can_have_is_assumed_and_told(store: Store, profiles: tuple[Profile, Profile]) -> None:
    found = captured(store, with_processor(profiles[0], run_rate=figure(0.05)), 1.0)
    rate = found.costs.processors["cpu"].run_rate
    assert (rate.value, rate.mark) == (0.5, "estimated")
    assert "came out at 0.05" in rate.source
    assert "runs beside loads came out at 0.05 of their speed alone" in found.conditions[BUSY]


def test_what_a_run_has_otherwise_than_the_capture_is_told() -> None:
    known = {"threads": "2", "loads": "direct"}
    assert mismatches(known, threads=2, is_direct=True) == []
    assert mismatches({}, threads=2, is_direct=False) == []
    assert mismatches(known, threads=1, is_direct=False) == [
        "was captured with threads: 2, and 1 run a block here",
        "was captured with direct reads, and these go through the page cache",
    ]


def test_kept_blocks_are_the_first_that_fit_in_a_quarter_of_the_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = store.manifest.blocks
    room = sum(block.data_bytes for block in blocks[:2])
    monkeypatch.setattr(footprint, "physical_bytes", lambda: 4 * room)
    kept = capture_plan(store, KEPT).components["denoiser"].keep
    assert isinstance(kept, tuple) and kept[:2] == tuple(block.first_unit for block in blocks[:2])
    assert capture_plan(store, BESIDE).components["denoiser"].keep == "none"


@pytest.mark.parametrize("blocks", [1, 2, 3, 6])
@pytest.mark.parametrize(("prefetch", "keep"), [(0, "none"), (1, "none"), (2, "optimal"), (1, 1)])
@pytest.mark.parametrize("tdtm", ["none", "all", (0, 2)])
def test_a_capture_of_units_prices_every_partition(
    store: Store, profiles: tuple[Profile, Profile], blocks: int, prefetch: int, keep: Any, tdtm: Any
) -> None:
    """True costs of a block of several units: one fixed part and all bytes, and the units' runs in a row."""
    component = ComponentPlan(
        blocks=UnitsPerBlock(blocks), compute_units="cpu_only", prefetch=prefetch, keep=keep
    )  # fmt: skip
    plan = Plan("any", "m", sampler=Sampler(3), tdtm=Tdtm(tdtm), components={"denoiser": component})
    true, captured = profiles
    assert total_s(store, plan, captured) == pytest.approx(total_s(store, plan, true), rel=2e-3)


def test_what_a_run_needs_is_what_was_measured(store: Store, profiles: tuple[Profile, Profile]) -> None:
    component = ComponentPlan(blocks=UnitsPerBlock(2), compute_units="cpu_only", prefetch=0)
    plan = Plan("any", "m", sampler=Sampler(2), components={"denoiser": component})
    largest = sum(sorted(block.data_bytes for block in store.manifest.blocks)[-2:])
    assert schedule_of(store, plan, profiles[1])[0].needed_bytes == pytest.approx(BASELINE + WORKING + largest)


def test_a_device_of_the_catalogue_is_not_described_again(profiles: tuple[Profile, Profile], tmp_path: Path) -> None:
    profile = msgspec.structs.replace(profiles[1], device="iphone15pro")
    write_yaml(tmp_path / "host.yaml", profile_data(profile))
    with pytest.raises(UserError, match=r"\$?hardware: the catalogue describes 'iphone15pro'"):
        load_profile(str(tmp_path / "host.yaml"))


def test_the_written_profile_prices_as_the_one_in_memory(
    store: Store, profiles: tuple[Profile, Profile], tmp_path: Path
) -> None:
    write_yaml(tmp_path / "host.yaml", profile_data(profiles[1]))
    profile, device = load_profile(str(tmp_path / "host.yaml"))
    plan = capture_plan(store, BESIDE)
    model = listed_model(MODEL, store.directory)[0]
    read = build_schedule(plan, model, {}, profile.pricer(device))[1]
    assert read.run_s.tolist() == schedule_of(store, plan, profiles[1])[1].run_s.tolist()
