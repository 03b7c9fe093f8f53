"""What is counted of a forward pass, on networks so small that every figure can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ondevice_sora.profiles.models.configured import Attention, InChunks
from ondevice_sora.profiles.models.model import Unit
from ondevice_sora.runtime.describe.counting import Counted, counted, in_turn
from ondevice_sora.runtime.describe.trace import traced
from ondevice_sora.runtime.describe.units import layers_of

ROWS, WIDTH, HEADS = 40, 8, 2


class Layer(nn.Module):
    """x + w2(gelu(w1(norm(x)))): 8 -> 32 -> 8."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.w1, self.w2 = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        widened: Tensor = self.w1(self.norm(x))
        narrowed: Tensor = self.w2(nn.functional.gelu(widened))
        return x + narrowed


class Attending(nn.Module):
    """Attention of two heads to itself, as both libraries write it: strided heads, asked for as such."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).view(1, ROWS, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out(attended.transpose(1, 2).reshape(1, ROWS, WIDTH))
        return out


class WrittenOut(Attending):
    """The same with its scores written out."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).view(1, ROWS, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).contiguous()
        weights = (q @ k.transpose(-1, -2)).mul(0.5).softmax(-1)
        out: Tensor = self.out((weights @ v).transpose(1, 2).reshape(1, ROWS, WIDTH))
        return out


class Network(nn.Module):
    def __init__(self, *layers: nn.Module, walks: int = 1) -> None:
        super().__init__()
        self.first, self.layers, self.last = nn.Linear(4, WIDTH), nn.ModuleList(layers), nn.Linear(WIDTH, 4)
        self.walks = walks

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.walks):
            h = self.first(x)
            for layer in self.layers:
                h = layer(h)
            x = self.last(h)
        return x


def count(network: nn.Module, x: Tensor, attention: Attention = "fused", **settings: Any) -> Counted:
    trace = traced(network, lambda: network(x), [x])
    return counted(trace, layers_of(network), attention, **settings)


def on_meta(make: Any) -> Any:
    with torch.device("meta"):
        return make()


def by_name(found: Counted) -> dict[str, Unit]:
    return {unit.name: unit for unit in found.units}


def test_units_are_the_layers_and_what_is_before_and_after_them():
    network = on_meta(lambda: Network(Layer(), Layer()))
    found = by_name(count(network, torch.empty(ROWS, 4, device="meta")))
    assert list(found) == ["input", "layers_0", "layers_1", "output"]
    assert found["input"].parameters == 4 * WIDTH + WIDTH
    assert found["layers_1"].parameters == 2 * WIDTH + (WIDTH * 32 + 32) + (32 * WIDTH + WIDTH)
    assert found["output"].plain.matmul_flops == 2 * ROWS * WIDTH * 4


def test_working_memory_is_a_liveness_count_by_hand():
    network = on_meta(lambda: Network(Layer(), Layer()))
    layer = by_name(count(network, torch.empty(ROWS, 4, device="meta")))["layers_0"].plain
    x, wide = ROWS * WIDTH, ROWS * 4 * WIDTH
    assert layer.working_elements == x + wide + wide  # x for the residual, GELU's input and its output
    assert layer.moved_elements == 2 * x + 2 * wide + 3 * x  # norm, GELU, and the sum of two


@pytest.mark.parametrize("kind", [Attending, WrittenOut])
def test_working_memory_of_attention_by_hand(kind: type[nn.Module]):
    network = on_meta(lambda: Network(kind(), Layer()))
    x, scores = ROWS * WIDTH, HEADS * ROWS * ROWS
    given = torch.empty(1, ROWS, 4, device="meta")
    held: dict[str, float] = {}
    for attention in ("fused", "scores", InChunks(20)):
        held[str(attention)] = by_name(count(network, given, attention))["layers_0"].plain.working_elements
    chunk = str(InChunks(20))
    waiting = x if kind is Attending else 3 * x  # v, or the copy that it is a part of
    assert held["scores"] == waiting + 2 * scores  # the softmax writes a second copy
    assert held[chunk] == waiting + 2 * scores // 2
    assert held["fused"] == 6 * x  # qkv and its copy by heads


@pytest.mark.parametrize("kind", [Attending, WrittenOut])
def test_scores_are_moved_unless_attention_is_fused(kind: type[nn.Module]):
    network = on_meta(lambda: Network(kind(), Layer()))
    given = torch.empty(1, ROWS, 4, device="meta")
    moved = [
        by_name(count(network, given, attention))["layers_0"].plain.moved_elements
        for attention in ("fused", "scores", InChunks(20))
    ]
    passes = 1 if kind is Attending else 2  # the scale is part of the product, or written out
    assert moved[1] - moved[0] == 2 * passes * HEADS * ROWS * ROWS
    assert moved[2] == moved[1]


@pytest.mark.parametrize("kind", [Attending, WrittenOut])
def test_flops_are_those_of_torchs_own_counter(kind: type[nn.Module]):
    network = on_meta(lambda: Network(kind(), Layer(), walks=2))
    given = torch.empty(1, ROWS, 4, device="meta")
    with FlopCounterMode(display=False) as counter:
        network(given)
    found = count(network, given)
    works = [unit.plain for unit in found.units]
    assert sum(work.matmul_flops + work.attention_flops for work in works) * found.walks == counter.get_total_flops()
    assert sum(work.attention_flops for work in works) == 2 * 2 * ROWS * ROWS * WIDTH


def test_a_network_that_is_walked_several_times_has_its_units_once():
    network = on_meta(lambda: Network(Layer(), Layer(), walks=3))
    once = on_meta(lambda: Network(Layer(), Layer()))
    given = torch.empty(ROWS, 4, device="meta")
    thrice, one = count(network, given), count(once, given)
    assert thrice.walks == 3
    assert [(unit.name, unit.parameters, unit.plain.matmul_flops) for unit in thrice.units] == [
        (unit.name, unit.parameters, unit.plain.matmul_flops) for unit in one.units
    ]


def test_a_chain_of_pointwise_arithmetic_is_one_operator():
    class Chain(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return (x * 2 + y).sigmoid() * 3

    network = Chain()
    x, y = (torch.empty(5, 4, device="meta") for _ in range(2))
    found = counted(traced(network, lambda: network(x, y), [x, y]), [], "fused")
    assert found.units[0].plain.moved_elements == 20 + 20 + 20
    assert found.units[0].plain.working_elements == 60


def test_views_are_free_and_copies_are_not():
    class Turned(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.view(4, 5).t()[1:].contiguous()

    network, x = Turned(), torch.empty(5, 4, device="meta")
    found = counted(traced(network, lambda: network(x), [x]), [], "fused")
    assert found.units[0].plain.moved_elements == 16 + 16


def test_what_depends_on_no_input_is_a_table():
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(7, 4, device="meta"))

        def forward(self, x: Tensor) -> Tensor:
            return x + (self.weight[:5] * 2)

    network, x = Placed(), torch.empty(5, 4, device="meta")
    (unit,) = counted(traced(network, lambda: network(x), [x]), [], "fused").units
    assert (unit.parameters, unit.tables) == (28, 20 - 28)
    assert unit.stored == 20


def test_rows_that_are_given_are_stored_in_place_of_the_table():
    network = on_meta(lambda: nn.Sequential(nn.Embedding(1000, 4), nn.Linear(4, 4)))
    ids = torch.empty(1, 3, dtype=torch.long, device="meta")
    trace = traced(network, lambda: network(ids), [ids])
    (stored,) = counted(trace, [], "fused").units
    (given,) = counted(trace, [], "fused", given_rows=True).units
    assert (stored.parameters, stored.stored) == (4020, 4020)
    assert (given.parameters, given.stored) == (4020, 20 + 3 * 4)
    assert stored.plain.moved_elements == 3 + 2 * 3 * 4  # only the rows that are read


def test_branches_in_turn_double_the_work_and_only_what_waits_of_the_memory():
    network = on_meta(lambda: Network(Layer(), Layer()))
    found = count(network, torch.empty(ROWS, 4, device="meta"))
    assert found.waiting == (ROWS * 4, ROWS * WIDTH, ROWS * WIDTH, ROWS * WIDTH)
    unit = found.units[1]
    twice = in_turn(unit, 2, found.waiting[1])
    assert twice.plain.matmul_flops == 2 * unit.plain.matmul_flops
    assert twice.plain.moved_elements == 2 * unit.plain.moved_elements
    assert twice.plain.working_elements == unit.plain.working_elements + ROWS * WIDTH


def test_a_large_layer_of_layers_is_cut_further():
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.ModuleList([Layer() for _ in range(3)])

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.inner:
                x = layer(x)
            return x

    network = on_meta(lambda: Network(Deep(), *(Layer() for _ in range(2))))
    assert layers_of(network) == ["layers.0.inner.0", "layers.0.inner.1", "layers.0.inner.2", "layers.1", "layers.2"]
