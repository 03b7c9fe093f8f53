"""Record the operators of one forward pass on PyTorch's meta device: FLOPs, tensors read and written, and their module.

Nothing is computed and no weight exists. FLOPs come from PyTorch's own registry (torch.utils.flop_counter). Attention
that is asked for as such (scaled_dot_product_attention) is recorded as the products and the softmax that it consists
of; what an engine keeps of its scores is decided later (counting.py).

A *value* is what a tensor holds at a time: views share it, writing in place makes a new one. What does not depend on
the inputs is constant: a converter works it out beforehand and stores it: it is recorded as a table that is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

Kind = Literal["matmul", "attention", "convolution", "softmax", "pointwise", "gather", "other"]

aten = torch.ops.aten
PRODUCTS = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm}
FACTORIES = {
    aten.empty,
    aten.empty_like,
    aten.empty_strided,
    aten.new_empty,
    aten.new_empty_strided,
    aten.zeros,
    aten.zeros_like,
    aten.new_zeros,
    aten.ones,
    aten.ones_like,
    aten.new_ones,
    aten.full,
    aten.full_like,
    aten.new_full,
    aten.scalar_tensor,
}
"""What they make is one number repeated, which no package stores."""
ALSO_POINTWISE = {aten._to_copy, aten.copy_, aten.lift_fresh_copy}
OVERWRITING = {aten.copy_, aten.fill_, aten.zero_}
WITH_STATISTICS = {aten.native_layer_norm, aten.native_group_norm, aten._fused_rms_norm}
"""They also write means and deviations, of no size to speak of."""


@dataclass
class Operator:
    """One operator: values read and written, their sizes in elements.

    reads       value -> elements of it that are read
    tables      constant -> elements of it that are read; parameters among them
    module      path of the module that it belongs to; `call` tells calls of a module apart
    queries     of attention: rows of the scores, for what is done in chunks of them
    """

    kind: Kind
    module: str
    call: int
    reads: dict[int, int]
    writes: tuple[int, ...]
    tables: dict[int, int] = field(default_factory=dict)
    flops: int = 0
    is_norm: bool = False
    queries: int = 0


@dataclass
class Trace:
    """A forward pass: operators in order, sizes of values, what was given and what came out.

    made_of     constant -> names of the parameters that it is or is made of. The first `num_parameters` constants are
                the parameters themselves
    """

    operators: list[Operator] = field(default_factory=list)
    elements: dict[int, int] = field(default_factory=dict)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    table_elements: dict[int, int] = field(default_factory=dict)
    made_of: dict[int, frozenset[str]] = field(default_factory=dict)
    num_parameters: int = 0


@dataclass
class _Storage:
    """What is known of a tensor's memory: the value that it holds now, or the constant that it is."""

    kept: Any
    value: int | None
    constant: int | None


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what runs while it is entered. `modules` says which module runs."""

    def __init__(self, model: nn.Module, modules: _Modules) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace = Trace()
        self._modules = modules
        self._storages: dict[int, _Storage] = {}
        self._count = 0
        for name, parameter in model.named_parameters():
            constant = self._constant(parameter, frozenset((name,)))
            self.trace.table_elements[constant] = parameter.numel()
        self.trace.num_parameters = self._count
        for buffer in model.buffers():
            self.trace.table_elements[self._constant(buffer, frozenset())] = buffer.numel()

    def given(self, tensors: Iterable[Tensor]) -> None:
        """Tell what the forward pass is given."""
        self.trace.inputs += [self._written(tensor) for tensor in tensors]

    def returned(self, output: Any) -> None:
        """Tell what it returned."""
        found = (self._storages.get(_key(each)) for each in tensors_in(output))
        self.trace.outputs += [known.value for known in found if known is not None and known.value is not None]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        read, written = tensors_in((args, kwargs)), tensors_in(out)
        if func.overloadpacket in FACTORIES:
            for tensor in written:
                self.trace.table_elements[self._constant(tensor, frozenset())] = 0
            return out
        if not written or func.is_view:
            return out
        is_in_place = func._schema.is_mutable and _key(written[0]) in {_key(tensor) for tensor in read}
        if not is_in_place and all(_key(tensor) in {_key(each) for each in read} for tensor in written):
            return out  # an alias, such as detach or a copy that was not needed
        packet = func.overloadpacket
        if packet in WITH_STATISTICS:
            written = written[:1]
        if is_in_place and packet in OVERWRITING:
            read = read[1:]
        count = flop_registry.get(packet)
        flops = int(count(*args, **kwargs, out_val=out)) if count is not None else 0
        kind = self._kind_of(func, read, is_product=packet in PRODUCTS or flops > 0)
        self.record(kind, read, written, flops, is_in_place=is_in_place, queries=_rows(written[0]))
        return out

    def _kind_of(self, func: Any, read: list[Tensor], is_product: bool) -> Kind:
        """A product of two activations counts as attention, one with a weight as a matrix product."""
        packet = func.overloadpacket
        if packet is aten.convolution:
            return "convolution"
        if is_product:
            return "attention" if all(map(self._is_moving, read[-2:])) and len(read) > 1 else "matmul"
        if packet in (aten._softmax, aten._safe_softmax):
            return "softmax"
        if packet is aten.embedding:
            return "gather"
        is_pointwise = torch.Tag.pointwise in func.tags or packet in ALSO_POINTWISE
        return "pointwise" if is_pointwise else "other"

    def record(
        self,
        kind: Kind,
        read: list[Tensor],
        written: list[Tensor],
        flops: int = 0,
        *,
        is_in_place: bool = False,
        queries: int = 0,
    ) -> None:
        reads: dict[int, int] = {}
        tables: dict[int, int] = {}
        for tensor in read:
            known = self._known(tensor)
            elements = min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size())
            if known.value is not None:
                reads[known.value] = max(reads.get(known.value, 0), elements)
            elif known.constant is not None:
                tables[known.constant] = max(tables.get(known.constant, 0), elements)
        filled = self._known(written[0]).value if is_in_place and not _covers(written[0]) else None
        if not reads and filled is not None:  # constants into a part of a tensor
            return
        if not reads:  # worked out beforehand
            made_of = frozenset[str]().union(*(self.trace.made_of[constant] for constant in tables))
            for tensor in written:
                self.trace.table_elements[self._constant(tensor, made_of)] = tensor.numel()
            return
        if filled is not None:  # a further part of a tensor: what is written counts in place of what is read
            values: tuple[int, ...] = ()
            reads[filled] = written[0].numel()
        elif is_in_place:
            base = written[0].untyped_storage().nbytes() // written[0].element_size()
            values = (self._written(written[0], base),)
        else:
            values = tuple(self._written(tensor) for tensor in written)
        module, call, is_norm = self._modules.now
        self.trace.operators.append(
            Operator(kind, module, call, reads, values, tables, flops, is_norm, queries if kind != "other" else 0)
        )

    def _is_moving(self, tensor: Tensor) -> bool:
        return self._known(tensor).value is not None

    def _known(self, tensor: Tensor) -> _Storage:
        known = self._storages.get(_key(tensor))
        if known is None:  # made outside: a constant of the code
            self.trace.table_elements[self._constant(tensor, frozenset())] = tensor.numel()
            known = self._storages[_key(tensor)]
        return known

    def _constant(self, tensor: Tensor, made_of: frozenset[str]) -> int:
        self._count += 1
        self._storages[_key(tensor)] = _Storage(tensor.untyped_storage(), None, self._count)
        self.trace.made_of[self._count] = made_of
        return self._count

    def _written(self, tensor: Tensor, elements: int | None = None) -> int:
        self._count += 1
        self._storages[_key(tensor)] = _Storage(tensor.untyped_storage(), self._count, None)
        self.trace.elements[self._count] = tensor.numel() if elements is None else elements
        return self._count


class _Attention(TorchFunctionMode):
    """Takes calls of scaled_dot_product_attention apart."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return self._attention(*args, **(kwargs or {}))

    def _attention(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any
    ) -> Tensor:
        record = self._recorder.record
        with _paused():
            q, k, v = (torch.empty(each.shape, device="meta") for each in (query, key, value))
            scores = torch.empty((*query.shape[:-1], key.shape[-2]), device="meta")
            masked, weights = torch.empty_like(scores), torch.empty_like(scores)
            out = torch.empty((*query.shape[:-1], value.shape[-1]), device="meta")
        for copied, given in ((q, query), (k, key), (v, value)):
            if given.is_contiguous():
                self._recorder._storages[_key(copied)] = self._recorder._known(given)
            else:
                record("other", [given], [copied])  # heads apart
        rows = query.shape[-2]
        batch = math.prod(query.shape[:-2])
        flops = 2 * batch * rows * key.shape[-2]
        record("attention", [q, k], [scores], flops * query.shape[-1], queries=rows)
        if attn_mask is not None:
            record("pointwise", [scores, attn_mask], [masked], queries=rows)
            scores = masked
        record("softmax", [scores], [weights], queries=rows)
        record("attention", [weights, v], [out], flops * value.shape[-1], queries=rows)
        return out


class _Modules:
    """Which module runs now: its path, the number of its call, and whether it is a normalisation without parts."""

    def __init__(self, model: nn.Module) -> None:
        self._stack: list[tuple[str, int, bool]] = [("", 0, False)]
        self._calls = 0
        self._handles = []
        for path, module in model.named_modules():
            is_norm = "norm" in type(module).__name__.lower() and not any(True for _ in module.children())
            self._handles.append(module.register_forward_pre_hook(self._entering(path, is_norm)))
            self._handles.append(module.register_forward_hook(self._left, always_call=True))

    @property
    def now(self) -> tuple[str, int, bool]:
        return self._stack[-1]

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _entering(self, path: str, is_norm: bool) -> Callable[..., None]:
        def enter(*_: Any) -> None:
            self._calls += 1
            self._stack.append((path, self._calls, is_norm))

        return enter

    def _left(self, *_: Any) -> None:
        self._stack.pop()


def traced(model: nn.Module, call: Callable[[], Any], inputs: Any) -> Trace:
    """What `call`, a forward pass of `model` on meta tensors `inputs`, consists of. Raises what the model raises."""
    modules = _Modules(model)
    try:
        with torch.no_grad():
            recorder = Recorder(model, modules)
            recorder.given(tensors_in(inputs))
            with _without_values(), _Attention(recorder), recorder:
                output = call()
            recorder.returned(output)
    finally:
        modules.close()
    return recorder.trace


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors in nested lists, tuples and dictionaries; the model outputs of both libraries are dictionaries."""
    if hasattr(tree, "to_tuple"):
        tree = tree.to_tuple()
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


@contextmanager
def _paused() -> Iterator[None]:
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes():
        yield


@contextmanager
def _without_values() -> Iterator[None]:
    """For tensors that have no numbers.

    `torch.autocast` knows no meta device: there it does nothing, since sizes in elements are the same in any type.
    What a mask leaves over is taken to be everything.
    """
    usual = torch.autocast

    def autocast(device_type: str, *arguments: Any, **options: Any) -> Any:
        return nullcontext() if device_type == "meta" else usual(device_type, *arguments, **options)

    torch.autocast = autocast  # type: ignore[misc, assignment]
    try:
        with _config.patch(meta_nonzero_assume_all_nonzero=True):  # type: ignore[attr-defined]
            yield
    finally:
        torch.autocast = usual  # type: ignore[misc]


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _rows(tensor: Tensor) -> int:
    return tensor.shape[-2] if tensor.dim() > 1 else 1


def _covers(tensor: Tensor) -> bool:
    """Whether the tensor is all of its memory."""
    return tensor.numel() * tensor.element_size() >= tensor.untyped_storage().nbytes()
