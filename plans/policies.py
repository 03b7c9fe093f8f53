"""Which loads may run ahead, and which blocks stay resident between passes.

The reference app's own rules are here as `app`, weaknesses included, so that published figures are compared with what
was really run (its Swift sources, read, not executed): no overlap in the first denoising step, nor for the first two
and the last block of a pass; a constant of 170 MB for a block's size; available memory compared with what is used
now, not with what will be needed; everything released once at the step where LPL would have leapt, even with LPL off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.plans.loading import DROP, KEEP, MAY_KEEP, STAY
from ondevice_sora.plans.schema import Keep

APP_BLOCK_BYTES = 170_000_000
APP_LPL_STEP = 15
"""The app's default leap step. On that step it also releases what it kept."""


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


def flags(keep: Keep, names: Sequence[str], field: str = "") -> list[int]:
    """What is to become of each block of a pass afterwards: DROP, KEEP, MAY_KEEP or STAY (plans/loading.py).

    `names` are the blocks' first units. Raises UserError, about `field`, for a block that does not exist. `app` and
    `paper` depend on bytes: see `flags_after`.
    """
    count = len(names)
    if keep == "none" or keep == "belady" or keep == "always":
        return [{"none": DROP, "belady": MAY_KEEP, "always": STAY}[keep]] * count
    if isinstance(keep, int):
        if keep > count:
            raise UserError(f"{keep} blocks cannot be kept: there are {count}", field=field)
        return [KEEP] * keep + [DROP] * (count - keep)
    for row, name in enumerate(keep):
        if name not in names:
            what = f"no block starts with unit '{name}'"
            raise UserError(what, mend=nearest(name, list(names)), field=f"{field}[{row}]")
    return [KEEP if name in keep else DROP for name in names]


def flags_after(keep: Literal["app", "paper"], first_pass: FirstPass) -> list[int]:
    """The same by a rule that looks at a component's first pass."""
    kept = _app_prefix(first_pass) if keep == "app" else _paper_prefix(first_pass)
    return [KEEP if position in kept else DROP for position in range(len(first_pass.resident))]


def _app_prefix(first_pass: FirstPass) -> range:
    """Keep the block just run while `remaining - 170 MB > need + 2 x 170 MB`; the input part is not one of them."""
    remaining = first_pass.available - first_pass.baseline
    need = first_pass.alone
    count = 0
    while count < len(first_pass.resident) - 2 and remaining - APP_BLOCK_BYTES > need + 2 * APP_BLOCK_BYTES:
        remaining -= APP_BLOCK_BYTES
        count += 1
    return range(1, 1 + count)


def _paper_prefix(first_pass: FirstPass) -> range:
    """The first blocks that fit in what the first step left free (arXiv 2502.04363, App. A.1)."""
    free = first_pass.available - max(first_pass.demand)
    kept = 0
    for size in first_pass.resident:
        if size > free:
            break
        free -= size
        kept += 1
    return range(kept)
