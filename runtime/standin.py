"""A stand-in to measure a machine with: STDiT3 at any size with random weights, rebuilt from a store's manifest.

Times and bytes depend on the sizes, not on what the weights are. A store's `origin` holds all that is needed to build
the network again, without weights, and to make inputs for it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from plans.schema import ComponentPlan, Plan, UnitsPerBlock
from profiles.documents import Document
from profiles.errors import UserError
from runtime.models.stdit3 import LatentSize, PixelSize, STDiT3, STDiT3Config
from runtime.models.units import State
from runtime.networks import Network, cut, listed_model
from runtime.store import Store, write_store

KIND = "stdit3"
BATCH = 2
PIXELS_PER_LATENT = 8


def write_standin(
    directory: Path, config: STDiT3Config, size: LatentSize, *, units_per_block: int = 1, text_tokens: int = 16
) -> Store:
    """A store of an STDiT3 with random weights, cut into blocks of so many units. Raises UserError as write_store."""
    torch.manual_seed(0)
    with torch.no_grad():
        network = _network(STDiT3(config), size)
    name = f"stdit3-{config.hidden_size}x{config.depth}-{'x'.join(map(str, size))}"
    model = listed_model(name, [network], "a stand-in with random weights")
    plan = Plan(name, name, components={"denoiser": ComponentPlan(blocks=UnitsPerBlock(units_per_block))})
    origin = {"kind": KIND, "config": asdict(config), "size": list(size), "text_tokens": text_tokens}
    return write_store(directory, model, [network], cut(plan, model, Document({}, {}, directory)), origin)


def networks_of(store: Store) -> list[Network]:
    """The networks of a store, without weights. Raises UserError if the manifest does not say how to build them."""
    config, size = _origin(store)
    with torch.device("meta"):
        model = STDiT3(config).eval().requires_grad_(False)
    return [_network(model, size)]


def inputs_of(store: Store) -> dict[str, State]:
    """What each component's first unit reads: noise, the same at every call."""
    config, size = _origin(store)
    tokens = int(store.manifest.origin["text_tokens"])
    generator = torch.Generator().manual_seed(0)
    state = {
        "latent": torch.randn(BATCH, config.in_channels, *size, generator=generator),
        "timestep": torch.full((BATCH,), 700.0),
        "fps": torch.tensor([24.0]),
        "caption": torch.randn(BATCH, tokens, config.caption_channels, generator=generator),
        "text_mask": torch.ones(BATCH, tokens, dtype=torch.int64),
    }
    return {"denoiser": state}


def _network(model: STDiT3, size: LatentSize) -> Network:
    pixels = PixelSize(size.height * PIXELS_PER_LATENT, size.width * PIXELS_PER_LATENT)
    names = model.block_names
    return Network(
        "denoiser",
        "steps",
        tuple(model.units(size, pixels)),
        tuple(model.units(size, pixels, merged_blocks=names)),
        frozenset(names),
    )


def _origin(store: Store) -> tuple[STDiT3Config, LatentSize]:
    origin: dict[str, Any] = store.manifest.origin
    try:
        if origin["kind"] != KIND:
            raise ValueError(f"unknown kind '{origin['kind']}'")
        config = dict(origin["config"])
        config["patch_size"] = tuple(config["patch_size"])
        return STDiT3Config(**config), LatentSize(*origin["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"the manifest does not say how to build the networks ({error!r})",
            str(store.directory),
            "Use a store written by `profile capture`.",
        ) from None
