"""A capture measures every block in every variant, keeps the samples, and gives a profile that simulates."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from runtime.standin import inputs_of, networks_of, write_standin

from plans.schema import load_plan
from profiles.documents import write_yaml
from profiles.errors import UserError
from profiles.profile import load_profile, profile_data
from runtime.backends.torch_blocks import TorchBlocks
from runtime.capture import capture
from runtime.executor import Executor
from runtime.models.stdit3 import LatentSize, STDiT3Config
from runtime.networks import profile_pricer, schedule_run
from runtime.store import Store
from simulator.simulation import prepare, setting_of

CONFIG = STDiT3Config(depth=1, hidden_size=32, num_heads=2, caption_channels=8, model_max_length=4)
PLAN = """
name: toy
model: store/model.yaml
sampler: {steps: 2}
tdtm: {steps: {first: 1}}
components:
  denoiser: {blocks: {units_per_block: 2}, compute_units: cpu_only}
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write_standin(tmp_path / "store", CONFIG, LatentSize(2, 4, 4), units_per_block=2, text_tokens=3)


def test_the_profile_has_every_block_in_every_variant_with_its_samples(store: Store) -> None:
    profile = capture(store, repeats=2, threads=1)
    found = [(m.first_unit, m.last_unit, m.variant) for m in profile.measurements]
    assert found == [
        ("input", "spatial_0", "plain"),
        ("input", "spatial_0", "tdtm"),
        ("temporal_0", "output", "plain"),
        ("temporal_0", "output", "tdtm"),
    ]
    for measurement in profile.measurements:
        assert measurement.run_s is not None and measurement.run_s.mark == "measured"
        assert measurement.load_warm_s is not None and measurement.load_warm_s.value > 0
        assert len(measurement.samples["run_s"]) == 2
        assert len(measurement.samples["run_while_loading_s"]) >= 2
        assert ("load_cold_s" in measurement.samples) == (measurement.variant == "plain")
    assert profile.conditions["threads"] == "1"


def test_the_captured_profile_simulates_and_prices_what_the_executor_runs(store: Store, tmp_path: Path) -> None:
    """One plan, simulated and run: the same spans in number and order of runs, as many loads."""
    path = tmp_path / "host.yaml"
    write_yaml(path, profile_data(capture(store, repeats=1)))
    (tmp_path / "plan.yaml").write_text(PLAN)
    plan, document = load_plan(tmp_path / "plan.yaml")
    profile, device = load_profile(str(path))
    prepared = prepare(plan, document, setting_of(profile, device, plan))

    price = profile_pricer(profile, device)
    schedule, costs = schedule_run(plan, prepared.model, document, price=price)
    assert schedule.visits == prepared.schedule.visits
    assert costs.resident_bytes == tuple(
        store.block("denoiser", spec.units[0].name, spec.units[-1].name).data_bytes for spec in schedule.blocks
    )
    with Executor(schedule, costs, TorchBlocks(schedule, networks_of(store), store)) as run:
        for _ in range(2):
            run.play("denoiser", inputs_of(store)["denoiser"])
    assert run.trace().peak_bytes <= schedule.needed_bytes


def test_a_device_of_the_catalogue_is_not_described_again(store: Store, tmp_path: Path) -> None:
    profile = msgspec.structs.replace(capture(store, repeats=1), device="iphone15pro")
    write_yaml(tmp_path / "host.yaml", profile_data(profile))
    with pytest.raises(UserError, match=r"\$?hardware: the catalogue describes 'iphone15pro'"):
        load_profile(str(tmp_path / "host.yaml"))


def test_a_store_that_says_nothing_of_its_networks_is_refused(store: Store) -> None:
    bare = Store(store.directory, msgspec.structs.replace(store.manifest, origin={}))
    with pytest.raises(UserError, match="does not say how to build the networks"):
        networks_of(bare)
