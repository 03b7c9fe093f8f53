"""Floating-point operations of products, two per multiply-add, and the class that their throughput is of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from ondevice_sora.runtime.coreml.estimate.values import flag, shape_of, sizes_of
from ondevice_sora.runtime.coreml.package.package import Argument, Constant, Operation

ProductKind = Literal["matmul", "attention", "convolution"]


def _product_of(operands: Iterable[Argument | None], fixed: set[str]) -> ProductKind:
    """With a weight among the operands it is a matrix product, else attention."""
    is_weight = any(isinstance(each, Constant) or (each is not None and each.name in fixed) for each in operands)
    return "matmul" if is_weight else "attention"


def _linear(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    flops = 2 * math.prod(sizes_of(operation.outputs[0])) * shape_of(operation, "weight")[-1]
    return flops, _product_of([operation.argument("weight")], fixed)


def _matmul(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    x = shape_of(operation, "x")
    inner = x[-2] if flag(operation, "transpose_x") and len(x) > 1 else x[-1]
    operands = [operation.argument(name) for name in ("x", "y")]
    return 2 * math.prod(sizes_of(operation.outputs[0])) * inner, _product_of(operands, fixed)


def _einsum(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    equation = operation.argument("equation")
    if not isinstance(equation, Constant):
        raise ValueError("the equation is not a constant")
    arguments = operation.inputs["values"]
    terms = str(equation.item()).replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, argument in zip(terms, arguments, strict=True):
        sizes.update(zip(term, sizes_of(argument), strict=True))
    return 2 * math.prod(sizes.values()), _product_of(arguments, fixed)


def _convolution(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    """Weights [outputs, inputs / groups, taps...]: every position written meets every tap."""
    weight = shape_of(operation, "weight")
    return 2 * math.prod(sizes_of(operation.outputs[0])) * math.prod(weight[1:]), _by_taps(weight)


def _transposed(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    """Weights [inputs, outputs / groups, taps...]: every position read meets every tap."""
    weight = shape_of(operation, "weight")
    return 2 * math.prod(shape_of(operation, "x")) * math.prod(weight[1:]), _by_taps(weight)


def _by_taps(weight: Sequence[int]) -> ProductKind:
    return "convolution" if math.prod(weight[2:]) > 1 else "matmul"


def _recurrent(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    """x [steps, batch, inputs]: every weight matrix for every step, those of a second direction too."""
    steps, batch = shape_of(operation, "x")[:2]
    names = [name for name in operation.inputs if name.startswith("weight")]
    return 2 * steps * batch * sum(math.prod(shape_of(operation, name)) for name in names), "matmul"


_FLOPS: dict[str, Callable[[Operation, set[str]], tuple[int, ProductKind]]] = {
    "linear": _linear,
    "matmul": _matmul,
    "einsum": _einsum,
    "conv": _convolution,
    "conv_quantized": _convolution,
    "conv_transpose": _transposed,
    "lstm": _recurrent,
    "gru": _recurrent,
    "rnn": _recurrent,
}


def product_flops(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    """FLOPs of a product, and their class; `fixed` names the values that do not depend on an input.

    Raises ValueError, KeyError, IndexError, TypeError or AttributeError for shapes or inputs that make no sense.
    """
    return _FLOPS[operation.type](operation, fixed)
