"""Draw the idea in one picture, from a simulation: what the loader and the GPU do, above the memory and its limit.

python -m scripts.docs.picture [docs/assets/how-it-works.svg]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import ondevice_sora as sora
from ondevice_sora.base.units import format_bytes
from ondevice_sora.records.trace import MemorySample, Span, Trace

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "assets" / "how-it-works.svg"
PLAN = {
    "extends": "app-256",
    "name": "the denoiser in eight blocks",
    "memory": {"budget": "2.7 GB"},
    "components": {"denoiser": {"blocks": {"units_per_block": 8}, "prefetch": 1, "keep": "optimal"}},
}
FIRST_STEP, LAST_STEP = 2, 3
WIDTH, LEFT, RIGHT = 960, 96, 936
LANES = {"load": 52, "gpu": 100}
LANE_HEIGHT = 34
TOP, BOTTOM = 186, 410
GIGABYTES = 4
STYLE = """
text { font: 14px system-ui, sans-serif; fill: #222 }
.small { font-size: 12px; fill: #555 }
.load { fill: #b35900 } .run { fill: #3f7fc4 } .kept { fill: #12365f }
.bar { fill: #fff; font-size: 12px; text-anchor: middle }
.baseline { fill: #8a8f98 } .resident { fill: #6fa3d8 } .loading { fill: #e39a4f } .working { fill: #cfd8e3 }
.limit { stroke: #c2171d; stroke-width: 2; stroke-dasharray: 7 4 } .over { fill: #c2171d; font-weight: 600 }
.axis { stroke: #999; stroke-width: 1 } .step { stroke: #999; stroke-dasharray: 2 3 }
"""
Across = Callable[[float], float]
HOLDERS = ("baseline", "resident", "loading", "working")


def picture() -> str:
    """The picture as SVG; the same simulation gives the same text."""
    trace = sora.simulate(PLAN).trace
    shown = [span for span in trace.spans if span.component == "denoiser" and FIRST_STEP <= span.step <= LAST_STEP]
    runs = [span for span in shown if span.action == "run"]
    start, end = runs[0].start_s, runs[-1].end_s
    shown = [span for span in trace.spans if span.end_s > start and span.start_s < end and span.action != "evict"]

    def across(seconds: float) -> float:
        return round(LEFT + (min(max(seconds, start), end) - start) / (end - start) * (RIGHT - LEFT), 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 462" role="img" aria-labelledby="title">',
        f"<title id='title'>{_title(trace)}</title><style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="462" fill="#fff"/>',
        f'<text x="{LEFT}" y="28">The loader fetches a block while the GPU runs the one before it. '
        "Dark: still in memory from the step before.</text>",
    ]
    numbers = {block: number for number, block in enumerate(dict.fromkeys(span.block for span in runs), 1)}
    for span in shown:
        lines += _bar(span, numbers[span.block], across)
    for lane, name in (("load", "Load"), ("gpu", "Run (GPU)")):
        lines.append(f'<text x="{LEFT - 8}" y="{LANES[lane] + 22}" text-anchor="end">{name}</text>')
    lines += _memory(trace, start, end, across)
    for step in range(FIRST_STEP, LAST_STEP + 1):
        first = next(span for span in runs if span.step == step)
        x = across(first.start_s)
        lines.append(f'<line class="step" x1="{x}" x2="{x}" y1="44" y2="{BOTTOM}"/>')
        lines.append(f'<text class="small" x="{x + 4}" y="{LANES["gpu"] + 52}">denoising step {step}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _title(trace: Trace) -> str:
    return (
        "Two denoising steps, simulated. Above: each block is loaded while the block before it runs. Below: the memory "
        f"of the app, which stays under the limit of {format_bytes(trace.limit_bytes)} at which iOS ends it."
    )


def _bar(span: Span, number: int, across: Across) -> Iterator[str]:
    left, right, top = across(span.start_s), across(span.end_s), LANES[span.lane]
    width = max(right - left - 1, 2)
    kind = "load" if span.action == "load" else "run" if span.cold else "kept"
    yield f'<rect class="{kind}" x="{left}" y="{top}" width="{width:.1f}" height="{LANE_HEIGHT}" rx="3"/>'
    if span.action == "load":
        yield f'<text class="small" x="{right + 3:.1f}" y="{top + 22}">{number}</text>'
    elif width > 14:
        yield f'<text class="bar" x="{(left + right) / 2:.1f}" y="{top + 22}">{number}</text>'


def _memory(trace: Trace, start: float, end: float, across: Across) -> Iterator[str]:
    yield f'<text x="{LEFT - 8}" y="{TOP - 14}" text-anchor="end">Memory</text>'
    for mark in range(GIGABYTES + 1):
        y = _height(mark * 1e9)
        yield f'<line class="axis" x1="{LEFT - 4}" x2="{LEFT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="small" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{mark} GB</text>'
    samples = _within(trace.memory, start, end)
    below = [0.0] * len(samples)
    for holder in HOLDERS:
        above = [base + getattr(sample, holder) for base, sample in zip(below, samples, strict=True)]
        yield f'<path class="{holder}" d="{_area(samples, below, above, across, end)}"/>'
        below = above
    y, limit = _height(trace.limit_bytes), format_bytes(trace.limit_bytes)
    yield f'<line class="limit" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>'
    yield f'<text class="over" x="{LEFT + 6}" y="{y - 7}">iOS ends the app above {limit}</text>'
    yield f'<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/>'
    yield f'<text class="small" x="{RIGHT}" y="{BOTTOM + 18}" text-anchor="end">{end - start:.0f} seconds</text>'
    x = LEFT
    for holder, name in zip(HOLDERS, ("the app itself", "blocks in memory", "a block being loaded",
                                      "working memory of the block that runs"), strict=True):  # fmt: skip
        yield f'<rect class="{holder}" x="{x}" y="{BOTTOM + 28}" width="14" height="14"/>'
        yield f'<text class="small" x="{x + 20}" y="{BOTTOM + 40}">{name}</text>'
        x += 44 + 7 * len(name)


def _within(memory: list[MemorySample], start: float, end: float) -> list[MemorySample]:
    """The samples of that time, and the last one before it."""
    before = [sample for sample in memory if sample.time_s <= start][-1:]
    return before + [sample for sample in memory if start < sample.time_s < end]


def _height(count: float) -> float:
    return round(BOTTOM - count / (GIGABYTES * 1e9) * (BOTTOM - TOP), 1)


def _area(samples: list[MemorySample], below: list[float], above: list[float], across: Across, end: float) -> str:
    """The outline between two step curves."""
    times = [across(sample.time_s) for sample in samples] + [across(end)]

    def steps(levels: list[float]) -> list[str]:
        pairs = zip(pairwise(times), levels, strict=True)
        return [f"{x},{_height(level)}" for (left, right), level in pairs for x in (left, right)]

    return f"M{' L'.join([*steps(above), *reversed(steps(below))])}Z"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else PICTURE).write_text(picture(), encoding="utf-8")
