"""What a plan's export is made from: networks without weights, blocks, shapes, and where the weights come from.

A plan's `model` is `small` or `opensora`, or weights of the same classes in other sizes stand in for it. All of it
follows from a `Commission`, which is small enough to send to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from ondevice_sora.base.files.documents import Document
from ondevice_sora.plans.partition import Block, cut
from ondevice_sora.plans.schema import Plan
from ondevice_sora.runtime.coreml.export.manifest import EXPORT_AGAIN, FunctionKind
from ondevice_sora.runtime.models import PlannedVideo, check_model, without_weights
from ondevice_sora.runtime.networks.components import TextToVideo
from ondevice_sora.runtime.networks.network import HeldWeight, Network, WeightPlace, weight_places
from ondevice_sora.runtime.networks.stdit3 import STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config
from ondevice_sora.runtime.networks.units import BlockModule
from ondevice_sora.runtime.networks.video_vae import VideoVAEConfig


@dataclass(frozen=True)
class Commission:
    """What to export: the plan, and its weights in a folder or out of a seed (0 unless given)."""

    plan: Plan
    weights: Path | None
    seed: int | None = None


class Workshop:
    """The networks of a commission's video, cut as planned.

    `video.model` is on the meta device but for a few small values; `slots` say where weights belong. `walks` has the
    ways in which each component is walked. `tokenizer` is None where the weights have none.
    """

    def __init__(self, commission: Commission) -> None:
        """Raises UserError for a model that is not exported here, weights that do not fit, or an impossible plan."""
        plan = commission.plan
        check_model(plan, "exported")
        planned = PlannedVideo.of(plan, commission.weights, commission.seed)
        self.plan, self.request, self.source = plan, planned.request, planned.source
        self.encoder_tokens, self.text_tokens = planned.encoder_tokens, planned.text_tokens
        self.video, self.model, self.reference = planned.video, planned.model, planned.reference
        self.tokenizer = planned.tokenizer
        self.cuts: dict[str, tuple[Block, ...]] = cut(plan, self.model, self.reference)
        self.walks = planned.walks()
        self._shapes = planned.shapes()

    @property
    def origin(self) -> dict[str, Any]:
        """The sizes of the networks, as plain data."""
        model = self.video.model
        return {name: asdict(network.config) for name, network in vars(model).items()}

    def network(self, component: str) -> Network:
        return next(network for network in self.video.networks if network.name == component)

    def block_kinds(self, component: str, number: int) -> dict[FunctionKind, tuple[BlockModule, dict[str, Tensor]]]:
        """For each kind of a block that differs: the block, and meta tensors of its inputs' shapes."""
        span = self.span(component, number)
        found: dict[FunctionKind, tuple[BlockModule, dict[str, Tensor]]] = {}
        for kind, walk in self.walks[component].items():
            if kind != "tdtm" or self.merged(component, number):
                block = BlockModule(walk.units, span.start, span.stop)
                before = self._shapes[component][kind][span.start]
                found[kind] = block, {name: before[name] for name in block.inputs}
        return found

    def outputs(self, component: str, number: int, kind: FunctionKind) -> dict[str, Tensor]:
        """Meta tensors of what a kind of a block writes."""
        block, _ = self.block_kinds(component, number)[kind]
        after = self._shapes[component][kind][self.span(component, number).stop]
        return {name: after[name] for name in block.outputs}

    def merged(self, component: str, number: int) -> list[str]:
        """Names of the block's units that its TDTM variant runs otherwise."""
        span, network = self.span(component, number), self.network(component)
        return [network.plain[index].name for index in range(span.start, span.stop) if network.merges(index)]

    def slots(self, component: str, number: int) -> dict[str, WeightPlace | HeldWeight]:
        """Where the block's weights belong, by checkpoint name. All kinds share the modules."""
        units = self.network(component).plain[self.span(component, number)]
        return dict(pair for unit in units for pair in weight_places(unit))

    def span(self, component: str, number: int) -> slice:
        """Which of the component's units a block has."""
        blocks = self.cuts[component]
        start = sum(len(block.units) for block in blocks[:number])
        return slice(start, start + len(blocks[number].units))


class _Origin(msgspec.Struct, forbid_unknown_fields=True):
    text_encoder: T5Config
    denoiser: STDiT3Config
    decoder: VideoVAEConfig


def rebuilt(origin: Mapping[str, Any], where: Path) -> TextToVideo:
    """The networks of an export's `origin`, on the meta device. Raises UserError if it does not say how."""
    found = Document({"origin": origin}, {}, where, EXPORT_AGAIN).convert(_OriginKey).origin
    return without_weights(found.text_encoder, found.denoiser, found.decoder)


class _OriginKey(msgspec.Struct):
    origin: _Origin
