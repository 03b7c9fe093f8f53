"""The page's section on how far a prediction is off: in a sentence, by what the runner did, and by block."""

from __future__ import annotations

from ondevice_sora.base.units import format_percent, format_seconds
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.page.markup import Html, el
from ondevice_sora.reports.page.sections import section
from ondevice_sora.reports.prediction import BlockDifference, Difference, Prediction, prediction_of
from ondevice_sora.reports.rows import MINUS, UNKNOWN
from ondevice_sora.reports.timeline import title

MOST_BLOCKS = 40
PART_HEADS = ("", "Predicted", "Measured", "Predicted too much", "Of the measured total")
BLOCK_HEADS = (
    "Block", "Off", "Runs", "Runs, predicted", "Runs, measured", "Waits, predicted", "Waits, measured",
    "Loads", "Loads, predicted", "Loads, measured",
)  # fmt: skip


def prediction_section(traces: list[Trace]) -> Html | None:
    """None unless the traces are one simulated and one measured of the same plan."""
    found = prediction_of(traces)
    if found is None:
        return None
    return section(
        "How far the prediction is off",
        el("p", _sentence(found), class_="sentence"),
        _parts(found),
        el("h3", "By block"),
        _blocks(found),
        about="Simulated against measured, both of the same plan. Above zero, too much was predicted.",
        class_="wide",
        id="prediction",
    )


def _sentence(found: Prediction) -> str:
    """'Predicted 1.20 s, measured 1.10 s: 9.1 % too much. Running is +90 ms off; ... most of all ...'."""
    total = found.total
    seconds = f"Predicted {format_seconds(total.predicted_s)}, measured {format_seconds(total.measured_s)}"
    if abs(found.error) < 5e-4:
        return f"{seconds}: the same."
    off = f"{format_percent(abs(found.error))} too {'much' if found.error > 0 else 'little'}"
    part = max(found.parts, key=lambda part: abs(part.off_s))
    sentence = f"{seconds}: {off}. Most of that is {part.name} ({_signed(part.off_s)})"
    if found.blocks:
        block = max(found.blocks, key=lambda block: abs(block.off_s))
        sentence += f"; of all blocks '{block.block}' is off most ({_signed(block.off_s)} in {block.num_runs} runs)"
    return sentence + "."


def _parts(found: Prediction) -> Html:
    rows = [_part(part, found.total.measured_s) for part in (*found.parts, found.total)]
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in PART_HEADS)))
    return el("div", el("table", head, el("tbody", *rows), class_="compare"), class_="scroll", tabindex="0")


def _part(part: Difference, total_s: float) -> Html:
    cells = [
        el("td", format_seconds(part.predicted_s)),
        el("td", format_seconds(part.measured_s)),
        el("td", _signed(part.off_s)),
        el("td", UNKNOWN if total_s <= 0 else _signed_share(part.off_s / total_s)),
    ]
    return el("tr", el("th", part.name.capitalize(), scope="row"), *cells)


def _blocks(found: Prediction) -> Html:
    """Those that are off most, most first."""
    ordered = sorted(found.blocks, key=lambda block: -abs(block.off_s))
    shown, rest = ordered[:MOST_BLOCKS], ordered[MOST_BLOCKS:]
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in BLOCK_HEADS)))
    rows = [_block(block) for block in shown]
    if rest:
        words = f"{len(rest)} more blocks, {_signed(sum(block.off_s for block in rest))} in all"
        rows.append(el("tr", el("th", words, scope="row", colspan=len(BLOCK_HEADS))))
    return el("div", el("table", head, el("tbody", *rows), class_="blocks"), class_="scroll", tabindex="0")


def _block(block: BlockDifference) -> Html:
    variant = None if block.variant == "plain" else el("span", f" {block.variant}", class_="count")
    stage = el("span", f" {title(block.component).lower()}", class_="count")
    cells = [
        el("td", _signed(block.off_s)),
        el("td", block.num_runs),
        *(_pair(block.run)),
        *(_pair(block.wait)),
        el("td", block.num_loads),
        *(_pair(block.load)),
    ]
    return el("tr", el("th", block.block, variant, stage, scope="row"), *cells)


def _pair(difference: Difference) -> list[Html]:
    return [el("td", format_seconds(seconds)) for seconds in (difference.predicted_s, difference.measured_s)]


def _signed(seconds: float) -> str:
    if format_seconds(abs(seconds)) == format_seconds(0.0):
        return "same"
    return f"{'+' if seconds > 0 else MINUS}{format_seconds(abs(seconds))}"


def _signed_share(share: float) -> str:
    return "same" if abs(share) < 5e-5 else f"{'+' if share > 0 else MINUS}{format_percent(abs(share))}"
