"""The choices one step away from a choice: a boundary, a resident, the window or the residents' policy changed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ondevice_sora.plans.schema import Keep
from ondevice_sora.simulator.search.choices import Choice, Choices, Part


def moves(part: Part, choice: Choice, windows: tuple[int, ...], unit: int) -> Iterator[Choice]:
    """The steps that concern one unit, or, for the number beyond the last unit, the window and the residents."""
    if unit < part.count:
        yield from _boundary(part, choice, unit)
        yield from _resident(part, choice, unit)
    else:
        yield from (choice._replace(prefetch=window) for window in windows if window != choice.prefetch)
        yield from _policies(part, choice)


def kicked(parts: tuple[Part, ...], choices: Choices, windows: tuple[int, ...], most: int, random: Random) -> Choices:
    """A few random steps away, up to `most`: where a search may go on from when no single step helps.

    Not to the paper's residents: a search scores those a hundred times more slowly (Candidates.can_play).
    """
    for _ in range(random.randint(2, most)):
        index = random.randrange(len(parts))
        part = parts[index]
        steps = list(moves(part, choices[index], windows, random.randrange(part.count + 1)))
        steps = [step for step in steps if step.keep != "paper"]
        if steps:
            choices = (*choices[:index], random.choice(steps), *choices[index + 1 :])
    return choices


def _boundary(part: Part, choice: Choice, unit: int) -> Iterator[Choice]:
    """A cut before the unit made, or taken away or moved by one if it is there and need not be."""
    starts = choice.starts
    if unit in part.forced:
        return
    if unit not in starts:
        yield _with_cut(part, choice, tuple(sorted((*starts, unit))))
        return
    without = tuple(start for start in starts if start != unit)
    yield _with_cut(part, choice, without)
    for other in (unit - 1, unit + 1):
        if 0 < other < part.count and other not in starts:
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
    policies: tuple[Keep, ...] = ("none", "belady", "paper")
    names = tuple(part.name_of(start) for start in choice.starts)
    count = len(names)
    # Residents spread evenly leave the loader a run to hide each load behind; a prefix bunches its loads.
    spread = (
        tuple(names[i] for i in range(count) if (i + 1) * many // count > i * many // count)
        for many in range(1, count + 1)
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
