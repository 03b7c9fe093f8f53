"""Where a network can be cut: its layers are units, and what runs between them goes with a neighbour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from torch import nn

from ondevice_sora.runtime.describe.trace import Operator

OPENED = 0.05
"""A layer with a larger share of the parameters is cut further, where it consists of layers itself."""
INPUT, OUTPUT = "input", "output"


def layers_of(model: nn.Module) -> list[str]:
    """Paths of the layers: the elements of the lists of modules that a network of blocks consists of."""
    total = sum(parameter.numel() for parameter in model.parameters()) or 1

    def below(path: str, module: nn.Module) -> Iterator[str]:
        for name, child in module.named_children():
            where = f"{path}.{name}" if path else name
            share = sum(parameter.numel() for parameter in child.parameters()) / total
            if not _has_layers(child):
                if isinstance(module, nn.ModuleList | nn.Sequential) and _is_composite(child):
                    yield where
            elif isinstance(module, nn.ModuleList | nn.Sequential) and share <= OPENED:
                yield where
            else:
                yield from below(where, child)

    return list(below("", model))


def _is_composite(module: nn.Module) -> bool:
    """Whether a module has several parts with parameters of their own."""
    owners = [each for each in module.modules() if next(each.parameters(recurse=False), None) is not None]
    return len(owners) > 1


def _has_layers(module: nn.Module) -> bool:
    """Whether a list of composite modules is among its parts."""
    return any(
        isinstance(each, nn.ModuleList | nn.Sequential) and any(_is_composite(element) for element in each.children())
        for each in module.modules()
    )


def assigned(operators: Sequence[Operator], layers: Sequence[str]) -> list[str]:
    """For each operator the unit that it belongs to: a layer's path, INPUT or OUTPUT.

    What is in no layer belongs to the layer before it; before the first layer it is the input, after the last one the
    output. A module beside the layers belongs where it ran first, so that a network that is walked several times has
    the same units in every walk.
    """
    known = set(layers)
    around = {path[:end] for path in layers for end in range(len(path)) if path[end] == "."} | {""}
    owners = [_layer_of(operator.module, known) for operator in operators]
    met = list(dict.fromkeys(owner for owner in owners if owner is not None))
    homes: dict[str, str] = {}
    units: list[str] = []
    current = INPUT
    for operator, owner in zip(operators, owners, strict=True):
        if owner is not None:
            current = owner
        elif operator.module in homes:
            current = homes[operator.module]
        elif met and current == met[-1]:
            current = OUTPUT
        if owner is None and operator.module not in around:
            homes[operator.module] = current
        units.append(current)
    return units


def _layer_of(path: str, layers: set[str]) -> str | None:
    while path:
        if path in layers:
            return path
        path = path.rpartition(".")[0]
    return None


def walks(units: Sequence[str]) -> int:
    """How often the units are walked: the number of runs that each unit has, 1 where they differ."""
    runs = Counter(unit for index, unit in enumerate(units) if index == 0 or units[index - 1] != unit)
    found = {count for unit, count in runs.items() if unit not in (INPUT, OUTPUT)}
    return found.pop() if len(found) == 1 else 1


def readable(paths: Sequence[str]) -> dict[str, str]:
    """Path -> a unit's name: what all paths begin with is left out, and dots are underlines."""
    parts = [path.split(".") for path in paths]
    shared = 0
    while parts and all(len(each) > shared + 2 and each[shared] == parts[0][shared] for each in parts):
        shared += 1
    return {path: "_".join(each[shared:]) for path, each in zip(paths, parts, strict=True)}
