"""The page of runs as a file: what it says, in which order, and what it draws from. What it draws: test_browser.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds.pages import read, unpacked, words

from ondevice_sora.base.errors import UserError
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.page.report import render


def test_the_answer_comes_first(trace: Trace, killed: Trace) -> None:
    said = words(render([trace]))
    head = said.partition("Total time")[0]
    assert head.endswith(
        "Simulated Toy phone toy Fits toy plan One generation takes 27.0 s. Memory peaks at 610 MB, 390 MB below the "
        "limit of 1.00 GB. "
    )
    assert "Would be killed" in words(render([killed])).partition("Killed after")[0]


def test_one_that_is_killed_says_at_the_top_what_makes_it_fit(trace: Trace, killed: Trace) -> None:
    assert killed.result is not None
    command = replace(killed.result.advice[0], title="Search", command="plan search", keys=[])
    both = replace(killed, result=replace(killed.result, advice=[command, *killed.result.advice]))
    for page in (render([killed]), render([both])):
        head = words(page).partition("Killed after")[0]
        assert head.endswith("To make it fit: Keep block a . components: {denoiser: {keep: 1}} ")
    assert "To make it fit" not in words(render([trace]))


def test_one_that_is_too_risky_does_not_look_like_one_to_ship(trace: Trace) -> None:
    assert trace.result is not None
    page = render([replace(trace, result=replace(trace.result, kill_share=0.09))])
    assert 'class="verdict care"' in page
    assert "Risk of being killed: 9.0 %, more than the 5.0 % up to which a plan is said to fit." in words(page)


def test_what_is_to_be_pasted_has_no_space_that_programs_do_not_know(trace: Trace) -> None:
    assert trace.result is not None
    advice = replace(trace.result.advice[0], keys=["memory: {budget: 1.84 GB}", "components: {denoiser: {keep: 1}}"])
    page = render([replace(trace, result=replace(trace.result, advice=[advice]))])
    (shown,) = re.findall(r'<code id="advice-1">(.*?)</code>', page, re.S)
    assert re.sub("<[^>]*>", "", shown) == "memory: {budget: 1.84 GB}\ncomponents: {denoiser: {keep: 1}}\n"


def test_without_scripts_it_says_so_at_the_top_and_leaves_no_holes(trace: Trace) -> None:
    page = render([trace])
    start, end = page.index("<noscript>"), page.index("</noscript>")
    assert end < page.index("<main>")
    assert ".plot, .toolbar { display: none; }" in page[start:end]


def test_everything_asked_of_the_page_is_there(trace: Trace) -> None:
    said = words(render([trace]))
    for part in (
        "What to change next", "Keep block a 1.00 s (3.7 %) faster: 26.0 s, peak 710 MB",
        "components: {denoiser: {keep: 1}}",
        "What if", "With the entitlement", "limit 2.00 GB", "25.0 s −7.4 %", "killed at 610 MB, limit 500 MB",
        "Timeline", "Memory charged to the app", "limit 1.00 GB", "budget 800 MB", "peak 610 MB at 8.00 s",
        "One steady denoiser step", "Step 2, of median length among the steps",
        "Where the time goes", "86 % of all loading passes while a block runs.",
        "Bounds", "86 % of what overlapping loads with runs can save",
        "What the total rests on", "50 % fitted",
        "Blocks", "a … b ×2",
        "Conditions and notes", "toyOS 1", "Made by hand.",
    ):  # fmt: skip
        assert part in said, part


def test_what_ifs_come_after_the_chart_of_memory_which_is_first_where_the_app_is_killed(
    trace: Trace, killed: Trace
) -> None:
    def ordered(page: str, *parts: str) -> list[str]:
        return sorted(parts, key=words(page).index)

    parts = ("What to change next", "Memory charged to the app", "What if", "Where the time goes")
    assert ordered(render([trace]), *parts) == list(parts)
    assert ordered(render([killed]), *parts) == [parts[1], parts[0], *parts[2:]]
    assert [attrs["data-figure"] for _, attrs in read(render([killed])).tags if "data-figure" in attrs][:2] == [
        "memory",
        "lanes",
    ]


def test_traces_are_compared_side_by_side(trace: Trace, measured: Trace) -> None:
    page = render([trace, measured])
    said = words(page)
    assert "2 runs compared" in said
    assert "total 27.0 s 29.7 s +2.70 s (+10 %)" in said
    figures = [attrs["data-figure"] for _, attrs in read(page).tags if "data-figure" in attrs]
    assert figures == ["lanes", "lanes", "memory", "step", "step"]


def test_bytes_do_not_depend_on_the_hash_seed(trace: Trace, tmp_path: Path) -> None:
    from ondevice_sora.records.trace import write_trace

    write_trace(trace, tmp_path / "trace.json")
    code = (
        "import sys, hashlib; from ondevice_sora.records.trace import read_trace;"
        "from ondevice_sora.reports.page.report import render;"
        "print(hashlib.sha256(render([read_trace(sys.argv[1])]).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "trace.json")],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_figures_name_every_quantity_in_the_words_of_the_text(trace: Trace, killed: Trace) -> None:
    first, second = unpacked(render([trace, killed]))["traces"]
    assert first["limit"] == {"bytes": 1_000_000_000, "told": "1.00 GB"}
    assert first["memory"]["told"]["total"][:3] == ["300 MB", "450 MB", "550 MB"]
    assert second["kill"] == {"time": 11.0, "bytes": 1_100_000_000, "told": "1.10 GB"}


def test_moments_are_stored_as_microseconds_from_each_to_the_next(trace: Trace, sampled: Trace) -> None:
    (data,) = unpacked(render([trace]))["traces"]
    assert data["memory"]["time"] == [0, 2_000_000, 3_000_000, 0, 3_000_000, 15_000_000, 4_000_000]
    assert sum(data["spans"]["start"]) == max(span.start_s for span in trace.spans) * 1_000_000
    (data,) = unpacked(render([sampled]))["traces"]
    assert data["measured"]["time"] == [0, 8_500_000, 21_200_000]


def test_a_step_that_loads_nothing_says_so(trace: Trace) -> None:
    spans = [span for span in trace.spans if span.action == "run"]
    said = words(render([replace(trace, spans=spans, result=None)]))
    assert "Nothing is loaded in it: all its blocks stay resident. step 4.00 s running 4.00 s load" in said


def test_a_report_needs_a_trace() -> None:
    with pytest.raises(UserError, match="at least one trace"):
        render([])


def test_an_empty_trace_still_makes_a_page() -> None:
    empty = Trace("measured", "nothing", "Toy phone", "toy", [], [], 1000)
    assert "Completed" in words(render([empty]))
