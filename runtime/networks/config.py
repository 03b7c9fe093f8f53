"""Reading a network's configuration from a JSON mapping, strictly. The networks' dataclasses say what may stand in it.

Sizes are bounded by several times those of any model of these classes, so that a mistaken one is refused before a
network of that size is built; what sizes must have to do with each other, each dataclass says itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document

Config = TypeVar("Config")
Channels = Annotated[int, msgspec.Meta(ge=1, le=65_536)]
Layers = Annotated[int, msgspec.Meta(ge=1, le=200)]
Heads = Annotated[int, msgspec.Meta(ge=1, le=1024)]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Ratio = Annotated[float, msgspec.Meta(gt=0, le=100)]
Factor = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]


def config_from_mapping(
    config_class: type[Config], mapping: Mapping[str, Any], where: str, ignored: Collection[str] = ()
) -> Config:
    """An instance of the frozen dataclass `config_class`; JSON lists become tuples.

    `ignored` names keys of the published files that do not change what the network computes. Raises UserError, naming
    the key, for one that is unknown, lacking, of another type, or out of bounds.
    """
    known = [field.name for field in fields(config_class)]  # type: ignore[arg-type]  # always a dataclass here
    unknown = sorted(set(mapping) - set(known) - set(ignored))
    if unknown:
        raise UserError(
            f"{', '.join(unknown)}: no such setting of {config_class.__name__}",
            where,
            f"The settings are {', '.join(known)}.",
        )
    wanted = {name: value for name, value in mapping.items() if name in known}
    return Document(wanted, {}, Path(where)).convert(config_class)


def divides(whole: str, size: int, part: str, count: int) -> None:
    """Raises ValueError unless `count` divides `size`."""
    if size % count:
        raise ValueError(f"{whole} {size} does not divide among {part} {count}")
