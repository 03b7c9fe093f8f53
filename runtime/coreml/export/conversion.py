"""Blocks to ML Programs, by torch.jit.trace and coremltools. Shapes are fixed; nothing else is decided here.

Arithmetic is in the precision asked for:

    float32   everything
    float16   everything but the angles of time embeddings and the mean squares in norms, which stay in float32: angles
              reach 1000 radians, where float16 steps by half a radian, and squares overflow beyond 256
    mixed     products (linear, matmul, conv, attention) and lookups in float16, all between them in float32
    int8      weights of 2048 elements and more in int8, symmetric, one scale a row; arithmetic as in float16
    int4      the same in 4 bits
    int8_float32, int4_float32   the same weights; arithmetic in float32
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ondevice_sora.profiles.models.model import Precision, WeightFormat, activation_bytes, is_compressed, weight_format
from ondevice_sora.runtime.coreml.package.messages import model_class
from ondevice_sora.runtime.coreml.quiet import quietly
from ondevice_sora.runtime.networks.units import BlockModule

OUTPUT_SUFFIX = "_out"
"""A block may read and write a tensor of one name, and Core ML wants the names of inputs and outputs to differ."""
QUANTISED_ELEMENTS = 2048
FLOAT32_OPERATIONS = frozenset({"cos", "rsqrt", "sin", "sqrt"})
FLOAT32_FEEDERS = frozenset({"add", "expand_dims", "mul", "pow", "reduce_mean", "square"})
PRODUCTS = frozenset({"conv", "gather", "linear", "matmul", "scaled_dot_product_attention"})


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Make a folder that coremltools' temporary files go to meanwhile, and remove it afterwards.

    Left alone it keeps a copy of every package that it makes in the system's folder until the process ends.
    """
    folder.mkdir()
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def convert_block(
    block: BlockModule, inputs: Sequence[Tensor], precision: Precision, outer: Collection[str] = ()
) -> Any:
    """The block as a coremltools MLModel (not loaded), for inputs of these shapes and types.

    Inputs are named as the block's tensors, outputs likewise with OUTPUT_SUFFIX. Integers become int32. Floats named in
    `outer` are float32 at both ends; between blocks they are float16 where the arithmetic is.
    """
    with quietly() as ct, torch.no_grad():
        import numpy as np

        def feature(name: str, tensor: Tensor | None) -> Any:
            inner = np.float16 if activation_bytes(precision) == 2 and name not in outer else np.float32
            dtype = inner if tensor is None or tensor.is_floating_point() else np.int32
            if tensor is None:
                return ct.TensorType(name=name + OUTPUT_SUFFIX, dtype=dtype)
            return ct.TensorType(name=name, shape=tensor.shape, dtype=dtype)

        traced = torch.jit.trace(block, tuple(inputs), check_trace=False)  # type: ignore[no-untyped-call]
        model = ct.convert(
            traced,
            inputs=[feature(name, tensor) for name, tensor in zip(block.inputs, inputs, strict=True)],
            outputs=[feature(name, None) for name in block.outputs],
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS18,
            compute_precision=_compute_precision(ct, precision),
            skip_model_load=True,
        )
        return _compressed(model, weight_format(precision)) if is_compressed(precision) else model


def merge_functions(packages: Mapping[str, Path], merged: Path) -> None:
    """One package with a function from each of these single-function ones; equal weights are stored once.

    The first is the default. Weights that are to be compressed must be so before: coremltools compresses single
    functions only.
    """
    with quietly() as ct:
        descriptor = ct.utils.MultiFunctionDescriptor()
        for name, path in packages.items():
            descriptor.add_function(str(path), src_function_name="main", target_function_name=name)
        descriptor.default_function_name = next(iter(packages))
        ct.utils.save_multifunction(descriptor, str(merged))


def compute_constant_outputs(package: Path) -> None:
    """Let an operation, `identity`, make every output that is a constant (the rotary table): Core ML expects one to."""
    path = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model = model_class()()
    model.ParseFromString(path.read_bytes())
    for function in model.mlProgram.functions.values():
        body = function.block_specializations[function.opset]
        for operation in list(body.operations):
            (name, *_) = (output.name for output in operation.outputs)
            if operation.type == "const" and name in body.outputs:
                operation.outputs[0].name = f"{name}_value"
                made = body.operations.add(type="identity")
                made.inputs["x"].arguments.add(name=f"{name}_value")
                made.outputs.add(name=name).type.CopyFrom(operation.outputs[0].type)
    path.write_bytes(model.SerializeToString())


def _compute_precision(ct: Any, precision: Precision) -> Any:
    if activation_bytes(precision) == 2:
        known: dict[Any, bool] = {}
        return ct.transform.FP16ComputePrecision(op_selector=lambda operation: not _stays_float32(operation, known))
    if precision == "mixed":
        return ct.transform.FP16ComputePrecision(op_selector=lambda operation: operation.op_type in PRODUCTS)
    return ct.precision.FLOAT32


def _stays_float32(operation: Any, known: dict[Any, bool]) -> bool:
    """Whether an operation makes an angle or a mean square: one of these itself, or read by nothing else.

    `known` holds what was found already.
    """
    if operation not in known:
        readers = [reader for output in operation.outputs for reader in output.child_ops]
        known[operation] = operation.op_type in FLOAT32_OPERATIONS or (
            operation.op_type in FLOAT32_FEEDERS
            and bool(readers)
            and all(_stays_float32(reader, known) for reader in readers)
        )
    return known[operation]


def _compressed(model: Any, weights: WeightFormat) -> Any:
    from coremltools.optimize import coreml as compression

    each = compression.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype=weights, granularity="per_channel", weight_threshold=QUANTISED_ELEMENTS
    )
    return compression.linear_quantize_weights(model, compression.OptimizationConfig(global_config=each))
