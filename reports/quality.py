"""What the reports of an evaluation say, as plain rows: the terminal and the page both read these.

Figures of the paper stand beside ours, marked as another model's: only their directions can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ondevice_sora.base.units import MINUS, format_count
from ondevice_sora.records.quality import Evaluation, Interval, PublishedTechnique, Row
from ondevice_sora.reports.rows import UNKNOWN

Write = Callable[[float], str]
SAME = "same"
ANOTHER_MODEL = "another model"
PUBLISHED_HEADINGS = (
    "evaluations", "speed-up", "flickering", "dynamic", "ours: evaluations", "ours: time ratio", "ours: dynamic",
)  # fmt: skip


def fixed(digits: int, factor: float = 1.0, is_signed: bool = False) -> Write:
    """A way to write a value times `factor` with so many digits after the point."""

    def write(value: float) -> str:
        text = f"{value * factor:.{digits}f}"
        if text.strip("-0.") == "":
            return text.lstrip("-")
        return text.replace("-", MINUS) if text.startswith("-") else f"+{text}" if is_signed else text

    return write


ONE, TWO, THREE = fixed(1), fixed(2), fixed(3)
PERCENT, SIGNED = fixed(1, 100.0), fixed(2, is_signed=True)


class Column(NamedTuple):
    """A column of the table of configurations: how to read it from a row, and how to write it."""

    heading: str
    value: Callable[[Row], Interval | None]
    write: Write


COLUMNS = (
    Column("evaluations", lambda row: row.evaluations, ONE),
    Column("time ratio", lambda row: row.time_ratio, TWO),
    Column("whole", lambda row: row.whole_time_ratio, TWO),
    Column("PSNR, dB", lambda row: row.psnr_db, ONE),
    Column("SSIM", lambda row: row.ssim, THREE),
    Column("over fixed, dB", lambda row: row.gain_over_fixed_db, SIGNED),
    Column("shape, %", lambda row: row.adherence["shape"], PERCENT),
    Column("colour, %", lambda row: row.adherence["colour"], PERCENT),
    Column("direction, %", lambda row: row.adherence["direction"], PERCENT),
    Column("flickering", lambda row: row.flickering, THREE),
    Column("dynamic", lambda row: row.dynamic_degree, TWO),
    Column("motion", lambda row: row.motion_pixels, TWO),
    Column("to exact, dB", lambda row: row.exact_psnr_db, ONE),
)


def value_text(interval: Interval | None, write: Write) -> str:
    """A dash where there is nothing, 'same' where the videos are equal."""
    if interval is None:
        return UNKNOWN
    return SAME if interval.value is None else write(interval.value)


def bounds_text(interval: Interval | None, write: Write, between: str = " to ") -> str:
    """'24.0 to 26.0'; nothing where there are no bounds, or where both are written as the value is."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    low, high = write(interval.low), write(interval.high)
    return "" if low == high == value_text(interval, write) else f"{low}{between}{high}"


def interval_text(interval: Interval, write: Write, unit: str = "") -> str:
    """'25.0 dB (24.0 to 26.0)'."""
    bounds = bounds_text(interval, write)
    value = value_text(interval, write)
    return (value if value == SAME else value + unit) + (f" ({bounds})" if bounds else "")


def sample_text(results: Evaluation) -> str:
    """How many prompts and videos the rows rest on, and where their times were taken."""
    counts = {(row.num_prompts, row.num_videos) for row in results.rows}
    prompts, videos = max(counts, default=(0, 0))
    fewer = "" if len(counts) < 2 else " (some have fewer)"
    counted = format_count(prompts, "held-out prompt")
    machines = "; ".join(results.machines)
    return f"{counted}, {format_count(videos, 'video')} per configuration{fewer}; times from {machines}"


def findings(results: Evaluation) -> list[str]:
    """What the rows show, in sentences; a rule is said to win or lose only where the whole interval does."""
    said = []
    for row in results.rows:
        if row.configuration == "full":
            shares = (f"{name} {interval_text(share, PERCENT, ' %')}" for name, share in row.adherence.items())
            said.append(f"All {results.num_steps} steps follow the prompt: {', '.join(shares)}.")
    for row in results.rows:
        if row.configuration.startswith("tdtm_") or row.configuration in ("together_paper", _papers_leap(results)):
            said.append(
                f"{row.title}: the denoiser is {interval_text(row.time_ratio, TWO)} times as fast, PSNR "
                f"{interval_text(row.psnr_db, ONE, ' dB')}, SSIM {interval_text(row.ssim, THREE)}."
            )
    return [*said, *(line for row in results.rows if (line := _gain_line(row)))]


def _papers_leap(results: Evaluation) -> str:
    """The configuration that leaps where the paper does, after 16 of 30 evaluations."""
    return f"fixed_{max(1, round(16 * results.num_steps / 30))}"


def _gain_line(row: Row) -> str:
    gain = row.gain_over_fixed_db
    if gain is None or gain.value is None or gain.low is None or gain.high is None:
        return ""
    outcome = "loses less than" if gain.low > 0 else "loses more than" if gain.high < 0 else "cannot be told apart from"
    return (
        f"{row.title}: {value_text(row.evaluations, ONE)} network evaluations; {outcome} a fixed leap with as many: "
        f"{interval_text(gain, SIGNED, ' dB')}."
    )


def published_cells(technique: PublishedTechnique, results: Evaluation) -> list[str]:
    """The paper's figures over its prompt sets, then those of our configuration of the same kind."""
    ours = next((row for row in results.rows if row.configuration == technique.beside), None)
    cells = [UNKNOWN] * 3
    if ours is not None:
        cells = [
            value_text(ours.evaluations, ONE),
            value_text(ours.time_ratio, TWO),
            value_text(ours.dynamic_degree, TWO),
        ]
    return [
        _spread(list(technique.evaluations.values()), lambda value: f"{value:g}"),
        _spread(list(technique.speedup.values()), TWO),
        TWO(technique.flickering),
        TWO(technique.dynamic_degree),
        *cells,
    ]


def _spread(values: Sequence[float], write: Write) -> str:
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low} to {high}"
