"""What a comparison of traces comes to, in a sentence or two: which is fastest, or how near a prediction came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ondevice_sora.base.units import format_bytes, format_count, format_percent, format_seconds
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.differences import differences
from ondevice_sora.reports.prediction import is_predicted
from ondevice_sora.reports.rows import is_too_risky, total_s

ALIKE = 1e-3
"""Totals and peaks that differ by less than this share are told as the same."""


class Headline(NamedTuple):
    """`words` is the shortest form, `sentence` the whole one."""

    words: str
    sentence: str


def headline(traces: Sequence[Trace], names: Sequence[str]) -> Headline:
    """`names` are what the traces are called, in their order."""
    simulated = [trace for trace in traces if trace.kind == "simulated"]
    measured = [trace for trace in traces if trace.kind == "measured"]
    if len(simulated) == 1 and measured and all(is_predicted(simulated[0], trace) for trace in measured):
        return _prediction(simulated[0], measured)
    if simulated and measured:
        what = (
            "Simulated and measured runs of different plans or devices: the times of one say nothing about the other."
        )
        return Headline(f"{len(traces)} runs side by side", what)
    words, sentence = _race(traces, names)
    if any(row.key.startswith("video.") for row in differences(traces)):
        sentence += " Not all make a video of the same shape: compare the times of those that do."
    return Headline(words, sentence)


def _prediction(simulated: Trace, measured: Sequence[Trace]) -> Headline:
    """Predicted against measured, and whether what was measured lies in the interval."""
    predicted = simulated.total_s
    totals = sorted(trace.total_s for trace in measured)
    middle = totals[len(totals) // 2]
    told = format_seconds(totals[0])
    if len(totals) > 1:
        told = f"{told} to {format_seconds(totals[-1])} in {format_count(len(totals), 'run')}"
    error = predicted / middle - 1 if middle > 0 else 0.0
    if abs(error) < 5e-4:
        words = "The prediction holds exactly"
    else:
        words = f"Predicted {format_percent(abs(error))} too {'much' if error > 0 else 'little'}"
    sentence = f"Predicted {format_seconds(predicted)}, measured {told}. {_within(simulated, totals)}"
    peaks = [trace.sampled_peak_bytes for trace in measured if trace.sampled_peak_bytes is not None]
    if peaks:
        sentence += (
            f" Peak: predicted {format_bytes(simulated.peak_bytes)}, measured {format_bytes(max(peaks))} at most."
        )
    return Headline(words, sentence)


def _within(simulated: Trace, totals: Sequence[float]) -> str:
    interval = simulated.result.interval_s if simulated.result is not None else None
    if interval is None:
        return "The prediction has no interval: no spread of its figures is known."
    low, high = interval
    inside = sum(low <= total <= high for total in totals)
    between = f"{format_seconds(low)} to {format_seconds(high)}"
    if len(totals) == 1:
        return f"That is {'inside' if inside else 'outside'} the predicted 90 % interval, {between}."
    return f"{inside} of {len(totals)} lie in the predicted 90 % interval, {between}."


def _race(traces: Sequence[Trace], names: Sequence[str]) -> Headline:
    """The fastest of the runs that end, beside the next."""
    pairs = list(zip(traces, names, strict=True))
    ended = sorted(
        ((seconds, name, trace) for trace, name in pairs if (seconds := total_s(trace)) is not None),
        key=lambda each: each[0],
    )
    killed = _killed([name for trace, name in pairs if trace.kill is not None], traces[0].kind == "simulated")
    if not ended:
        return Headline("No run fits", f"All {len(traces)} cross the memory limit.")
    best_s, best, winner = ended[0]
    if len(ended) == 1:
        return Headline(f"Only {best} fits{_but(winner)}", f"It takes {format_seconds(best_s)}.{killed}")
    next_s, other, second = ended[1]
    if next_s - best_s <= ALIKE * next_s:
        last_s, last, _ = ended[-1]
        if last_s - best_s <= ALIKE * last_s:
            words = f"All take {format_seconds(best_s)}" if len(ended) > 2 else f"Both take {format_seconds(best_s)}"
            return Headline(words, f"Their totals differ by less than {format_percent(ALIKE)}.{killed}")
        words = f"{best} and {other} are equally fast"
        return Headline(words, f"Both take {format_seconds(best_s)}, {_less(best_s, last_s)} than {last}.{killed}")
    sentence = f"It takes {format_seconds(best_s)}, {_less(best_s, next_s)} than {other}, and {_peak(winner, second)}."
    return Headline(f"{best} is {'fastest' if len(ended) > 2 else 'faster'}{_but(winner)}", sentence + killed)


def _but(trace: Trace) -> str:
    return ", but too risky" if is_too_risky(trace) else ""


def _killed(names: Sequence[str], is_simulated: bool) -> str:
    if not names:
        return ""
    be = "would be" if is_simulated else "was" if len(names) == 1 else "were"
    return f" {' and '.join(names)} {be} killed."


def _less(seconds: float, than_s: float) -> str:
    share = format_percent((than_s - seconds) / than_s)
    return f"{format_seconds(than_s - seconds)} ({share}) less"


def _peak(winner: Trace, other: Trace) -> str:
    change = winner.peak_bytes - other.peak_bytes
    if abs(change) <= ALIKE * max(1, other.peak_bytes):
        return f"needs as much memory, {format_bytes(winner.peak_bytes)}"
    more = "more" if change > 0 else "less"
    return f"needs {format_bytes(abs(change))} {more} memory, {format_bytes(winner.peak_bytes)}"
