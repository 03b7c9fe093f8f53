"""Networks as models of schedules: names and parameter counts, with no operations.

What a run costs here is measured, not worked out. Weights count as float32: a unit's `parameters` are its bytes
over four, so that the schedule's bytes are the store's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ondevice_sora.base.files.writing import write_yaml
from ondevice_sora.profiles.models import model as models
from ondevice_sora.profiles.models.model import Component, Model, Work
from ondevice_sora.runtime.networks.network import Network, weights
from ondevice_sora.runtime.networks.units import Unit

FLOAT32_BYTES = 4


def describe_networks(name: str, networks: Sequence[Network], source: str = "listed from its units") -> Model:
    """The model's description for schedules and simulations: names and parameters, no operations."""
    return Model(
        name=name,
        source=source,
        components=tuple(
            Component(
                network.name,
                network.passes,
                tuple(
                    models.Unit(unit.name, _parameters(unit), Work(), Work() if network.merges(index) else None)
                    for index, unit in enumerate(network.plain)
                ),
            )
            for network in networks
        ),
        is_rectified_flow=any(network.passes == "steps" for network in networks),
    )


def write_model(path: Path, model: Model) -> None:
    """The description as a YAML file that a plan's `model` may name."""
    write_yaml(path, msgspec.to_builtins(model), f"Listed from the units of {model.name}: parameters, no operations.")


def _parameters(unit: Unit) -> int:
    held = sum(tensor.numel() * tensor.element_size() for _, tensor in weights(unit))
    return math.ceil(held / FLOAT32_BYTES)
