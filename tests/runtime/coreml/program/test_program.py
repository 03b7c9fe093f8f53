"""The reference executor: operations as MIL defines them, in the types that the program declares."""

import numpy as np
import pytest
import torch
from torch.nn import functional

pytest.importorskip("coremltools")

from worlds.coreml_packages import Writer, linear_package

from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.program.operations import Arguments, affine_dequantize
from ondevice_sora.runtime.coreml.program.program import Program


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "toy.mlpackage"


def loaded(path, function=None):
    program = Program(read_package(path).function(function), path)
    program.load()
    return program


def computed(folder, kind, x, declared, dtype="fp32", **inputs):
    """One operation on x, to a result of the type declared."""
    dtypes = {torch.float32: "fp32", torch.float16: "fp16", torch.int32: "int32", torch.bool: "bool"}
    writer = Writer()
    writer.input("x", dtypes[x.dtype], tuple(x.shape))
    writer.operation(kind, "y", dtype, declared, inputs={"x": "x", **inputs})
    writer.outputs("y")
    return loaded(writer.save(folder)).run({"x": x})["y"]


def ints(*values):
    return ("int32", (len(values),), values)


def one(dtype, value):
    return (dtype, (), [value])


def test_a_program_runs_between_load_and_evict(folder):
    program = loaded(linear_package(folder))
    x = torch.randn(2, 3)
    expected = functional.linear(x, torch.arange(12.0).reshape(4, 3), torch.ones(4))
    assert torch.equal(program.run({"x": x})["y"], expected)
    program.evict()
    with pytest.raises(RuntimeError, match="before it is loaded"):
        program.run({"x": x})


def test_an_unknown_operation_is_named_with_its_place(folder):
    writer = Writer("plain")
    writer.input("x", "fp32", (1,))
    writer.operation("relu", "a", "fp32", (1,), x="x")
    writer.operation("topk", "b", "fp32", (1,), x="a")
    package = read_package(writer.save(folder))
    with pytest.raises(PackageError, match="'plain': operation 1, 'topk', which makes 'b', is not done here") as caught:
        Program(package.function("plain"), folder)
    assert str(folder) in str(caught.value)


def test_a_result_of_another_shape_than_declared_is_refused(folder):
    with pytest.raises(PackageError, match=r"'transpose'.* shape \[3, 2\], declared is fp32\[2, 3\]"):
        computed(folder, "transpose", torch.zeros(2, 3), (2, 3), perm=ints(1, 0))


def test_inputs_are_checked(folder):
    program = loaded(linear_package(folder))
    with pytest.raises(PackageError, match="input 'x' is not given"):
        program.run({})
    with pytest.raises(PackageError, match=r"input 'x': the value has shape \[3, 3\], declared is fp32\[2, 3\]"):
        program.run({"x": torch.zeros(3, 3)})


def test_float16_sums_in_float32_and_rounds_the_result(folder):
    """4096 ones: a float16 sum would stop at 2048."""
    x = torch.ones(1, 4096, dtype=torch.float16)
    found = computed(folder, "reduce_sum", x, (1,), "fp16", axes=ints(1), keep_dims=one("bool", False))
    assert found.dtype == torch.float16 and found.item() == 4096
    writer = Writer()
    writer.input("x", "fp16", (1,))
    writer.operation("add", "y", "fp16", (1,), x="x", y=("fp16", (1,), np.float16(1).tobytes()))
    writer.outputs("y")
    x = torch.tensor([2048.0], dtype=torch.float16)
    assert loaded(writer.save(folder.with_name("b.mlpackage"))).run({"x": x})["y"].item() == 2048


X = torch.arange(24.0).reshape(2, 3, 4)
CASES = {
    "transpose": ("transpose", X, X.permute(2, 0, 1), {"perm": ints(2, 0, 1)}),
    "reshape infers one size": ("reshape", X, X.reshape(6, 4), {"shape": ints(-1, 4)}),
    "expand_dims counts in the result": ("expand_dims", X, X[:, None, :, :, None], {"axes": ints(1, -1)}),
    "squeeze": ("squeeze", X[:, :1], X[:, 0], {"axes": ints(1)}),
    "tile": ("tile", X, X.repeat(1, 2, 1), {"reps": ints(1, 2, 1)}),
    "gather wraps negative indices": (
        "gather", X, X[:, [2, 0]], {"indices": ints(-1, 0), "axis": one("int32", 1)},
    ),
    "reduce_mean": ("reduce_mean", X, X.mean((1, 2)), {"axes": ints(1, 2), "keep_dims": one("bool", False)}),
    "softmax": ("softmax", X, X.softmax(1), {"axis": one("int32", 1)}),
    "rsqrt adds its epsilon": ("rsqrt", X, torch.rsqrt(X + 2), {"epsilon": one("fp32", 2.0)}),
    "gelu by tanh": ("gelu", X, functional.gelu(X, approximate="tanh"), {"mode": one("string", "TANH_APPROXIMATION")}),
    "gelu": ("gelu", X, functional.gelu(X), {"mode": one("string", "EXACT")}),
    "slice with a mask, a step and a squeeze": (
        "slice_by_index", X, X[1, 0:2, ::2],
        {"begin": ints(-1, 9, 0), "end": ints(0, 2, 4), "stride": ints(1, 1, 2),
         "begin_mask": ("bool", (3,), [False, True, False]), "squeeze_mask": ("bool", (3,), [True, False, False])},
    ),
    "slice backwards": (
        "slice_by_index", X, X.flip(2), {"begin": ints(0, 0, -1), "end": ints(2, 3, 0), "stride": ints(1, 1, -1),
                                         "end_mask": ("bool", (3,), [True, True, True])},
    ),
    "pad, pairs in the axes' order": (
        "pad", X, functional.pad(X, (0, 2, 1, 0), value=5.0),
        {"pad": ints(1, 0, 0, 2), "mode": one("string", "constant"), "constant_val": one("fp32", 5.0)},
    ),
    "layer_norm": (
        "layer_norm", X, functional.layer_norm(X, (4,), torch.arange(4.0), torch.ones(4), 1e-3),
        {"axes": ints(-1), "gamma": ("fp32", (4,), [0, 1, 2, 3]), "beta": ("fp32", (4,), [1] * 4),
         "epsilon": one("fp32", 1e-3)},
    ),
    "batch_norm": (
        "batch_norm", X, (X - 1) / (4 + 1e-5) ** 0.5 * 3 + 2,
        {"mean": ("fp32", (3,), [1] * 3), "variance": ("fp32", (3,), [4] * 3), "gamma": ("fp32", (3,), [3] * 3),
         "beta": ("fp32", (3,), [2] * 3), "epsilon": one("fp32", 1e-5)},
    ),
    "upsample": (
        "upsample_nearest_neighbor", X[None], functional.interpolate(X[None], scale_factor=(2.0, 3.0)),
        {"scale_factor_height": one("fp32", 2.0), "scale_factor_width": one("int32", 3)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_operations(folder, case):
    kind, x, expected, inputs = CASES[case]
    found = computed(folder, kind, x, tuple(expected.shape), **inputs)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_convolution_pads_each_axis_as_told(folder):
    x, weight = torch.randn(1, 2, 3, 4, 5), torch.randn(6, 1, 2, 2, 2)
    expected = functional.conv3d(functional.pad(x, (0, 1, 2, 0, 1, 0)), weight, stride=(1, 2, 1), groups=2)
    values = weight.reshape(-1).tolist()
    inputs = {
        "weight": ("fp32", tuple(weight.shape), values), "strides": ints(1, 2, 1), "groups": one("int32", 2),
        "pad_type": one("string", "custom"), "pad": ints(1, 0, 2, 0, 0, 1), "dilations": ints(1, 1, 1),
    }  # fmt: skip
    torch.testing.assert_close(computed(folder, "conv", x, tuple(expected.shape), **inputs), expected)


def test_split_has_several_outputs_and_select_joins(folder):
    writer = Writer()
    writer.input("x", "fp32", (5,))
    split = writer.operation("split", "a", "fp32", (2,), x="x", split_sizes=ints(2, 3), axis=one("int32", 0))
    from worlds.coreml_packages import set_type

    set_type(split.outputs.add(name="b").type, "fp32", (3,))
    writer.operation("concat", "c", "fp32", (5,), values=["b", "a"], axis=one("int32", 0))
    writer.operation("greater", "big", "bool", (5,), x="c", y=one("fp32", 2.0))
    writer.operation("select", "y", "fp32", (5,), cond="big", a="c", b=one("fp32", -1.0))
    writer.outputs("y", "a")
    found = loaded(writer.save(folder)).run({"x": torch.arange(5.0)})
    assert found["y"].tolist() == [-1, 3, 4, -1, -1] and found["a"].tolist() == [0, 1]


def test_attention_with_a_mask(folder):
    query, key, value = (torch.randn(1, 2, n, 8) for n in (3, 4, 4))
    mask = torch.tensor([[0.0, 0.0, -1e9, 0.0]]).expand(3, 4)
    writer = Writer()
    for name, tensor in {"q": query, "k": key, "v": value, "m": mask}.items():
        writer.input(name, "fp32", tuple(tensor.shape))
    writer.operation(
        "scaled_dot_product_attention", "y", "fp32", (1, 2, 3, 8), query="q", key="k", value="v", attn_mask="m"
    )
    writer.outputs("y")
    found = loaded(writer.save(folder)).run({"q": query, "k": key, "v": value, "m": mask})["y"]
    torch.testing.assert_close(found, ((query @ key.mT) / 8**0.5 + mask).softmax(-1) @ value)


def test_int8_weights_come_in_blocks_with_scales_and_offsets(folder):
    data = np.arange(-4, 4, dtype=np.int8).reshape(2, 4)
    writer = Writer()
    writer.input("x", "fp32", (1, 4))
    writer.weight("q", data, "int8")
    writer.operation(
        "constexpr_blockwise_shift_scale", "w", "fp32", (2, 4),
        data="q", scale=("fp32", (2, 2), [1.0, 10.0, 100.0, 0.5]), offset=("int8", (2, 2), bytes([1, 0, 0, 255])),
    )  # fmt: skip
    writer.operation("linear", "y", "fp32", (1, 2), x="x", weight="w")
    writer.outputs("y", "w")
    found = loaded(writer.save(folder)).run({"x": torch.ones(1, 4)})
    assert found["w"].tolist() == [[-5, -4, -20, -10], [0, 100, 1.5, 2]]
    assert found["y"].tolist() == [[-39, 103.5]]


def test_older_affine_weights():
    given = {
        "quantized_data": [torch.tensor([[1, 2], [3, 4]], dtype=torch.int8)], "axis": [torch.tensor(0)],
        "scale": [torch.tensor([2.0, 10.0])], "zero_point": [torch.tensor([1, 3], dtype=torch.int8)],
    }  # fmt: skip
    assert affine_dequantize(Arguments(given)).tolist() == [[0, 2], [0, 10]]


def test_a_gather_outside_is_an_error_not_a_crash(folder):
    with pytest.raises(PackageError, match=r"'gather'.*outside the 3 entries"):
        computed(folder, "gather", X, (2, 1, 4), indices=ints(3), axis=one("int32", 1))


def test_what_torch_refuses_is_told_with_the_place(folder):
    with pytest.raises(PackageError, match="operation 0, 'reshape', which makes 'y', failed"):
        computed(folder, "reshape", X, (7,), shape=ints(7))
