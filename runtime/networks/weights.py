"""Reading published weights: safetensors, whole or in shards, and torch pickles without running what is in them.

A checkpoint is checked by names and shapes before a value is read; what does not fit is reported by name, all at once.
"""

import json
import pickle
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ondevice_sora.base.errors import UserError

NAMES_SHOWN = 12
INDEX_SUFFIX = ".index.json"
SAFETENSORS = ".safetensors"
PICKLES = (".bin", ".pt", ".pth")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Misfit:
    """How a checkpoint differs from a network. `misshapen` maps a name to its shape here and its shape there."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: Mapping[str, tuple[Shape, Shape]]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        shapes = [f"{name} {list(got)} for {list(wanted)}" for name, (got, wanted) in self.misshapen.items()]
        parts = (("missing", self.missing), ("unexpected", self.unexpected), ("misshapen", shapes))
        return "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in parts if names)


class MisfitError(UserError):
    """The checkpoint is readable but not of this network; `misfit` has every name."""

    def __init__(self, misfit: Misfit, where: str) -> None:
        self.misfit = misfit
        super().__init__(
            f"the weights do not fit the network: {misfit}",
            where,
            "Point to this network's weights, or correct its sizes.",
        )


def _some(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"


class Checkpoint:
    """Names, shapes and values of the tensors in one file or in the shards of an index; values are read last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file_of: dict[str, Path] = {}
        self.shapes: dict[str, Shape] = {}
        promised = _read_index(path) if path.name.endswith(INDEX_SUFFIX) else None
        for file in [path] if promised is None else sorted(set(promised.values())):
            for name, shape in _shapes_in(file).items():
                self._file_of[name] = file
                self.shapes[name] = shape
        for name, file in (promised or {}).items():
            if self._file_of.get(name) != file:
                raise UserError(
                    f"{name} is not in {file.name}, where the index says it is",
                    str(path),
                    "Download the shard and its index again.",
                )

    def read(self, names: Collection[str]) -> dict[str, Tensor]:
        """The values of some tensors, and no others. Raises KeyError for a name that is not there."""
        found: dict[str, Tensor] = {}
        for file in dict.fromkeys(self._file_of[name] for name in names):
            wanted = [name for name in names if self._file_of[name] == file]
            if file.suffix == SAFETENSORS:
                with _readable(file), safe_open(file, "pt") as opened:
                    found.update((name, opened.get_tensor(name)) for name in wanted)
            else:
                content = _unpickle(file)
                found.update((name, content[name]) for name in wanted)
        return found

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every name with its values, one file after the other."""
        for file in dict.fromkeys(self._file_of.values()):
            if file.suffix == SAFETENSORS:
                with _readable(file), safe_open(file, "pt") as opened:
                    for name in opened.keys():  # noqa: SIM118  # not a mapping
                        yield name, opened.get_tensor(name)
            else:
                yield from _unpickle(file).items()


def find_checkpoint(directory: Path) -> Checkpoint:
    """The checkpoint in a directory (or the file given): an index of shards, or else the only weight file.

    Safetensors are preferred to pickles. Raises UserError if there is none, or more than one to choose from.
    """
    if directory.is_file():
        return Checkpoint(directory)
    if not directory.is_dir():
        raise UserError("no such file or directory", str(directory), "Point to the folder that holds the weights.")
    files = sorted(file for file in directory.iterdir() if file.is_file())
    choices: tuple[Callable[[Path], bool], ...] = (
        lambda file: file.name.endswith(SAFETENSORS + INDEX_SUFFIX),
        lambda file: file.suffix == SAFETENSORS,
        lambda file: any(file.name.endswith(suffix + INDEX_SUFFIX) for suffix in PICKLES),
        lambda file: file.suffix in PICKLES,
    )
    for chosen in choices:
        candidates = [file for file in files if chosen(file)]
        if len(candidates) == 1:
            return Checkpoint(candidates[0])
        if candidates:
            raise UserError(
                f"{len(candidates)} weight files and no index: {_some([file.name for file in candidates])}",
                str(directory),
                f"Point to one of them, or add the *{INDEX_SUFFIX} that came with the shards.",
            )
    raise UserError(
        "no weights here", str(directory), f"Put *{SAFETENSORS} or {', '.join('*' + p for p in PICKLES)} there."
    )


def load_weights(model: nn.Module, source: Path, *, unused_prefixes: tuple[str, ...] = ()) -> None:
    """Fill `model` with the weights in `source`, a file or a directory; values are converted to the model's types.

    Tensors that the model ties together need one entry. Entries under `unused_prefixes` are passed over. The model is
    untouched unless everything fits. A model on the meta device takes the tensors as they are. Raises MisfitError, or
    UserError if the files cannot be read.
    """
    checkpoint = find_checkpoint(source)
    check_fit(model, checkpoint.shapes, str(checkpoint.path), unused_prefixes)
    fill(model, checkpoint.tensors())


def check_fit(model: nn.Module, shapes: Mapping[str, Shape], where: str, unused_prefixes: tuple[str, ...] = ()) -> None:
    """Raise MisfitError unless tensors of these names and shapes are the model's weights."""
    misfit = compare(shapes, model.state_dict(keep_vars=True), unused_prefixes)
    if misfit:
        raise MisfitError(misfit, where)


def fill(model: nn.Module, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Give the model these values; names that are not the model's are passed over."""
    wanted = model.state_dict(keep_vars=True)
    needed = ((name, tensor) for name, tensor in tensors if name in wanted)
    if not any(tensor.is_meta for tensor in wanted.values()):
        with torch.no_grad():
            for name, tensor in needed:
                wanted[name].copy_(tensor)
        return
    values = {id(wanted[name]): tensor for name, tensor in needed}
    model.load_state_dict({name: values[id(tensor)] for name, tensor in wanted.items()}, assign=True)


def compare(shapes: Mapping[str, Shape], wanted: Mapping[str, Tensor], unused_prefixes: tuple[str, ...] = ()) -> Misfit:
    """How tensors of these names and shapes differ from `wanted`, a state dict in which tied names share one tensor."""
    provided = {id(tensor) for name, tensor in wanted.items() if name in shapes}
    return Misfit(
        missing=tuple(name for name, tensor in wanted.items() if id(tensor) not in provided),
        unexpected=tuple(name for name in shapes if name not in wanted and not name.startswith(unused_prefixes)),
        misshapen={
            name: (shapes[name], tuple(tensor.shape))
            for name, tensor in wanted.items()
            if name in shapes and shapes[name] != tuple(tensor.shape)
        },
    )


def _read_index(path: Path) -> dict[str, Path]:
    """Tensor name -> shard, every shard present and beside the index."""
    try:
        weight_map = json.loads(path.read_text())["weight_map"]
        files = {str(name): str(file) for name, file in weight_map.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"not an index of shards ({error})", str(path), 'It must be JSON with a "weight_map" of names to files.'
        ) from None
    for file in sorted(set(files.values())):
        if Path(file).name != file:
            raise UserError(f"shard {file!r} is not beside the index", str(path), "Name the files, without folders.")
        if not (path.parent / file).is_file():
            raise UserError(f"shard {file} is missing", str(path), "Download it into the same folder.")
    return {name: path.parent / file for name, file in files.items()}


def _shapes_in(file: Path) -> dict[str, Shape]:
    if file.suffix != SAFETENSORS:
        return {name: tuple(tensor.shape) for name, tensor in _unpickle(file).items()}
    with _readable(file), safe_open(file, "pt") as opened:
        return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"not a whole safetensors file ({error})", str(file), "It may be cut short; download it again."
        ) from None


def _unpickle(file: Path) -> dict[str, Tensor]:
    """Tensors of a torch checkpoint. Only tensors and plain containers are unpickled: no code in the file runs."""
    try:
        with warnings.catch_warnings(action="ignore"):  # torch warns of pickle protocols before it refuses them
            content: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=_is_zip(file))
    except pickle.UnpicklingError:
        raise UserError(
            "refused: the pickle holds more than tensors, or is damaged; loading it could run code",
            str(file),
            "Use a safetensors version of these weights.",
        ) from None
    except Exception as error:  # a damaged pickle can make the reader fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"not a whole torch checkpoint ({reason})", str(file), "It may be cut short; download it again."
        ) from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError("not a mapping of names to tensors", str(file), "Save the network's state_dict alone.")
    return {str(name): tensor for name, tensor in content.items()}


def _is_zip(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(2) == b"PK"
