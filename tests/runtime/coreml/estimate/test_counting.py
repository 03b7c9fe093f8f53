"""What a function does is counted from its operations; every figure here can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("coremltools")

from worlds.coreml_packages import Writer, linear_package, set_type

from ondevice_sora.runtime.coreml.estimate.counting import count
from ondevice_sora.runtime.coreml.estimate.operations import (
    COPIES,
    KNOWN,
    OTHERS,
    POINTWISE,
    PRODUCTS,
    REDUCTIONS,
    VIEWS,
)
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.package.weights import weights_of

MiB = 1 << 20
SIDE = (512, 512)
"""1 MiB in float32."""


@pytest.fixture
def counted(tmp_path):
    """Count a writer's function."""

    def counted(writer: Writer):
        return count(read_package(writer.save(tmp_path / "toy.mlpackage")).function())

    return counted


def inputs(*names: str, shape: tuple[int, ...] = SIDE) -> Writer:
    writer = Writer()
    for name in names:
        writer.input(name, "fp32", shape)
    return writer


def test_a_linear_layer_is_two_operations_a_multiply_add(tmp_path):
    found = count(read_package(linear_package(tmp_path / "toy.mlpackage")).function())
    assert (found.matmul_flops, found.moved_bytes) == (2 * 2 * 3 * 4, 0)
    assert found.peak_bytes == 4 * (2 * 3 + 2 * 4)
    assert dict(found.operations) == {"linear": 1}


def test_a_product_of_two_activations_counts_as_attention(counted):
    writer = inputs("a", "b", shape=(4, 8))
    writer.weight("w", np.zeros((8, 16), np.float32), "fp32")
    writer.operation("matmul", "scores", "fp32", (4, 4), x="a", y="b", transpose_y=("bool", (), [True]))
    writer.operation("matmul", "projected", "fp32", (4, 16), x="a", y="w")
    writer.outputs("scores", "projected")
    found = counted(writer)
    assert (found.attention_flops, found.matmul_flops) == (2 * 4 * 8 * 4, 2 * 4 * 8 * 16)


def test_a_convolution_of_one_tap_is_a_matrix_product(counted):
    writer = inputs("x", shape=(1, 8, 6, 6))
    writer.weight("taps", np.zeros((16, 4, 3, 3), np.float32), "fp32")
    writer.weight("point", np.zeros((5, 16, 1, 1), np.float32), "fp32")
    writer.operation("conv", "y", "fp32", (1, 16, 4, 4), x="x", weight="taps")  # two groups of four channels
    writer.operation("conv", "z", "fp32", (1, 5, 4, 4), x="y", weight="point")
    writer.outputs("z")
    found = counted(writer)
    assert (found.convolution_flops, found.matmul_flops) == (2 * 16 * 16 * 4 * 9, 2 * 5 * 16 * 16)


def test_a_transposed_convolution_counts_what_it_reads(counted):
    writer = inputs("x", shape=(1, 8, 5, 5))
    writer.weight("w", np.zeros((8, 3, 2, 2), np.float32), "fp32")
    writer.operation("conv_transpose", "y", "fp32", (1, 3, 10, 10), x="x", weight="w")
    writer.outputs("y")
    assert counted(writer).convolution_flops == 2 * 8 * 25 * 3 * 4


def test_attention_materialises_its_scores(counted):
    writer = Writer()
    for name, length in (("q", 4), ("k", 16), ("v", 16)):
        writer.input(name, "fp32", (2, 3, length, 8))
    writer.input("mask", "fp32", (2, 1, 1, 16))
    writer.operation(
        "scaled_dot_product_attention", "y", "fp32", (2, 3, 4, 8), query="q", key="k", value="v", attn_mask="mask"
    )
    writer.outputs("y")
    found = counted(writer)
    scores, mask = 4 * 2 * 3 * 4 * 16, 4 * 2 * 16
    assert found.attention_flops == 4 * 2 * 3 * 4 * 16 * 8
    assert found.moved_bytes == 4 * scores + mask
    assert found.peak_bytes == 4 * 2 * 3 * 8 * (4 + 16 + 16) + mask + scores, "all inputs and the scores"


def test_einsum_reads_its_equation(counted):
    writer = inputs("a", shape=(2, 3, 4))
    writer.input("b", "fp32", (2, 4, 5))
    writer.operation("einsum", "y", "fp32", (2, 3, 5), values=["a", "b"], equation=("string", (), [b"bij,bjk->bik"]))
    writer.outputs("y")
    assert counted(writer).attention_flops == 2 * 2 * 3 * 4 * 5


def test_recurrent_layers_meet_their_weights_at_every_step(counted):
    writer = inputs("x", shape=(7, 2, 8))
    writer.weight("ih", np.zeros((16, 8), np.float32), "fp32")
    writer.weight("hh", np.zeros((16, 4), np.float32), "fp32")
    writer.operation("lstm", "y", "fp32", (7, 2, 4), x="x", weight_ih="ih", weight_hh="hh")
    writer.outputs("y")
    assert counted(writer).matmul_flops == 2 * 7 * 2 * 16 * (8 + 4)


def test_a_chain_of_pointwise_operations_reads_once_and_writes_once(counted):
    writer = inputs("x", "gate")
    writer.operation("mul", "a", "fp32", SIDE, x="x", y="gate")
    writer.operation("add", "b", "fp32", SIDE, x="a", y="x")
    writer.operation("silu", "y", "fp32", SIDE, x="b")
    writer.outputs("y")
    assert counted(writer).moved_bytes == 3 * MiB


def test_what_two_operations_read_is_written(counted):
    writer = inputs("x")
    writer.operation("relu", "a", "fp32", SIDE, x="x")
    writer.operation("exp", "y", "fp32", SIDE, x="a")
    writer.operation("tanh", "z", "fp32", SIDE, x="a")
    writer.outputs("y", "z")
    assert counted(writer).moved_bytes == (2 + 2 + 2) * MiB


def normalisation(writer: Writer, source: str, result: str) -> None:
    """x / rms(x), as converters write it."""
    row = (512, 1)
    writer.operation("mul", f"{result}_square", "fp32", SIDE, x=source, y=source)
    writer.operation("reduce_mean", f"{result}_mean", "fp32", row, x=f"{result}_square")
    writer.operation("rsqrt", f"{result}_scale", "fp32", row, x=f"{result}_mean")
    writer.operation("mul", result, "fp32", SIDE, x=source, y=f"{result}_scale")


def test_a_normalisation_reads_once_and_ends_a_chain(counted):
    writer = inputs("x")
    normalisation(writer, "x", "n")
    writer.operation("silu", "y", "fp32", SIDE, x="n")
    writer.outputs("y")
    assert counted(writer).moved_bytes == (2 + 2) * MiB


def test_views_cost_nothing_and_their_readers_read_a_part(counted):
    writer = inputs("x")
    half = (256, 512)
    writer.operation("slice_by_size", "part", "fp32", half, x="x")
    writer.operation("reshape", "y", "fp32", (512, 256), x="part")
    writer.operation("relu", "z", "fp32", (512, 256), x="y")
    writer.outputs("z")
    found = counted(writer)
    assert found.moved_bytes == MiB
    assert found.peak_bytes == 1.5 * MiB, "the whole input stays while a part of it is read"


def test_a_chain_of_copies_is_one_copy(counted):
    writer = inputs("x")
    writer.operation("transpose", "a", "fp32", SIDE, x="x")
    writer.operation("tile", "b", "fp32", (1024, 512), x="a")
    writer.operation("reshape", "c", "fp32", (2, 512, 512), x="b")
    writer.operation("transpose", "y", "fp32", (512, 2, 512), x="c")
    writer.outputs("y")
    assert counted(writer).moved_bytes == (1 + 2) * MiB


def test_a_tensor_dies_after_its_last_reader(counted):
    writer = inputs("x")
    for number, (source, result) in enumerate((("x", "a"), ("a", "b"), ("b", "c"))):
        writer.operation("softmax", result, "fp32", SIDE, x=source, axis=("int32", (), [number % 2]))
    writer.operation("concat", "y", "fp32", (1024, 512), values=["a", "c"])
    writer.outputs("y")
    assert counted(writer).peak_bytes == 4 * MiB, "a, c and the result of two"


def test_what_comes_of_constants_alone_costs_nothing(counted):
    writer = inputs("x")
    writer.weight("table", np.zeros(SIDE, np.float32), "fp32")
    writer.operation("transpose", "turned", "fp32", SIDE, x="table")
    writer.operation("matmul", "y", "fp32", SIDE, x="x", y="turned")
    writer.outputs("y")
    found = counted(writer)
    assert (found.moved_bytes, found.attention_flops, found.matmul_flops) == (0, 0, 2 * 512**3)


def test_weights_that_a_memory_bound_operation_reads_count(counted):
    writer = inputs("x")
    writer.weight("bias", np.zeros(SIDE, np.float32), "fp32")
    writer.operation("add", "y", "fp32", SIDE, x="x", y="bias")
    writer.outputs("y")
    assert counted(writer).moved_bytes == 3 * MiB


def test_a_gather_reads_what_it_writes(counted):
    writer = Writer()
    writer.input("ids", "int32", (256,))
    writer.weight("table", np.zeros((1000, 512), np.float32), "fp32")
    writer.operation("gather", "y", "fp32", (256, 512), x="table", indices="ids")
    writer.outputs("y")
    assert counted(writer).moved_bytes == 2 * (MiB // 2)


def cached(writer: Writer, source: str, result: str, written: str | None) -> None:
    """A row of a cache [512, 512] replaced; written back under `written` if it is."""
    row = {"begin": ("int32", (2,), [7, 0]), "end": ("int32", (2,), [8, 512])}
    writer.operation("slice_update", result, "fp32", SIDE, x=source, update="row", **row)
    if written is not None:
        operation = writer.block.operations.add(type="write_state")
        operation.inputs["input"].arguments.add().name = written
        operation.inputs["data"].arguments.add().name = result


def with_cache(*names: str) -> Writer:
    writer = inputs("row", shape=(1, 512))
    for name in names:
        set_type(writer.function.inputs.add(name=name).type.stateType.wrappedType, "fp32", SIDE)
        writer.operation("read_state", f"{name}_read", "fp32", SIDE, {"input": name})
    return writer


def test_a_part_of_a_state_is_written_where_it_lies(counted):
    """A cache of 1 MiB takes a row of 2 KiB, twice, and is read; there is no second cache."""
    writer = with_cache("keys")
    cached(writer, "keys_read", "first", "keys")
    writer.operation("read_state", "again", "fp32", SIDE, {"input": "keys"})
    cached(writer, "again", "second", "keys")
    writer.operation("read_state", "last", "fp32", SIDE, {"input": "keys"})
    writer.operation("matmul", "scores", "fp32", (1, 512), x="row", y="last", transpose_y=("bool", (), [True]))
    writer.outputs("scores")
    found = counted(writer)
    assert found.moved_bytes == 2 * 2 * 2048
    assert found.peak_bytes == MiB + 2048 + 2048, "the cache, the row and the scores"


def test_two_parts_replaced_before_a_state_is_written_are_both_in_place(counted):
    writer = with_cache("keys")
    cached(writer, "keys_read", "first", None)
    cached(writer, "first", "second", "keys")
    writer.outputs("row")
    assert counted(writer).moved_bytes == 2 * 2 * 2048


@pytest.mark.parametrize("written", [None, "values"])
def test_what_is_not_written_back_to_its_own_state_is_a_copy(counted, written):
    writer = with_cache("keys", "values")
    cached(writer, "keys_read", "changed", written)
    writer.outputs("changed")
    copied = 0 if written is None else 2 * MiB  # read, and written to the other state
    assert counted(writer).moved_bytes == MiB + 2048 + MiB + copied


def test_an_unknown_operation_is_named_and_moves_bytes(counted):
    writer = inputs("x")
    writer.operation("my_custom_layer", "y", "fp32", SIDE, x="x")
    writer.outputs("y")
    found = counted(writer)
    assert found.unknown == {"my_custom_layer"}
    assert found.moved_bytes == 2 * MiB


def test_of_a_conditional_the_larger_branch_counts_and_of_a_loop_one_round(counted):
    writer = inputs("x")
    writer.weight("w", np.zeros(SIDE, np.float32), "fp32")
    for kind in ("cond", "while_loop"):
        operation = writer.operation(kind, kind, "fp32", SIDE, pred="x")
        for number in range(2):
            block = operation.blocks.add()
            inner = block.operations.add(type="linear" if number else "relu")
            inner.inputs["x"].arguments.add().name = "x"
            if number:
                inner.inputs["weight"].arguments.add().name = "w"
            set_type(inner.outputs.add(name=f"{kind}_{number}").type, "fp32", SIDE)
            block.outputs.append(f"{kind}_{number}")
    writer.outputs("cond", "while_loop")
    found = counted(writer)
    assert found.matmul_flops == 2 * (2 * 512**3)
    assert found.open_loops == 1


def test_open_shapes_are_refused_with_a_mend(counted):
    writer = inputs("x")
    writer.function.inputs[0].type.tensorType.dimensions[0].unknown.variadic = False
    writer.operation("relu", "y", "fp32", SIDE, x="x")
    with pytest.raises(PackageError, match="the shape of 'x' is open"):
        counted(writer)


@pytest.mark.parametrize("kind", ["linear", "conv", "matmul", "einsum", "scaled_dot_product_attention", "lstm"])
def test_a_product_without_its_inputs_is_refused(counted, kind):
    writer = inputs("x")
    writer.operation(kind, "y", "fp32", SIDE, z="x")
    writer.outputs("y")
    with pytest.raises(PackageError, match=f"'{kind}' 'y': the shapes or inputs of this product"):
        counted(writer)


def test_merges_of_frames_are_counted(counted):
    """The two halves of a tensor averaged, and every slice given twice; any other sum or tile is none."""
    writer = inputs("x", "other")
    half = (256, 512)
    for number in range(2):
        writer.operation("slice_by_index", f"half_{number}", "fp32", half, x="x")
    writer.operation("add", "sum", "fp32", half, x="half_0", y="half_1")
    writer.operation("mul", "merged", "fp32", half, x="sum", y=("fp32", (), [0.5]))
    writer.operation("softmax", "attended", "fp32", half, x="merged")
    writer.operation("transpose", "turned", "fp32", half, x="attended")
    writer.operation("tile", "twice", "fp32", SIDE, x="turned")
    writer.operation("add", "y", "fp32", SIDE, x="twice", y="other")
    writer.outputs("y")
    assert counted(writer).token_merges == 2


def test_the_operations_known_here_are_those_of_coremltools():
    """No name is misspelt, and what is missing is known to be: custom and internal operations."""
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    registered = set(SSAOpRegistry.core_ops)
    assert KNOWN - registered == {"coreml_update_state", "write_state"}, "made by the last passes only"
    assert {name for name in registered - KNOWN if not name.startswith("constexpr_")} == {"const", "_const_symbolic"}
    sets = [VIEWS, COPIES, REDUCTIONS, POINTWISE, PRODUCTS, OTHERS]
    assert sum(map(len, sets)) == len(KNOWN), "each stands once"


def quantized(writer: Writer, name: str, shape: tuple[int, ...]) -> None:
    writer.weight(f"{name}_data", np.zeros(shape, np.int8), "int8")
    writer.weight(f"{name}_scale", np.ones((shape[0], 1), np.float16), "fp16")
    writer.operation("constexpr_blockwise_shift_scale", name, "fp16", shape, data=f"{name}_data", scale=f"{name}_scale")


def test_compressed_weights_are_held_unpacked_by_the_gpu(tmp_path):
    writer = Writer()
    writer.input("x", "fp16", (2, 32))
    quantized(writer, "w", (64, 32))
    writer.weight("b", np.zeros(64, np.float16), "fp16")
    writer.operation("linear", "y", "fp16", (2, 64), x="x", weight="w", bias="b")
    writer.outputs("y")
    package = read_package(writer.save(tmp_path / "toy.mlpackage"))
    weights = weights_of([package])
    assert weights.stored_bytes == 64 * 32 + 64 * 2 + 64 * 2
    assert (weights.parameters, weights.precision) == (64 * 32 + 64, "int8")
    assert weights.held_bytes(2.0) == {
        "cpu_only": 64 * 32 * 2 + 64 * 2, "cpu_and_gpu": 64 * 32 * 2 + 64 * 2,
        "cpu_and_ne": weights.stored_bytes, "all": weights.stored_bytes,
    }  # fmt: skip
    assert count(package.function()).matmul_flops == 2 * 2 * 32 * 64


def test_four_bit_palettes_count_as_int4(tmp_path):
    writer = Writer()
    writer.input("x", "fp16", (2, 32))
    writer.weight("indices", np.zeros((64, 16), np.uint8), "uint8")
    operation = writer.block.operations[-1]
    operation.outputs[0].type.Clear()
    set_type(operation.outputs[0].type, "uint4", (64, 32))
    operation.attributes["val"].type.Clear()
    set_type(operation.attributes["val"].type, "uint4", (64, 32))
    writer.weights[64 + 4 : 64 + 8] = (11).to_bytes(4, "little")  # the code of uint4 in the weight file
    writer.weight("lut", np.zeros((1, 1, 16, 1), np.float16), "fp16")
    writer.operation("constexpr_lut_to_dense", "w", "fp16", (64, 32), indices="indices", lut="lut")
    writer.operation("linear", "y", "fp16", (2, 64), x="x", weight="w")
    weights = weights_of([read_package(writer.save(tmp_path / "toy.mlpackage"))])
    assert (weights.precision, weights.parameters, weights.stored_bytes) == ("int4", 2048, 1024 + 32)
