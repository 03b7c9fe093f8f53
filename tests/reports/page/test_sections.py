"""What the page of runs says of each besides its rows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.page.sections import letter, memory_keys, run_color, run_of, shared_places


def test_runs_are_lettered_beyond_the_alphabet_and_coloured_in_turn() -> None:
    assert [letter(index) for index in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        "A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA",
    ]  # fmt: skip
    assert [run_color(index) for index in (0, 5, 6)] == ["t0", "t5", "t0"]


def test_a_what_if_says_how_its_total_differs_and_how_full_memory_is(trace: Trace) -> None:
    better, killed = run_of(trace, "toy", 0).cards
    assert (better.title, better.detail) == ("With the entitlement", "limit 2.00 GB")
    assert (better.number, better.change, better.tone) == ("25.0 s", "−7.4 %", "better")
    assert (better.fill, better.size, better.is_killed) == (0.45, "900 MB of 2.00 GB", False)
    assert (killed.number, killed.change, killed.fill, killed.is_killed) == ("", "", 1.0, True)
    assert killed.size == "at 610 MB, limit 500 MB"


def test_the_scale_of_bounds_ends_a_little_beyond_the_largest(trace: Trace) -> None:
    scale = run_of(trace, "toy", 0).bounds
    assert scale is not None
    end = 39.0 * 1.02
    assert scale.marks == [("tick lower", 25.0 / end), ("tick sequential", 39.0 / end), ("here", 27.0 / end)]
    assert [row[1:] for row in scale.rows] == [
        ("No overlap can beat", "25.0 s"),
        ("This plan", "27.0 s"),
        ("Every load waited for", "39.0 s"),
    ]


def test_no_interval_stands_beside_bounds_that_it_would_seem_to_break(trace: Trace) -> None:
    """The interval is of costs that vary, the bounds are of the costs as they are."""
    assert trace.result is not None
    wide = replace(trace, result=replace(trace.result, interval_s=(20.0, 45.0)))
    assert run_of(wide, "toy", 0).bounds == run_of(trace, "toy", 0).bounds


def test_a_measurement_has_no_bounds_and_no_what_ifs(measured: Trace) -> None:
    run = run_of(measured, "toy", 0)
    assert run.bounds is None
    assert run.cards == []
    assert dict(run.conditions)["origin"] == "measured on the device"


def test_bytes_among_the_conditions_are_told_in_their_unit(measured: Trace) -> None:
    facts = {"measured peak bytes": "58363904", "threads": "2", "blocks": "12000"}
    told = dict(run_of(replace(measured, conditions=facts), "toy", 0).conditions)
    assert (told["measured peak bytes"], told["threads"], told["blocks"]) == ("58.4 MB", "2", "12000")


def test_the_legend_of_memory_names_what_is_held_the_limit_the_budget_and_the_peak(trace: Trace, killed: Trace) -> None:
    assert [key.text for key in memory_keys([run_of(trace, "toy", 0)])] == [
        "working memory", "being loaded", "resident blocks", "left by unloaded blocks", "app baseline",
        "limit 1.00 GB", "budget 800 MB", "peak 610 MB at 8.00 s",
    ]  # fmt: skip
    assert memory_keys([run_of(killed, "toy", 0)])[-1].text == "killed at 11.0 s with 1.10 GB"
    both = memory_keys([run_of(trace, "toy", 0), run_of(killed, "toy", 1)])
    assert [key.text for key in both][:2] == ["A: peak 610 MB", "B: peak 1.10 GB"]


def test_the_legend_names_what_is_mapped_and_not_charged(trace: Trace) -> None:
    mapped = replace(trace, memory=[replace(sample, clean=1) for sample in trace.memory])
    added = {key.text for key in memory_keys([run_of(mapped, "toy", 0)])} - {
        key.text for key in memory_keys([run_of(trace, "toy", 0)])
    }
    assert added == {"with the pages of weight files, which are not charged"}


def test_the_legend_names_the_footprint_that_was_sampled(trace: Trace, sampled: Trace) -> None:
    told = [key.text for key in memory_keys([run_of(sampled, "toy", 0)])]
    assert told[5:7] == ["measured by the system, peak 660 MB", "limit 1.00 GB"]
    both = memory_keys([run_of(trace, "toy", 0), run_of(sampled, "toy", 1)])
    assert [key.text for key in both][2:4] == ["measured by the system", "limit"]


def test_places_are_those_of_the_longest_run(trace: Trace, measured: Trace) -> None:
    assert shared_places([trace, measured])[0].end_s == pytest.approx(29.7)


def test_the_only_pass_of_a_component_is_not_called_a_step(trace: Trace) -> None:
    step = run_of(replace(trace, spans=trace.spans[:3:2], result=None), "toy", 0).step
    assert step is not None
    assert step.heading == "The text_encoder, block by block"
