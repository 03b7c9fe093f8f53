"""Count what a network does, operator by operator, without running it.

A Graph is written down in execution order, as a forward pass would be; a tensor is only a number of elements, so
reshapes cost nothing and need not be written. From the graph come the parameters, the Work by operator class, and the
peak of live activations.

Assumptions about the world:
    an operator's inputs and outputs are alive together: nothing is computed in place
    a tensor lives from the operator that writes it to the last one that reads it; an input, from the start
    held inputs (state that later units need) and outputs live to the end
    attention scores are materialised for all heads, and the softmax writes a second copy
    chains of pointwise arithmetic that one kernel can do (scale and shift, gate and add) are one operator
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from ondevice_sora.profiles.models.model import Unit, Work

T = TypeVar("T", bound=Hashable)


class Tensor:
    """An activation; two tensors of one size are still two tensors."""

    __slots__ = ("elements",)

    def __init__(self, elements: int) -> None:
        assert elements > 0, elements
        self.elements = elements


class Graph:
    """The operators of one unit in the order they run. Every operator method returns what it writes."""

    def __init__(self) -> None:
        self.parameters = 0
        self.tables = 0
        self._matmul_flops = 0
        self._attention_flops = 0
        self._convolution_flops = 0
        self._moved_elements = 0
        self._token_merges = 0
        self._inputs: list[Tensor] = []
        self._kept: list[Tensor] = []
        self._steps: list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = []

    def input(self, elements: int, *, held: bool = False) -> Tensor:
        """A tensor that exists before the unit runs; `held` if it must outlive the unit."""
        tensor = Tensor(elements)
        self._inputs.append(tensor)
        if held:
            self._kept.append(tensor)
        return tensor

    def output(self, *tensors: Tensor) -> None:
        """What the unit hands on: lives to the end."""
        self._kept.extend(tensors)

    def linear(self, x: Tensor, inputs: int, outputs: int, *, bias: bool = True) -> Tensor:
        """x [rows, inputs] -> [rows, outputs]."""
        rows = _divide(x.elements, inputs)
        self.parameters += inputs * outputs + (outputs if bias else 0)
        self._matmul_flops += 2 * rows * inputs * outputs
        return self._step((x,), rows * outputs)

    def convolution(
        self, x: Tensor, inputs: int, outputs: int, taps: int, *, positions: int | None = None, bias: bool = True
    ) -> Tensor:
        """x [positions, inputs] -> [positions, outputs] with a kernel of `taps` positions.

        `positions` counts what is written (frames, rows and columns of all images); without it, as many as x has.
        Taps that fall on padding are counted as work.
        """
        positions = _divide(x.elements, inputs) if positions is None else positions
        self.parameters += taps * inputs * outputs + (outputs if bias else 0)
        self._convolution_flops += 2 * positions * taps * inputs * outputs
        return self._step((x,), positions * outputs)

    def attention(
        self, q: Tensor, k: Tensor, v: Tensor, *, batch: int, heads: int, width: int, bias: Tensor | None = None
    ) -> Tensor:
        """softmax(q k' + bias) v: q [batch, queries, width], k and v [batch, keys, width] -> [batch, queries, width].

        Scores are [batch, heads, queries, keys] and materialised; the bias (a mask, a position bias) is added into a
        new tensor, and the softmax writes another. The scale is part of the first product.
        """
        queries, keys = _divide(q.elements, batch * width), _divide(k.elements, batch * width)
        self._attention_flops += 4 * batch * queries * keys * width
        scores = self._step((q, k), batch * heads * queries * keys)
        if bias is not None:
            scores = self.move(scores, bias)
        return self._step((self.move(scores), v), q.elements)

    def move(self, *reads: Tensor, writes: int | None = None, weights: int = 0) -> Tensor:
        """A memory-bound operator: normalisation, activation, softmax, add, transposed copy, padding.

        Reads every tensor once, and `weights` elements of the unit's parameters; writes one tensor, of the first
        one's size if none is given.
        """
        elements = reads[0].elements if writes is None else writes
        self._moved_elements += sum(tensor.elements for tensor in reads) + weights + elements
        return self._step(reads, elements)

    def normalise(self, x: Tensor, parameters: int = 0) -> Tensor:
        """Layer, group or RMS normalisation with so many parameters: x is counted as read once and written once."""
        self.parameters += parameters
        return self.move(x)

    def split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Copy x into `parts` equal tensors, as taking q, k and v apart by head does."""
        written = tuple(Tensor(_divide(x.elements, parts)) for _ in range(parts))
        self._moved_elements += 2 * x.elements
        self._steps.append(((x,), written))
        return written

    def merge_tokens(self, x: Tensor, elements: int) -> Tensor:
        """Average tokens of x down to `elements`, or copy merged tokens back up to `elements`."""
        self._token_merges += 1
        return self.move(x, writes=elements)

    def work(self) -> Work:
        return Work(
            matmul_flops=float(self._matmul_flops),
            attention_flops=float(self._attention_flops),
            convolution_flops=float(self._convolution_flops),
            moved_elements=float(self._moved_elements),
            working_elements=float(self.peak_elements()),
            token_merges=self._token_merges,
        )

    def waiting_elements(self) -> int:
        """Elements of what the unit starts from, or of what it leaves, whichever are more."""
        return max(sum(tensor.elements for tensor in tensors) for tensors in (self._inputs, self._kept))

    def peak_elements(self) -> int:
        """Largest number of activation elements alive at one time."""
        used = {tensor for reads, _ in self._steps for tensor in reads} | set(self._kept)
        assert used.issuperset(self._inputs), "an input is neither read nor held"
        sizes = {tensor: tensor.elements for _, written in self._steps for tensor in written}
        sizes.update((tensor, tensor.elements) for tensor in self._inputs)
        return peak_alive(self._inputs, self._steps, self._kept, sizes)

    def _step(self, reads: tuple[Tensor, ...], elements: int) -> Tensor:
        written = Tensor(elements)
        self._steps.append((reads, (written,)))
        return written


def peak_alive(
    inputs: Iterable[T], steps: Sequence[tuple[tuple[T, ...], tuple[T, ...]]], kept: Iterable[T], sizes: Mapping[T, int]
) -> int:
    """Most of `sizes` alive at one time: steps read and write tensors, inputs are there before, `kept` stay to the end.

    A tensor dies after the last step that reads it, or that wrote it; an input that nothing reads stays to the end.
    """
    inputs = tuple(inputs)
    return max([sum(sizes[tensor] for tensor in inputs), *alive_at_steps(inputs, steps, kept, sizes)])


def alive_at_steps(
    inputs: Iterable[T], steps: Sequence[tuple[tuple[T, ...], tuple[T, ...]]], kept: Iterable[T], sizes: Mapping[T, int]
) -> list[int]:
    """How much of `sizes` is alive during each step, by the rules of `peak_alive`."""
    inputs = tuple(inputs)
    last_step = dict.fromkeys(inputs, len(steps))
    last_step.update((tensor, index) for index, step in enumerate(steps) for tensor in (*step[1], *step[0]))
    last_step.update((tensor, len(steps)) for tensor in kept)
    dying: list[int] = [0] * (len(steps) + 1)
    for tensor, index in last_step.items():
        dying[index] += sizes[tensor]
    alive = sum(sizes[tensor] for tensor in inputs)
    during = []
    for index, (_, written) in enumerate(steps):
        alive += sum(sizes[tensor] for tensor in written)
        during.append(alive)
        alive -= dying[index]
    return during


def unit(name: str, plain: Graph, tdtm: Graph | None = None, runs: int = 1) -> Unit:
    """A unit of one or two variants of the same weights, which runs so often, one after the other."""
    assert tdtm is None or (tdtm.parameters, tdtm.tables) == (plain.parameters, plain.tables), name
    works = [None if each is None else each.work().in_turn(runs, each.waiting_elements()) for each in (plain, tdtm)]
    assert works[0] is not None
    return Unit(name, plain.parameters, works[0], works[1], plain.tables)


def mean_work(runs: Sequence[tuple[Work, int]]) -> Work:
    """The average run where so many runs do each of several works; working_elements is the largest, not the average."""
    total = sum(count for _, count in runs)

    def mean(values: Iterable[float]) -> float:
        return sum(value * count for value, (_, count) in zip(values, runs, strict=True)) / total

    works = [work for work, _ in runs]
    assert len({(work.token_merges, work.runs) for work in works}) == 1
    return Work(
        matmul_flops=mean(work.matmul_flops for work in works),
        attention_flops=mean(work.attention_flops for work in works),
        convolution_flops=mean(work.convolution_flops for work in works),
        moved_elements=mean(work.moved_elements for work in works),
        working_elements=max(work.working_elements for work in works),
        token_merges=works[0].token_merges,
        runs=works[0].runs,
    )


def _divide(elements: int, by: int) -> int:
    whole, rest = divmod(elements, by)
    assert rest == 0, f"{elements} elements are not whole rows of {by}"
    return whole


def renamed(original: Unit, names: list[str]) -> list[Unit]:
    """Units that do the same under other names."""
    return [replace(original, name=name) for name in names]
