"""Which loads may run ahead, and which blocks stay resident between passes.

The reference app's own rules are here as `app`, weaknesses included, so that published figures are compared with what
was really run (its Swift sources, read, not executed): no overlap in the first denoising step, nor for the first two
and the last block of a pass; a constant of 170 MB for a block's size; available memory compared with what is used,
which is no future need; everything released once at the step where LPL would have leapt, even with LPL off.
"""

from __future__ import annotations

from typing import NamedTuple

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.plans.schema import ComponentPlan

APP_BLOCK_BYTES = 170_000_000
APP_LPL_STEP = 15
"""The app's default leap step. On that step it also releases what it kept."""

OPTIMAL = None
Kept = frozenset[int] | None
"""The positions in a pass that stay resident, or OPTIMAL: left to the schedule, which knows the whole future."""


class FirstPass(NamedTuple):
    """What the memory policies look at: the demand of a component's first pass, in bytes.

    resident     bytes of each block
    demand       footprint while each block runs with its window loaded, nothing kept
    alone        footprint while the second block runs with nothing else loaded
    baseline     footprint before the pass
    available    what the app may use
    """

    resident: tuple[int, ...]
    demand: tuple[int, ...]
    alone: int
    baseline: int
    available: int


def app_window(position: int, length: int, step: int, once_per_step: bool) -> int:
    """How far ahead the reference app loads the block at `position` of a pass of `length` blocks: 0 or 1 visits."""
    at_the_ends = position < 2 or position == length - 1
    return 0 if at_the_ends or (once_per_step and step == 0) else 1


def kept_positions(
    settings: ComponentPlan, unit_names: list[tuple[str, ...]], first_pass: FirstPass, field: str
) -> Kept:
    """Positions of a pass that the component's `keep` makes resident.

    Raises UserError, about `field`, for a block that does not exist.
    """
    keep = settings.keep
    if keep == "optimal":
        return OPTIMAL
    if keep == "none":
        return frozenset()
    if keep == "app":
        return _app_prefix(first_pass)
    if keep == "paper":
        return _paper_prefix(first_pass)
    if isinstance(keep, int):
        if keep > len(unit_names):
            raise UserError(f"{keep} blocks cannot be kept: there are {len(unit_names)}", field=field)
        return frozenset(range(keep))
    positions = {names[0]: position for position, names in enumerate(unit_names)}
    for row, name in enumerate(keep):
        if name not in positions:
            raise UserError(
                f"no block starts with unit '{name}'", mend=nearest(name, list(positions)), field=f"{field}[{row}]"
            )
    return frozenset(positions[name] for name in keep)


def _app_prefix(first_pass: FirstPass) -> frozenset[int]:
    """Keep the block just run while `remaining - 170 MB > need + 2 x 170 MB`; the input part is not one of them."""
    remaining = first_pass.available - first_pass.baseline
    need = first_pass.alone
    count = 0
    while count < len(first_pass.resident) - 2 and remaining - APP_BLOCK_BYTES > need + 2 * APP_BLOCK_BYTES:
        remaining -= APP_BLOCK_BYTES
        count += 1
    return frozenset(range(1, 1 + count))


def _paper_prefix(first_pass: FirstPass) -> frozenset[int]:
    """The first blocks that fit in what the first step left free (arXiv 2502.04363, App. A.1)."""
    free = first_pass.available - max(first_pass.demand)
    kept = 0
    for size in first_pass.resident:
        if size > free:
            break
        free -= size
        kept += 1
    return frozenset(range(kept))
