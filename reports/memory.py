"""What is in memory, as plain rows: what stays, and what the peak is made of. The terminal and the page read these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ondevice_sora.base.units import format_bytes, format_count, format_seconds
from ondevice_sora.records.memory import Holder, Peak, PeakPart, Residents
from ondevice_sora.records.result import Result
from ondevice_sora.records.trace import Trace

HOLDERS: dict[Holder, str] = {
    "baseline": "the app itself",
    "resident": "blocks that stay",
    "run": "the block that runs",
    "ahead": "blocks loaded ahead",
    "loading": "extra while loading",
    "working": "working memory",
    "left": "left by unloaded blocks",
}


class ResidentRow(NamedTuple):
    """What stays of a component: how many of its blocks, their bytes, which; and those that stay only sometimes."""

    component: str
    num_passes: int
    kept: str
    size: str
    blocks: str
    sometimes: str


class PeakRow(NamedTuple):
    """A part of the peak: what holds it, of which component, bytes for people and as a number, and which blocks.

    members   each block of several, and its bytes
    """

    holder: str
    component: str
    size: str
    bytes: int
    blocks: str
    kind: Holder
    members: list[tuple[str, int]]


def resident_rows(trace: Trace) -> list[ResidentRow]:
    """One for each component; none of a measurement."""
    result = trace.result
    return [] if result is None else [_resident_row(row, blocks_of(result, row.component)) for row in result.residents]


def _resident_row(row: Residents, order: Sequence[str]) -> ResidentRow:
    count, blocks = len(row.always), format_count(row.num_blocks, "block")
    told = f"{count or 'none'} of {blocks}"
    if count == row.num_blocks:
        told = f"all {blocks}" if count > 1 else "its only block"
    sometimes = ""
    if row.sometimes:
        sometimes = f"{len(row.sometimes)} for some runs ({format_bytes(row.sometimes_bytes)})"
    size = format_bytes(row.always_bytes) if count else ""
    return ResidentRow(row.component, row.num_passes, told, size, in_short(row.always, order), sometimes)


def resident_words(row: ResidentRow) -> str:
    """'12 of 30 blocks, 1.20 GB: spatial_0..temporal_11 (12 blocks)'."""
    size = f", {row.size}" if row.size else ""
    which = f": {row.blocks}" if " of " in row.kept and row.blocks else ""
    more = f"; {row.sometimes}" if row.sometimes else ""
    return f"{row.kept}{size}{which}{more}"


def peak_rows(trace: Trace) -> list[PeakRow]:
    """The parts of the peak, which add up to it; none if they are not known."""
    result = trace.result
    return [] if result is None or result.peak is None else [_peak_row(part, result) for part in result.peak.parts]


def _peak_row(part: PeakPart, result: Result) -> PeakRow:
    order = () if part.component is None else blocks_of(result, part.component)
    size = format_bytes(part.bytes)
    component, blocks = part.component or "", in_short(part.blocks, order)
    name, members = HOLDERS[part.holder], _members(part, result)
    return PeakRow(name, component, size, part.bytes, blocks, part.holder, members)


def _members(part: PeakPart, result: Result) -> list[tuple[str, int]]:
    """Of a part of several blocks, what each of them holds; where variants have packages of their own, each its own."""
    if len(part.blocks) < 2:
        return []
    rows = [row for row in result.blocks if row.component == part.component]
    held = {name: row.resident_bytes for row in rows for name in (row.block, f"{row.block} ({row.variant})")}
    return [(name, held.get(name, 0)) for name in part.blocks]


def peak_moment(peak: Peak) -> str:
    """'after 2 min 03 s (denoiser, step 4)'."""
    return f"after {format_seconds(peak.time_s)} ({peak.component}, step {peak.step})"


def blocks_of(result: Result, component: str) -> list[str]:
    """The names of a component's blocks, in the order in which they are run."""
    return list(dict.fromkeys(row.block for row in result.blocks if row.component == component))


def in_short(names: Sequence[str], order: Sequence[str]) -> str:
    """Blocks by name, neighbours together: 'input, spatial_2..temporal_9 (8 blocks)'."""
    places = {name: place for place, name in enumerate(order)}
    runs: list[list[str]] = []
    for name in names:
        block, variant = _split(name)
        last, last_variant = _split(runs[-1][-1]) if runs else ("", "")
        if last in places and places.get(block) == places[last] + 1 and variant == last_variant:
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(_run_name(run) for run in runs)


def _split(name: str) -> tuple[str, str]:
    """A block's name and, of a package of its own, the variant."""
    block, _, variant = name.partition(" (")
    return block, variant.rstrip(")")


def _run_name(run: Sequence[str]) -> str:
    if len(run) == 1:
        return run[0]
    (first, variant), (last, _) = _split(run[0]), _split(run[-1])
    count = ", ".join(filter(None, (format_count(len(run), "block"), variant)))
    return f"{first.partition('..')[0]}..{last.rpartition('..')[2]} ({count})"
