"""What a plan has in memory: which blocks stay there between their runs, and what makes up the largest footprint.

Worked out by a simulation, in bytes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ondevice_sora.base.quantities import Bytes, Count, Seconds
from ondevice_sora.base.text import Line

Kept = Literal["always", "sometimes", "never"]
"""Whether a block is in memory when it is run again: every time, some of the times, or never (nor if it runs once)."""
Holder = Literal["baseline", "resident", "run", "ahead", "loading", "working", "left"]
"""What holds bytes.

baseline   the app itself
resident   blocks that stay for a later run
run        the block whose turn it is, if it is loaded for this run alone
ahead      blocks loaded, or being loaded, for later runs, each for one run alone
loading    what the load under way takes besides the block
working    working memory of the block that runs
left       what unloaded packages have left behind
"""


class Residents(msgspec.Struct, frozen=True):
    """What of a component stays in memory between its passes, clean pages of files included.

    num_blocks   all its blocks, num_passes how often they are walked through
    always       the blocks that are there for every run after their first, in order, and their weights
    sometimes    those that are there for some runs and loaded again for others, and their weights
    """

    component: Line
    num_blocks: Count
    num_passes: Count
    always: list[Line]
    always_bytes: Bytes
    sometimes: list[Line]
    sometimes_bytes: Bytes


class PeakPart(msgspec.Struct, frozen=True):
    """A part of the footprint: what holds it, of which blocks of which component (null and none for the app's own)."""

    holder: Holder
    component: Line | None
    blocks: list[Line]
    bytes: Bytes


class Peak(msgspec.Struct, frozen=True):
    """The moment of the largest footprint, were there no limit. The parts add up to it.

    component, step, block   whose turn it is then
    """

    time_s: Seconds
    component: Line
    step: Count
    block: Line
    parts: list[PeakPart]

    @property
    def bytes(self) -> int:
        """The footprint."""
        return sum(part.bytes for part in self.parts)
