"""Models of other libraries by their configs: `model: {config: wan2.1-1.3b}` in a plan.

A config says which classes of diffusers and transformers a pipeline consists of, and their sizes. What such a model is
made of is counted by `ondevice-sora describe` (runtime/describe), which needs the extra `describe`. This module needs
none of it: it finds the description that ships for a shape, or one that was made before and kept; only if there is
neither does it start that command, in a process of its own, and keep what it writes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from ondevice_sora.base import children
from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.keys import means
from ondevice_sora.base.files.opening import read_bytes
from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.base.installation import how_to_install
from ondevice_sora.base.text import LINE, Line, Title
from ondevice_sora.profiles.devices import DATA
from ondevice_sora.profiles.models.model import Branches

CONFIGS = DATA / "configs"
DESCRIPTIONS = DATA / "descriptions"
MAX_BYTES = 2_000_000
LIBRARIES = ("torch", "diffusers", "transformers")
_COUNTING = Path(__file__).parents[2] / "runtime" / "describe"
"""Whose source tells kept descriptions apart: one that an older version counted is not read."""


class InChunks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attention for so many queries at a time: the scores of no others are alive."""

    chunk: Annotated[int, msgspec.Meta(ge=1, le=1_000_000), means("Queries at a time.")]


Attention = Literal["fused", "scores"] | InChunks
Embeddings = Literal["stored", "rows"]
Side = Annotated[int, msgspec.Meta(ge=64, le=2048)]
NumBranches = Annotated[int, msgspec.Meta(ge=1, le=2)]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=4096)]


class ConfiguredModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model that is described from its config, at the plan's shape."""

    config: Annotated[
        str,
        LINE,
        msgspec.Meta(min_length=1, max_length=400),
        means("A config that ships, a pipeline's folder, or one config file. Paths start from the plan's folder."),
    ]
    attention: Annotated[
        Attention,
        means(
            "`fused`: attention scores are never in memory. `scores`: the scores of all heads are in memory, twice. "
            "`{chunk: n}`: the scores of n queries at a time."
        ),
    ] = "fused"
    embeddings: Annotated[
        Embeddings,
        means(
            "`stored`: the table of token embeddings is in the text encoder's package. `rows`: the app reads the "
            "prompt's rows from a file."
        ),
    ] = "stored"
    decoder_tile: Annotated[
        Side | None,
        means(
            "Side of the decoder's tiles in pixels; tiles overlap by a quarter. By default the decoder takes whole "
            "pictures."
        ),
    ] = None


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pixels and frames; a picture has one frame."""

    width: Annotated[int, msgspec.Meta(ge=16, le=8192)]
    height: Annotated[int, msgspec.Meta(ge=16, le=8192)]
    frames: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}"


class NetworkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network: the class and what it is made with. `tokens`: how many a text encoder reads, whatever is asked."""

    library: Literal["diffusers", "transformers"]
    class_name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")] = msgspec.field(name="class")
    config: dict[str, Any] = {}
    tokens: Tokens | None = None


class PipelineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model's networks: text encoders, `denoiser`, `decoder`, in the order in which they run.

    video         the shape unless told otherwise
    steps, guidance   as published; at a guidance of 1 one branch is computed, else two
    text_tokens   tokens of the prompt unless told otherwise, for encoders that have no number of their own
    joined_tokens tokens that the denoiser is given beside those
    """

    name: Title
    source: Line
    components: Annotated[dict[str, NetworkConfig], msgspec.Meta(min_length=1, max_length=20)]
    video: Shape | None = None
    steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 30
    guidance: Annotated[float, msgspec.Meta(ge=0, le=100)] = 7.0
    text_tokens: Tokens = 512
    joined_tokens: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0
    is_rectified_flow: bool = False

    @property
    def branches(self) -> int:
        return 1 if self.guidance == 1.0 else 2


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is described: a model at a shape, with so many branches of guidance and tokens of text.

    `guidance` is how the branches are computed, as a plan's `sampler.branches` says.
    """

    model: ConfiguredModel
    video: Shape
    branches: NumBranches = 2
    text_tokens: Tokens | None = None
    guidance: Branches = "batch"

    @property
    def options(self) -> tuple[str, ...]:
        """The request as `describe` takes it, the config apart."""
        model = self.model
        attention = str(model.attention.chunk) if isinstance(model.attention, InChunks) else model.attention
        options = [
            "--video",
            str(self.video),
            "--branches",
            str(self.branches),
            "--attention",
            attention,
            "--guidance",
            self.guidance,
            "--embeddings",
            model.embeddings,
        ]
        if self.text_tokens is not None:
            options += ["--text-tokens", str(self.text_tokens)]
        if model.decoder_tile is not None:
            options += ["--decoder-tile", str(model.decoder_tile)]
        return tuple(options)

    @property
    def stem(self) -> str:
        """A file's name for it: the config and all that is not as usual."""
        model = self.model
        parts = [Path(model.config).name, str(self.video), f"b{self.branches}"]
        if model.attention != "fused":
            parts.append(f"chunk{model.attention.chunk}" if isinstance(model.attention, InChunks) else model.attention)
        parts += [self.guidance] if self.guidance != "batch" else []
        parts += [model.embeddings] if model.embeddings != "stored" else []
        parts += [f"tile{model.decoder_tile}"] if model.decoder_tile is not None else []
        parts += [f"text{self.text_tokens}"] if self.text_tokens is not None else []
        return "_".join(parts)


def config_names() -> list[str]:
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


@cache
def shipped_config(name: str) -> PipelineConfig:
    """A config that ships. Raises UserError for another name."""
    if name not in config_names():
        mend = f"Give a folder or a config file, or the name of a shipped one. {nearest(name, config_names())}"
        raise UserError(f"'{name}' is no shipped config, and there is no such file or folder", mend=mend)
    return read_yaml(CONFIGS / f"{name}.yaml").convert(PipelineConfig)


def refuse_package(name: str) -> None:
    """Raises UserError for the name of a Core ML package, where a plan or a config is meant."""
    if name.rstrip("/").endswith((".mlpackage", ".mlmodelc", ".mlmodel")):
        mend = f"Make a plan of all packages of the model: ondevice-sora profile estimate {name} ... -o DIR"
        raise UserError("this is a Core ML package", name, mend)


def config_path(config: str, folder: Path) -> Path | None:
    """The file or folder that is meant, None for a shipped config. Raises UserError for neither."""
    refuse_package(config)
    path = folder / config
    if config not in config_names() and os.path.exists(path):
        return path
    shipped_config(config)
    return None


def asked_request(
    model: ConfiguredModel, video: Shape | None, branches: int | None, text_tokens: int | None, guidance: Branches
) -> Request:
    """What a description is asked for, branches as usual unless given. Raises UserError for a file without a shape."""
    path = config_path(model.config, Path())
    if path is not None and video is None:
        what = "it has no shape of its own"
        raise UserError(what, str(path), "Give one with --video, such as 1024x1024, or 832x480x81 for a video.")
    if branches is None:
        branches = shipped_config(model.config).branches if path is None else 2
    return request_of(model, Path(), video, branches, text_tokens, guidance)


def request_of(
    model: ConfiguredModel,
    folder: Path,
    video: Shape | None,
    branches: int,
    text_tokens: int | None,
    guidance: Branches = "batch",
) -> Request:
    """What a plan asks for. Raises UserError where it has to say more."""
    path = config_path(model.config, folder)
    if path is not None:
        model = msgspec.structs.replace(model, config=str(path))
    elif video is None:
        video = shipped_config(model.config).video
    if video is None:
        what = f"{model.config} has no shape of its own"
        raise UserError(what, mend="Add `video: {width: 512, height: 512, frames: 1}`.", field="$.video")
    return Request(model, video, branches, text_tokens, guidance)


def description_of(request: Request) -> Path:
    """The file that describes what is asked for: shipped, kept from before, or made now and kept.

    Raises UserError if it would have to be made and the extra is not installed, or cannot be made.
    """
    name = request.model.config
    shipped = DESCRIPTIONS / f"{request.stem}.yaml"
    if name in config_names() and shipped.is_file():
        return shipped
    kept = cache_folder() / f"{request.stem}-{_digest(request)}.yaml"
    if not kept.is_file():
        missing = [library for library in LIBRARIES if find_spec(library) is None]
        if missing:
            what = f"no description of {name} at {request.video} ships or is kept, and to make one takes {missing[0]}"
            raise UserError(what, mend=how_to_install("describe"))
        _make(request, kept)
    return kept


def cache_folder() -> Path:
    """Where descriptions are kept: a folder of the user's caches."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(caches) / "ondevice-sora" / "descriptions"


def _make(request: Request, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        mend = "Set XDG_CACHE_HOME to a folder that can be written, or name a file that `describe` wrote as `model`."
        raise UserError(f"no folder to keep descriptions in: {error.strerror}", str(path.parent), mend) from None
    arguments = ("describe", request.model.config, *request.options, "-o", str(path), "--force")
    process = children.start(
        "ondevice_sora.commands.main", *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said = children.finish(process)
    if process.returncode == 2:
        what, _, mend = said.strip().rpartition("error: ")[2].partition("\n")
        raise UserError(what, mend=mend or None)
    if process.returncode != 0 or not path.is_file():
        last = said.strip().splitlines()[-1:] or [""]
        how = children.how_it_ended(process.returncode)
        raise UserError(f"the process that describes {request.model.config} {how}: {last[0]}")


def _digest(request: Request) -> str:
    found = hashlib.sha256(msgspec.json.encode(request, order="deterministic"))
    if request.model.config in config_names():
        files = [CONFIGS / f"{request.model.config}.yaml"]
    else:
        path = Path(request.model.config)
        files = [path] if path.is_file() else sorted([*path.glob("*.json"), *path.glob("*/config.json")])
    for file in [*files, *sorted(_COUNTING.glob("*.py"))]:
        found.update(read_bytes(file, MAX_BYTES))
    return found.hexdigest()[:16]
