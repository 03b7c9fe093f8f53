"""Build functions out of a program's parts, whatever form it is read from, and check each part on the way.

A name must be defined before it is used, and once. So operations come in an order in which they can run. Every tensor's
place in the weight file is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Self

from ondevice_sora.runtime.coreml.package.blob import BlobExtent, BlobFile
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.files import PackageFiles, plain_parts
from ondevice_sora.runtime.coreml.package.package import Argument, Value
from ondevice_sora.runtime.coreml.package.types import TensorType, ValueType

MODEL_ROOT = "@model_path/"
MAX_ELEMENTS = 1 << 40
MAX_RANK = 64
MAX_DEPTH = 16
"""How deep control flow may nest."""

Scope = MutableMapping[str, Argument]


class Building:
    """One program. `blobs` are the weight files met so far; `model` is the program's own file in the package."""

    def __init__(self, files: PackageFiles, model: str) -> None:
        self.files = files
        self.place = files.path / model
        self.folder = model.rpartition("/")[0]
        self.blobs: dict[str, BlobFile] = {}
        self.path: list[str] = []
        """What is being read, from the function inwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for blob in self.blobs.values():
            blob.close()

    @property
    def weight_bytes(self) -> int:
        return sum(blob.num_bytes for blob in self.blobs.values())

    def named(self, scope: Mapping[str, Argument], name: str) -> Argument:
        found = scope.get(name)
        if found is None:
            raise self.error(f"{name!r} is used, but not defined before")
        return found

    def define(self, scope: Scope, given: Iterable[tuple[str, ValueType]]) -> tuple[Value, ...]:
        values = tuple(Value(name, kind) for name, kind in given)
        for value in values:
            self.put(scope, value)
        return values

    def put(self, scope: Scope, argument: Argument) -> None:
        if argument.name in scope:
            raise self.error(f"{argument.name!r} is defined twice")
        scope[argument.name] = argument

    def tensor(self, dtype: str, sizes: Sequence[int | None]) -> TensorType:
        if len(sizes) > MAX_RANK:
            raise self.error(f"rank {len(sizes)}; at most {MAX_RANK} are read")
        elements = 1
        for size in sizes:
            elements *= max(1, size or 1)
            if elements > MAX_ELEMENTS:
                raise self.error(f"a tensor of more than 2^40 elements: {list(sizes)}")
        return TensorType(dtype, tuple(sizes))

    def extent(self, file: str, offset: int, kind: TensorType) -> BlobExtent:
        """The tensor of this type that a weight file has at `offset`."""
        if file not in self.blobs:
            if not file.startswith(MODEL_ROOT):
                raise self.error(f"weight file {file!r} is not below {MODEL_ROOT}")
            name = "/".join(plain_parts(file.removeprefix(MODEL_ROOT), self.where()))
            self.blobs[file] = BlobFile(self.files.file(f"{self.folder}/{name}" if self.folder else name, self.where()))
        try:
            return self.blobs[file].extent(offset, kind)
        except PackageError as error:
            raise PackageError(error.what, f"{error.where}, for {', '.join(self.path)}", error.mend) from None

    def where(self) -> str:
        return ", ".join((f"{self.place}: {self.path[0]}", *self.path[1:])) if self.path else str(self.place)

    def error(self, what: str, mend: str | None = None) -> PackageError:
        return PackageError(what, self.where(), mend)
