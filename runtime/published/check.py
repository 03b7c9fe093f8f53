"""What is in a model's folder, told from names, sizes and headers: no weight's value is read.

Of safetensors a few kilobytes are read a file; pickles are mapped into memory, and only their outline is looked at. So
19 GB take seconds. The tokenizer is read whole. Values that are not finite are found when the weights are loaded.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.opening import open_regular, reason
from ondevice_sora.base.text import printable
from ondevice_sora.base.units import format_bytes
from ondevice_sora.records.weights import PartReport, Problem, State, WeightsReport
from ondevice_sora.runtime.networks.components import (
    DECODER,
    DENOISER,
    TEXT_ENCODER,
    TextToVideo,
    check_together,
    component_without_weights,
    describe_component,
)
from ondevice_sora.runtime.networks.stdit3 import STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config
from ondevice_sora.runtime.networks.video_vae import VideoVAEConfig
from ondevice_sora.runtime.networks.weights import Checkpoint, MisfitError, NoWeightsError
from ondevice_sora.runtime.published.catalogue import TOKENIZER_FILES
from ondevice_sora.runtime.published.download import PARTIAL
from ondevice_sora.runtime.small.shipped import check_is_small
from ondevice_sora.runtime.tokenizers.document import check_vocabulary
from ondevice_sora.runtime.tokenizers.finding import document_of

TOKENIZER = "tokenizer"
PUBLISHED_SIZES = {TEXT_ENCODER: T5Config(), DENOISER: STDiT3Config(), DECODER: VideoVAEConfig()}
MODELS = ("opensora", "small")
POINTER = b"version https://git-lfs.github.com/spec/"
"""How a file begins that Git left in the place of a large one."""
GET = "Fetch it with `ondevice-sora weights get`."


def check_weights(directory: Path, model: str = "opensora") -> WeightsReport:
    """Look at all parts, one after the other. Raises UserError for a folder that is not there and an unknown model."""
    if model not in MODELS:
        raise UserError(f"unknown model '{model}'", "--model", nearest(model, list(MODELS)))
    if not os.path.isdir(directory):
        raise UserError("no such directory", str(directory), "Point to the folder that holds the three components.")
    parts, networks = [], {}
    for name in PUBLISHED_SIZES:
        part, network = _component(directory / name, name)
        parts.append(part)
        if name == TEXT_ENCODER and model == "opensora":
            parts.append(_tokenizer(directory, None if network is None else network.config.vocab_size))
        if part.state == "complete":
            networks[name] = network
    together = None
    if len(networks) == len(PUBLISHED_SIZES):
        try:
            check_together(TextToVideo(**networks), str(directory))
            if model == "small":
                check_is_small(TextToVideo(**networks), directory)
        except UserError as error:
            together = _problem(error, directory)
    notes = []
    if model == "opensora":
        others = [name for name, network in networks.items() if network.config != PUBLISHED_SIZES[name]]
        notes += [f"{name} has other sizes than the published one" for name in others]
    return WeightsReport(printable(str(directory)), model, parts, notes, together)


def _component(folder: Path, name: str) -> tuple[PartReport, Any]:
    """A component's report, and the network that its configuration describes, None if that cannot be used."""
    files = dict(_files(folder))
    tokenizer_files = set(TOKENIZER_FILES) if name == TEXT_ENCODER else set()
    listed = {file: size for file, size in files.items() if file not in tokenizer_files}
    network = None
    try:
        _refuse_pointers(folder, listed)
        network = component_without_weights(folder, name)
        return _complete(name, listed, *describe_component(folder, name)), network
    except UserError as error:
        state: State = "unusable"
        if isinstance(error, NoWeightsError):
            state = "missing"
            error = _with_unfinished(error, listed)
        elif isinstance(error, MisfitError):
            state = "misshapen"
        return PartReport(name, state, _shown(listed), problem=_problem(error, folder)), network


def _complete(name: str, files: dict[str, int], network: Any, checkpoint: Checkpoint) -> PartReport:
    own = dict(network.state_dict(keep_vars=True))
    dtypes = {dtype for tensor, dtype in checkpoint.dtypes.items() if tensor in own and dtype is not None}
    unique = {id(tensor): tensor for tensor in own.values()}
    return PartReport(
        name,
        "complete",
        _shown(files),
        num_tensors=len(own),
        num_parameters=sum(math.prod(tensor.shape) for tensor in unique.values()),
        types=sorted(_type_name(dtype) for dtype in dtypes),
        sizes=_sizes(name, network.config),
    )


def _type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _sizes(name: str, config: Any) -> str:
    if name == TEXT_ENCODER:
        return f"{config.num_layers} layers, {config.d_model} wide"
    if name == DENOISER:
        return f"{config.depth} pairs, {config.hidden_size} wide"
    return f"{config.spatial.block_out_channels[-1]} and {config.temporal.widths[-1]} wide"


def _tokenizer(directory: Path, rows: int | None) -> PartReport:
    """Whether one of a tokenizer's files is there and can be used; `rows` are those of the embedding, where known."""
    folder = directory / TEXT_ENCODER
    files = {file: size for file, size in _files(folder) if file in TOKENIZER_FILES}
    if not files:
        mend = GET if folder.is_dir() else None
        missing = Problem(f"no {' and no '.join(TOKENIZER_FILES)} here", str(folder), mend)
        return PartReport(TOKENIZER, "missing", {}, problem=missing)
    try:
        _refuse_pointers(folder, files)
        document = document_of(directory, "opensora")
        if document is not None and rows is not None:
            check_vocabulary(document, rows, str(folder), GET)
    except UserError as error:
        return PartReport(TOKENIZER, "unusable", files, problem=_problem(error, folder))
    return PartReport(TOKENIZER, "complete", files)


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Regular files of a folder with their sizes, links followed, by name."""
    if not os.path.isdir(folder):
        return
    for name in sorted(os.listdir(folder)):
        try:
            found = os.stat(folder / name)
        except OSError:  # a link that leads nowhere
            continue
        if stat.S_ISREG(found.st_mode):
            yield name, found.st_size


def _refuse_pointers(folder: Path, files: dict[str, int]) -> None:
    """Raises UserError for a file of which Git has only the pointer here."""
    for name, size in files.items():
        if size > 1024:
            continue
        try:
            with open_regular(folder / name) as stream:
                start = stream.read(len(POINTER))
        except OSError as error:
            raise UserError(f"cannot be read: {reason(error)}", str(folder / name)) from None
        if start == POINTER:
            what = "this is a pointer that Git LFS left in the file's place"
            raise UserError(what, str(folder / name), "Run `git lfs pull` there, or `ondevice-sora weights get`.")


def _with_unfinished(error: UserError, files: dict[str, int]) -> UserError:
    """What is missing may be on its way."""
    unfinished = [f"{format_bytes(size)} of {_full_name(name)}" for name, size in files.items() if _full_name(name)]
    if not unfinished:
        return error
    mend = f"A download is unfinished ({', '.join(unfinished)}): `ondevice-sora weights get` goes on with it."
    return UserError(error.what, error.where, mend)


def _full_name(name: str) -> str | None:
    """The file that a partial one is a part of: .NAME.CHECKSUM.partial."""
    if not name.startswith(".") or not name.endswith(PARTIAL):
        return None
    return name[1 : -len(PARTIAL)].rpartition(".")[0]


def _problem(error: UserError, where: Path) -> Problem:
    return Problem(printable(error.what), printable(error.where or str(where)), error.mend and printable(error.mend))


def _shown(files: dict[str, int]) -> dict[str, int]:
    """With names that JSON and terminals take: a file's may be any bytes."""
    return {printable(name): size for name, size in files.items()}
