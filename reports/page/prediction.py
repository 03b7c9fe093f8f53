"""How far a prediction is off, as the page says it: in a sentence, by what the runner did, and by block."""

from __future__ import annotations

from typing import NamedTuple

from ondevice_sora.base.units import format_change, format_count, format_percent, format_seconds
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.prediction import BlockDifference, Difference, Prediction, prediction_of
from ondevice_sora.reports.rows import UNKNOWN

MOST_BLOCKS = 40
SAME = "same"


class BlockLine(NamedTuple):
    """A block's name, what follows it in grey, and its cells."""

    name: str
    about: str
    cells: list[str]


class PredictionView(NamedTuple):
    """`parts` are a name and its cells; `blocks` those that are off most, most first, and `rest` sums up the others."""

    sentence: str
    parts: list[tuple[str, list[str]]]
    blocks: list[BlockLine]
    rest: str


def prediction_view(traces: list[Trace]) -> PredictionView | None:
    """None unless the traces are one simulated and one measured of the same plan."""
    found = prediction_of(traces)
    if found is None:
        return None
    ordered = sorted(found.blocks, key=lambda block: -abs(block.off_s))
    shown, others = ordered[:MOST_BLOCKS], ordered[MOST_BLOCKS:]
    rest = (
        f"{format_count(len(others), 'more block')}, {_off(sum(block.off_s for block in others))} in all"
        if others
        else ""
    )
    parts = [_part(part, found.total.measured_s) for part in (*found.parts, found.total)]
    return PredictionView(_sentence(found), parts, [_block(block) for block in shown], rest)


def _sentence(found: Prediction) -> str:
    """'Most of the difference is running (90.0 ms too much); of all blocks 'b' is off most (...)'."""
    if abs(found.error) < 5e-4:
        return "Predicted and measured are the same."
    part = max(found.parts, key=lambda part: abs(part.off_s))
    sentence = f"Most of the difference is {part.name} ({_off(part.off_s)})"
    if found.blocks:
        block = max(found.blocks, key=lambda block: abs(block.off_s))
        runs = format_count(block.num_runs, "run")
        sentence += f"; of all blocks '{block.block}' is off most ({_off(block.off_s)} in {runs})"
    return sentence + "."


def _part(part: Difference, total_s: float) -> tuple[str, list[str]]:
    share = UNKNOWN
    if total_s > 0:
        share = SAME if abs(part.off_s / total_s) < 5e-5 else format_change(part.off_s / total_s, format_percent)
    return part.name.capitalize(), [*_pair(part), _off(part.off_s), share]


def _block(block: BlockDifference) -> BlockLine:
    variant = "" if block.variant == "plain" else f"{block.variant} "
    return BlockLine(
        block.block,
        f"{variant}{block.component}",
        [
            _off(block.off_s),
            str(block.num_runs),
            *_pair(block.run),
            *_pair(block.wait),
            str(block.num_loads),
            *_pair(block.load),
        ],
    )


def _pair(difference: Difference) -> list[str]:
    return [format_seconds(seconds) for seconds in (difference.predicted_s, difference.measured_s)]


def _off(seconds: float) -> str:
    """'90.0 ms too much', above zero, or 'too little'."""
    written = format_seconds(abs(seconds))
    return SAME if written == format_seconds(0.0) else f"{written} too {'much' if seconds > 0 else 'little'}"
