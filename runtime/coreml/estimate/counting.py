"""Count what a function does, operation by operation, without running it: FLOPs, bytes moved, bytes alive.

By the conventions of profiles/models/operators.py, so that a package and a description of the same network agree and a
device's fitted costs hold for both:

    products      linear, convolution, matrix product, attention: two operations per multiply-add, nothing moved. A
                  convolution of one tap is a matrix product; a product of two activations counts as attention
    attention     scores are materialised for all heads; a mask is added into a copy, the softmax writes another
    views         reshapes, slices and splits cost nothing; what reads a part reads that part
    copies        transposes, tiles, concatenations and padding read and write; a chain of them is one copy
    pointwise     a chain or tree of pointwise operations and reductions without other readers is one operator, which
                  reads each input once and writes its result; a normalisation ends such a chain
    anything else reads its inputs and writes its outputs once
    loops         their bodies times their rounds if these are constant, else once; of a conditional the larger branch
    states        part of one replaced by `slice_update` and written back is written where it lies (states.py)
    constants     what is computed from constants alone is left out: Core ML does it when it compiles
    weights       making them from compressed ones (`constexpr_...`) costs nothing here: see what a load costs
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ondevice_sora.profiles.models.operators import peak_alive
from ondevice_sora.runtime.coreml.estimate.loops import rounds_of
from ondevice_sora.runtime.coreml.estimate.states import changed_in_place
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Argument, Body, Constant, Function, Operation, Value
from ondevice_sora.runtime.coreml.package.types import StateType, TensorType
from ondevice_sora.runtime.coreml.package.weights import COMPRESSED

VIEWS = {
    "reshape", "reshape_like", "expand_dims", "squeeze", "flatten2d", "identity", "split", "slice_by_index",
    "slice_by_size", "read_state",
}  # fmt: skip
COPIES = {
    "transpose", "tile", "concat", "stack", "pad", "reverse", "reverse_sequence", "space_to_depth",
    "depth_to_space", "pixel_shuffle", "pixel_unshuffle", "sliding_windows", "space_to_batch", "batch_to_space",
}  # fmt: skip
REDUCTIONS = {
    "reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_l1_norm", "reduce_l2_norm",
    "reduce_sum_square", "reduce_log_sum", "reduce_log_sum_exp", "reduce_argmax", "reduce_argmin",
}  # fmt: skip
POINTWISE = {
    "add", "sub", "mul", "real_div", "floor_div", "mod", "pow", "maximum", "minimum", "equal", "not_equal",
    "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or", "logical_xor", "logical_not",
    "select", "cast", "abs", "acos", "asin", "atan", "atanh", "ceil", "clip", "cos", "cosh", "erf", "exp", "exp2",
    "floor", "inverse", "log", "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh",
    "threshold", "thresholded_relu", "clamped_relu", "elu", "gelu", "leaky_relu", "linear_activation", "prelu",
    "relu", "relu6", "scaled_tanh", "sigmoid", "sigmoid_hard", "silu", "softplus", "softplus_parametric",
    "softsign", "quantize", "dequantize", "batch_norm",
}  # fmt: skip
"""One result an element; batch_norm's statistics are constants."""
AFFINE = {"add", "sub", "mul", "real_div", "batch_norm"}
"""What may follow a normalisation and still be part of it, with constants."""
PRODUCTS = {
    "linear", "matmul", "einsum", "conv", "conv_quantized", "conv_transpose", "scaled_dot_product_attention",
    "lstm", "gru", "rnn",
}  # fmt: skip
OTHERS = {
    "layer_norm", "instance_norm", "l2_norm", "local_response_norm", "softmax", "avg_pool", "max_pool", "l2_pool",
    "gather", "gather_along_axis", "gather_nd", "scatter", "scatter_along_axis", "scatter_nd", "resize",
    "resize_bilinear", "resize_nearest_neighbor", "upsample_bilinear", "upsample_nearest_neighbor", "crop",
    "crop_resize", "resample", "affine", "argsort", "topk", "cumsum", "band_part", "fill", "fill_like", "one_hot",
    "range_1d", "shape", "non_zero", "non_maximum_suppression", "random_normal", "random_uniform",
    "random_bernoulli", "random_categorical", "coreml_update_state", "write_state", "slice_update", "classify",
    "make_list", "list_read", "list_write", "list_gather", "list_scatter", "list_length", "while_loop", "cond",
}  # fmt: skip
KNOWN = VIEWS | COPIES | REDUCTIONS | POINTWISE | PRODUCTS | OTHERS

Step = tuple[tuple[str, ...], tuple[str, ...]]
"""What is read, and what is written, by name."""


@dataclass
class Counted:
    """One run of a function. Bytes are those of the values' own types; `operations` counts them by type.

    `edge_bytes` are what it is given, or what it hands on, whichever are more.

    `unknown` are types of operations that are not known here, counted as reading and writing; `open_loops` counts loops
    whose body was counted once for want of a number of rounds.
    """

    matmul_flops: int = 0
    attention_flops: int = 0
    convolution_flops: int = 0
    moved_bytes: int = 0
    peak_bytes: int = 0
    edge_bytes: int = 0
    token_merges: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)
    open_loops: int = 0

    @property
    def flops(self) -> int:
        return self.matmul_flops + self.attention_flops + self.convolution_flops

    def add(self, other: Counted, times: int = 1) -> None:
        """Work of a body inside that is done so often; its peak is the caller's affair."""
        self.matmul_flops += times * other.matmul_flops
        self.attention_flops += times * other.attention_flops
        self.convolution_flops += times * other.convolution_flops
        self.moved_bytes += times * other.moved_bytes
        self.token_merges += times * other.token_merges
        self.operations += other.operations
        self.unknown |= other.unknown
        self.open_loops += other.open_loops


def count(function: Function) -> Counted:
    """What one run of the function does. Raises PackageError, naming the operation, if its shapes are open or wrong."""
    try:
        return _Counting(function).counted
    except PackageError as error:
        raise PackageError(error.what, f"function {function.name!r}{error.where or ''}", error.mend) from None


@dataclass
class _Group:
    """Operations that run as one: the sink is the last, whose value they are for."""

    members: list[int]
    kind: str
    is_normalisation: bool = False

    @property
    def sink(self) -> int:
        return self.members[0]


class _Counting:
    """One body. Values are named as in the program; a view stands for its root."""

    def __init__(self, body: Body, fixed: frozenset[str] = frozenset()) -> None:
        self.counted = Counted()
        self.root: dict[str, str] = {}
        self.num_bytes: dict[str, int] = {}
        self.tag: dict[str, str] = {}
        self.fixed = set(fixed)
        """Names of values that do not depend on an input."""
        self.in_place = changed_in_place(body.operations)
        self.operations: list[Operation] = []
        for value in body.inputs:
            self._define(value, ", input ")
        for operation in body.operations:
            self._meet(operation)
        self.readers = self._readers(body)
        self.inner_peak = [self._inside(operation) for operation in self.operations]
        self._weigh(body)
        outputs = [self.num_bytes.get(value.name, 0) for value in body.outputs]
        self.counted.edge_bytes = max(sum(self.num_bytes[value.name] for value in body.inputs), sum(outputs))

    def _define(self, value: Value, where: str) -> None:
        self.root[value.name] = value.name
        self.num_bytes[value.name] = _num_bytes(value, where)

    def _meet(self, operation: Operation) -> None:
        """Take note of an operation's values; constants' and views' cost nothing and are not kept."""
        where = f", {operation.type!r} {operation.name!r}"
        self.counted.operations[operation.type] += 1
        inputs = [*_values(operation), *_read_inside(operation)]
        for output in operation.outputs:
            self._define(output, where)
        if operation.type.startswith(COMPRESSED) or (not inputs and not operation.type.startswith("random")) or (
            inputs and all(value.name in self.fixed for value in inputs)
        ):  # fmt: skip
            self.fixed.update(output.name for output in operation.outputs)
            return
        if operation.type not in KNOWN:
            self.counted.unknown.add(operation.type)
        if operation.type == "write_state" and _writes(operation) in self.in_place:
            return
        is_view = operation.type in VIEWS
        if (is_view or operation.name in self.in_place) and (source := _first_value(operation)) is not None:
            for output in operation.outputs:
                self.root[output.name] = self.root.get(source.name, source.name)
                self.tag[output.name] = self.tag.get(source.name, "")
            if is_view:
                return
        for output in operation.outputs:
            self.tag.setdefault(output.name, self._tag(operation, output))
        self.operations.append(operation)

    def _tag(self, operation: Operation, output: Value) -> str:
        """Whether a value is a statistic of another, or a tensor normalised by one."""
        if operation.type in REDUCTIONS:
            return "statistic"
        if operation.type not in POINTWISE:
            return ""
        inputs = [value for value in _values(operation) if value.name not in self.fixed]
        tags = [self.tag.get(value.name, "") for value in inputs]
        if all(tag == "statistic" for tag in tags):
            return "statistic"
        if "statistic" in tags:
            return "normalised"
        return "normalised" if tags == ["normalised"] and operation.type in AFFINE else ""

    def _readers(self, body: Body) -> dict[str, set[int]]:
        """For each root, the operations that read it or a view of it; -1 stands for the caller."""
        readers: dict[str, set[int]] = {}
        for index, operation in enumerate(self.operations):
            for value in self._outer_values(operation):
                readers.setdefault(self._root(value.name), set()).add(index)
        for output in body.outputs:
            if isinstance(output, Value):
                readers.setdefault(self._root(output.name), set()).add(-1)
        return readers

    def _outer_values(self, operation: Operation) -> Iterator[Value]:
        """Values of this body that an operation reads, also in bodies inside it."""
        yield from _values(operation)
        for inner in operation.bodies:
            for each in inner.walk():
                yield from (value for value in _values(each) if value.name in self.num_bytes)
            yield from (out for out in inner.outputs if isinstance(out, Value) and out.name in self.num_bytes)

    def _root(self, name: str) -> str:
        return self.root.get(name, name)

    def _inside(self, operation: Operation) -> int:
        """Count the bodies of a conditional (the larger one) or a loop; returns their peak in bytes.

        A loop counts once where nothing says how many rounds it has.
        """
        if not operation.bodies:
            return 0
        found = [_Counting(body, frozenset(self.fixed)).counted for body in operation.bodies]
        if operation.type == "cond":
            self.counted.add(max(found, key=lambda counted: counted.flops))
        else:
            rounds = rounds_of(operation)
            self.counted.open_loops += rounds is None
            for index, counted in enumerate(found):
                self.counted.add(counted, 1 if rounds is None else rounds + (index == 0 and len(found) > 1))
        return max(counted.peak_bytes for counted in found)

    def _groups(self) -> list[_Group]:
        """Operations that run as one, in the order of their sinks."""
        group_of: dict[int, _Group] = {}
        groups = []
        for index in reversed(range(len(self.operations))):
            operation = self.operations[index]
            kind = _kind(operation)
            readers = {reader for output in operation.outputs for reader in self.readers.get(output.name, ())}
            into = {id(group_of[reader]): group_of[reader] for reader in readers if reader >= 0}
            normalised = any(self.tag.get(output.name) == "normalised" for output in operation.outputs)
            if kind and -1 not in readers and len(into) == 1:
                (group,) = into.values()
                if group.kind == kind and (not normalised or group.is_normalisation):
                    group.members.append(index)
                    group_of[index] = group
                    continue
            group_of[index] = _Group([index], kind, any(self.tag.get(o.name) for o in operation.outputs))
            groups.append(group_of[index])
        return groups[::-1]

    def _weigh(self, body: Body) -> None:
        """Work of all groups, and the most bytes alive at one time."""
        inputs = [value.name for value in body.inputs]
        steps: list[Step] = []
        for group in self._groups():
            members = [self.operations[index] for index in group.members]
            sink = self.operations[group.sink]
            written = tuple(output.name for output in sink.outputs)
            inner = {output.name for member in members for output in member.outputs}
            reads = {value.name: value for member in members for value in self._outer_values(member)}
            outside = [name for name in reads if self._root(name) not in inner]
            alive = self._alive(outside)
            if sink.type in PRODUCTS:
                steps += self._product(sink, alive, written)
                continue
            constants = sum(_constant_bytes(member) for member in members)
            read_bytes = sum(_num_bytes(reads[name], "") for name in outside)
            if sink.name in self.in_place:
                part = sum(_num_bytes(value, "") for value in sink.inputs.get("update", ()))
                self.counted.moved_bytes += 2 * part
                steps.append((alive, ()))
                continue
            if sink.type in ("gather", "gather_along_axis", "gather_nd"):
                read_bytes, constants = sum(self.num_bytes[name] for name in written), 0
            written_bytes = sum(self.num_bytes[name] for name in written)
            self.counted.moved_bytes += read_bytes + constants + written_bytes
            self.counted.token_merges += self._is_token_merge(members, read_bytes, written_bytes)
            if self.inner_peak[group.sink]:
                inside = self._scratch(f"{written[0]} inside", self.inner_peak[group.sink])
                steps.append((alive, inside))
                alive = (*alive, *inside)
            steps.append((alive, written))
        kept = {self._root(output.name) for output in body.outputs if isinstance(output, Value)} - self.fixed
        states = {value.name for value in body.inputs if isinstance(value.type, StateType)}
        self.counted.peak_bytes = peak_alive(inputs, steps, kept | states, self.num_bytes)

    def _alive(self, names: Iterable[str]) -> tuple[str, ...]:
        """The roots that must be in memory for these values to be read; what lies outside this body is not its own."""
        roots = dict.fromkeys(self._root(name) for name in names if name not in self.fixed)
        return tuple(root for root in roots if root in self.num_bytes)

    def _is_token_merge(self, members: Sequence[Operation], read_bytes: int, written_bytes: int) -> bool:
        """Whether operations that run as one are one of TDTM's, as runtime/networks/merging.py converts.

        Merging adds two halves of one tensor; unmerging makes a tensor twice as large by a tile.
        """
        if any(member.type == "tile" for member in members):
            return written_bytes == 2 * read_bytes
        for member in members:
            halves = [value.name for value in _values(member)]
            if member.type == "add" and len(set(halves)) == 2 and len({self._root(name) for name in halves}) == 1:
                return all(2 * self.num_bytes[name] <= self.num_bytes[self._root(name)] for name in halves)
        return False

    def _scratch(self, name: str, size: int) -> tuple[str]:
        """A tensor that an operation needs for itself."""
        self.num_bytes[name] = size
        return (name,)

    def _product(self, operation: Operation, alive: tuple[str, ...], written: tuple[str, ...]) -> list[Step]:
        """Count a product's operations; returns its steps."""
        try:
            if operation.type == "scaled_dot_product_attention":
                return self._attention(operation, written)
            flops, kind = _PRODUCTS[operation.type](operation, self.fixed)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            told = f": {error}" if isinstance(error, ValueError) else ""
            where = f", {operation.type!r} {operation.name!r}"
            raise PackageError(f"the shapes or inputs of this product make no sense{told}", where) from None
        if kind == "convolution":
            self.counted.convolution_flops += flops
        elif kind == "matmul":
            self.counted.matmul_flops += flops
        else:
            self.counted.attention_flops += flops
        return [(alive, written)]

    def _attention(self, operation: Operation, written: tuple[str, ...]) -> list[Step]:
        """Scores, the mask added to them, their softmax, and the product with the values."""
        query, key, value = (_shape(operation, name) for name in ("query", "key", "value"))
        rows = math.prod(_broadcast(query[:-2], key[:-2], value[:-2])) * query[-2]
        if query[-1] != key[-1] or key[-2] != value[-2]:
            raise ValueError(f"query {query}, key {key}, value {value}")
        self.counted.attention_flops += 2 * rows * key[-2] * (query[-1] + value[-1])
        width = _num_bytes(operation.outputs[0], "") // max(1, math.prod(_sizes(operation.outputs[0])))
        size = rows * key[-2] * width

        def read(*names: str) -> tuple[str, ...]:
            given = [argument for name in names for argument in operation.inputs.get(name, ())]
            return self._alive(argument.name for argument in given if isinstance(argument, Value))

        scores = self._scratch(f"{written[0]} scores", size)
        steps: list[Step] = [(read("query", "key"), scores)]
        if (mask := operation.argument("attn_mask")) is not None:
            masked = self._scratch(f"{written[0]} masked", size)
            steps.append(((*scores, *read("attn_mask")), masked))
            self.counted.moved_bytes += 2 * size + _num_bytes(mask, "")
            scores = masked
        softmax = self._scratch(f"{written[0]} softmax", size)
        self.counted.moved_bytes += 2 * size
        return [*steps, (scores, softmax), ((*softmax, *read("value")), written)]


def _kind(operation: Operation) -> str:
    """Operations of one kind run as one; '' runs alone."""
    if operation.type in POINTWISE or operation.type in REDUCTIONS:
        return "pointwise"
    return "copy" if operation.type in COPIES else ""


def _arguments(operation: Operation) -> Iterator[Argument]:
    for arguments in operation.inputs.values():
        yield from arguments


def _values(operation: Operation) -> Iterator[Value]:
    return (argument for argument in _arguments(operation) if isinstance(argument, Value))


def _read_inside(operation: Operation) -> Iterator[Value]:
    """What the bodies inside an operation read of what lies outside them."""
    for body in operation.bodies:
        own = {value.name for value in body.inputs}
        for each in body.operations:
            yield from (value for value in (*_values(each), *_read_inside(each)) if value.name not in own)
            own.update(output.name for output in each.outputs)
        yield from (out for out in body.outputs if isinstance(out, Value) and out.name not in own)


def _first_value(operation: Operation) -> Value | None:
    """What a view is a view of: its input `x` (or `input`), else any."""
    for name in ("x", "input"):
        for argument in operation.inputs.get(name, ()):
            if isinstance(argument, Value):
                return argument
    return next(_values(operation), None)


def _writes(operation: Operation) -> str:
    """The value that is written to a state."""
    return next((argument.name for argument in operation.inputs.get("data", ())), "")


def _constant_bytes(operation: Operation) -> int:
    """Weights that an operation reads; numbers and shapes in the program are nothing."""
    return sum(a.stored_bytes for a in _arguments(operation) if isinstance(a, Constant) and a.extent is not None)


def _num_bytes(argument: Argument, where: str) -> int:
    """Bytes of a value. Raises PackageError if its shape is open."""
    kind = argument.type.tensor if isinstance(argument.type, StateType) else argument.type
    if not isinstance(kind, TensorType) or kind.dtype == "string":
        return 0
    if kind.num_bytes is None:
        what = f"the shape of {argument.name!r} is open ({kind}), so its work cannot be counted"
        raise PackageError(what, where, "Convert the model with fixed shapes.")
    return kind.num_bytes


def _sizes(argument: Argument) -> tuple[int, ...]:
    _num_bytes(argument, "")
    kind = argument.type
    if not isinstance(kind, TensorType) or kind.shape is None:
        raise ValueError(f"{argument.name!r} is not a tensor")
    return tuple(size or 0 for size in kind.shape)


def _shape(operation: Operation, name: str) -> tuple[int, ...]:
    argument = operation.argument(name)
    if argument is None:
        raise ValueError(f"input {name!r} is missing")
    return _sizes(argument)


def _broadcast(*shapes: Sequence[int]) -> list[int]:
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return [max(sizes) for sizes in zip(*padded, strict=True)]


def _flag(operation: Operation, name: str) -> bool:
    argument = operation.argument(name)
    return isinstance(argument, Constant) and bool(argument.item())


ProductKind = Literal["matmul", "attention", "convolution"]


def _product_of(operands: Iterable[Argument | None], fixed: set[str]) -> ProductKind:
    """With a weight among the operands it is a matrix product, else attention."""
    is_weight = any(isinstance(each, Constant) or (each is not None and each.name in fixed) for each in operands)
    return "matmul" if is_weight else "attention"


def _linear(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    flops = 2 * math.prod(_sizes(operation.outputs[0])) * _shape(operation, "weight")[-1]
    return flops, _product_of([operation.argument("weight")], fixed)


def _matmul(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    x = _shape(operation, "x")
    inner = x[-2] if _flag(operation, "transpose_x") and len(x) > 1 else x[-1]
    operands = [operation.argument(name) for name in ("x", "y")]
    return 2 * math.prod(_sizes(operation.outputs[0])) * inner, _product_of(operands, fixed)


def _einsum(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    equation = operation.argument("equation")
    if not isinstance(equation, Constant):
        raise ValueError("the equation is not a constant")
    arguments = operation.inputs["values"]
    terms = str(equation.item()).replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, argument in zip(terms, arguments, strict=True):
        sizes.update(zip(term, _sizes(argument), strict=True))
    return 2 * math.prod(sizes.values()), _product_of(arguments, fixed)


def _convolution(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    """Weights [outputs, inputs / groups, taps...]: every position written meets every tap."""
    weight = _shape(operation, "weight")
    return 2 * math.prod(_sizes(operation.outputs[0])) * math.prod(weight[1:]), _by_taps(weight)


def _transposed(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    """Weights [inputs, outputs / groups, taps...]: every position read meets every tap."""
    weight = _shape(operation, "weight")
    return 2 * math.prod(_shape(operation, "x")) * math.prod(weight[1:]), _by_taps(weight)


def _by_taps(weight: Sequence[int]) -> ProductKind:
    return "convolution" if math.prod(weight[2:]) > 1 else "matmul"


def _recurrent(operation: Operation, fixed: set[str]) -> tuple[int, ProductKind]:
    """x [steps, batch, inputs]: every weight matrix for every step, those of a second direction too."""
    steps, batch = _shape(operation, "x")[:2]
    names = [name for name in operation.inputs if name.startswith("weight")]
    return 2 * steps * batch * sum(math.prod(_shape(operation, name)) for name in names), "matmul"


_PRODUCTS = {
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
