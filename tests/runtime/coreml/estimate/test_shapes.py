"""Open shapes become those of the model's description or the user's, and everything inside follows."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("coremltools")

from worlds.coreml_packages import Writer, linear_package

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.main import main
from ondevice_sora.runtime.coreml.estimate.counting import count
from ondevice_sora.runtime.coreml.estimate.folders import Choices, find_packages
from ondevice_sora.runtime.coreml.estimate.shapes import fixed
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.reading import read_package


class Open(Writer):
    """A network on x [2, ?, 4]: a product, and a reshape to a shape that is worked out inside.

    `tokens` fixes what is open, so that both can be compared.
    """

    def __init__(self, tokens: int | None = None) -> None:
        super().__init__()
        self.tokens = tokens
        self.input("x", "fp32", (2, 0, 4))
        self.weight("w", np.ones((8, 4), np.float32), "fp32")
        self.operation("linear", "y", "fp32", (2, 0, 8), x="x", weight="w")
        self.operation("shape", "sizes", "int32", (3,), x="y")
        self.operation(
            "gather", "first", "int32", (2,), x="sizes", indices=("int32", (2,), [0, 1]), axis=("int32", (), [0])
        )
        ends = {"axis": ("int32", (), [0]), "interleave": ("bool", (), [False])}
        self.operation("concat", "wanted", "int32", (4,), values=["first", ("int32", (2,), [2, 4])], **ends)
        self.operation("reshape", "z", "fp32", (2, 0, 2, 4), {"x": "y", "shape": "wanted"})
        self.outputs("z")
        for message in [self.function.inputs[0], *(each.outputs[0] for each in self.block.operations)]:
            for size in message.type.tensorType.dimensions:
                if size.constant.size == 0:
                    size.constant.size = tokens or 0
                    if tokens is None:
                        size.unknown.variadic = False

    def described(self, default=(2, 3, 4), ranges=((2, 2), (1, 50), (4, 4)), enumerated=()):
        kind = self.model.description.input.add(name="x").type.multiArrayType
        kind.shape.extend(default)
        for shape in enumerated:
            kind.enumeratedShapes.shapes.add().shape.extend(shape)
        for low, high in () if enumerated else ranges:
            kind.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
        return self


def work(package, **chosen):
    function, given = fixed(package, package.function(), chosen)
    found = count(function)
    return found.flops, found.moved_bytes, found.peak_bytes, given


def test_the_models_default_is_taken_and_counts_as_if_it_were_fixed(tmp_path):
    package = read_package(Open().described().save(tmp_path / "open.mlpackage"))
    plain = count(read_package(Open(3).save(tmp_path / "three.mlpackage")).function())
    assert work(package) == (plain.flops, plain.moved_bytes, plain.peak_bytes, {"x": (2, 3, 4)})


def test_a_chosen_shape_is_followed_inside(tmp_path):
    package = read_package(Open().described().save(tmp_path / "open.mlpackage"))
    plain = count(read_package(Open(20).save(tmp_path / "twenty.mlpackage")).function())
    assert work(package, x=(2, 20, 4)) == (plain.flops, plain.moved_bytes, plain.peak_bytes, {"x": (2, 20, 4)})
    function, _ = fixed(package, package.function(), {"x": (2, 20, 4)})
    assert str(function.outputs[0].type) == "fp32[2, 20, 2, 4]"


@pytest.mark.parametrize(
    ("shape", "enumerated", "said"),
    [
        ((2, 51, 4), (), "it takes 2,1..50,4"),
        ((3, 3, 4), (), "it takes 2,1..50,4"),
        ((2, 3), (), "it takes 2,1..50,4"),
        ((2, 4, 4), ((2, 3, 4), (2, 9, 4)), "it takes 2,3,4 or 2,9,4"),
    ],
)
def test_a_shape_that_the_model_does_not_take(tmp_path, shape, enumerated, said):
    package = read_package(Open().described(enumerated=enumerated).save(tmp_path / "open.mlpackage"))
    with pytest.raises(PackageError, match=said):
        work(package, x=shape)


def test_a_fixed_shape_may_be_named_and_not_changed(tmp_path):
    package = read_package(linear_package(tmp_path / "linear.mlpackage"))
    assert work(package, x=(2, 3))[3] == {}
    with pytest.raises(PackageError, match=r"input 'x' cannot have the shape 4,3; it takes fp32\[2, 3\]"):
        work(package, x=(4, 3))


def test_without_a_default_the_user_is_asked(tmp_path):
    package = read_package(Open().save(tmp_path / "open.mlpackage"))
    with pytest.raises(PackageError, match="the model names no default") as caught:
        work(package)
    assert caught.value.mend == "Choose one: --shape x=2,N,4."
    assert work(package, x=(2, 7, 4))[0] == 2 * 2 * 7 * 4 * 8


def test_what_cannot_be_built_names_its_operation(tmp_path):
    writer = Open().described()
    writer.operation("linear", "wrong", "fp32", (2, 2), x="z", weight="w", bias=("fp32", (3,), [1, 2, 3]))
    package = read_package(writer.save(tmp_path / "open.mlpackage"))
    with pytest.raises(PackageError, match="with these shapes coremltools does not build it") as caught:
        work(package)
    assert "'linear' 'wrong'" in str(caught.value)


def test_an_images_default_is_its_size(tmp_path):
    writer = Writer()
    writer.input("image", "fp32", (1, 3, 0, 0))
    writer.operation("relu", "y", "fp32", (1, 3, 0, 0), x="image")
    writer.outputs("y")
    for message in (writer.function.inputs[0], writer.block.operations[0].outputs[0]):
        for size in list(message.type.tensorType.dimensions)[2:]:
            size.unknown.variadic = False
    kind = writer.model.description.input.add(name="image").type.imageType
    kind.width, kind.height, kind.colorSpace = 32, 16, 20
    kind.imageSizeRange.widthRange.lowerBound = kind.imageSizeRange.heightRange.lowerBound = 8
    kind.imageSizeRange.widthRange.upperBound = kind.imageSizeRange.heightRange.upperBound = -1
    package = read_package(writer.save(tmp_path / "image.mlpackage"))
    assert work(package)[3] == {"image": (1, 3, 16, 32)}
    assert work(package, image=(1, 3, 1024, 8))[1] == 2 * 3 * 1024 * 8 * 4


def two_functions(path):
    """`prefill` on two rows and `decode` on one, of the same weights."""
    writer = Writer("prefill")
    writer.input("x", "fp32", (2, 3))
    writer.weight("W", np.ones((4, 3), np.float32), "fp32")
    writer.operation("linear", "y", "fp32", (2, 4), x="x", weight="W")
    writer.outputs("y")
    decode = writer.model.mlProgram.functions["decode"]
    decode.CopyFrom(writer.function)
    for message in (decode.inputs[0], decode.block_specializations["CoreML8"].operations[1].outputs[0]):
        message.type.tensorType.dimensions[0].constant.size = 1
    writer.model.description.defaultFunctionName = "prefill"
    return writer.save(path)


def test_any_function_or_all_of_a_package(tmp_path):
    path = two_functions(tmp_path / "llm.mlpackage")

    def found(function):
        return [(block.component, block.unit, block.functions["plain"].name, block.notes)
                for block in find_packages([path], None, Choices(function)).blocks]  # fmt: skip

    assert found(None) == [("llm", "llm", "prefill", ("functions that are left out: decode",))]
    assert found("decode") == [("llm", "llm", "decode", ("functions that are left out: prefill",))]
    assert found("all") == [("prefill", "llm", "prefill", ()), ("decode", "llm", "decode", ())]
    with pytest.raises(UserError, match="there is no function 'encode'"):
        found("encode")
    with pytest.raises(UserError, match="no package has more than one function"):
        find_packages([linear_package(tmp_path / "one.mlpackage")], None, Choices("all"))


@pytest.mark.parametrize(("together", "resident"), [("shared", 0), ("separate", 48)])
def test_functions_loaded_together_hold_weights_once_or_each(tmp_path, monkeypatch, capsys, together, resident):
    monkeypatch.chdir(tmp_path)
    two_functions(tmp_path / "llm.mlpackage")
    chosen = ["--function", "all", "--loaded-together", together]
    assert main(["profile", "estimate", "llm.mlpackage", *chosen, "-o", "out"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "hold 48 B if they share weights in memory and 96 B if each has its own; which of the two is not" in out
    assert f"Assumed here: {together}" in out
    assert "total, each once" in out and " 48 B 48 B " in out
    assert main(["simulate", "--device", "out/profile.yaml", "--plan", "out/plan.yaml", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["blocks"]
    assert [row["resident_bytes"] for row in rows] == [48, resident]
    assert main(["profile", "estimate", "llm.mlpackage", "--loaded-together", together]) == 2
    assert "--loaded-together has no effect without --function all" in capsys.readouterr().err


def test_shapes_and_functions_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Open().described().save(tmp_path / "open.mlpackage")
    assert main(["profile", "estimate", "open.mlpackage", "--shape", "x=2,20,4"]) == 0
    assert "shape of x: 2,20,4, as chosen; it takes 2,1..50,4" in " ".join(capsys.readouterr().out.split())
    assert main(["profile", "estimate", "open.mlpackage", "--shape", "y=2,20,4"]) == 2
    assert "no package has an input 'y'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["profile", "estimate", "open.mlpackage", "--shape", "x=2,twenty"])
    assert "is not a shape" in capsys.readouterr().err
