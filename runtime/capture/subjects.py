"""What a store holds, as something to generate with: built again from the store's `origin`, block by block or whole.

Two kinds: a stand-in, STDiT3 of any size walked along a rectified flow; and the small text-to-video model. Both start
from the same noise at every call, so that two runs of a plan must give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked
from ondevice_sora.base.files.opening import beneath
from ondevice_sora.base.text import Line
from ondevice_sora.plans.leap import resolved
from ondevice_sora.plans.partition import cut
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.schedule import MemoryModel
from ondevice_sora.plans.scheduling import build_schedule, speeds_of
from ondevice_sora.plans.schema import ComponentPlan, Plan, Tdtm
from ondevice_sora.plans.step_plan import grid_times
from ondevice_sora.profiles.costs import bytes_alone
from ondevice_sora.profiles.devices import Device
from ondevice_sora.profiles.models.catalogue import listed_model, name_in_captures
from ondevice_sora.profiles.profile import Profile
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.reading import FileReader
from ondevice_sora.runtime.executor.store import MODEL, Store, partition_hash, write_store
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.networks.components import DENOISER, TextToVideo
from ondevice_sora.runtime.networks.description import describe_networks
from ondevice_sora.runtime.networks.network import Network
from ondevice_sora.runtime.networks.stdit3 import LatentSize, PixelSize, STDiT3, STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Encoder
from ondevice_sora.runtime.networks.video_vae import VideoVAE
from ondevice_sora.runtime.sampling.generation import Player, WholePlayer, generate
from ondevice_sora.runtime.sampling.leap import rule_of
from ondevice_sora.runtime.sampling.request import request_of
from ondevice_sora.runtime.sampling.sampler import flow_timesteps, sample
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.runtime.small import model as small
from ondevice_sora.runtime.small.shipped import load_small
from ondevice_sora.runtime.small.vocabulary import EXAMPLE, tokenize

STAND_IN, SMALL = "stdit3", "small"
CUTS = "cuts"
"""Folder of a store for stores of the same model cut otherwise."""
SMALL_NAME = name_in_captures(SMALL)
"""What is captured of a store of it prices plans with `model: small`."""
PIXELS_PER_LATENT = 8
FPS = 24.0
Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]
MAX_LATENT_PIXELS = 65_536
"""Of a stand-in's video: captures take some dozens."""


@dataclass(frozen=True)
class Playable:
    """A model made ready for a plan: its networks, and the generation that any player of these plays."""

    networks: tuple[Network, ...]
    generate: Callable[[Player], Tensor]


@dataclass(frozen=True)
class Stored:
    """What a store of a subject is written from: its name, its networks with weights, and how to build it again."""

    name: str
    networks: tuple[Network, ...]
    origin: dict[str, Any]


class Subject(Protocol):
    """A model that runs block by block and whole. Its result is one tensor, the same bits either way.

    Both raise UserError for a plan that asks what the model cannot do.
    """

    def playable(self, plan: Plan) -> Playable: ...

    def whole(self, plan: Plan) -> Tensor: ...

    def stored(self) -> Stored: ...


@dataclass(frozen=True)
class StandIn:
    """STDiT3 with random weights, walked from noise. Times and bytes depend on sizes, not on what the weights are."""

    config: STDiT3Config
    size: LatentSize
    text_tokens: int

    def playable(self, plan: Plan) -> Playable:
        return Playable((self.network(self.bare(), plan.tdtm),), partial(self._walk, plan))

    def bare(self) -> STDiT3:
        """The network without weights."""
        with torch.device("meta"):
            return STDiT3(self.config).eval().requires_grad_(False)

    def whole(self, plan: Plan) -> Tensor:
        return self._walk(plan, WholePlayer([self.network(self.model(), plan.tdtm)], plan.merging_steps))

    def stored(self) -> Stored:
        name = f"stdit3-{self.config.hidden_size}x{self.config.depth}-{'x'.join(map(str, self.size))}"
        origin = {
            "kind": STAND_IN,
            "config": asdict(self.config),
            "size": list(self.size),
            "text_tokens": self.text_tokens,
        }
        return Stored(name, (self.network(self.model(), Tdtm()),), origin)

    def model(self) -> STDiT3:
        """The network with its weights, the same at every call."""
        torch.manual_seed(0)
        return STDiT3(self.config).eval().requires_grad_(False)

    def network(self, model: STDiT3, tdtm: Tdtm) -> Network:
        pixels = PixelSize(self.size.height * PIXELS_PER_LATENT, self.size.width * PIXELS_PER_LATENT)
        names = tdtm.chosen(model.block_names)
        return Network(
            DENOISER,
            "steps",
            tuple(model.units(self.size, pixels)),
            tuple(model.units(self.size, pixels, merged_blocks=names)),
            frozenset(names),
        )

    @torch.no_grad()
    def _walk(self, plan: Plan, player: Player) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(1, self.config.in_channels, *self.size, generator=generator)
        branches = plan.sampler.num_branches
        caption = torch.randn(branches, self.text_tokens, self.config.caption_channels, generator=generator)
        fixed = {
            "fps": torch.tensor([FPS]),
            "caption": caption,
            "text_mask": torch.ones(branches, self.text_tokens, dtype=torch.int64),
        }

        def denoise(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
            return player.play(DENOISER, {"latent": latents, "timestep": timesteps, **fixed})["velocity"]

        sampler = plan.sampler
        even = flow_timesteps(sampler.steps, height=1, width=1, num_frames=1, transform=False)
        result = sample(
            denoise,
            noise,
            grid_times(sampler.grid, even),
            guidance_scale=sampler.guidance,
            solver=sampler.solver,
            leap=rule_of(resolved(plan.lpl, sampler.evaluations)),
            merge_steps=plan.merging_steps,
        )
        player.end_early(DENOISER)
        return result.latent


@dataclass(frozen=True)
class SmallModel:
    """The small text-to-video model with the weights of a folder, or with random ones where none is given."""

    weights: Path | None

    def playable(self, plan: Plan) -> Playable:
        video = self._video(plan)
        return Playable(video.networks, partial(self._frames, video))

    def whole(self, plan: Plan) -> Tensor:
        return self._frames(self._video(plan), None)

    def stored(self) -> Stored:
        networks = VideoNetworks.of(self.model(), small.REQUEST).networks
        origin = {"kind": SMALL, "weights": None if self.weights is None else str(self.weights.resolve())}
        return Stored(SMALL_NAME, networks, origin)

    def model(self) -> TextToVideo:
        if self.weights is not None:
            return load_small(self.weights)
        torch.manual_seed(0)
        parts = (T5Encoder(small.TEXT_ENCODER), STDiT3(small.DENOISER), VideoVAE(small.VIDEO_VAE))
        return TextToVideo(*(part.eval().requires_grad_(False) for part in parts))  # type: ignore[arg-type]

    def _video(self, plan: Plan) -> VideoNetworks:
        return VideoNetworks.of(self.model(), request_of(plan, small.REQUEST))

    def _frames(self, video: VideoNetworks, player: Player | None) -> Tensor:
        ids, mask = tokenize([EXAMPLE])
        return torch.from_numpy(generate(video, ids, mask, seed=0, player=player).frames)


def executor_for(
    store: Store,
    loaded: LoadedPlan,
    known: tuple[Profile, Device] | None = None,
    *,
    reader: Callable[[Store], FileReader] = FileReader,
    blocks: type[TorchBlocks] = TorchBlocks,
) -> tuple[Executor, Playable]:
    """An executor of the plan over a store, cut as the plan says (see store_for), and what is to be played on it.

    `known` is a profile captured here: the working memory and the baseline that it measured count against the budget.
    Raises UserError for a plan that does not fit the model or this machine.
    """
    plan = loaded.plan
    with loaded.locating():
        cut_store = store_for(store, plan)
        playable = subject_of(cut_store).playable(plan)
        model = describe_networks(cut_store.manifest.model, playable.networks)
        price = bytes_alone() if known is None else known[0].pricer(known[1])
        memory = None if known is None else MemoryModel.of(known[0].costs)
        speeds = None if known is None else speeds_of(known[0].costs)
        schedule, costs = build_schedule(plan, model, {}, price, memory, plan.most_evaluations(), speeds=speeds)
        backend = blocks(schedule, playable.networks, cut_store, reader(cut_store))
    return Executor(schedule, costs, backend, memory=memory), playable


def write_subject(directory: Path, subject: Subject, components: Mapping[str, ComponentPlan]) -> Store:
    """A store of a subject, cut as a plan's components say, units alone where they do not.

    Raises UserError as write_store, for blocks that are not the subject's, or if another process uses the folder.
    """
    stored = subject.stored()
    model = describe_networks(stored.name, stored.networks, "listed from its units, to be measured")
    plan = Plan(stored.name, stored.name, components=dict(components))
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the store cannot be written: {error.strerror or error}", str(directory)) from None
    with locked(directory):
        return write_store(directory, model, stored.networks, cut(plan, model, {}), stored.origin)


def store_for(store: Store, plan: Plan) -> Store:
    """The store itself if it is cut as the plan says, else one beneath it that is, written if it is not there yet.

    Raises UserError as write_store, or for blocks that are not the model's.
    """
    model = listed_model(MODEL, store.directory)[0]
    partition = partition_hash(store.manifest.model, cut(plan, model, {}))
    if partition == store.manifest.partition:
        return store
    folder = beneath(store.directory, CUTS, partition[:12])
    if Store.is_there(folder):
        return Store.open(folder)
    whole = sum(block.data_bytes for block in store.manifest.blocks)
    footprint.check_room(whole, "cutting the model as the plan says needs", "Close other programs.")
    return write_subject(folder, subject_of(store), plan.components)


def remove_stores(store: Store) -> None:
    """Remove a store and those beneath it that are cut otherwise; nothing else. Raises UserError if it cannot be."""
    cuts = beneath(store.directory, CUTS)
    if cuts.is_dir():
        for folder in sorted(cuts.iterdir()):
            if not folder.is_symlink() and Store.is_there(folder):
                Store.open(folder).remove()
        with suppress(OSError):
            cuts.rmdir()
    store.remove()


class _StandInOrigin(msgspec.Struct, tag_field="kind", tag=STAND_IN, forbid_unknown_fields=True):
    """`size` is frames, rows and columns of the latent video."""

    config: STDiT3Config
    size: tuple[Side, Side, Side]
    text_tokens: Side


class _SmallOrigin(msgspec.Struct, tag_field="kind", tag=SMALL, forbid_unknown_fields=True):
    weights: Line | None


class _Origin(msgspec.Struct):
    origin: _StandInOrigin | _SmallOrigin


def subject_of(store: Store) -> Subject:
    """What the store's manifest says it holds. Raises UserError if it does not say how to build the networks.

    The small model's weights are read from the folder that the manifest names; a stand-in's sizes must be those of the
    tensors that the store holds.
    """
    document = store.document()
    origin = document.convert(_Origin).origin
    if isinstance(origin, _SmallOrigin):
        return SmallModel(None if origin.weights is None else Path(origin.weights))
    subject = StandIn(origin.config, LatentSize(*origin.size), origin.text_tokens)
    if origin.text_tokens > origin.config.model_max_length:
        raise document.error("$.origin.text_tokens", f"more than the {origin.config.model_max_length} that it reads")
    if math.prod(origin.size) > MAX_LATENT_PIXELS:
        raise document.error("$.origin.size", f"more than {MAX_LATENT_PIXELS} latent pixels")
    sizes = {name: tuple(tensor.shape) for name, tensor in subject.bare().state_dict().items()}
    for entry in (entry for block in store.manifest.blocks for entry in block.tensors):
        if sizes.get(entry.name) != entry.shape:
            what = f"not the sizes of what the store holds: {entry.name} is {list(entry.shape)}"
            raise document.error("$.origin.config", what)
    return subject
