"""The choices one step away from a choice: a boundary, a resident, the window or the residents' policy changed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

from ondevice_sora.plans.schema import Keep
from ondevice_sora.simulator.search.choices import Choice, Choices, Part

FINE = 128
"""Components of at most so many units have every boundary moved by one unit from the start."""
COARSE = 64
"""Others by a grid of about so many places first."""
SPREADS = 64
"""Of so many evenly spread sets of residents the search looks at, at most."""


def strides(part: Part) -> tuple[int, ...]:
    """By how many units boundaries are moved, one stage of a search after the other; 1 at last."""
    if part.count <= FINE:
        return (1,)
    largest = 2 ** math.ceil(math.log2(part.count / COARSE))
    return tuple(dict.fromkeys(max(1, largest // 4**stage) for stage in range(largest.bit_length())))


def moves(part: Part, choice: Choice, windows: tuple[int, ...], unit: int, stride: int = 1) -> Iterator[Choice]:
    """The steps that concern one unit, or, for the number beyond the last unit, the window and the residents."""
    if unit < part.count:
        yield from _boundary(part, choice, unit, stride)
        yield from _resident(part, choice, unit)
    else:
        yield from (choice._replace(prefetch=window) for window in windows if window != choice.prefetch)
        yield from _policies(part, choice)


def kicked(
    parts: tuple[Part, ...], choices: Choices, windows: tuple[int, ...], most: int, random: Random
) -> tuple[Choices, list[tuple[int, int]]]:
    """A few random steps away, up to `most`: where a search may go on from when no single step helps.

    And what they concern: component and unit, as in `moves`.
    """
    touched = []
    for _ in range(random.randint(2, most)):
        index = random.randrange(len(parts))
        part = parts[index]
        grid = strides(part)
        stride = grid[0] if len(grid) == 1 else random.choice(grid)
        unit = random.randrange(part.count + 1)
        steps = list(moves(part, choices[index], windows, unit, stride))
        if steps:
            choices = (*choices[:index], random.choice(steps), *choices[index + 1 :])
            touched.append((index, unit))
    return choices, touched


def _boundary(part: Part, choice: Choice, unit: int, stride: int) -> Iterator[Choice]:
    """A cut before the unit made, or taken away or moved by a stride if it is there and need not be."""
    starts = choice.starts
    if unit in part.forced:
        return
    if unit not in starts:
        yield _with_cut(part, choice, tuple(sorted((*starts, unit))))
        return
    without = tuple(start for start in starts if start != unit)
    yield _with_cut(part, choice, without)
    position = starts.index(unit)
    before, after = starts[position - 1], (*starts, part.count)[position + 1]
    for other in (unit - stride, unit + stride):
        if before < other < after:
            yield _with_cut(part, choice, tuple(sorted((*without, other))))


def _resident(part: Part, choice: Choice, unit: int) -> Iterator[Choice]:
    """Of listed residents: the unit's block kept or no longer, or another one kept in its place."""
    keep = choice.keep
    if unit not in choice.starts or not isinstance(keep, tuple):
        return
    name, order = part.name_of(unit), [part.name_of(start) for start in choice.starts]
    others = {kept for kept in keep if kept != name}
    if name not in keep:
        others.add(name)
    yield choice._replace(keep=tuple(kept for kept in order if kept in others) or "none")
    if name in keep:
        for instead in order:
            if instead not in keep:
                yield choice._replace(keep=tuple(kept for kept in order if kept in others or kept == instead))


def _policies(part: Part, choice: Choice) -> Iterator[Choice]:
    if part.num_passes == 1 or part.stays:
        return
    # The paper's residents are a prefix; where those are looked at is among the evenly spread and the listed ones.
    policies: tuple[Keep, ...] = ("none", "belady")
    names = tuple(part.name_of(start) for start in choice.starts)
    count = len(names)
    # Residents spread evenly leave the loader a run to hide each load behind; a prefix bunches its loads.
    spread = (
        tuple(names[i] for i in range(count) if (i + 1) * many // count > i * many // count)
        for many in range(1, count + 1, -(-count // SPREADS))
    )
    yield from (choice._replace(keep=keep) for keep in (*policies, *spread) if keep != choice.keep)


def _with_cut(part: Part, choice: Choice, starts: tuple[int, ...]) -> Choice:
    """Another cut with the residents that it still has."""
    names = {part.name_of(start) for start in starts}
    keep = choice.keep
    if isinstance(keep, tuple):
        keep = tuple(name for name in keep if name in names) or "none"
    elif isinstance(keep, int):
        keep = min(keep, len(starts))
    return Choice(starts, choice.prefetch, keep)
