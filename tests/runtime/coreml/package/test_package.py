"""Reading packages: what is in them, and that nothing in them is trusted."""

import json
import os

import numpy as np
import pytest

pytest.importorskip("coremltools")

from worlds.coreml_packages import Writer, linear_package, write_manifest

from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Constant, Value
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.package.types import TensorType


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "toy.mlpackage"


def test_a_function_has_its_operations_with_constants_resolved(folder):
    package = read_package(linear_package(folder))
    function = package.function()
    (operation,) = function.operations
    assert package.default_function == "main" and function.opset == "CoreML8"
    assert function.inputs == (Value("x", TensorType("fp32", (2, 3))),)
    assert operation.type == "linear" and operation.name == "y"
    assert operation.inputs["x"] == function.inputs
    weight = operation.argument("weight")
    assert isinstance(weight, Constant) and weight is function.constants["W"]
    assert weight.stored_bytes == 48 and weight.array().tolist() == np.arange(12).reshape(4, 3).tolist()
    assert function.outputs == operation.outputs
    assert package.weight_bytes == (folder / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size


def test_integers_below_eight_bits_come_unpacked(folder):
    writer = Writer()
    writer.const("low", "int4", (3,), bytes([0x8F, 0x07]))
    writer.const("bits", "uint1", (5,), bytes([0b10110]))
    writer.const("wide", "uint6", (3,), bytes([0b11000001, 0b00101111, 0b10]))
    constants = read_package(writer.save(folder)).function().constants
    assert constants["low"].array().tolist() == [-1, -8, 7]
    assert constants["bits"].array().tolist() == [0, 1, 1, 0, 1]
    assert constants["wide"].array().tolist() == [1, 63, 34]
    assert constants["low"].stored_bytes == 2


def test_bfloat16_comes_as_float32(folder):
    writer = Writer()
    writer.weight("w", np.array([0x3FC0, 0xC000], np.uint16), "bf16")
    assert read_package(writer.save(folder)).function().constants["w"].array().tolist() == [1.5, -2.0]


def test_open_shapes_are_none(folder):
    writer = Writer()
    writer.input("x", "fp16", (2, 7))
    dimension = writer.function.inputs[0].type.tensorType.dimensions[1]
    dimension.unknown.variadic = False
    (value,) = read_package(writer.save(folder)).function().inputs
    assert str(value.type) == "fp16[2, ?]" and value.type.num_bytes is None


def refused(folder, match):
    with pytest.raises(PackageError, match=match) as caught:
        read_package(folder)
    assert str(folder) in str(caught.value), "the message names the file"


@pytest.mark.parametrize("path", ["../../secret", "/etc/passwd", "com.apple.CoreML/../../x", "a\\..\\b", "", "a\0b"])
def test_a_manifest_may_not_leave_the_folder(folder, path):
    linear_package(folder)
    write_manifest(folder, path)
    refused(folder, "leaves the package")


def test_links_are_not_followed(folder, tmp_path):
    linear_package(folder)
    weights = folder / "Data/com.apple.CoreML/weights"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    refused(folder, "passes through a link, 'weights'")


def test_a_pipe_in_place_of_the_model_does_not_hang(folder):
    model = linear_package(folder) / "Data/com.apple.CoreML/model.mlmodel"
    model.unlink()
    os.mkfifo(model)
    refused(folder, "this is a pipe, not a file")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not a package's manifest"),
        ("[" * 100_000, "not a package's manifest"),
        ('{"itemInfoEntries": {}}', "rootModelIdentifier"),
        ('{"itemInfoEntries": {}, "itemInfoEntries": {}}', "the key 'itemInfoEntries' stands twice"),
        (json.dumps({"itemInfoEntries": {}, "rootModelIdentifier": "x"}), "no item 'x'"),
        (" " * (2 << 20), "at most 1048576 bytes are read"),
    ],
)
def test_a_broken_manifest(folder, text, match):
    linear_package(folder)
    (folder / "Manifest.json").write_text(text)
    refused(folder, match)


def test_a_model_of_another_kind(folder):
    writer = Writer()
    writer.model.neuralNetwork.SetInParent()
    refused(
        writer.save(folder), "holds a neural network of 0 layers, the older form of Core ML's models, not an ML Program"
    )


def test_a_truncated_model(folder):
    model = linear_package(folder) / "Data/com.apple.CoreML/model.mlmodel"
    model.write_bytes(model.read_bytes()[:-7])
    refused(folder, "not a Core ML model")


def test_a_name_must_be_defined_before_it_is_used(folder):
    writer = Writer()
    writer.operation("relu", "a", "fp32", (1,), x="b")
    writer.operation("relu", "b", "fp32", (1,), x="a")
    refused(writer.save(folder), "function 'main', operation 0 'relu' 'a': 'b' is used, but not defined before")


def test_a_name_is_defined_once(folder):
    writer = Writer()
    writer.input("x", "fp32", (1,))
    writer.operation("relu", "x", "fp32", (1,), x="x")
    refused(writer.save(folder), "'x' is defined twice")


def test_bodies_nest_only_so_deep(folder):
    writer = Writer()
    operation = writer.operation("cond", "c0", "fp32", (1,))
    for level in range(1, 18):
        operation = operation.blocks.add().operations.add(type="cond")
        operation.outputs.add(name=f"c{level}").type.tensorType.dataType = 11
    refused(writer.save(folder), "nest more than 16 deep")


@pytest.mark.parametrize("shape", [(2**62,), (2**21, 2**21), (0, 2**41)])
def test_absurd_sizes(folder, shape):
    writer = Writer()
    writer.input("x", "fp32", shape)
    refused(writer.save(folder), "more than 2\\^40 elements")


@pytest.mark.parametrize("offset", [2**63, 10_000, 100])
def test_an_offset_outside_the_weight_file_or_at_no_tensor(folder, offset):
    writer = Writer()
    constant = writer.weight("w", np.zeros(64, np.float32), "fp32")
    constant.attributes["val"].blobFileValue.offset = offset
    refused(
        writer.save(folder), r"weight.bin: byte \d+, for function 'main', operation 0 'const' 'w': a tensor is said"
    )


def test_a_tensor_that_reaches_beyond_its_file(folder):
    writer = Writer()
    writer.weight("w", np.zeros(64, np.float32), "fp32")
    writer.weights[64 + 16 : 64 + 24] = (2**64 - 1).to_bytes(8, "little")
    refused(writer.save(folder), "ends beyond the file's 384 bytes")


@pytest.mark.parametrize(
    ("dtype", "shape", "match"), [("fp16", (64,), "is fp32, not"), ("fp32", (65,), "has 256 bytes")]
)
def test_a_tensor_of_another_type_than_said(folder, dtype, shape, match):
    writer = Writer()
    constant = writer.weight("w", np.zeros(64, np.float32), "fp32")
    kind = constant.attributes["val"].type
    kind.Clear()
    kind.CopyFrom(type(kind)())
    from worlds.coreml_packages import set_type

    set_type(kind, dtype, shape)
    refused(writer.save(folder), match)


def test_a_weight_file_name_may_not_leave_the_folder(folder):
    writer = Writer()
    constant = writer.weight("w", np.zeros(4, np.float32), "fp32")
    constant.attributes["val"].blobFileValue.fileName = "@model_path/../../../secret"
    refused(writer.save(folder), "leaves the package")


def test_a_value_of_another_length_than_its_type(folder):
    writer = Writer()
    writer.const("c", "int32", (3,), [1, 2])
    refused(writer.save(folder), r"'c' is int32\[3\], but has 2 ints")


def test_a_file_that_shrinks_after_reading(folder):
    package = read_package(linear_package(folder))
    (folder / "Data/com.apple.CoreML/weights/weight.bin").write_bytes(b"")
    with pytest.raises(PackageError, match="ends 48 bytes early"):
        package.function().constants["W"].array()
