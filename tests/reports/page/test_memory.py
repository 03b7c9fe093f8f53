"""The peak and the blocks on the page: rows that add up, one unit a column, and the same as a file."""

from __future__ import annotations

import csv
import io

from msgspec.structs import replace
from worlds.pages import unpacked, words

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.page.memory import blocks_view
from ondevice_sora.reports.page.report import render


def test_the_peak_is_broken_down_and_adds_up(trace: Trace) -> None:
    said = words(render([trace]))
    assert (
        "What is in memory at the peak 610 MB at 8.00 s, while it is the turn of block b of denoiser in step 0." in said
    )
    assert "blocks that stay 200 MB 33 % denoiser a..b (2 blocks) a 100 MB 16 % b 100 MB 16 %" in said
    assert "left by unloaded blocks 10.0 MB 1.6 % Peak 610 MB 100 %" in said
    stay = "denoiser 1 of 2 blocks, 100 MB: a; 1 for some runs (100 MB) decoder none of 1 block"
    assert stay in said


def test_a_trace_that_does_not_say_what_its_peak_is_made_of_has_no_such_section(measured: Trace) -> None:
    assert "What is in memory at the peak" not in words(render([measured]))


def test_a_block_s_row_says_whether_it_is_kept_and_what_is_held_beside_what_is_stored(trace: Trace) -> None:
    said = words(render([trace]))
    assert "Stored Held Working" in said
    assert "a … b ×2 sometimes" in said
    assert "50.0 MB 100 MB 50.0 MB" in said


def test_a_column_of_times_has_its_unit_in_its_head(trace: Trace) -> None:
    view = blocks_view(trace)
    assert view is not None
    assert (view.all_runs.name, view.run.name) == ("s", "s")
    assert "All runs, s All loads, s Run, s Load, s First load, s" in words(render([trace]))
    late = replace(trace.spans[-1], end_s=900.0)
    long = blocks_view(replace(trace, spans=[*trace.spans[:-1], late], result=None))
    assert long is not None
    assert (long.all_runs.name, long.all_runs.write(18.0)) == ("min:s", "0:18.0")


def test_sums_of_a_run_that_ends_early_do_not_stand_beside_the_counts_of_a_whole_one(killed: Trace) -> None:
    page = render([killed])
    said = words(page)
    assert "All runs" not in said
    assert "Runs and Loads: as many as there were without a limit." in said
    assert "encode never 3.00 1.00 2.00 1 1" in said
    rows = list(csv.DictReader(io.StringIO(unpacked(page)["traces"][0]["csv"])))
    assert {(row["all_runs_s"], row["all_loads_s"]) for row in rows} == {("", "")}


def test_the_blocks_can_be_saved_as_csv(trace: Trace) -> None:
    page = render([trace, trace])
    assert "Save blocks.csv" in words(page)
    rows = list(csv.DictReader(io.StringIO(unpacked(page)["traces"][1]["csv"])))
    assert [row["block"] for row in rows] == ["encode", "a", "b", "decode"]
    known = {"kept": "sometimes", "stored_bytes": "50000000", "held_bytes": "100000000", "run_s": "2.0"}
    assert rows[1] | known == rows[1]


def test_an_app_killed_at_its_first_load_has_no_timeline_to_draw(killed: Trace) -> None:
    at_once = replace(killed, spans=[], kill=replace(killed.kill, time_s=0.0))
    assert " Timeline " in words(render([killed]))
    assert " Timeline " not in words(render([at_once]))
    assert "iOS ends the app at once, while loading block" in words(render([at_once]))
