"""The block store: a partition's weights on disk, one safetensors file a block, and a manifest of them.

    manifest.json                 model, partition, and for every file its units, bytes, tensors and checksum
    model.yaml                    the model's units, for a plan's `model`
    denoiser.003-1f0c2a9d.safetensors

The data section starts at a multiple of 4096 bytes (the header is filled up with spaces, as the format allows), so that
direct reads land where the tensors lie. Tensors whose bytes are a multiple of 64 come first: weights keep the alignment
that a whole model's have, and the same bits come out.

A file's name carries its content, and the manifest is replaced last: whatever interrupts the writing, the manifest
names complete files of one version. Both variants of a block read the same file. A store that is cut finer than a plan
serves it too: the plan's block is then several files (unit_store.py).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.opening import FILE_NAME, open_beside, plain, reason, remove_beside
from ondevice_sora.base.files.writing import replaced, write_text
from ondevice_sora.base.interrupts import check
from ondevice_sora.base.quantities import Count
from ondevice_sora.base.text import END, Line, Title
from ondevice_sora.plans.partition import Block
from ondevice_sora.profiles.blocks import span_name
from ondevice_sora.profiles.models.model import Model, Name
from ondevice_sora.runtime.networks.description import write_model
from ondevice_sora.runtime.networks.network import Network, weights

ALIGNMENT = 4096
VECTOR_BYTES = 64
MANIFEST, MODEL = "manifest.json", "model.yaml"
FORMAT = "ondevice-sora-store-1"
Dtype = Literal["F32", "F16", "BF16", "I64", "I32"]
DTYPES: dict[Dtype, torch.dtype] = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
HASH_BYTES = 1 << 24
MAX_MANIFEST_BYTES = 100_000_000
MAX_RANK = 8
WRITE_AGAIN = "Write the store again."
BlockFile = Annotated[
    str,
    msgspec.Meta(
        pattern=FILE_NAME + r"\.safetensors" + END,
        max_length=200,
        description="the name of a .safetensors file beside it",
    ),
]
Checksum = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}" + END, description="64 hexadecimal digits")]


class StoredTensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor in the data section: bytes `start` to `end` of it."""

    name: Line
    dtype: Dtype
    shape: Annotated[tuple[Count, ...], msgspec.Meta(max_length=MAX_RANK)]
    start: Count
    end: Count

    @property
    def num_bytes(self) -> int:
        """As its shape and type have it."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


class StoredBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file. `data_start` is where the data section begins; `checksum` is of the whole file (SHA-256)."""

    file: BlockFile
    component: Name
    first_unit: Name
    last_unit: Name
    data_start: Count
    data_bytes: Count
    checksum: Checksum
    tensors: tuple[StoredTensor, ...]

    @property
    def file_bytes(self) -> int:
        return self.data_start + self.data_bytes

    @property
    def name(self) -> str:
        """The block's name, as in traces."""
        return span_name(self.first_unit, self.last_unit)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in a store. `partition` is the hash of model and cuts; `origin` says how to build the networks.

    A store that is not complete has the blocks that were finished when its writing broke off.
    """

    format: str
    model: Title
    partition: Line
    blocks: tuple[StoredBlock, ...]
    origin: dict[str, Any] = {}
    complete: bool = True


class Store:
    """A store on disk: its manifest, and the block files by component and units."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest

    @staticmethod
    def is_there(directory: Path) -> bool:
        """Whether anything stands where a manifest would; `open` says whether it is one."""
        return os.path.lexists(directory / MANIFEST)

    @classmethod
    def open(cls, directory: Path, *, begun: bool = False) -> Store:
        """Read the manifest. Raises UserError if there is none, if it contradicts itself, or if it is not complete.

        With `begun` one that is not complete will do.
        """
        path = directory / MANIFEST
        if not cls.is_there(directory):
            raise UserError("no block store: there is no manifest.json", str(directory), "Write the store first.")
        document = read_json(path, max_bytes=MAX_MANIFEST_BYTES, mend=WRITE_AGAIN, follows_links=False)
        document.check_format("a block store's manifest", FORMAT)
        manifest = document.convert(Manifest)
        _check(manifest, document)
        if not (manifest.complete or begun):
            raise document.error("$.complete", "the store is not complete", "Go on with the command that writes it.")
        return cls(directory, manifest)

    def files_of(self, component: str, first_unit: str, last_unit: str) -> tuple[StoredBlock, ...]:
        """The files, one after the other, that hold the block of these units.

        Raises UserError if no files begin and end with it: the store was cut otherwise.
        """
        own = [block for block in self.manifest.blocks if block.component == component]
        start = next((index for index, block in enumerate(own) if block.first_unit == first_unit), len(own))
        for index in range(start, len(own)):
            if own[index].last_unit == last_unit:
                return tuple(own[start : index + 1])
        raise UserError(
            f"the store has no block '{span_name(first_unit, last_unit)}' of {component}; it has "
            + (", ".join(block.name for block in own) or "nothing"),
            str(self.directory),
            "Write the store for this plan's partition.",
        )

    def path(self, block: StoredBlock) -> Path:
        return plain(self.directory, block.file)

    def opened(self, block: StoredBlock, *, direct: bool = False) -> FileIO:
        """The block's file, opened to read bytes, past the page cache if `direct`. Raises OSError."""
        return open_beside(self.directory, block.file, direct=direct)

    def remove(self) -> None:
        """Remove the store's files, and its folder unless something else is in it. Raises UserError if it cannot be."""
        try:
            remove_beside(self.directory, [*(block.file for block in self.manifest.blocks), MODEL, MANIFEST])
            with suppress(OSError):
                self.directory.rmdir()
        except OSError as error:
            raise UserError(f"the store cannot be removed: {reason(error)}", str(self.directory)) from None

    def document(self) -> Document:
        """The manifest as plain data, for complaints about its `origin`."""
        return Document({"origin": self.manifest.origin}, {}, self.directory / MANIFEST, WRITE_AGAIN)

    def verify(self) -> None:
        """Read every file and compare checksums. Raises UserError naming the first block that is not as written."""
        for block in self.manifest.blocks:
            digest = hashlib.sha256()
            try:
                with self.opened(block) as stream:
                    while chunk := stream.read(HASH_BYTES):
                        digest.update(chunk)
            except OSError as error:
                raise block_error(block, self.path(block), f"cannot be read ({reason(error)})") from None
            if digest.hexdigest() != block.checksum:
                raise block_error(block, self.path(block), "is not as it was written (checksum)")


def _check(manifest: Manifest, document: Document) -> None:
    """What a schema cannot say: each block once, and tensors that fill its data without gap or overlap."""
    seen: set[object] = set()
    for number, block in enumerate(manifest.blocks):
        pointer = f"$.blocks[{number}]"
        for same in ((block.component, block.first_unit, block.last_unit), block.file):
            if same in seen:
                raise document.error(pointer, f"block '{block.name}' of {block.component} stands twice")
            seen.add(same)
        if len({entry.name for entry in block.tensors}) < len(block.tensors):
            raise document.error(f"{pointer}.tensors", "a tensor stands twice")
        position = 0
        for index, entry in sorted(enumerate(block.tensors), key=lambda item: (item[1].start, item[1].end)):
            place = f"{pointer}.tensors[{index}]"
            if entry.end - entry.start != entry.num_bytes:
                what = f"{entry.dtype} {list(entry.shape)} has {entry.num_bytes} bytes, not {entry.end - entry.start}"
                raise document.error(place, what)
            if entry.start != position:
                raise document.error(
                    place, f"begins at byte {entry.start}, but the tensors before it end at {position}"
                )
            position = entry.end
        if position != block.data_bytes:
            raise document.error(f"{pointer}.data_bytes", f"{block.data_bytes}, but the tensors have {position} bytes")
        if block.data_start != len(header_bytes(block.tensors)):
            raise document.error(f"{pointer}.data_start", "not where the header of these tensors ends")


def block_error(block: StoredBlock, path: Path, what: str) -> UserError:
    """The complaint about a block's file."""
    return UserError(f"block '{block.name}' of {block.component} {what}", str(path), WRITE_AGAIN)


def write_store(
    directory: Path,
    model: Model,
    networks: Sequence[Network],
    cuts: Mapping[str, Sequence[Block]],
    origin: Mapping[str, Any] | None = None,
) -> Store:
    """Write the networks' weights, cut as given; files that are there already with the same content stay.

    Raises UserError if the disk is full or refuses, and Interrupted; what was there before is then still whole. So it
    is if there is a manifest.json that is not a store's, which raises UserError too.
    """
    before = Store.open(directory).manifest.blocks if Store.is_there(directory) else ()
    written: list[StoredBlock] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for network in networks:
            position = 0
            for number, block in enumerate(cuts[network.name]):
                check()
                units = network.plain[position : position + len(block.units)]
                position += len(units)
                tensors = {name: tensor for unit in units for name, tensor in weights(unit)}
                written.append(_write_block(directory, network.name, number, block, tensors, before))
        hashed = partition_hash(model.name, cuts)
        manifest = Manifest(FORMAT, model.name, hashed, tuple(written), dict(origin or {}))
        write_model(directory / MODEL, model)
        write_text(directory / MANIFEST, json.dumps(msgspec.to_builtins(manifest), indent=1) + "\n")
    except OSError as error:
        raise UserError(f"the store cannot be written: {reason(error)}", str(directory)) from None
    finally:
        if len(written) < sum(len(blocks) for blocks in cuts.values()):
            remove_beside(directory, {b.file for b in written} - {b.file for b in before})
    remove_beside(directory, {b.file for b in before} - {b.file for b in written})
    return Store(directory, manifest)


def partition_hash(model: str, cuts: Mapping[str, Sequence[Block]]) -> str:
    """Hash of what decides which files there are: the model's name and where it is cut."""
    named = {component: [block.name for block in blocks] for component, blocks in cuts.items()}
    return hashlib.sha256(json.dumps([model, named], sort_keys=True).encode()).hexdigest()


def _write_block(
    directory: Path,
    component: str,
    number: int,
    block: Block,
    tensors: Mapping[str, Tensor],
    before: Sequence[StoredBlock],
) -> StoredBlock:
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPE_NAMES or tensor.is_meta:
            kind = "on the meta device" if tensor.is_meta else f"of {tensor.dtype}"
            raise UserError(f"weight {name} is {kind}, which a store does not hold", str(directory))
    entries = laid_out({name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()})
    header, position = header_bytes(entries), entries[-1].end if entries else 0
    arrays: list[bytes | memoryview] = [header, *(bytes_of(tensors[entry.name]) for entry in entries)]
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array)
    checksum = digest.hexdigest()
    first, last = block.units[0].name, block.units[-1].name
    name = f"{component}.{number:03}-{checksum[:8]}.safetensors"
    stored = StoredBlock(name, component, first, last, len(header), position, checksum, entries)
    path = directory / name
    if stored in before and is_whole(directory, stored):
        return stored
    try:
        with replaced(path) as stream:
            for array in arrays:
                write_all(stream.fileno(), array)
            os.fsync(stream.fileno())
    except OSError as error:
        raise block_error(stored, path, f"cannot be written: {reason(error)}") from None
    return stored


def laid_out(tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> tuple[StoredTensor, ...]:
    """Where tensors of these types and shapes lie in the data section. The types are those of DTYPES."""
    sizes = {name: math.prod(shape) * dtype.itemsize for name, (dtype, shape) in tensors.items()}
    entries, position = [], 0
    for name in sorted(tensors, key=lambda name: (sizes[name] % VECTOR_BYTES > 0, -tensors[name][0].itemsize)):
        dtype, shape = tensors[name]
        entries.append(StoredTensor(name, DTYPE_NAMES[dtype], shape, position, position + sizes[name]))
        position += sizes[name]
    return tuple(entries)


def is_whole(directory: Path, block: StoredBlock) -> bool:
    try:
        with open_beside(directory, block.file) as stream:
            return os.fstat(stream.fileno()).st_size == block.file_bytes
    except OSError:
        return False


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte: one call takes at most 2 GiB and may take less."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left[: 1 << 30]) :]


def header_bytes(entries: Sequence[StoredTensor]) -> bytes:
    """A safetensors header, filled up with spaces so that the data section starts at a multiple of ALIGNMENT."""
    data = {e.name: {"dtype": e.dtype, "shape": e.shape, "data_offsets": [e.start, e.end]} for e in entries}
    text = json.dumps(data, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def bytes_of(tensor: Tensor) -> memoryview:
    """A tensor's values as they lie in a file."""
    flat = tensor.contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy().data) if flat.numel() else memoryview(b"")
