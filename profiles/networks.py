"""What public networks do in one run, by the names that published figures give them; and a guess for all others."""

from __future__ import annotations

from functools import cache
from typing import Annotated

import msgspec

from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.base.text import Line, Title
from ondevice_sora.profiles.devices import DATA
from ondevice_sora.profiles.models.model import Work


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network: `names` are what figures' names of models begin with, in lower case; float16, one run."""

    name: Title
    names: Annotated[tuple[Line, ...], msgspec.Meta(min_length=1)]
    parameters: Annotated[int, msgspec.Meta(ge=1)]
    work: Work


class _Networks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    networks: tuple[Network, ...]


@cache
def networks() -> tuple[Network, ...]:
    return read_yaml(DATA / "networks.yaml").convert(_Networks).networks


def network_named(model: str) -> Network | None:
    """The network that a figure's model names, None if it is not one of ours."""
    folded = model.lower()
    found = [(len(name), network) for network in networks() for name in network.names if folded.startswith(name)]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def flops(work: Work) -> float:
    return work.matmul_flops + work.attention_flops + work.convolution_flops


def scaled(work: Work, factor: float) -> Work:
    """So many times the work: a batch, or another input size."""
    return Work(
        matmul_flops=work.matmul_flops * factor,
        attention_flops=work.attention_flops * factor,
        convolution_flops=work.convolution_flops * factor,
        moved_elements=work.moved_elements * factor,
        working_elements=work.working_elements * factor,
    )


LEAST_MOVED, LEAST_FLOPS, GROWTH = 4.5e6, 1.13e8, 0.69
ALIVE = 0.1


def guessed(matmul: float, attention: float, convolution: float, batch: int = 1) -> Work:
    """The work of a network of which only operations are known.

    Elements moved grow with the power 0.69 of the operations of one sample, and a tenth of them is alive at a time:
    read off the networks of the catalogue, from MobileNetV3-small to SDXL's UNet, which lie within a factor of two.
    """
    operations = matmul + attention + convolution
    moved = batch * LEAST_MOVED * (operations / batch / LEAST_FLOPS) ** GROWTH if operations > 0 else 0.0
    return Work(matmul, attention, convolution, moved_elements=moved, working_elements=moved * ALIVE)
