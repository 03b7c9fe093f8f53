"""What a store says that it holds is believed only where its tensors bear it out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import ComponentPlan, Plan, Sampler, UnitsPerBlock
from ondevice_sora.runtime.capture.subjects import StandIn, remove_stores, store_for, subject_of, write_subject
from ondevice_sora.runtime.executor.store import Store
from ondevice_sora.runtime.networks.stdit3 import LatentSize, STDiT3Config
from ondevice_sora.runtime.networks.units import State, Unit
from ondevice_sora.runtime.sampling.generation import WholePlayer

CONFIG = STDiT3Config(depth=2, hidden_size=32, num_heads=2, caption_channels=8, model_max_length=4)
PAIRS = Plan("pairs", "toy", components={"denoiser": ComponentPlan(UnitsPerBlock(2), compute_units="cpu_only")})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write_subject(tmp_path / "store", StandIn(CONFIG, LatentSize(2, 4, 4), 3), {})


class Asked(WholePlayer):
    """All weights in memory; remembers how many samples the denoiser was given at each step."""

    def __init__(self, subject: StandIn, plan: Plan) -> None:
        super().__init__([subject.network(subject.model(), plan.tdtm)], plan.merging_steps)
        self.samples: list[tuple[int, ...]] = []

    def play(self, component: str, state: Mapping[str, Tensor], units: Sequence[Unit] | None = None) -> State:
        self.samples.append(tuple(len(state[name]) for name in ("latent", "timestep", "caption", "text_mask")))
        return super().play(component, state, units)


@pytest.mark.parametrize(("guidance", "branches"), [(1.0, 1), (7.0, 2)])
def test_a_stand_in_computes_the_branches_that_its_plan_asks_for(guidance: float, branches: int) -> None:
    subject = StandIn(CONFIG, LatentSize(2, 4, 4), 3)
    plan = Plan("guided", "toy", sampler=Sampler(3, guidance))
    player = Asked(subject, plan)
    assert torch.equal(subject.playable(plan).generate(player), subject.whole(plan))
    assert player.samples == [(branches,) * 4] * 3


def altered(store: Store, change: Callable[[dict[str, Any]], object]) -> Store:
    path = store.directory / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest["origin"])
    path.write_text(json.dumps(manifest))
    return Store.open(store.directory)


def test_a_store_tells_how_to_build_its_networks(store: Store) -> None:
    assert subject_of(store) == StandIn(CONFIG, LatentSize(2, 4, 4), 3)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda origin: origin.clear(), "origin: the key 'kind' is missing"),
        (lambda origin: origin.update(kind="vae"), "origin.kind: 'vae' is not one of the choices"),
        (lambda origin: origin.update(size=[2, 4]), "origin.size: expected a list of length 3"),
        (lambda origin: origin.update(size=[-2, 4, 4]), r"origin.size\[0\]: expected a whole number >= 1, found -2"),
        (lambda origin: origin.update(size=[4096, 4096, 1]), "origin.size: more than 65536 latent pixels"),
        (lambda origin: origin.update(text_tokens=5), "origin.text_tokens: more than the 4 that it reads"),
        (lambda origin: origin.update(text_tokens="3"), "origin.text_tokens: expected a whole number, found '3'"),
        (lambda origin: origin.update(weights="/"), "origin.weights: this key is not known"),
        (lambda origin: origin["config"].update(depth=10**9), "origin.config.depth: expected a whole number <= 200"),
        (lambda origin: origin["config"].update(depth=-1), "origin.config.depth: expected a whole number >= 1"),
        (lambda origin: origin["config"].update(num_heads=0), "origin.config.num_heads: expected a whole number >= 1"),
        (lambda origin: origin["config"].update(num_heads=3), "origin.config: hidden_size 32 does not divide among"),
        (
            lambda origin: origin["config"].update(mlp_ratio="4"),
            "origin.config.mlp_ratio: expected a number, found",
        ),
        (lambda origin: origin["config"].update(depth=1), "origin.config: not the sizes of what the store holds: "),
        (lambda origin: origin["config"].update(hidden_size=64), "origin.config: not the sizes of what the store"),
    ],
)
def test_an_origin_that_is_no_model_or_another_is_refused(
    store: Store, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    with pytest.raises(UserError, match=rf"manifest.json: {complaint}"):
        subject_of(altered(store, change))


def test_a_store_cut_otherwise_lies_beneath_and_goes_with_it(store: Store) -> None:
    beneath = store_for(store, PAIRS)
    assert beneath.directory.parent == store.directory / "cuts"
    assert store_for(store, PAIRS).manifest.blocks == beneath.manifest.blocks
    remove_stores(store)
    assert not store.directory.exists()


def test_what_else_lies_in_a_store_s_folder_stays(store: Store, tmp_path: Path) -> None:
    mine = [store.directory / "notes.txt", store.directory / "cuts" / "mine" / "data.safetensors"]
    for path in mine:
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("mine")
    store_for(store, PAIRS)
    (store.directory / "cuts" / "link").symlink_to(tmp_path)
    remove_stores(store)
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    assert not list(store.directory.glob("*.safetensors"))


@pytest.mark.parametrize("name", ["cuts", "cuts/PARTITION"])
def test_stores_are_not_written_through_links(store: Store, tmp_path: Path, name: str) -> None:
    there = store_for(store, PAIRS)
    remove_stores(there)
    (tmp_path / "elsewhere").mkdir()
    path = store.directory / name.replace("PARTITION", there.directory.name)
    if name == "cuts":
        path.rmdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="this is a link; what is in this folder must lie in it"):
        store_for(store, PAIRS)
    assert list((tmp_path / "elsewhere").iterdir()) == []
