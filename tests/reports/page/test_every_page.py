"""Every kind of page in headless Chromium, wide and narrow, light, dark and in forced colours.

None complains, asks for anything, lets labels overlap, breaks a word, or keeps out who uses a keyboard or a screen
reader.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds.answers import search_report as a_search_report
from worlds.answers import swept
from worlds.browser import BROKEN_WORDS, COLLISIONS, NARROW, OUT_OF_SIGHT, UNFOLDED, WIDE, Page
from worlds.films import write_film
from worlds.fullsize import full_size

from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.profiles.devices import devices_named
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.records.quality import Evaluation
from ondevice_sora.records.search import SearchReport
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.page.ladder import render_ladders
from ondevice_sora.reports.page.quality import render_quality
from ondevice_sora.reports.page.report import render, render_plan
from ondevice_sora.reports.page.search import render_search
from ondevice_sora.reports.page.sweep import render_sweep
from ondevice_sora.reports.page.video import render_video
from ondevice_sora.simulator.ladder import which_phones

KINDS = (
    "prediction", "killed", "killed at once", "measured", "two", "three", "predicted and measured", "limits far apart",
    "explained", "search", "quality", "video", "sweep", "phones", "full size", "full size, two", "full size, three",
    "full size, search",
)  # fmt: skip
LARGEST = ("app-256", "ours-256", "steps-256")
"""Ready plans; the first has the most loads and runs of all."""
MOST_BYTES = 2_200_000
"""Of any page; plotly.js alone is 1.84 MB of it."""
FITTED = "return [...document.querySelectorAll('.plot')].every(p => !p.clientWidth || p.layout.width <= p.clientWidth)"
SIDECAR = {
    "prompt": "a red circle", "seed": 4, "plan": {"name": "toy"}, "num_evaluations": 1, "timesteps": [1000.0],
    "video": {"width": 16, "height": 16, "frames": 12, "fps": 24},
    "text_encoder_s": 1.0, "denoiser_s": 1.0, "decoder_s": 1.0, "total_s": 3.0,
    "machine": {"system": "toyOS"}, "notes": [],
    "steps": [{"timestep": 1000.0, "seconds": 1.0, "cosine_whole": None, "merged": True, "leapt": False}],
}  # fmt: skip
CROOKED = """
const side = cell => getComputedStyle(cell).textAlign.replace('start', 'left').replace('end', 'right');
return [...document.querySelectorAll('table')].flatMap(table => {
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...table.querySelectorAll('tbody tr')].filter(row => row.cells.length === heads.length);
  return heads.filter((head, i) => rows.some(({cells}) => cells[i].textContent.trim() && side(cells[i]) !== side(head)))
    .map(head => head.textContent);
});
"""
"""Heads of columns that do not stand where their column does."""
CUT_OFF = """
return [...document.querySelectorAll('main *')].filter(each => {
  const box = each.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !each.closest('.scroll, .strip, pre, svg, .legend [hidden]');
}).map(each => each.outerHTML.slice(0, 80));
"""


@pytest.fixture(params=KINDS)
def kind(
    request: pytest.FixtureRequest,
    trace: Trace,
    killed: Trace,
    measured: Trace,
    sampled: Trace,
    search_report: SearchReport,
    evaluation: Evaluation,
    tmp_path: Path,
) -> str:
    """A page of each kind, as text."""
    ways: dict[str, Callable[[], str]] = {
        "prediction": lambda: render([trace]),
        "killed": lambda: render([killed]),
        "killed at once": lambda: render([replace(killed, spans=[], kill=replace(killed.kill, time_s=0.0))]),
        "measured": lambda: render([sampled]),
        "two": lambda: render([trace, killed]),
        "three": lambda: render([trace, sampled, killed]),
        "predicted and measured": lambda: render([trace, measured]),
        "limits far apart": lambda: render(
            [replace(trace, limit_bytes=25 * 10**9), replace(trace, limit_bytes=7 * 10**8)]
        ),
        "explained": lambda: render_plan(search_report.chosen),
        "search": lambda: render_search(search_report),
        "quality": lambda: _with_videos(evaluation, tmp_path),
        "video": lambda: _video(evaluation, tmp_path),
        "sweep": lambda: render_sweep(swept(), "toy"),
        "phones": lambda: render_ladders(
            [which_phones(load_plan("ours-256"), devices_named(["iphone12", "iphone15", "iphone16"]))], "ours-256"
        ),
        "full size": lambda: render([full_size("ours-256")]),
        "full size, two": lambda: render([full_size(name) for name in LARGEST[:2]]),
        "full size, three": lambda: render([full_size(name) for name in LARGEST]),
        "full size, search": lambda: render_search(a_search_report(full_size(LARGEST[0]))),
    }
    return ways[request.param]()


def _with_videos(evaluation: Evaluation, folder: Path) -> str:
    (clip,) = evaluation.clips
    write_film(folder / clip.file, clip)
    return render_quality(evaluation, folder)


def _video(evaluation: Evaluation, folder: Path) -> str:
    (clip,) = evaluation.clips
    write_film(folder / clip.file, clip)
    return render_video((folder / clip.file).read_bytes(), ".mp4", SIDECAR, Provenance("generate", "1", "2026-11-30"))


def test_a_page_of_every_kind_is_in_order_however_it_is_looked_at(
    page: Page, kind: str, request: pytest.FixtureRequest
) -> None:
    """In dark colours it is for everybody, and a page of full size in all the others too."""
    is_full = request.node.callspec.params["kind"] == "full size"
    assert len(kind.encode()) < MOST_BYTES
    page.open(kind, WIDE, "light")
    for width, scheme in ((WIDE, "light"), (NARROW, "light"), (WIDE, "forced"), (NARROW, "dark")):
        page.scheme(scheme)
        page.width(width)
        page.settle()
        page.wait_for(lambda: page.js(FITTED))
        told = f"{width} pixels, {scheme}"
        assert page.js("return document.documentElement.scrollWidth") <= width, told
        assert page.js(CUT_OFF) == [], told
        assert page.js(COLLISIONS) == [], told
        assert page.js(OUT_OF_SIGHT) == [], told
        assert page.js(CROOKED) == [], told
        assert page.problems() == [], told
        if scheme == "dark" or (is_full and width == WIDE):
            assert page.violations() == [], told
    page.js(UNFOLDED)
    page.settle()
    assert page.js(BROKEN_WORDS) == [], f"{NARROW} pixels"
