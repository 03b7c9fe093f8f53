"""Packages written by hand, message by message: what a test needs and nothing else, honest or not."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ondevice_sora.runtime.coreml.package.blob import BLOB_DTYPES
from ondevice_sora.runtime.coreml.package.messages import model_class
from ondevice_sora.runtime.coreml.package.types import DTYPE_CODES

CODES = {name: code for code, name in DTYPE_CODES.items()}
BLOB_CODES = {name: code for code, name in BLOB_DTYPES.items()}
FIELDS = {"fp32": "floats", "int32": "ints", "bool": "bools", "string": "strings"}


class Writer:
    """A package with one function. Values are `dtype, shape, values`; large ones go to the weight file."""

    def __init__(self, name: str = "main") -> None:
        self.model = model_class()()
        self.model.specificationVersion = 9
        function = self.model.mlProgram.functions[name]
        function.opset = "CoreML8"
        self.function = function
        self.block = function.block_specializations["CoreML8"]
        self.weights = bytearray(struct.pack("<II", 0, 2).ljust(64, b"\0"))

    def input(self, name: str, dtype: str, shape: tuple[int, ...]) -> None:
        set_type(self.function.inputs.add(name=name).type, dtype, shape)

    def const(self, name: str, dtype: str, shape: tuple[int, ...], values: Any) -> Any:
        operation = self.block.operations.add(type="const")
        set_type(operation.outputs.add(name=name).type, dtype, shape)
        set_value(operation.attributes["val"], dtype, shape, values)
        return operation

    def weight(self, name: str, array: np.ndarray[Any, Any], dtype: str) -> Any:
        """A constant in the weight file."""
        offset = self.blob(array.tobytes(), dtype)
        operation = self.block.operations.add(type="const")
        set_type(operation.outputs.add(name=name).type, dtype, array.shape)
        value = operation.attributes["val"]
        set_type(value.type, dtype, array.shape)
        value.blobFileValue.fileName, value.blobFileValue.offset = "@model_path/weights/weight.bin", offset
        return operation

    def blob(self, data: bytes, dtype: str) -> int:
        """Append a tensor to the weight file; returns where its description lies."""
        offset = len(self.weights)
        self.weights += struct.pack("<IIQQ", 0xDEADBEEF, BLOB_CODES[dtype], len(data), offset + 64).ljust(64, b"\0")
        self.weights += data + b"\0" * (-len(data) % 64)
        return offset

    def operation(
        self, kind: str, output: str, dtype: str, shape: tuple[int, ...], inputs: Any = None, **more: Any
    ) -> Any:
        """An operation; inputs are names, lists of names, or inline values `(dtype, shape, values)`."""
        operation = self.block.operations.add(type=kind)
        for key, given in {**(inputs or {}), **more}.items():
            for each in given if isinstance(given, list) else [given]:
                argument = operation.inputs[key].arguments.add()
                if isinstance(each, str):
                    argument.name = each
                else:
                    set_value(argument.value, *each)
        set_type(operation.outputs.add(name=output).type, dtype, shape)
        return operation

    def outputs(self, *names: str) -> None:
        self.block.outputs.extend(names)

    def save(self, path: Path) -> Path:
        data = path / "Data" / "com.apple.CoreML"
        (data / "weights").mkdir(parents=True)
        (data / "model.mlmodel").write_bytes(self.model.SerializeToString())
        (data / "weights" / "weight.bin").write_bytes(self.weights)
        write_manifest(path, "com.apple.CoreML/model.mlmodel")
        return path


def write_manifest(path: Path, model_path: str) -> None:
    entries = {"model-id": {"author": "a", "description": "d", "name": "model.mlmodel", "path": model_path}}
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": "model-id"}
    (path / "Manifest.json").write_text(json.dumps(manifest))


def set_type(message: Any, dtype: str, shape: tuple[int, ...]) -> None:
    message.tensorType.dataType = CODES[dtype]
    message.tensorType.rank = len(shape)
    for size in shape:
        message.tensorType.dimensions.add().constant.size = size


def set_value(message: Any, dtype: str, shape: tuple[int, ...], values: Any) -> None:
    set_type(message.type, dtype, shape)
    tensor = message.immediateValue.tensor
    if dtype in FIELDS:
        getattr(tensor, FIELDS[dtype]).values.extend(values)
    else:
        tensor.bytes.values = values


def linear_package(path: Path) -> Path:
    """y = x W^T + b: x fp32 [2, 3], W fp32 [4, 3] and b fp32 [4] in the weight file."""
    writer = Writer()
    writer.input("x", "fp32", (2, 3))
    writer.weight("W", np.arange(12, dtype=np.float32).reshape(4, 3), "fp32")
    writer.weight("b", np.ones(4, np.float32), "fp32")
    writer.operation("linear", "y", "fp32", (2, 4), x="x", weight="W", bias="b")
    writer.outputs("y")
    return writer.save(path)


def described_package(path: Path, functions: tuple[str, ...] = ("main",)) -> Path:
    """y = x W, described as coremltools wants it, which must be there."""
    from coremltools import proto
    from coremltools.models.utils import save_spec

    writer = Writer(functions[0])
    writer.input("x", "fp32", (2, 4))
    writer.weight("w", np.zeros((3, 4), np.float32), "fp32")
    writer.operation("linear", "y", "fp32", (2, 3), x="x", weight="w")
    writer.outputs("y")
    described = [writer.model.description]
    for name in functions[1:]:
        writer.model.mlProgram.functions[name].CopyFrom(writer.model.mlProgram.functions[functions[0]])
    if len(functions) > 1:
        writer.model.description.defaultFunctionName = functions[0]
        described = [writer.model.description.functions.add(name=name) for name in functions]
    for each in described:
        for feature, shape in ((each.input.add(name="x"), (2, 4)), (each.output.add(name="y"), (2, 3))):
            feature.type.multiArrayType.shape.extend(shape)
            feature.type.multiArrayType.dataType = proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    plain = writer.save(path.with_suffix(".plain"))
    spec = proto.Model_pb2.Model.FromString(writer.model.SerializeToString())
    save_spec(spec, str(path), weights_dir=str(plain / "Data/com.apple.CoreML/weights"))
    return path


def inner_operation(
    block: Any, kind: str, output: str, dtype: str, shape: tuple[int, ...], /, **inputs: str | tuple[Any, ...]
) -> Any:
    """An operation in a body; inputs are names or inline values `(dtype, shape, values)`."""
    operation = block.operations.add(type=kind)
    for name, given in inputs.items():
        argument = operation.inputs[name].arguments.add()
        if isinstance(given, str):
            argument.name = given
        else:
            set_value(argument.value, *given)
    set_type(operation.outputs.add(name=output).type, dtype, shape)
    return operation


def looping_package(path: Path, rounds: int = 5) -> Path:
    """A loop over a counter and a tensor [2, 4]; in each round a product [2, 4] x [4, 4], then one of two branches:
    another such product, or a ReLU."""
    writer = Writer()
    writer.input("x", "fp32", (2, 4))
    writer.input("flag", "bool", ())
    writer.weight("w", np.arange(16, dtype=np.float32).reshape(4, 4), "fp32")
    writer.const("zero", "int32", (), [0])
    loop = writer.operation("while_loop", "count", "int32", (), loop_vars=["zero", "x"])
    set_type(loop.outputs.add(name="result").type, "fp32", (2, 4))
    condition, body = loop.blocks.add(), loop.blocks.add()
    for block, counter, tensor in ((condition, "i", "t"), (body, "j", "u")):
        set_type(block.inputs.add(name=counter).type, "int32", ())
        set_type(block.inputs.add(name=tensor).type, "fp32", (2, 4))
    inner_operation(condition, "less", "goes_on", "bool", (), x="i", y=("int32", (), [rounds]))
    condition.outputs.append("goes_on")
    one = body.operations.add(type="const")
    set_type(one.outputs.add(name="one").type, "int32", ())
    set_value(one.attributes["val"], "int32", (), [1])
    inner_operation(body, "linear", "product", "fp32", (2, 4), x="u", weight="w")
    choice = inner_operation(body, "cond", "chosen", "fp32", (2, 4), pred="flag")
    for kind, inputs in (("linear", {"x": "product", "weight": "w"}), ("relu", {"x": "product"})):
        branch = choice.blocks.add()
        inner_operation(branch, kind, f"{kind}_made", "fp32", (2, 4), **inputs)
        branch.outputs.append(f"{kind}_made")
    inner_operation(body, "add", "next", "int32", (), x="j", y="one")
    body.outputs.extend(["next", "chosen"])
    writer.operation("relu", "y", "fp32", (2, 4), x="result")
    writer.outputs("y")
    return writer.save(path)
