"""Models by name: an architecture that is worked out for a shape, or a YAML file that lists units."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from profiles.devices import DATA
from profiles.documents import read_yaml
from profiles.errors import UserError, nearest
from profiles.models import Model
from profiles.opensora import opensora, reference_partition

MODELS = DATA / "models"
OPENSORA = "opensora"
Reference = dict[str, tuple[tuple[str, ...], ...]]


def model_names() -> list[str]:
    return sorted([OPENSORA, *(path.stem for path in MODELS.glob("*.yaml"))])


@lru_cache(maxsize=32)
def opensora_model(
    width: int, height: int, frames: int, text_tokens: int, guidance_batch: int = 2
) -> tuple[Model, Reference]:
    """Open-Sora v1.2 for a shape, and the partition of the reference app."""
    model = opensora(width, height, frames, text_tokens, guidance_batch=guidance_batch)
    return model, reference_partition(model)


def listed_model(name: str, folder: Path) -> tuple[Model, Reference]:
    """A model that lists its units: one of the catalogue by name, or a file (relative to `folder`).

    Each unit is a block of its reference partition. Raises UserError for an unknown name or an unusable file.
    """
    if name.endswith((".yaml", ".yml", ".json")):
        path = folder / name
        if not os.path.isfile(path):
            raise UserError(f"no such file: {path}", mend="A path starts from the folder of the file that names it.")
    elif (MODELS / f"{name}.yaml").is_file():
        path = MODELS / f"{name}.yaml"
    else:
        raise UserError(f"unknown model '{name}'", mend=nearest(name, model_names()))
    document = read_yaml(path)
    model = document.convert(Model)
    names = [component.name for component in model.components]
    for index, component in enumerate(model.components):
        if names.index(component.name) != index:
            raise document.error(f"$.components[{index}].name", f"'{component.name}' stands twice")
        units = [unit.name for unit in component.units]
        for row, unit in enumerate(units):
            if units.index(unit) != row:
                raise document.error(f"$.components[{index}].units[{row}].name", f"'{unit}' stands twice")
    return model, {}
