"""Reading published weights: safetensors, whole or in shards, and torch pickles without running what is in them.

A checkpoint is checked by names, shapes and types before a value is read; what does not fit is reported by name, all at
once. Values must be finite.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.json_files import read_record
from ondevice_sora.base.files.opening import FileName

NAMES_SHOWN = 12
LETTERS_SHOWN = 100
MAX_INDEX_BYTES = 50_000_000
INDEX_SUFFIX = ".index.json"
SAFETENSORS = ".safetensors"
PICKLES = (".bin", ".pt", ".pth")
FLOATS = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
"""What weights may be, by the names that safetensors have for it."""
SAMPLED_PLACES, SAMPLED_VALUES = 16, 32
"""Of each tensor, where two checkpoints are to be told apart quickly."""

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


class NoWeightsError(UserError):
    """There are no weights, or a part of them is not there."""


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
    shown = ", ".join(n if len(n) <= LETTERS_SHOWN else f"{n[: LETTERS_SHOWN - 1]}…" for n in names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"


@dataclass(frozen=True)
class _Entry:
    """A tensor of a file. `kind` says what it is where weights are not that: 'sparse', 'I64'; None for floats."""

    file: Path
    shape: Shape
    kind: str | None
    dtype: torch.dtype | None = None


class Checkpoint:
    """Names, shapes and values of the tensors in one file or in the shards of an index; values are read last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, _Entry] = {}
        promised = _read_index(path) if path.name.endswith(INDEX_SUFFIX) else None
        for file in [path] if promised is None else sorted(set(promised.values())):
            self._entries.update(_entries_in(file))
        for name, file in (promised or {}).items():
            if name not in self._entries or self._entries[name].file != file:
                raise UserError(
                    f"{_some([name])} is not in {file.name}, where the index says it is",
                    str(path),
                    "Download the shard and its index again.",
                )

    @property
    def shapes(self) -> dict[str, Shape]:
        return {name: entry.shape for name, entry in self._entries.items()}

    @property
    def dtypes(self) -> dict[str, torch.dtype | None]:
        """None for what cannot be a weight."""
        return {name: entry.dtype for name, entry in self._entries.items()}

    @property
    def files(self) -> list[Path]:
        """Those that the tensors are in."""
        return sorted({entry.file for entry in self._entries.values()})

    def check_kinds(self, names: Iterable[str]) -> None:
        """Raise UserError for a tensor among these names (those that are here) that cannot be a network's weight."""
        for name in names:
            entry = self._entries.get(name)
            if entry is not None and entry.kind is not None:
                what = f"{_some([name])} is {entry.kind}; weights are dense and float16, bfloat16, float32 or float64"
                raise UserError(what, str(entry.file), "Convert the weights.")

    def read(self, names: Collection[str]) -> dict[str, Tensor]:
        """The values of some tensors, and no others. KeyError for a name that is not there, UserError as `tensors`."""
        if missing := [name for name in names if name not in self._entries]:
            raise KeyError(missing[0])
        return dict(self.tensors(names))

    def samples(self, names: Collection[str]) -> Iterator[tuple[str, Tensor]]:
        """A few values of each of these weights, from evenly spaced places; nothing else is read. Raises UserError."""
        for file in dict.fromkeys(self._entries[name].file for name in names):
            for name, tensor in _values_in(file, [name for name in names if self._entries[name].file == file]):
                flat = tensor.reshape(-1)
                step = max(SAMPLED_VALUES, flat.numel() // SAMPLED_PLACES)
                places = range(0, flat.numel(), step)
                yield name, torch.cat([flat[start : start + SAMPLED_VALUES] for start in places] or [flat])

    def tensors(self, names: Collection[str]) -> Iterator[tuple[str, Tensor]]:
        """Those of these names that are here with their values, one file after the other.

        Raises UserError if one cannot be a weight, is not finite, or cannot be read.
        """
        self.check_kinds(names)
        wanted = [name for name in names if name in self._entries]
        for file in dict.fromkeys(self._entries[name].file for name in wanted):
            for name, tensor in _values_in(file, [name for name in wanted if self._entries[name].file == file]):
                if not is_finite(tensor):
                    raise UserError(f"{_some([name])} has values that are not finite", str(file), "Download it again.")
                yield name, tensor


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are. What is not shows in the extremes, which are found in a thirtieth of the time."""
    return tensor.numel() == 0 or all(bool(torch.isfinite(extreme)) for extreme in tensor.aminmax())


def find_checkpoint(directory: Path) -> Checkpoint:
    """The checkpoint in a directory (or the file given): an index of shards, or else the only weight file.

    Safetensors are preferred to pickles. Raises UserError if there is none, or more than one to choose from.
    """
    if directory.is_file():
        return Checkpoint(directory)
    if not directory.is_dir():
        raise NoWeightsError("no such file or directory", str(directory), "Point to the folder that holds the weights.")
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
    raise NoWeightsError(
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
    fill(model, checkpoint.tensors(model.state_dict(keep_vars=True)))


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


class _Index(msgspec.Struct):
    weight_map: dict[str, FileName]


def _read_index(path: Path) -> dict[str, Path]:
    """Tensor name -> shard, every shard present and beside the index."""
    mend = 'It must be JSON with a "weight_map" of names to files beside it.'
    files = read_record(path, _Index, max_bytes=MAX_INDEX_BYTES, mend=mend).weight_map
    for file in sorted(set(files.values())):
        if not (path.parent / file).is_file():
            raise NoWeightsError(f"shard {file} is missing", str(path), "Download it into the same folder.")
    return {name: path.parent / file for name, file in files.items()}


def _entries_in(file: Path) -> dict[str, _Entry]:
    if file.suffix != SAFETENSORS:
        return {name: _entry_of(file, tensor) for name, tensor in _unpickle(file).items()}
    with _readable(file), safe_open(file, "pt") as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118  # not a mapping
        return {name: _entry_of_slice(file, part) for name, part in slices.items()}


def _entry_of_slice(file: Path, part: Any) -> _Entry:
    kind = part.get_dtype()
    return _Entry(file, tuple(part.get_shape()), None if kind in FLOATS else kind, FLOATS.get(kind))


def _entry_of(file: Path, tensor: Tensor) -> _Entry:
    """What an unpickled tensor is; of a nested one even the shape cannot be asked."""
    if tensor.is_nested:
        return _Entry(file, (), "nested")
    unusual = {
        "sparse": tensor.layout != torch.strided,
        "quantised": tensor.is_quantized,
        "without values": tensor.is_meta,
        str(tensor.dtype).removeprefix("torch."): tensor.dtype not in FLOATS.values(),
    }
    kind = next((kind for kind, holds in unusual.items() if holds), None)
    return _Entry(file, tuple(tensor.shape), kind, None if kind else tensor.dtype)


def _values_in(file: Path, names: Collection[str]) -> Iterator[tuple[str, Tensor]]:
    """The values of tensors that are in this file."""
    if file.suffix != SAFETENSORS:
        content = _unpickle(file)
        yield from ((name, content[name]) for name in names)
        return
    with _readable(file), safe_open(file, "pt") as opened:
        for name in names:
            yield name, opened.get_tensor(name)


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
        is_zip = zipfile.is_zipfile(file)
        if is_zip:
            _refuse_compression(file)
        with warnings.catch_warnings(action="ignore"):  # torch warns of pickle protocols before it refuses them
            content: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=is_zip)
    except UserError:
        raise
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


def _refuse_compression(file: Path) -> None:
    """torch maps its archives into memory as they are: of a compressed one it would take the bytes for values."""
    with zipfile.ZipFile(file) as archive:
        compressed = [each.filename for each in archive.infolist() if each.compress_type != zipfile.ZIP_STORED]
    if compressed:
        raise UserError(f"{_some([compressed[0]])} in it is compressed", str(file), "Save it with torch.save.")
