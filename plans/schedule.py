"""The schedule: the one linear sequence of block visits of a generation, with all loading decided beforehand.

Every engine plays it the same way and decides nothing itself:

    loader   takes the visits that load, in order; starts one when visit `gate` has finished
    runner   takes all visits in order; runs one when its block is loaded, then evicts what the visit lists

A visit has finished when its evictions have. Since each gate lies before its own visit, no schedule can deadlock, and
since gates are worked out from the budget, a schedule that could exceed it does not exist: it is refused up front.

Memory while visit i is the next to finish: baseline + residual of what was unloaded + working memory of i + the blocks
of visits i .. i + window(i), loaded or being loaded + whatever is kept for later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from ondevice_sora.plans.loading import Sizes, VisitColumns
from ondevice_sora.plans.optimal.question import Candidate
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts, Costs


class Visit(NamedTuple):
    """A block's turn in a pass.

    block        index into Schedule.blocks (a block in one variant)
    step         denoising step, or pass of any other component
    loads        whether the block must be loaded for this visit
    cold         the load is the package's first on this device
    first_run    the run is the block's first since its package was loaded
    gate         the visit that must have finished before the load may start; -1 for none
    evicts       whether the block is evicted after the run
    leaves       the eviction is the package's first in this generation
    """

    block: int
    step: int
    loads: bool
    cold: bool
    first_run: bool
    gate: int
    evicts: bool
    leaves: bool


class Pass(NamedTuple):
    """One walk over a component's blocks: its first visit and how many there are."""

    first: int
    length: int


@dataclass(frozen=True)
class Schedule:
    """The visits and their blocks. `needed_bytes` bounds the footprint that playing it can reach.

    `columns` holds the visits once more, for what is compiled; `chosen` what `keep: optimal` has come to.
    """

    plan: Plan
    blocks: tuple[BlockSpec, ...]
    visits: tuple[Visit, ...]
    passes: tuple[Pass, ...]
    needed_bytes: int
    columns: VisitColumns = field(repr=False, compare=False)
    chosen: Candidate | None = field(default=None, repr=False, compare=False)

    @property
    def held(self) -> tuple[int, ...]:
        """The blocks whose packages are in memory before the first visit, one for each package."""
        return tuple(number for number, is_held in enumerate(self.columns.is_held) if is_held)

    @cached_property
    def packages(self) -> list[int]:
        """For each block the first one whose package it shares, see `packages_of`."""
        return packages_of(self.blocks, self.plan.tdtm.is_separate)

    def stored(self, costs: BlockCosts) -> tuple[int, int]:
        """Bytes that its packages take on the device's storage, and how many packages there are."""
        packages = dict(zip(self.packages, costs.stored_bytes, strict=True))
        return sum(packages.values()), len(packages)


UNLIMITED = 10**15


class MemoryModel(NamedTuple):
    """What a schedule needs to know of a device: bytes, and shares of a block's resident bytes.

    available    the device's limit, which the policies fill when the plan has no budget
    transient    charged only while a load is under way
    residual     still charged after the first unload of a package
    """

    baseline: int = 0
    available: int = UNLIMITED
    transient: float = 0.0
    residual: float = 0.0

    @classmethod
    def of(cls, costs: Costs, available: int = UNLIMITED) -> MemoryModel:
        """What a device's costs say of memory, at the figures' values."""
        loads = costs.loads
        return cls(
            round(costs.baseline_bytes.value), available, loads.transient_share.value, loads.residual_share.value
        )

    def shares_of(self, size: Sequence[int]) -> tuple[list[int], list[int]]:
        """Transient and residual bytes of blocks of these sizes."""
        return [round(held * self.transient) for held in size], [round(held * self.residual) for held in size]


MAX_VISITS = 100_000


def sizes_of(costs: BlockCosts, memory: MemoryModel) -> Sizes:
    """Bytes of each block on a device."""
    return Sizes(costs.resident_bytes, costs.working_bytes, *memory.shares_of(costs.resident_bytes))


def packages_of(blocks: Sequence[BlockSpec], is_separate: bool) -> list[int]:
    """For each block, the first block whose package it shares: itself, or its variant that came first."""
    first: dict[tuple[str, str, str], int] = {}
    return [first.setdefault(block.package(is_separate), number) for number, block in enumerate(blocks)]
