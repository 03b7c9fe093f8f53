"""A block store of a model whose weights are never all in memory: a file a unit, written from a checkpoint.

Blocks of any plan are made of whole files, so that one store serves every partition, budget and length of video. A
tensor at a time is read and written; the manifest is written after every file, so that writing that was interrupted
goes on where it was.

    checkpoint          values as the checkpoint has them (float64 as float32): results are those of the whole model
    float16, bfloat16   matrices and kernels rounded to 16 bits; vectors (norms, biases) stay as they are

Arithmetic is in float32 whatever is stored.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked, scratch_in
from ondevice_sora.base.files.opening import reason
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.base.interrupts import check
from ondevice_sora.base.units import format_bytes
from ondevice_sora.profiles.models.model import family
from ondevice_sora.runtime.executor.store import (
    DTYPES,
    FORMAT,
    MANIFEST,
    Manifest,
    Store,
    StoredBlock,
    StoredTensor,
    bytes_of,
    header_bytes,
    is_whole,
    laid_out,
    write_all,
)
from ondevice_sora.runtime.networks.network import Network, weights
from ondevice_sora.runtime.networks.sources import WeightSource

StoredAs = Literal["checkpoint", "float16", "bfloat16"]
ROUNDED: Mapping[StoredAs, torch.dtype] = {"float16": torch.float16, "bfloat16": torch.bfloat16}
KIND = "weights"
PURPOSE = "store"


@dataclass(frozen=True)
class UnitFile:
    """The file of one unit, as it is to be: `number` is the unit's place in its component."""

    component: str
    number: int
    unit: str
    tensors: tuple[StoredTensor, ...]

    @property
    def data_bytes(self) -> int:
        return self.tensors[-1].end if self.tensors else 0

    @property
    def file_bytes(self) -> int:
        return len(header_bytes(self.tensors)) + self.data_bytes

    @property
    def widened_bytes(self) -> int:
        """What the unit's weights take in float32 besides, while it runs: of those that are stored in 16 bits."""
        return sum(2 * tensor.num_bytes for tensor in self.tensors if tensor.dtype in ("F16", "BF16"))


def unit_files(networks: tuple[Network, ...], source: WeightSource, stored_as: StoredAs) -> tuple[UnitFile, ...]:
    """The files of all units, in the order in which they are used."""
    found = []
    for network in networks:
        for number, unit in enumerate(network.plain):
            shapes = {name: tuple(tensor.shape) for name, tensor in weights(unit)}
            types = {
                name: (stored_type(source.dtype(family(network.name), name), shape, stored_as), shape)
                for name, shape in shapes.items()
            }
            found.append(UnitFile(network.name, number, unit.name, laid_out(types)))
    return tuple(found)


def stored_type(given: torch.dtype, shape: tuple[int, ...], stored_as: StoredAs) -> torch.dtype:
    """In which type a weight is stored that a checkpoint has in the type given. Never one of more bytes."""
    exact = torch.float32 if given == torch.float64 else given
    is_vector = sum(side > 1 for side in shape) <= 1
    wanted = exact if stored_as == "checkpoint" or is_vector else ROUNDED[stored_as]
    return wanted if wanted.itemsize < exact.itemsize else exact


class UnitStoreWriter:
    """Writes the files of a model's units that are not in the folder yet.

    `remaining` are the files to write. What is there of the same weights in the same precision is kept.
    """

    def __init__(
        self, directory: Path, model: str, files: tuple[UnitFile, ...], source: WeightSource, stored_as: StoredAs
    ) -> None:
        """Raises UserError if the folder has another store, or something else that is called as its manifest is."""
        self.directory, self.model, self.files, self.source = directory, model, files, source
        self.stored_as = stored_as
        shapes: dict[str, dict[str, tuple[int, ...]]] = {}
        for file in files:
            known = shapes.setdefault(family(file.component), {})
            known.update({tensor.name: tensor.shape for tensor in file.tensors})
        sampled = [[component, source.sampled(component, known)] for component, known in sorted(shapes.items())]
        self._origin = {"kind": KIND, "weights": _hash([model, sampled]), "stored_as": stored_as}
        self._partition = _hash([model, [[file.component, file.unit] for file in files]])
        self._written: dict[UnitFile, StoredBlock] = {}
        if Store.is_there(directory):
            self._take_over(Store.open(directory, begun=True))

    @property
    def remaining(self) -> list[UnitFile]:
        return [file for file in self.files if file not in self._written]

    @property
    def remaining_bytes(self) -> int:
        return sum(file.file_bytes for file in self.remaining)

    def check_disk(self) -> None:
        """Raises UserError if there is not enough room for what is to be written."""
        there = next(folder for folder in (self.directory, *self.directory.absolute().parents) if folder.is_dir())
        free, needed = shutil.disk_usage(there).free, self.remaining_bytes
        if needed > free:
            what = f"the block store takes {format_bytes(needed)} of disk; {format_bytes(free)} are free there"
            mend = "Free some, name a folder on another disk, or store the weights in float16."
            raise UserError(what, str(self.directory), mend)

    def write(self, most: int | None = None, on_file: Callable[[UnitFile], None] | None = None) -> None:
        """Write what remains, or at most so many files of it; `on_file` is told of each.

        Raises UserError if the disk refuses or a weight cannot be read, and Interrupted; what is finished stays.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with locked(self.directory), scratch_in(self.directory, PURPOSE) as scratch:
                for file in self.remaining[:most]:
                    check()
                    self._written[file] = self._write(file, scratch / "unit")
                    text = json.dumps(msgspec.to_builtins(self._manifest()), indent=1)
                    write_text(self.directory / MANIFEST, text + "\n")
                    if on_file is not None:
                        on_file(file)
        except OSError as error:
            raise UserError(f"the store cannot be written: {reason(error)}", str(self.directory)) from None

    @property
    def digest(self) -> str:
        """A hash of what has been written: the same for the same weights in the same precision, wherever they lie."""
        return _hash([[block.component, block.first_unit, block.checksum] for block in self._manifest().blocks])

    def begun(self) -> Store:
        """The store as far as it has been written."""
        return Store(self.directory, self._manifest())

    def store(self) -> Store:
        """The store; all of it has been written."""
        assert not self.remaining, "see write"
        return Store.open(self.directory)

    def _take_over(self, found: Store) -> None:
        manifest = found.manifest
        if (manifest.origin, manifest.model, manifest.partition) != (self._origin, self.model, self._partition):
            what = "this folder has a block store of other weights, or of these in another precision"
            raise UserError(what, str(self.directory), "Name another folder, or remove this one.")
        there = {(block.component, block.first_unit): block for block in manifest.blocks}
        for file in self.files:
            block = there.get((file.component, file.unit))
            if block is not None and block.tensors == file.tensors and is_whole(self.directory, block):
                self._written[file] = block

    def _write(self, file: UnitFile, path: Path) -> StoredBlock:
        """Write one file under another name, and put it in its place."""
        digest = hashlib.sha256()
        with path.open("wb", buffering=0) as stream:
            for part in self._parts(file):
                digest.update(part)
                write_all(stream.fileno(), part)
            os.fsync(stream.fileno())
        checksum = digest.hexdigest()
        name = f"{file.component}.{file.number:03}-{checksum[:8]}.safetensors"
        os.replace(path, self.directory / name)
        start = len(header_bytes(file.tensors))
        return StoredBlock(name, file.component, file.unit, file.unit, start, file.data_bytes, checksum, file.tensors)

    def _parts(self, file: UnitFile) -> Iterator[bytes | memoryview]:
        yield header_bytes(file.tensors)
        for entry in file.tensors:
            check()
            yield bytes_of(rounded(self.source.as_stored(family(file.component), entry.name, entry.shape), entry))

    def _manifest(self) -> Manifest:
        blocks = tuple(self._written[file] for file in self.files if file in self._written)
        is_complete = len(blocks) == len(self.files)
        return Manifest(FORMAT, self.model, self._partition, blocks, self._origin, is_complete)


def rounded(tensor: Tensor, entry: StoredTensor) -> Tensor:
    """A weight in the type that it is stored in. Raises UserError if that type cannot hold a value of it."""
    result = tensor.to(DTYPES[entry.dtype])
    if result.dtype == torch.float16 != tensor.dtype and not bool(torch.isfinite(result).all()):
        raise UserError(
            f"{entry.name} has values too large for float16", mend="Store the weights in bfloat16, or as they are."
        )
    return result


def _hash(data: object) -> str:
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()
