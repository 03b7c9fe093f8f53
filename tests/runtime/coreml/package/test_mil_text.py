"""Compiled packages: their text is read as the protobuf of the same program is, and nothing in it is trusted.

No compiler of Apple's is here. The text is written by worlds/mil_text.py and, below, by hand, in the form that
published compiled packages have.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("coremltools")

from worlds.alarms import ends_in
from worlds.coreml_packages import Writer, linear_package, looping_package
from worlds.layouts import LFS, zipped
from worlds.mil_text import compiled

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.main import main
from ondevice_sora.runtime.coreml.estimate.counting import count
from ondevice_sora.runtime.coreml.estimate.folders import find_packages
from ondevice_sora.runtime.coreml.estimate.shapes import fixed
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.package.types import InputShapes
from ondevice_sora.runtime.coreml.package.weights import weights_of

CASES = 700
HANGS_S = 20


def palettized(path: Path, opset: str = "CoreML6") -> Path:
    """A convolution by a palette, as iOS 16 stores it: everything in the operation's attributes; split and joined."""
    writer = Writer()
    writer.function.opset = opset
    block = writer.function.block_specializations[opset]
    writer.block = block
    writer.input("image", "fp16", (1, 4, 8, 8))
    lut = writer.operation("constexpr_lut_to_dense", "w", "fp16", (6, 4, 3, 3))
    tensors = (("indices", np.zeros(216, np.uint8), "uint8"), ("lut", np.arange(256, dtype=np.float16), "fp16"))
    for name, array, dtype in tensors:
        value = lut.attributes[name]
        value.CopyFrom(writer.weight(f"{name}_", array, dtype).attributes["val"])
        del block.operations[-1]
    lut.attributes["shape"].CopyFrom(writer.const("shape", "uint32", (4,), bytes(16)).attributes["val"])
    del block.operations[-1]
    writer.const('name with "quotes"'.replace(" ", "_").replace('"', ""), "string", (), ['say "a", b\\'])
    writer.const("scale", "fp16", (), np.float16(1.5).tobytes())
    writer.operation("conv", "y", "fp16", (1, 6, 6, 6), x="image", weight="w", groups=("int32", (), [1]))
    halves = writer.operation("split", "a", "fp16", (1, 3, 6, 6), x="y", num_splits=("int32", (), [2]))
    halves.outputs.add().CopyFrom(halves.outputs[0])
    halves.outputs[1].name = "b"
    writer.operation("mul", "c", "fp16", (1, 3, 6, 6), x="a", y="scale")
    writer.operation("concat", "z", "fp16", (1, 6, 6, 6), values=["c", "b"], axis=("int32", (), [1]))
    writer.outputs("z", "b")
    return writer.save(path)


def stateful(path: Path) -> Path:
    """A cache that is read, and written by an operation without outputs."""
    writer = Writer()
    writer.input("x", "fp16", (1, 4))
    state = writer.function.inputs.add(name="cache").type.stateType.wrappedType
    writer.operation("relu", "y", "fp16", (1, 4), x="x")
    state.CopyFrom(writer.block.operations[0].outputs[0].type)
    written = writer.block.operations.add(type="write_state")
    written.inputs["data"].arguments.add().name = "y"
    written.inputs["input"].arguments.add().name = "cache"
    writer.operation("read_state", "z", "fp16", (1, 4), {"input": "cache"})
    writer.operation("add", "sum", "fp16", (1, 4), x="z", y="x")
    writer.outputs("sum")
    return writer.save(path)


def two_functions(path: Path) -> Path:
    writer = Writer("main")
    writer.input("x", "bool", (2, 3))
    writer.const("flags", "bool", (3,), [True, False, True])
    writer.const("bf", "bf16", (1,), bytes([0x80, 0x3F]))
    writer.operation("logical_and", "y", "bool", (2, 3), x="x", y="flags")
    writer.outputs("y")
    writer.model.mlProgram.functions["decode"].CopyFrom(writer.function)
    return writer.save(path)


@pytest.mark.parametrize("make", [linear_package, palettized, stateful, two_functions, looping_package])
def test_a_compiled_package_is_read_as_its_source(tmp_path, make):
    source = read_package(make(tmp_path / "net.mlpackage"))
    found = read_package(compiled(source, tmp_path / "net.mlmodelc"))
    assert found.functions.keys() == source.functions.keys()
    assert weights_of([found]) == weights_of([source])
    for name, function in source.functions.items():
        own = found.functions[name]
        assert own.inputs == function.inputs and count(own) == count(function)
        assert [(each.type, each.outputs) for each in own.walk()] == [
            (each.type, each.outputs) for each in function.walk()
        ]
        values = {constant.name: constant.array().tolist() for constant in function.all_constants()}
        assert {constant.name: constant.array().tolist() for constant in own.all_constants()}.items() >= values.items()


def test_estimates_of_both_are_equal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    compiled(read_package(palettized(tmp_path / "net.mlpackage")), tmp_path / "net.mlmodelc")
    shown = []
    for path in ("net.mlpackage", "net.mlmodelc"):
        assert main(["profile", "estimate", path, "--json"]) == 0
        (package,) = json.loads(capsys.readouterr().out)["packages"]
        del package["path"], package["file_bytes"]
        shown.append(package)
    assert shown[0] == shown[1]


PUBLISHED = """program(1.0)
[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{"coremlc-component-MIL", "5.33.5"}, {"a", ""}})]
{
    func main<ios16>(tensor<fp32, [1, ?, 4]> x) FLEXIBLE {
            tensor<fp32, []> y_0 = const()[name = tensor<string, []>("y_0"), val = tensor<fp32, []>(0x1.010102p-8)];
            tensor<fp32, [1, ?, 4]> y = mul(x = x, y = y_0)[name = tensor<string, []>("y")];
            tensor<fp32, [1, ?, 4]> z = add(x = y, y = tensor<fp32, [1, 4]>([[0x1p+0, -inf, nan, 2.5]]))[];
        } -> (z);
}
"""
KINDS = (
    "tuple<tuple<tensor<string, []>, dict<tensor<string, []>, tensor<int32, [?]>>>, tuple<string, dict<string, "
    "list<tensor<int32, [2]>, ?>>>>"
)
RANGES = f"""[FlexibleShapeInformation = {KINDS}((("DefaultShapes", {{{{"x", [1, 2, 4]}}}}), ("RangeDims", {{{{"x",
[[1, 1], [1, -1], [4, 4]]}}}})))]"""
LISTED = f"""[FlexibleShapeInformation = {KINDS}((("DefaultShapes", {{{{"x", [1, 2, 4]}}}}), ("EnumeratedShapes",
{{{{"one", {{{{"x", [1, 2, 4]}}}}}}, {{"two", {{{{"x", [1, 6, 4]}}}}}}}})))]"""


def text_package(path: Path, text: str) -> Path:
    path.mkdir(parents=True)
    (path / "model.mil").write_text(text)
    return path


@pytest.mark.parametrize(
    ("written", "shapes"),
    [
        ("", None),
        (RANGES, InputShapes((1, 2, 4), (), ((1, 1), (1, None), (4, 4)))),
        (LISTED, InputShapes((1, 2, 4), ((1, 2, 4), (1, 6, 4)), ())),
    ],
)
def test_shapes_that_a_compiled_function_may_have(tmp_path, written, shapes):
    package = read_package(text_package(tmp_path / "net.mlmodelc", PUBLISHED.replace("FLEXIBLE", written)))
    assert package.shapes["main"].get("x") == shapes
    constant = package.function().constants["y_0"]
    assert constant.item() == pytest.approx(1 / 255)
    if shapes is not None:
        function, given = fixed(package, package.function(), {})
        assert given == {"x": (1, 2, 4)} and count(function).moved_bytes == 2 * 8 * 4


GOOD = PUBLISHED.replace("FLEXIBLE", "").replace("?", "2")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("x = x,", "x = q,", r"model.mil:6, function 'main', 'mul' 'y': 'q' is used, but not defined before"),
        ("2, 4]> y =", "2, 4]> x =", "'x' is defined twice"),
        ("[1, 4]>([[0x1p+0", "[2, 3]>([[0x1p+0", r"constant 'y' is fp32\[2, 3\], but has 4 values"),
        ("0x1.010102p-8", "0x1.zz", "but has other values"),
        ("} -> (z);", "", "expected"),
        ("-> (z)", "-> (w)", "'w' is used, but not defined before"),
        ("func main", "block main", "expected 'func', found 'block'"),
        ("<fp32, [1, 2, 4]> x", "<fp32, [1, 99999999999999]> x", r"more than 2\^40 elements"),
        ("tensor<fp32, [1, 2, 4]> x", "tensor<complex, [1]> x", "data type 'complex' is not known"),
        ('("y")];', '("y")] { };', "'mul' has a body inside, where none is expected"),
        ("0x1.010102p-8)", 'BLOBFILE(path = string("/etc/passwd"), offset = uint64(64)))', "not below @model_path/"),
        ("0x1.010102p-8)", 'BLOBFILE(path = string("@model_path/../x"), offset = uint64(64)))', "leaves the package"),
        ("program(1.0)", "", "expected 'program'"),
        ("}\n", "} more\n", "something follows the program"),
        ("dict<tensor", "dict<" + "list<" * 100 + "tensor", "types nest more than 32 deep"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, old, new, said):
    head, _, tail = GOOD.rpartition(old) if old == "}\n" else GOOD.partition(old)
    path = text_package(tmp_path / "net.mlmodelc", head + new + tail)
    with pytest.raises(PackageError, match=said) as caught:
        read_package(path)
    assert "model.mil" in str(caught.value)


def test_a_body_inside_says_what_to_give_instead(tmp_path):
    path = text_package(tmp_path / "net.mlmodelc", GOOD.replace('("y")];', '("y")] { };'))
    with pytest.raises(PackageError) as caught:
        read_package(path)
    assert caught.value.mend == "Give the .mlpackage that it was compiled from."


@pytest.mark.parametrize(
    "form",
    [
        " {0}({1}) {{ {2} }} -> ({3})",  # as a function is written
        " ({1}) {{ {2} }} -> ({3})",
        ", {0}({1}) {{ {2} }} -> ({3})",
        "; {0}<ios18>({1}) {{ {2} }} -> ({3})",
    ],
)
def test_bodies_are_read_however_they_are_set_off(tmp_path, form):
    """No compiled loop is published, so the reader leaves open what is not needed to tell what a body does."""
    source = read_package(looping_package(tmp_path / "net.mlpackage"))
    found = read_package(compiled(source, tmp_path / "net.mlmodelc", bodies=form))
    assert count(found.function()) == count(source.function())
    assert count(found.function()).matmul_flops == 5 * 2 * (2 * 2 * 4 * 4)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("-> (goes_on)", "-> (i)", r"the condition of 'while_loop' gives \['int32'\], not one truth value"),
        ("-> (next, chosen)", "-> (next)", r"gives \['int32'\] where \['int32', 'fp32'\] is expected"),
        ("-> (next, chosen)", "-> (chosen, next)", r"a body of 'while_loop' gives \['fp32', 'int32'\]"),
        ("-> (relu_made)", "-> (one)", r"a body of 'cond' gives \['int32'\] where \['fp32'\] is expected"),
        ("(zero, x)", "(x, zero)", "'while_loop' has variables of"),
        ("int32 j, tensor<fp32, [2, 4]> u", "tensor<fp32, [2, 4]> u, int32 j", "a body of 'while_loop' takes"),
        ("-> (relu_made)", "-> (relu_made) more() { } -> (product)", "'cond' has 3 bodies where two are expected"),
        ("(x = product)[", "(x = chosen)[", "'chosen' is used, but not defined before"),
        ("-> (relu_made)", "-> (linear_made)", "'linear_made' is used, but not defined before"),
    ],
)
def test_what_is_no_loop_is_not_taken_for_one(tmp_path, old, new, said):
    path = compiled(read_package(looping_package(tmp_path / "net.mlpackage")), tmp_path / "net.mlmodelc")
    text = (path / "model.mil").read_text()
    assert old in text
    (path / "model.mil").write_text(text.replace(old, new, 1))
    with pytest.raises(PackageError, match=said):
        read_package(path)


def test_bodies_do_not_nest_without_end(tmp_path):
    loop = "tensor<bool, []> y = cond(pred = y)[] () {"
    text = GOOD.replace("tensor<fp32, [1, 2, 4]> z", loop * 30 + "tensor<fp32, [1, 2, 4]> z", 1)
    with pytest.raises(PackageError, match="bodies nest more than 16 deep"):
        read_package(text_package(tmp_path / "net.mlmodelc", text))


def told(path: Path, text: str) -> Path:
    (path / "metadata.json").write_text(text)
    return path


def test_the_default_function_is_the_one_that_metadata_names(tmp_path):
    """As Xcode writes it for a package of several functions: the program's text does not say it."""
    path = compiled(read_package(two_functions(tmp_path / "net.mlpackage")), tmp_path / "net.mlmodelc")
    (path / "metadata.json").unlink()
    assert read_package(path).default_function == "main"
    assert read_package(told(path, '[{"defaultFunctionName": "decode"}]')).default_function == "decode"
    for other in ("[]", "3", '[{"defaultFunctionName": 3, "modelType": []}]', "[[]]", '{"modelType": {"name": 1}}'):
        assert read_package(told(path, other)).default_function == "main", "of another form: as if it were not there"
    with pytest.raises(PackageError, match="the default function 'encode' does not exist"):
        read_package(told(path, '[{"defaultFunctionName": "encode"}]'))
    with pytest.raises(PackageError, match="not a compiled model's description") as caught:
        read_package(told(path, "[{"))
    assert "metadata.json" in str(caught.value)


def test_a_compiled_pipeline_and_what_is_no_program(tmp_path):
    pipeline = tmp_path / "yolo.mlmodelc"
    compiled(read_package(linear_package(tmp_path / "net.mlpackage")), pipeline / "model0")
    (pipeline / "model1").mkdir()
    (pipeline / "model1/coremldata.bin").write_bytes(b"\1")
    found = find_packages([pipeline])
    assert [(block.unit, block.notes) for block in found.blocks] == [
        ("yolo_model0", ("of its pipeline, model1 is not counted: it is a model of another kind",))
    ]
    kinds = [{"name": "MLModelType_mlProgram"}, {"name": "MLModelType_nonMaximumSuppression"}]
    told(pipeline, json.dumps([{"modelType": {"name": "MLModelType_pipeline", "structure": kinds}}]))
    (block,) = find_packages([pipeline]).blocks
    assert block.notes == ("of its pipeline, model1 is not counted: it is non-maximum suppression",)
    old = tmp_path / "old.mlmodelc"
    old.mkdir()
    (old / "model.espresso.net").write_text("{}")
    with pytest.raises(UserError, match="holds a neural network, the older form"):
        find_packages([old])
    (old / "model.espresso.net").unlink()
    with pytest.raises(UserError, match=r"has no model\.mil and nothing else of a compiled model"):
        find_packages([old])


def test_a_compiled_package_in_an_archive_or_as_a_pointer(tmp_path):
    folder = compiled(read_package(linear_package(tmp_path / "net.mlpackage")), tmp_path / "net.mlmodelc")
    (block,) = find_packages([zipped(folder, tmp_path / "net.mlmodelc.zip")]).blocks
    assert count(block.functions["plain"]) == count(read_package(folder).function())
    (folder / "model.mil").write_bytes(LFS)
    with pytest.raises(PackageError, match="Git LFS pointer"):
        read_package(folder)


def mutated(chance: random.Random, text: str) -> str:
    """A piece removed, doubled, moved or replaced by what stands for something else."""
    start, end = sorted(chance.randrange(len(text)) for _ in range(2))
    end = min(end, start + chance.choice([1, 1, 2, 8, 60]))
    pieces = ["", text[start:end] * 2, "[", ")", ">", '"', "tensor<", "-1", "9" * 40, "0x", "func", "?", "é", "\0"]
    piece = chance.choice(pieces) if chance.random() < 0.8 else chance.choice(["(", "{", "["]) * 5_000
    return text[:start] + piece + text[end:]


@pytest.mark.parametrize("part", range(4))
def test_damaged_text_is_refused_in_one_line_or_read(tmp_path, part):
    folder = compiled(read_package(palettized(tmp_path / "net.mlpackage")), tmp_path / "net.mlmodelc")
    loop = compiled(read_package(looping_package(tmp_path / "loop.mlpackage")), tmp_path / "loop.mlmodelc")
    shutil.copy(loop / "weights/weight.bin", folder / "weights/loop.bin")
    looping = (loop / "model.mil").read_text().replace("weight.bin", "loop.bin")
    texts = [(folder / "model.mil").read_text(), looping, GOOD, PUBLISHED.replace("FLEXIBLE", LISTED)]
    metadata = '[{"defaultFunctionName": "main", "modelType": {"name": "MLModelType_mlProgram", "structure": [{}]}}]'
    outcomes: Counter[str] = Counter()
    for number in range(part * CASES // 4, (part + 1) * CASES // 4):
        chance = random.Random(number)
        (folder / "model.mil").write_text(mutated(chance, texts[number % 4]), encoding="utf-8", errors="replace")
        (folder / "metadata.json").write_text(
            metadata if number % 8 else mutated(chance, metadata), encoding="utf-8", errors="replace"
        )
        try:
            with ends_in(HANGS_S, AssertionError(f"not done in {HANGS_S} s")):
                (block,) = find_packages([folder]).blocks
                count(block.functions["plain"])
                weights_of(block.packages)
            outcomes["read"] += 1
        except UserError as error:
            outcomes["refused"] += 1
            assert "\n" not in error.what and error.what.isprintable(), error.what
        except Exception as error:
            raise AssertionError(f"case {number}: {type(error).__name__}: {error}") from error
    shutil.rmtree(folder)
    assert outcomes["refused"] > 60 and outcomes["read"] > 3, outcomes
