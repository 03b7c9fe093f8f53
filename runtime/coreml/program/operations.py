"""The operations of ML Programs, as torch computes them: those that our models come to, and their close kin.

A function takes `Arguments` and returns the outputs; the caller rounds them to the types that the program declares.
Operations that compute get float16 inputs as float32, so sums are in float32 and only results are rounded; those
that move values get them as they are. Semantics follow the MIL operator reference of coremltools 9.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ondevice_sora.runtime.coreml.package.errors import PackageError

TORCH_DTYPES = {
    "bool": torch.bool, "fp16": torch.float16, "fp32": torch.float32, "fp64": torch.float64, "int8": torch.int8,
    "int16": torch.int16, "int32": torch.int32, "int64": torch.int64, "uint8": torch.uint8,
}  # fmt: skip
GELU_MODES = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}


class Arguments:
    """The inputs of one operation: tensors, or the strings that some operations take, each a list of given values."""

    def __init__(self, values: Mapping[str, Sequence[Tensor | str]]) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        return bool(self._values.get(name))

    def tensors(self, name: str) -> list[Tensor]:
        """Raises PackageError if one is not a tensor."""
        found = [value for value in self._values.get(name, ()) if isinstance(value, Tensor)]
        if len(found) != len(self._values.get(name, ())):
            raise PackageError(f"input {name!r} is not a tensor")
        return found

    def tensor(self, name: str) -> Tensor:
        """Raises PackageError if it is missing."""
        found = self.tensors(name)
        if len(found) != 1:
            raise PackageError(f"input {name!r} has {len(found)} values where one is expected")
        return found[0]

    def optional(self, name: str) -> Tensor | None:
        return self.tensor(name) if self.has(name) else None

    def ints(self, name: str) -> list[int]:
        return [int(value) for value in self.tensor(name).reshape(-1).tolist()]

    def number(self, name: str, default: Any) -> Any:
        return self.tensor(name).item() if self.has(name) else default

    def string(self, name: str, default: str) -> str:
        given = self._values.get(name, ())
        return str(given[0]) if given else default


Result = Tensor | Sequence[Tensor]
Function = Callable[[Arguments], Result]


@dataclass(frozen=True)
class Implementation:
    """How an operation is done; `computes` says whether float16 inputs are widened first."""

    function: Function
    computes: bool


OPERATIONS: dict[str, Implementation] = {}
"""By the operation's type."""


def operation(*names: str, computes: bool = True) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        OPERATIONS.update(dict.fromkeys(names, Implementation(function, computes)))
        return function

    return register


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    return lambda a: function(a.tensor("x"), a.tensor("y"))


def _unary(function: Callable[[Tensor], Tensor]) -> Function:
    return lambda a: function(a.tensor("x"))


_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "real_div": torch.true_divide, "pow": torch.pow,
    "floor_div": torch.floor_divide, "mod": torch.remainder, "maximum": torch.maximum, "minimum": torch.minimum,
    "equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le, "greater": torch.gt,
    "greater_equal": torch.ge, "logical_and": torch.logical_and, "logical_or": torch.logical_or,
}  # fmt: skip
for _name, _two in _BINARY.items():
    operation(_name)(_binary(_two))

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs, "cos": torch.cos, "erf": torch.erf, "exp": torch.exp, "floor": torch.floor, "relu": torch.relu,
    "sigmoid": torch.sigmoid, "silu": functional.silu, "sin": torch.sin, "sqrt": torch.sqrt, "square": torch.square,
    "tanh": torch.tanh, "logical_not": torch.logical_not,
}  # fmt: skip
for _name, _one in _UNARY.items():
    operation(_name)(_unary(_one))


# Arithmetic


@operation("rsqrt")
def rsqrt(a: Arguments) -> Tensor:
    return torch.rsqrt(a.tensor("x") + a.number("epsilon", 1e-12))


@operation("gelu")
def gelu(a: Arguments) -> Tensor:
    mode = a.string("mode", "EXACT")
    if mode not in GELU_MODES:
        raise PackageError(f"gelu mode {mode!r} is not done here")
    return functional.gelu(a.tensor("x"), approximate=GELU_MODES[mode])


@operation("softmax")
def softmax(a: Arguments) -> Tensor:
    return torch.softmax(a.tensor("x"), int(a.number("axis", -1)))


@operation("clip")
def clip(a: Arguments) -> Tensor:
    return torch.clamp(a.tensor("x"), a.number("alpha", None), a.number("beta", None))


def _reduction(function: Callable[..., Tensor]) -> Function:
    def reduce(a: Arguments) -> Tensor:
        x = a.tensor("x")
        axes = a.ints("axes") if a.has("axes") else list(range(x.dim()))
        return function(x, axes, bool(a.number("keep_dims", False)))

    return reduce


_REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "reduce_mean": torch.mean, "reduce_sum": torch.sum, "reduce_max": torch.amax, "reduce_min": torch.amin,
}  # fmt: skip
for _name, _over in _REDUCTIONS.items():
    operation(_name)(_reduction(_over))


@operation("layer_norm")
def layer_norm(a: Arguments) -> Tensor:
    """Over any axes; variance without Bessel's correction."""
    x, epsilon = a.tensor("x"), a.number("epsilon", 1e-5)
    axes = a.ints("axes") if a.has("axes") else list(range(x.dim()))
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    normed = (x - mean) * torch.rsqrt(variance + epsilon)
    gamma, beta = a.optional("gamma"), a.optional("beta")
    aligned = [x.shape[axis] if axis in {each % x.dim() for each in axes} else 1 for axis in range(x.dim())]
    if gamma is not None:
        normed = normed * gamma.reshape(aligned)
    return normed if beta is None else normed + beta.reshape(aligned)


@operation("batch_norm")
def batch_norm(a: Arguments) -> Tensor:
    """By given statistics, along axis 1."""
    return functional.batch_norm(
        a.tensor("x"),
        a.tensor("mean"),
        a.tensor("variance"),
        a.optional("gamma"),
        a.optional("beta"),
        eps=a.number("epsilon", 1e-5),
    )


@operation("linear")
def linear(a: Arguments) -> Tensor:
    return functional.linear(a.tensor("x"), a.tensor("weight"), a.optional("bias"))


@operation("matmul")
def matmul(a: Arguments) -> Tensor:
    x, y = a.tensor("x"), a.tensor("y")
    x = x.transpose(-1, -2) if a.number("transpose_x", False) else x
    return x @ (y.transpose(-1, -2) if a.number("transpose_y", False) else y)


@operation("scaled_dot_product_attention")
def attention(a: Arguments) -> Tensor:
    return functional.scaled_dot_product_attention(
        a.tensor("query"), a.tensor("key"), a.tensor("value"), a.optional("attn_mask")
    )


@operation("conv")
def conv(a: Arguments) -> Tensor:
    """One to three spatial dimensions, padded with zeros."""
    x, weight = a.tensor("x"), a.tensor("weight")
    num_axes = weight.dim() - 2
    if not 1 <= num_axes <= 3:
        raise PackageError(f"a convolution over {num_axes} axes")
    strides = a.ints("strides") if a.has("strides") else [1] * num_axes
    dilations = a.ints("dilations") if a.has("dilations") else [1] * num_axes
    kind = a.string("pad_type", "valid")
    if kind == "custom":
        padding = a.ints("pad")
    elif kind == "valid":
        padding = [0] * 2 * num_axes
    else:
        raise PackageError(f"convolution padding {kind!r} is not done here")
    pairs = [padding[2 * axis : 2 * axis + 2] for axis in reversed(range(num_axes))]
    padded = functional.pad(x, [each for pair in pairs for each in pair]) if any(padding) else x
    function = (functional.conv1d, functional.conv2d, functional.conv3d)[num_axes - 1]
    out: Tensor = function(
        padded, weight, a.optional("bias"), strides, dilation=dilations, groups=int(a.number("groups", 1))
    )
    return out


# Moving values


@operation("identity", computes=False)
def identity(a: Arguments) -> Tensor:
    return a.tensor("x")


@operation("cast", computes=False)
def cast(a: Arguments) -> Tensor:
    """Fractions are cut off towards zero in integers; the caller rounds to the declared type in any case."""
    dtype = a.string("dtype", "")
    if dtype not in TORCH_DTYPES:
        raise PackageError(f"a cast to {dtype!r} is not done here")
    return a.tensor("x").to(TORCH_DTYPES[dtype])


@operation("reshape", computes=False)
def reshape(a: Arguments) -> Tensor:
    return a.tensor("x").reshape(a.ints("shape"))


@operation("transpose", computes=False)
def transpose(a: Arguments) -> Tensor:
    return a.tensor("x").permute(a.ints("perm"))


@operation("expand_dims", computes=False)
def expand_dims(a: Arguments) -> Tensor:
    """Axes are those of the result."""
    x, axes = a.tensor("x"), a.ints("axes")
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@operation("squeeze", computes=False)
def squeeze(a: Arguments) -> Tensor:
    return torch.squeeze(a.tensor("x"), a.ints("axes")) if a.has("axes") else torch.squeeze(a.tensor("x"))


@operation("concat", computes=False)
def concat(a: Arguments) -> Tensor:
    if a.number("interleave", False):
        raise PackageError("an interleaved concat is not done here")
    return torch.cat(a.tensors("values"), int(a.number("axis", 0)))


@operation("stack", computes=False)
def stack(a: Arguments) -> Tensor:
    return torch.stack(a.tensors("values"), int(a.number("axis", 0)))


@operation("split", computes=False)
def split(a: Arguments) -> Sequence[Tensor]:
    x, axis = a.tensor("x"), int(a.number("axis", 0))
    if a.has("split_sizes"):
        return torch.split(x, a.ints("split_sizes"), axis)
    return torch.split(x, x.shape[axis] // int(a.number("num_splits", 1)), axis)


@operation("slice_by_index", computes=False)
def slice_by_index(a: Arguments) -> Tensor:
    """Masks: `begin_mask` and `end_mask` ignore a bound, `squeeze_mask` takes one index and drops the axis."""
    x = a.tensor("x")
    begins, ends = a.ints("begin"), a.ints("end")
    strides = a.ints("stride") if a.has("stride") else [1] * x.dim()
    masks = {
        name: [bool(flag) for flag in a.ints(name)] if a.has(name) else [False] * x.dim()
        for name in ("begin_mask", "end_mask", "squeeze_mask")
    }
    dropped = []
    for axis, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        if masks["squeeze_mask"][axis]:
            x = x.narrow(axis, begin % x.shape[axis], 1)
            dropped.append(axis)
            continue
        places = slice(
            None if masks["begin_mask"][axis] else begin, None if masks["end_mask"][axis] else end, stride
        ).indices(x.shape[axis])
        if places[2] > 0:
            x = x[(slice(None),) * axis + (slice(*places),)]
        else:
            x = x.index_select(axis, torch.tensor(list(range(*places)), dtype=torch.int64))
    return torch.squeeze(x, dropped) if dropped else x


@operation("tile", computes=False)
def tile(a: Arguments) -> Tensor:
    return torch.tile(a.tensor("x"), a.ints("reps"))


@operation("pad", computes=False)
def pad(a: Arguments) -> Tensor:
    """`pad` has the amounts before and after for the last axes, in the axes' order."""
    if a.string("mode", "constant") != "constant":
        raise PackageError(f"padding mode {a.string('mode', '')!r} is not done here")
    amounts = a.ints("pad")
    pairs = [amounts[index : index + 2] for index in range(0, len(amounts), 2)]
    return functional.pad(
        a.tensor("x"), [each for pair in reversed(pairs) for each in pair], value=float(a.number("constant_val", 0.0))
    )


@operation("gather", computes=False)
def gather(a: Arguments) -> Tensor:
    """Slices of x along an axis, at indices of any shape; a negative index counts from the end."""
    if a.number("batch_dims", 0):
        raise PackageError("a gather with batch dimensions is not done here")
    x, indices, axis = (
        a.tensor("x"),
        a.tensor("indices").to(torch.int64),
        int(a.number("axis", 0)) % a.tensor("x").dim(),
    )
    wrapped = torch.where(indices < 0, indices + x.shape[axis], indices)
    if wrapped.numel() and not 0 <= int(wrapped.min()) <= int(wrapped.max()) < x.shape[axis]:
        raise PackageError(f"a gather outside the {x.shape[axis]} entries of its axis")
    taken = x.index_select(axis, wrapped.reshape(-1))
    return taken.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@operation("select", computes=False)
def select(a: Arguments) -> Tensor:
    return torch.where(a.tensor("cond"), a.tensor("a"), a.tensor("b"))


@operation("fill", computes=False)
def fill(a: Arguments) -> Tensor:
    return torch.full(a.ints("shape"), a.number("value", 0.0))


@operation("upsample_nearest_neighbor", computes=False)
def upsample_nearest_neighbor(a: Arguments) -> Tensor:
    factors = (a.number("scale_factor_height", 1), a.number("scale_factor_width", 1))
    if any(factor != int(factor) or factor < 1 for factor in factors):
        raise PackageError(f"an enlargement by {factors} is not done here")
    height, width = (int(factor) for factor in factors)
    return a.tensor("x").repeat_interleave(height, dim=-2).repeat_interleave(width, dim=-1)


# Weights out of compressed ones


@operation("constexpr_blockwise_shift_scale")
def blockwise_shift_scale(a: Arguments) -> Tensor:
    """scale * (data - offset), in the scale's type. Scale and offset have one entry for each block of the data."""
    data, scale = a.tensor("data"), a.tensor("scale")
    sizes = [length // blocks for length, blocks in zip(data.shape, scale.shape, strict=True)]

    def spread(x: Tensor) -> Tensor:
        for axis, size in enumerate(sizes):
            x = x.repeat_interleave(size, dim=axis) if 1 < x.shape[axis] < data.shape[axis] else x
        return x

    shifted = data.to(scale.dtype)
    offset = a.optional("offset")
    if offset is not None:
        shifted = shifted - spread(offset).to(scale.dtype)
    return shifted * spread(scale)


@operation("constexpr_affine_dequantize")
def affine_dequantize(a: Arguments) -> Tensor:
    """scale * (data - zero point), both one number or one an entry of `axis`."""
    data, scale, zero = a.tensor("quantized_data"), a.tensor("scale"), a.tensor("zero_point")
    aligned = [1] * data.dim()
    aligned[int(a.number("axis", 0))] = -1
    return (data.to(scale.dtype) - zero.to(scale.dtype).reshape(aligned)) * scale.reshape(aligned)
