"""Models by name: an architecture that is worked out for a shape, or a YAML file that lists units."""

from __future__ import annotations

import os
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.profiles.devices import DATA
from ondevice_sora.profiles.models.configured import ConfiguredModel, Shape, description_of, request_of
from ondevice_sora.profiles.models.model import Branches, Model
from ondevice_sora.profiles.models.opensora import opensora, reference_partition
from ondevice_sora.profiles.models.opensora_sizes import OpenSoraConfig
from ondevice_sora.profiles.models.unit_sizes import with_sizes_in_numbers

MODELS = DATA / "models"
ARCHITECTURES = DATA / "architectures"
Reference = dict[str, tuple[tuple[str, ...], ...]]


class VideoShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pixels and frames."""

    width: int
    height: int
    frames: int


class PromptForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a prompt goes through before it is cut into tokens: lower case, and a suffix that training had."""

    suffix: str
    lower_case: bool
    source: str


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model of Open-Sora's classes, and the video and text length that it is described at unless told otherwise.

    `name` is by what measurements know the model. `prompt` is for models that read T5's pieces.
    """

    name: str
    source: str
    video: VideoShape
    text_tokens: int
    config: OpenSoraConfig = OpenSoraConfig()
    prompt: PromptForm | None = None


def architecture_names() -> list[str]:
    return sorted(path.stem for path in ARCHITECTURES.glob("*.yaml"))


def model_names() -> list[str]:
    return sorted([*architecture_names(), *(path.stem for path in MODELS.glob("*.yaml"))])


@cache
def architecture(name: str) -> Architecture | None:
    """The architecture of that name, None if there is none."""
    if name not in architecture_names():
        return None
    return read_yaml(ARCHITECTURES / f"{name}.yaml").convert(Architecture)


def name_in_captures(name: str) -> str:
    """By what measurements know the architecture of that name: a plan says 'small', its blocks the longer one."""
    described = architecture(name)
    assert described is not None, f"{name} is no architecture"
    return described.name


@lru_cache(maxsize=32)
def described_model(
    of: Architecture,
    width: int,
    height: int,
    frames: int,
    text_tokens: int,
    encoder_tokens: int | None = None,
    guidance_batch: int = 2,
    guidance_runs: int = 1,
) -> tuple[Model, Reference]:
    """An architecture's model for a shape, and the partition of the reference app."""
    model = opensora(
        width,
        height,
        frames,
        text_tokens,
        encoder_tokens=encoder_tokens,
        guidance_batch=guidance_batch,
        guidance_runs=guidance_runs,
        config=of.config,
    )
    return msgspec.structs.replace(model, name=of.name, source=of.source), reference_partition(model)


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
    return checked_model(document), {}


def configured_model(
    asked: ConfiguredModel,
    folder: Path,
    video: Shape | None,
    branches: int,
    text_tokens: int | None,
    guidance: Branches = "batch",
) -> tuple[Model, Reference]:
    """A model that is described from its config, at a shape. Raises UserError where there is no description of it."""
    path = description_of(request_of(asked, folder, video, branches, text_tokens, guidance))
    return checked_model(read_yaml(path)), {}


def checked_model(document: Document) -> Model:
    """The model in a document that lists its units. Raises UserError with file and line."""
    with_sizes_in_numbers(document)
    model = document.convert(Model)
    names = [component.name for component in model.components]
    for index, component in enumerate(model.components):
        if names.index(component.name) != index:
            raise document.error(f"$.components[{index}].name", f"'{component.name}' stands twice")
        units = [unit.name for unit in component.units]
        for row, unit in enumerate(units):
            if units.index(unit) != row:
                raise document.error(f"$.components[{index}].units[{row}].name", f"'{unit}' stands twice")
            if component.units[row].stored < 0:
                what = f"{component.units[row].stored:,} numbers are stored, the unit's parameters included"
                raise document.error(f"$.components[{index}].units[{row}].tables", what, "Take away fewer.")
    return model
