"""What is in memory at the largest footprint, block by block, and which blocks stay between their runs."""

from __future__ import annotations

from typing import NamedTuple

from ondevice_sora.base.units import format_bytes, format_count
from ondevice_sora.records.memory import Holder, PeakPart, Residents
from ondevice_sora.records.result import Result

HOLDS: dict[Holder, str] = {
    "baseline": "the app itself",
    "resident": "blocks that stay for later runs",
    "run": "the block that runs, loaded for this run alone",
    "ahead": "blocks loaded ahead, each for one run alone",
    "loading": "what the load under way takes besides",
    "working": "working memory of the block that runs",
    "left": "left behind by unloaded blocks",
}


class PeakRow(NamedTuple):
    """A part of the peak. `blocks` are names and bytes; none for a part that is no block's."""

    holder: Holder
    what: str
    component: str | None
    bytes: int
    share: float
    blocks: list[tuple[str, int]]


def peak_rows(result: Result) -> list[PeakRow]:
    """The parts of the peak, from the bottom of the stack to its top; none where the trace does not say."""
    if result.peak is None:
        return []
    total = result.peak.bytes
    held = {
        (row.component, name): row.resident_bytes for row in result.blocks for name in _names(row.block, row.variant)
    }
    return [
        PeakRow(part.holder, HOLDS[part.holder], part.component, part.bytes, part.bytes / total, _blocks(part, held))
        for part in result.peak.parts
    ]


def _names(block: str, variant: str) -> tuple[str, str]:
    """What a part may call a block: its variant is named where that has a package of its own."""
    return block, f"{block} ({variant})"


def _blocks(part: PeakPart, held: dict[tuple[str, str], int]) -> list[tuple[str, int]]:
    """The bytes of each block; of a part of a single block, all of the part's."""
    if len(part.blocks) == 1:
        return [(part.blocks[0], part.bytes)]
    return [(name, held.get((part.component or "", name), 0)) for name in part.blocks]


def residents_text(row: Residents) -> str:
    """'10 of 30 blocks stay in memory, 812 MB; 3 more for some of their runs, 240 MB'."""
    if not row.always and not row.sometimes:
        return f"none of {format_count(row.num_blocks, 'block')} stays in memory"
    told = []
    if row.always:
        told.append(
            f"{len(row.always)} of {format_count(row.num_blocks, 'block')} stay, {format_bytes(row.always_bytes)}"
        )
    if row.sometimes:
        some = format_bytes(row.sometimes_bytes)
        told.append(f"{len(row.sometimes)} of {format_count(row.num_blocks, 'block')} for some of their runs, {some}")
    return "; ".join(told)
