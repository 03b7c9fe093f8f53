"""A pipeline's networks: read from a folder, a config file or a shipped config, and made without weights."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.profiles.models.configured import NetworkConfig, PipelineConfig, config_path, shipped_config

with warnings.catch_warnings():  # what they deprecate in each other
    warnings.simplefilter("ignore")
    import diffusers
    import transformers

INDEX = "model_index.json"
ROLES = {"transformer": "denoiser", "unet": "denoiser", "vae": "decoder", "vqvae": "decoder", "movq": "decoder"}
LIBRARIES = {"diffusers": diffusers, "transformers": transformers}

diffusers.utils.logging.set_verbosity_error()
transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]


def pipeline_config(config: str, folder: Path) -> PipelineConfig:
    """The networks of a shipped config, a folder with a model_index.json or a config.json, or one config file.

    Raises UserError for what is neither.
    """
    path = config_path(config, folder)
    if path is None:
        return shipped_config(config)
    if not path.is_dir():
        return _alone(path)
    if (path / INDEX).is_file():
        return _from_index(path)
    if (path / "config.json").is_file():
        return _alone(path / "config.json")
    below = sorted(str(file.parent) for file in path.glob("*/config.json"))
    mend = f"Give one of its networks: {', '.join(below)}." if below else "Give a folder of a pipeline or of a model."
    raise UserError(f"there is neither a {INDEX} nor a config.json in it", str(path), mend)


def _from_index(path: Path) -> PipelineConfig:
    index = read_json(path / INDEX)
    found: dict[str, NetworkConfig] = {}
    left_out: list[str] = []
    is_flow = False
    for name, entry in index.data.items():
        if name == "scheduler" and isinstance(entry, list) and len(entry) == 2:
            is_flow = "FlowMatch" in str(entry[1])
        role = ROLES.get(name, name if name.startswith("text_encoder") else None)
        if not isinstance(entry, list) or entry[:1] == [None]:
            continue
        file = path / name / "config.json"
        if role is not None:
            found[role] = _network(file, role)
        elif file.is_file():
            left_out.append(name)
    if not found:
        mend = f"Give one of its networks: {', '.join(str(path / name) for name in left_out)}." if left_out else None
        raise index.error("$", "it names no text encoder, denoiser or decoder", mend)
    is_led_by_picture = "image_encoder" in index.data and not any(name.startswith("text_encoder") for name in found)
    order = sorted(found, key=lambda role: (role == "decoder", role == "denoiser", role))
    name = os.path.basename(os.path.realpath(path))
    without = f"; left out: {', '.join(left_out)}" if left_out else ""
    pipeline = PipelineConfig(
        name=name[:120],
        source=f"counted from the configs in {name}{without}"[:2000],
        components={role: found[role] for role in order},
        is_rectified_flow=is_flow,
    )
    return msgspec.structs.replace(pipeline, text_tokens=1) if is_led_by_picture else pipeline


def _alone(path: Path) -> PipelineConfig:
    """One network, whose config says what it is."""
    network = _network(path, None)
    kind = _class_of(network)
    role = "decoder" if hasattr(kind, "decode") else "denoiser" if network.library == "diffusers" else "text_encoder"
    name = path.parent.resolve().name if path.name == "config.json" else path.stem
    return PipelineConfig(
        name=name[:120] or network.class_name,
        source=f"counted from {path.name}",
        components={role: network},
        guidance=1.0,
    )


def _network(path: Path, role: str | None) -> NetworkConfig:
    document = read_json(path)
    data = dict(document.data)
    if isinstance(data.get("_class_name"), str):
        library, name = "diffusers", data["_class_name"]
    elif isinstance(data.get("architectures"), list) and data["architectures"]:
        library, name = "transformers", str(data["architectures"][0])
    else:
        what = "it has neither `_class_name`, as a diffusers model has, nor `architectures`, as one of transformers has"
        raise document.error("$", what)
    config = {key: value for key, value in data.items() if not key.startswith("_") and key != "architectures"}
    try:
        return msgspec.convert({"library": library, "class": name, "config": config}, NetworkConfig)
    except msgspec.ValidationError:
        raise document.error("$", f"'{name}' is no class") from None


def _class_of(network: NetworkConfig) -> Any:
    kind = getattr(LIBRARIES[network.library], network.class_name, None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        library = LIBRARIES[network.library]
        known = [name for name in dir(library) if name[0].isupper() and name.endswith(("Model", "DModel", "KL"))]
        what = f"{network.library} {library.__version__} has no model of the class '{network.class_name}'"
        close, *others = nearest(network.class_name, known).split(" Known: ")
        mend = close if others else "Give the config of a network, as its library wrote it, or update the library."
        raise UserError(what, mend=mend)
    return kind


def made(network: NetworkConfig) -> nn.Module:
    """The network on the meta device, in evaluation mode. Raises UserError where its config is not one."""
    kind = _class_of(network)
    config = dict(network.config)
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if network.library == "diffusers":
                model = kind.from_config(config)
            else:
                try:
                    model = kind._from_config(kind.config_class(**config), attn_implementation="sdpa")
                except (ValueError, ImportError):  # written out in its own code
                    model = kind._from_config(kind.config_class(**config), attn_implementation="eager")
    except UserError:
        raise
    except Exception as error:  # whatever a library says of a config that is none of its own
        what = f"{network.class_name} cannot be made from its config: {_first_line(error)}"
        raise UserError(what, mend="Compare it with the config that was published.") from None
    network_made: nn.Module = model.eval().to("meta")  # what its code made elsewhere, whatever it was told, too
    return network_made


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
