"""Read an .mlpackage: its ML Program's functions, operations and constants. Nothing in the folder is trusted.

    package = read_package(Path("denoiser.mlpackage"))
    for operation in package.function("plain").operations:
        print(operation.type, [str(output.type) for output in operation.outputs])

The folder holds a manifest, a protobuf and a weight file. Paths are followed inside the folder only, links nowhere;
every tensor's place in the weight file is checked; a name must be defined before it is used, and once. So operations
come in an order in which they can run. What is wrong raises PackageError, with file and place. Weights are read when
asked for; their sizes are known without.

Constants are resolved: an operation's input is a Constant or the Value of an earlier operation. Operations named
`constexpr_...` stay: they make weights from compressed ones.
"""

from __future__ import annotations

import os
import stat
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.json_files import read_record
from ondevice_sora.base.files.opening import read_bytes
from ondevice_sora.runtime.coreml.package.blob import BlobExtent, BlobFile, unpack
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.messages import model_class
from ondevice_sora.runtime.coreml.package.types import (
    DTYPE_CODES,
    NUMPY_DTYPES,
    OtherType,
    StateType,
    TensorType,
    ValueType,
)

MANIFEST, DATA = "Manifest.json", "Data"
MODEL_ROOT = "@model_path/"
MAX_MANIFEST_BYTES = 1 << 20
MAX_MODEL_BYTES = 1 << 30
MAX_ELEMENTS = 1 << 40
MAX_RANK = 64
MAX_DEPTH = 16
"""How deep control flow may nest."""
IMMEDIATE_DTYPES = {
    "floats": ("fp32",), "doubles": ("fp64",), "bools": ("bool",), "strings": ("string",),
    "longInts": ("int64", "uint64"),
    "ints": ("int8", "int16", "int32", "uint8", "uint16", "uint32"),
    "bytes": ("fp16", "bf16", "int4", "int8", "int16", "uint1", "uint2", "uint3", "uint4", "uint6", "uint8", "uint16",
              "uint32", "fp8e4m3fn", "fp8e5m2"),
}  # fmt: skip
"""Which types each field of a TensorValue holds."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A value fixed in the package: in the program itself, or in the weight file (`extent`).

    Two constants with equal `extent` are one tensor on disk. A constant is equal to itself only.
    """

    name: str
    type: ValueType
    extent: BlobExtent | None = None
    immediate: tuple[Any, ...] | bytes = field(default=(), repr=False)

    @property
    def stored_bytes(self) -> int:
        """Bytes on disk: exact in the weight file, without the encoding's overhead in the program."""
        if self.extent is not None:
            return self.extent.num_bytes
        return (self.type.num_bytes or 0) if isinstance(self.type, TensorType) else 0

    def array(self) -> NDArray[Any]:
        """The value, read now. Strings come as objects, integers below 8 bits as int8 or uint8, bf16 as float32.

        Raises PackageError if the weight file has changed, or for a type that cannot be computed with here.
        """
        if not isinstance(self.type, TensorType) or self.type.shape is None:
            raise PackageError(f"constant {self.name!r} is not a tensor")
        if self.extent is not None:
            return unpack(self.extent.read(), self.type)
        if isinstance(self.immediate, bytes):
            return unpack(self.immediate, self.type)
        try:
            values: NDArray[Any] = np.array(self.immediate, NUMPY_DTYPES.get(self.type.dtype, np.object_))
        except OverflowError as error:
            raise PackageError(f"constant {self.name!r} is {self.type}: {error}") from None
        return values.reshape([size or 0 for size in self.type.shape])

    def item(self) -> Any:
        """The one value of a scalar, or of a tensor of one element. Raises PackageError if there are more."""
        array = self.array()
        if array.size != 1:
            raise PackageError(f"constant {self.name!r} has {array.size} values where one is expected")
        return array.reshape(-1)[0].item() if array.dtype != np.object_ else array.reshape(-1)[0]


@dataclass(frozen=True)
class Value:
    """What an operation or a function's caller provides, under a name that is unique in its function."""

    name: str
    type: ValueType


Argument = Constant | Value


@dataclass(frozen=True)
class Operation:
    """One operation. Each input is a list: most have one argument, those that join values several."""

    type: str
    inputs: Mapping[str, tuple[Argument, ...]]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Constant]
    bodies: tuple[Body, ...] = ()

    @property
    def name(self) -> str:
        """Of its first output."""
        return self.outputs[0].name if self.outputs else ""

    def argument(self, name: str) -> Argument | None:
        """The one argument of an input; None if it is not given. Raises PackageError if it has several."""
        given = self.inputs.get(name, ())
        if len(given) > 1:
            raise PackageError(f"input {name!r} has {len(given)} values where one is expected")
        return given[0] if given else None


@dataclass(frozen=True)
class Body:
    """Operations in order, with what goes in and comes out. Bodies inside operations see the names around them."""

    inputs: tuple[Value, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[Argument, ...]
    constants: Mapping[str, Constant]

    def walk(self) -> Iterator[Operation]:
        """All operations, those of bodies inside after the one that holds them."""
        for operation in self.operations:
            yield operation
            for body in operation.bodies:
                yield from body.walk()

    def all_constants(self) -> Iterator[Constant]:
        """Constants that operations use, inline ones too; one that several use comes several times."""
        for operation in self.walk():
            for arguments in operation.inputs.values():
                yield from (argument for argument in arguments if isinstance(argument, Constant))
            yield from operation.attributes.values()
        yield from (output for output in self.outputs if isinstance(output, Constant))


@dataclass(frozen=True)
class Function(Body):
    """A function that can be loaded on its own. `opset` is the operations' version, such as CoreML8."""

    name: str
    opset: str


@dataclass(frozen=True)
class Package:
    """A package. `model_bytes` and `weight_bytes` are the sizes of its files: the program, and all weight files."""

    path: Path
    functions: Mapping[str, Function]
    default_function: str
    specification_version: int
    model_bytes: int
    weight_bytes: int

    def function(self, name: str | None = None) -> Function:
        """A function by name, by default the package's own default. Raises PackageError if there is no such one."""
        wanted = self.default_function if name is None else name
        found = self.functions.get(wanted)
        if found is None:
            raise PackageError(f"there is no function {wanted!r}", str(self.path), f"It has {_listed(self.functions)}.")
        return found


def read_package(path: Path) -> Package:
    """Raises PackageError if anything is wrong, ModuleNotFoundError if coremltools is not installed."""
    if not path.is_dir() or path.is_symlink():
        raise PackageError("not a folder, so not an .mlpackage", str(path))
    model_path = _model_path(path)
    try:
        data = read_bytes(model_path, MAX_MODEL_BYTES, follows_links=False)
    except UserError as error:
        raise PackageError(error.what, error.where) from None
    from google.protobuf.message import DecodeError

    model = model_class()()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise PackageError(f"not a Core ML model: {error}", str(model_path)) from None
    kind = model.WhichOneof("Type")
    if kind != "mlProgram":
        raise PackageError(f"holds {kind or 'no model'}, not an ML Program", str(model_path))
    with _Reader(model_path) as reader:
        functions = {name: reader.function(name, model.mlProgram.functions[name]) for name in
                     sorted(model.mlProgram.functions)}  # fmt: skip
        weight_bytes = sum(blob.num_bytes for blob in reader.blobs.values())
    if not functions:
        raise PackageError("the program has no functions", str(model_path))
    default = model.description.defaultFunctionName or ("main" if "main" in functions else next(iter(functions)))
    if default not in functions:
        raise PackageError(f"the default function {default!r} does not exist", str(model_path))
    return Package(path, functions, default, model.specificationVersion, len(data), weight_bytes)


class _Item(msgspec.Struct, frozen=True):
    path: str


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    item_info_entries: dict[str, _Item]
    root_model_identifier: str


def _model_path(package: Path) -> Path:
    path = package / MANIFEST
    try:
        manifest = read_record(path, _Manifest, max_bytes=MAX_MANIFEST_BYTES, follows_links=False)
    except UserError as error:
        raise PackageError(f"not a package's manifest: {error.what}", error.where or str(path)) from None
    root = manifest.item_info_entries.get(manifest.root_model_identifier)
    if root is None:
        raise PackageError(f"there is no item {manifest.root_model_identifier!r}, the root model", str(path))
    return _inside(package / DATA, root.path, str(path))


def _inside(folder: Path, relative: str, where: str) -> Path:
    """A file below `folder`. Raises PackageError for a path that leaves it, or that passes through a link."""
    pure = PurePosixPath(relative)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or "\\" in relative or "\0" in relative:
        raise PackageError(f"path {relative!r} leaves the package", where)
    path = folder
    try:
        for part in ("", *pure.parts):
            path = path / part
            if stat.S_ISLNK(os.lstat(path).st_mode):
                raise PackageError(f"path {relative!r} passes through a link, {path.name!r}", where)
    except OSError as error:
        raise PackageError(f"path {relative!r} cannot be read: {error.strerror}", where) from None
    return path


class _Reader:
    """Turns one program's messages into our types. `blobs` are the weight files met so far."""

    def __init__(self, model_path: Path) -> None:
        self.model_path = model_path
        self.blobs: dict[str, BlobFile] = {}
        self._where: list[str] = []

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for blob in self.blobs.values():
            blob.close()

    def function(self, name: str, message: Any) -> Function:
        self._where = [f"function {name!r}"]
        if message.opset not in message.block_specializations:
            raise self._error(f"there is no body for its opset {message.opset!r}")
        scope: dict[str, Argument] = {}
        inputs = self._define(scope, message.inputs)
        body = self._body(message.block_specializations[message.opset], scope, 0)
        return Function(inputs + body.inputs, body.operations, body.outputs, body.constants, name, message.opset)

    def _body(self, message: Any, outer: MutableMapping[str, Argument], depth: int) -> Body:
        if depth > MAX_DEPTH:
            raise self._error(f"bodies nest more than {MAX_DEPTH} deep")
        scope = ChainMap[str, Argument]({}, outer)
        inputs = self._define(scope, message.inputs)
        operations: list[Operation] = []
        constants: dict[str, Constant] = {}
        for index, each in enumerate(message.operations):
            outputs = [output.name for output in each.outputs]
            self._where.append(f"operation {index} {each.type!r}" + (f" {outputs[0]!r}" if outputs else ""))
            if each.type == "const":
                constant = self._const(each)
                self._put(scope, constant)
                constants[constant.name] = constant
            else:
                operations.append(self._operation(each, scope, depth))
            self._where.pop()
        results = tuple(self._named(scope, name) for name in message.outputs)
        return Body(inputs, tuple(operations), results, constants)

    def _operation(self, message: Any, scope: MutableMapping[str, Argument], depth: int) -> Operation:
        inputs = {
            name: tuple(self._argument(name, binding, scope) for binding in argument.arguments)
            for name, argument in sorted(message.inputs.items())
        }
        attributes = {name: self._constant(name, value) for name, value in sorted(message.attributes.items())}
        bodies = tuple(self._body(block, scope, depth + 1) for block in message.blocks)
        return Operation(message.type, inputs, self._define(scope, message.outputs), attributes, bodies)

    def _const(self, message: Any) -> Constant:
        if len(message.outputs) != 1 or "val" not in message.attributes:
            raise self._error("a constant has one output and an attribute 'val'")
        return self._constant(message.outputs[0].name, message.attributes["val"])

    def _argument(self, name: str, binding: Any, scope: Mapping[str, Argument]) -> Argument:
        kind = binding.WhichOneof("binding")
        if kind is None:
            raise self._error(f"input {name!r} is bound to nothing")
        return self._named(scope, binding.name) if kind == "name" else self._constant(name, binding.value)

    def _named(self, scope: Mapping[str, Argument], name: str) -> Argument:
        found = scope.get(name)
        if found is None:
            raise self._error(f"{name!r} is used, but not defined before")
        return found

    def _define(self, scope: MutableMapping[str, Argument], messages: Sequence[Any]) -> tuple[Value, ...]:
        values = tuple(Value(each.name, self._type(each.type)) for each in messages)
        for value in values:
            self._put(scope, value)
        return values

    def _put(self, scope: MutableMapping[str, Argument], argument: Argument) -> None:
        if argument.name in scope:
            raise self._error(f"{argument.name!r} is defined twice")
        scope[argument.name] = argument

    def _type(self, message: Any) -> ValueType:
        kind = message.WhichOneof("type")
        if kind == "stateType":
            wrapped = message.stateType.wrappedType
            if wrapped.WhichOneof("type") != "tensorType":
                raise self._error("a state that is not a tensor")
            return StateType(self._tensor_type(wrapped.tensorType))
        if kind == "tensorType":
            return self._tensor_type(message.tensorType)
        if kind is None:
            raise self._error("a value without a type")
        return OtherType(kind.removesuffix("Type"))

    def _tensor_type(self, message: Any) -> TensorType:
        dtype = DTYPE_CODES.get(message.dataType)
        if dtype is None:
            raise self._error(f"data type {message.dataType} is not known")
        if message.rank < 0:
            return TensorType(dtype, None)
        if message.rank != len(message.dimensions) or message.rank > MAX_RANK:
            raise self._error(f"rank {message.rank} with {len(message.dimensions)} dimensions")
        sizes = [each.constant.size if each.WhichOneof("dimension") == "constant" else None
                 for each in message.dimensions]  # fmt: skip
        elements = 1
        for size in sizes:
            elements *= max(1, size or 1)
            if elements > MAX_ELEMENTS:
                raise self._error(f"a tensor of more than 2^40 elements: {sizes}")
        return TensorType(dtype, tuple(sizes))

    def _constant(self, name: str, message: Any) -> Constant:
        kind = self._type(message.type)
        stored = message.WhichOneof("value")
        if not isinstance(kind, TensorType):
            return Constant(name, kind)
        if stored is None or kind.num_elements is None:
            raise self._error(f"constant {name!r} has {'no value' if stored is None else f'the open shape {kind}'}")
        if stored == "blobFileValue":
            return Constant(name, kind, self._extent(message.blobFileValue, kind))
        field_name = message.immediateValue.tensor.WhichOneof("value")
        if field_name is None:
            raise self._error(f"constant {name!r} has no value")
        values = getattr(message.immediateValue.tensor, field_name).values
        immediate = values if field_name == "bytes" else tuple(values)
        given, needed = len(immediate), kind.num_bytes if field_name == "bytes" else kind.num_elements
        if given != needed or kind.dtype not in IMMEDIATE_DTYPES[field_name]:
            raise self._error(f"constant {name!r} is {kind}, but has {given} {field_name}")
        return Constant(name, kind, None, immediate)

    def _extent(self, message: Any, kind: TensorType) -> BlobExtent:
        name = message.fileName
        if name not in self.blobs:
            if not name.startswith(MODEL_ROOT):
                raise self._error(f"weight file {name!r} is not below {MODEL_ROOT}")
            path = _inside(self.model_path.parent, name.removeprefix(MODEL_ROOT), self._place())
            self.blobs[name] = BlobFile(path)
        try:
            return self.blobs[name].extent(message.offset, kind)
        except PackageError as error:
            raise PackageError(error.what, f"{error.where}, for {', '.join(self._where)}") from None

    def _place(self) -> str:
        return ", ".join((f"{self.model_path}: {self._where[0]}", *self._where[1:]))

    def _error(self, what: str) -> PackageError:
        return PackageError(what, self._place())


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(repr(name) for name in names)
