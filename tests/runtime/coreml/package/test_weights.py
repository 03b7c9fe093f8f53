"""How weights are stored, and that none is missed, by every operation that coremltools has for it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("coremltools")

from worlds.coreml_packages import Writer, set_type

from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.package.weights import PAYLOADS, weights_of

ROWS, COLUMNS = 8, 64
COUNT = ROWS * COLUMNS
KEPT = COUNT // 4
NOT_PAYLOADS = {
    "zero_point",
    "vector_axis",
    "scale",
    "axis",
    "lut",
    "shape",
    "offset",
    "mask",
    "indices_mask",
    "data_mask",
}
"""Scales, tables, masks and settings."""


def package(path, unpacking, outputs=("w",), **tensors):
    """y = x W of a W that an operation unpacks from tensors in the weight file: name=(dtype, elements, bytes)."""
    writer = Writer()
    writer.input("x", "fp16", (2, COLUMNS))
    given = {}
    for name, (dtype, shape, num_bytes) in tensors.items():
        writer.weight(f"{name}_", np.zeros(num_bytes, np.uint8), dtype)
        constant = writer.block.operations[-1]
        for message in (constant.outputs[0].type, constant.attributes["val"].type):
            del message.tensorType.dimensions[:]
            message.tensorType.rank = len(shape)
            for size in shape:
                message.tensorType.dimensions.add().constant.size = size
        given[name] = f"{name}_"
    operation = writer.operation(unpacking, "w", "fp16", (ROWS, COLUMNS), given)
    if len(outputs) > 1:
        extra = operation.outputs.add()
        extra.CopyFrom(operation.outputs[0])
        extra.name = "nonzero"
        del extra.type.tensorType.dimensions[:]
        extra.type.tensorType.rank = 1
        extra.type.tensorType.dimensions.add().constant.size = KEPT
        writer.operation("constexpr_sparse_to_dense", "v", "fp16", (ROWS, COLUMNS), mask="w", nonzero_data="nonzero")
    writer.operation("linear", "y", "fp16", (2, ROWS), x="x", weight="v" if len(outputs) > 1 else "w")
    writer.outputs("y")
    return weights_of([read_package(writer.save(path))])


MASK = ("uint1", (ROWS, COLUMNS), COUNT // 8)
SCALE = ("fp16", (ROWS, 1), 2 * ROWS)


@pytest.mark.parametrize(
    ("unpacking", "tensors", "precision", "zeros"),
    [
        ("constexpr_sparse_to_dense", {"mask": MASK, "nonzero_data": ("fp16", (KEPT,), 2 * KEPT)}, "float16",
         COUNT - KEPT),
        ("constexpr_lut_to_sparse", {"indices_mask": MASK, "indices_nonzero_data": ("uint4", (KEPT,), KEPT // 2),
                                     "lut": ("fp16", (1, 1, 16, 1), 32)}, "int4", COUNT - KEPT),
        ("constexpr_sparse_blockwise_shift_scale", {"data_mask": MASK, "nonzero_data": ("int8", (KEPT,), KEPT),
                                                    "scale": SCALE}, "int8", COUNT - KEPT),
        ("constexpr_lut_to_dense", {"indices": ("uint6", (ROWS, COLUMNS), COUNT * 6 // 8),
                                    "lut": ("fp16", (1, 1, 64, 1), 128)}, "int6", 0),
        ("constexpr_lut_to_dense", {"indices": ("uint8", (COUNT // 2,), COUNT // 2), "lut": ("fp16", (16,), 32)},
         "int4", 0),
        ("constexpr_blockwise_shift_scale", {"data": ("int4", (ROWS, COLUMNS), COUNT // 2), "scale": SCALE}, "int4", 0),
        ("constexpr_affine_dequantize", {"quantized_data": ("int8", (ROWS, COLUMNS), COUNT), "scale": SCALE},
         "int8", 0),
        ("constexpr_cast", {"source_val": ("fp16", (ROWS, COLUMNS), 2 * COUNT)}, "float16", 0),
    ],
)  # fmt: skip
def test_each_way_of_storing_weights(tmp_path, unpacking, tensors, precision, zeros):
    is_joint = unpacking in ("constexpr_lut_to_sparse", "constexpr_sparse_blockwise_shift_scale")
    found = package(tmp_path / "net.mlpackage", unpacking, ("w", "nonzero") if is_joint else ("w",), **tensors)
    assert (found.parameters, found.compressed_count, found.zeros) == (COUNT, COUNT, zeros)
    assert found.precision == precision
    assert found.stored_bytes == sum(num_bytes for _, _, num_bytes in tensors.values())
    assert found.held_bytes(2.0)["cpu_and_gpu"] == 2 * COUNT
    assert found.held_bytes(2.0)["cpu_and_ne"] == found.stored_bytes


def test_a_table_that_is_compressed_itself_is_no_weight(tmp_path):
    """A palette of 64 entries in int8, as a palette is stored that was quantised after: two operations unpack it."""
    writer = Writer()
    writer.input("x", "fp16", (2, COLUMNS))
    indices = writer.weight("indices", np.zeros((ROWS, COLUMNS * 6 // 8), np.uint8), "uint8")
    writer.weights[64 + 4 : 64 + 8] = (13).to_bytes(4, "little")  # the code of uint6 in the weight file
    for message in (indices.outputs[0].type, indices.attributes["val"].type):
        message.Clear()
        set_type(message, "uint6", (ROWS, COLUMNS))
    writer.weight("table", np.zeros((1, 1, 64, 1), np.int8), "int8")
    writer.weight("scale", np.ones((1, 1, 1, 1), np.float16), "fp16")
    writer.operation("constexpr_blockwise_shift_scale", "lut", "fp16", (1, 1, 64, 1), data="table", scale="scale")
    writer.operation("constexpr_lut_to_dense", "w", "fp16", (ROWS, COLUMNS), indices="indices", lut="lut")
    writer.operation("linear", "y", "fp16", (2, ROWS), x="x", weight="w")
    writer.outputs("y")
    found = weights_of([read_package(writer.save(tmp_path / "net.mlpackage"))])
    assert (found.parameters, found.compressed_count, found.precision) == (COUNT, COUNT, "int6")
    assert found.stored_bytes == COUNT * 6 // 8 + 64 + 2
    assert found.held_bytes(2.0)["cpu_and_gpu"] == 2 * COUNT


def test_every_compressed_form_of_the_installed_coremltools_has_its_payload_here():
    from ondevice_sora.runtime.coreml.quiet import quietly

    with quietly():
        from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

        forms = {
            name: [set(variant.input_spec.input_types) for variant in variants.values()]
            for name, variants in SSAOpRegistry.core_ops.items()
            if name.startswith("constexpr_")
        }
    assert len(forms) >= 7
    for name, variants in forms.items():
        for inputs in variants:
            assert len(inputs & set(PAYLOADS)) == 1, f"{name}: {inputs} has its weights in none or several of PAYLOADS"
            assert inputs - set(PAYLOADS) <= NOT_PAYLOADS | {"output_dtype"}, f"{name}: {inputs - set(PAYLOADS)}"
