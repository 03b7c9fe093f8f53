"""Programs as protobuf messages, as an .mlpackage or .mlmodel has them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from typing import Any

from ondevice_sora.runtime.coreml.package.building import MAX_DEPTH, Building, Scope
from ondevice_sora.runtime.coreml.package.files import PackageFiles
from ondevice_sora.runtime.coreml.package.package import Argument, Body, Constant, Function, Operation, Package
from ondevice_sora.runtime.coreml.package.types import (
    DTYPE_CODES,
    InputShapes,
    OtherType,
    StateType,
    TensorType,
    ValueType,
)

IMMEDIATE_DTYPES = {
    "floats": ("fp32",),
    "doubles": ("fp64",),
    "bools": ("bool",),
    "strings": ("string",),
    "longInts": ("int64", "uint64"),
    "ints": ("int8", "int16", "int32", "uint8", "uint16", "uint32"),
    "bytes": (
        "fp16",
        "bf16",
        "int4",
        "int8",
        "int16",
        "uint1",
        "uint2",
        "uint3",
        "uint4",
        "uint6",
        "uint8",
        "uint16",
        "uint32",
        "fp8e4m3fn",
        "fp8e5m2",
    ),
}
"""Which types each field of a TensorValue holds."""
GREY = (10, 40)
"""Colour spaces of one channel in FeatureTypes.proto; the others have three."""


def read_program(files: PackageFiles, model_path: str, model: Any, model_bytes: int) -> Package:
    """The package whose model is this message, an ML Program. Raises PackageError."""
    with _Messages(files, model_path) as reader:
        program = model.mlProgram.functions
        functions = {name: reader.function(name, program[name]) for name in sorted(program)}
        weight_bytes = reader.weight_bytes
        reader.path = []
        if not functions:
            raise reader.error("the program has no functions")
        default = model.description.defaultFunctionName or ("main" if "main" in functions else next(iter(functions)))
        if default not in functions:
            raise reader.error(f"the default function {default!r} does not exist")
    shapes = {each.name: _input_shapes(each.input) for each in model.description.functions}
    shapes.setdefault(default, _input_shapes(model.description.input))
    return Package(files.path, functions, default, model.specificationVersion, model_bytes, weight_bytes, shapes)


def _input_shapes(features: Iterable[Any]) -> dict[str, InputShapes]:
    """What the model's description says of its inputs' shapes."""
    found = {}
    for feature in features:
        kind = feature.type.WhichOneof("Type")
        if kind == "multiArrayType":
            found[feature.name] = _array_shapes(feature.type.multiArrayType)
        elif kind == "imageType":
            found[feature.name] = _image_shapes(feature.type.imageType)
    return found


def _array_shapes(message: Any) -> InputShapes:
    listed = tuple(tuple(each.shape) for each in message.enumeratedShapes.shapes)
    ranges = tuple(map(_range, message.shapeRange.sizeRanges))
    default = tuple(message.shape) or (listed[0] if listed else None)
    return InputShapes(default, listed, ranges)


def _image_shapes(message: Any) -> InputShapes:
    channels = 1 if message.colorSpace in GREY else 3
    listed = tuple((1, channels, each.height, each.width) for each in message.enumeratedSizes.sizes)
    ranges: tuple[tuple[int, int | None], ...] = ()
    if message.WhichOneof("SizeFlexibility") == "imageSizeRange":
        sizes = message.imageSizeRange
        ranges = ((1, 1), (channels, channels), _range(sizes.heightRange), _range(sizes.widthRange))
    return InputShapes((1, channels, message.height, message.width), listed, ranges)


def _range(message: Any) -> tuple[int, int | None]:
    return message.lowerBound, None if message.upperBound < 0 else message.upperBound


class _Messages(Building):
    """Turns one program's messages into our types."""

    def function(self, name: str, message: Any) -> Function:
        self.path = [f"function {name!r}"]
        if message.opset not in message.block_specializations:
            raise self.error(f"there is no body for its opset {message.opset!r}")
        scope: dict[str, Argument] = {}
        inputs = self.define(scope, self._types(message.inputs))
        body = self._body(message.block_specializations[message.opset], scope, 0)
        return Function(inputs + body.inputs, body.operations, body.outputs, body.constants, name, message.opset)

    def _body(self, message: Any, outer: Scope, depth: int) -> Body:
        if depth > MAX_DEPTH:
            raise self.error(f"bodies nest more than {MAX_DEPTH} deep")
        scope = ChainMap[str, Argument]({}, outer)
        inputs = self.define(scope, self._types(message.inputs))
        operations: list[Operation] = []
        constants: dict[str, Constant] = {}
        for index, each in enumerate(message.operations):
            outputs = [output.name for output in each.outputs]
            self.path.append(f"operation {index} {each.type!r}" + (f" {outputs[0]!r}" if outputs else ""))
            if each.type == "const":
                constant = self._const(each)
                self.put(scope, constant)
                constants[constant.name] = constant
            else:
                operations.append(self._operation(each, scope, depth))
            self.path.pop()
        results = tuple(self.named(scope, name) for name in message.outputs)
        return Body(inputs, tuple(operations), results, constants)

    def _operation(self, message: Any, scope: Scope, depth: int) -> Operation:
        inputs = {
            name: tuple(self._argument(name, binding, scope) for binding in argument.arguments)
            for name, argument in sorted(message.inputs.items())
        }
        attributes = {name: self._constant(name, value) for name, value in sorted(message.attributes.items())}
        bodies = tuple(self._body(block, scope, depth + 1) for block in message.blocks)
        outputs = self.define(scope, self._types(message.outputs))
        return Operation(message.type, inputs, outputs, attributes, bodies)

    def _const(self, message: Any) -> Constant:
        if len(message.outputs) != 1 or "val" not in message.attributes:
            raise self.error("a constant has one output and an attribute 'val'")
        return self._constant(message.outputs[0].name, message.attributes["val"])

    def _argument(self, name: str, binding: Any, scope: Mapping[str, Argument]) -> Argument:
        kind = binding.WhichOneof("binding")
        if kind is None:
            raise self.error(f"input {name!r} is bound to nothing")
        return self.named(scope, binding.name) if kind == "name" else self._constant(name, binding.value)

    def _types(self, messages: Iterable[Any]) -> list[tuple[str, ValueType]]:
        return [(each.name, self._type(each.type)) for each in messages]

    def _type(self, message: Any) -> ValueType:
        kind = message.WhichOneof("type")
        if kind == "stateType":
            wrapped = message.stateType.wrappedType
            if wrapped.WhichOneof("type") != "tensorType":
                raise self.error("a state that is not a tensor")
            return StateType(self._tensor_type(wrapped.tensorType))
        if kind == "tensorType":
            return self._tensor_type(message.tensorType)
        if kind is None:
            raise self.error("a value without a type")
        return OtherType(kind.removesuffix("Type"))

    def _tensor_type(self, message: Any) -> TensorType:
        dtype = DTYPE_CODES.get(message.dataType)
        if dtype is None:
            raise self.error(f"data type {message.dataType} is not known")
        if message.rank < 0:
            return TensorType(dtype, None)
        if message.rank != len(message.dimensions):
            raise self.error(f"rank {message.rank} with {len(message.dimensions)} dimensions")
        return self.tensor(
            dtype,
            [each.constant.size if each.WhichOneof("dimension") == "constant" else None for each in message.dimensions],
        )

    def _constant(self, name: str, message: Any) -> Constant:
        kind = self._type(message.type)
        stored = message.WhichOneof("value")
        if not isinstance(kind, TensorType):
            return Constant(name, kind)
        if stored is None or kind.num_elements is None:
            raise self.error(f"constant {name!r} has {'no value' if stored is None else f'the open shape {kind}'}")
        if stored == "blobFileValue":
            return Constant(name, kind, self.extent(message.blobFileValue.fileName, message.blobFileValue.offset, kind))
        field_name = message.immediateValue.tensor.WhichOneof("value")
        if field_name is None:
            raise self.error(f"constant {name!r} has no value")
        values = getattr(message.immediateValue.tensor, field_name).values
        immediate = values if field_name == "bytes" else tuple(values)
        given, needed = len(immediate), kind.num_bytes if field_name == "bytes" else kind.num_elements
        if given != needed or kind.dtype not in IMMEDIATE_DTYPES[field_name]:
            raise self.error(f"constant {name!r} is {kind}, but has {given} {field_name}")
        return Constant(name, kind, None, immediate)
