"""What figures are drawn from: columns with their words, places to zoom to, one steady step."""

from __future__ import annotations

from msgspec.structs import replace

from ondevice_sora.base.units import time_unit
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.timeline import (
    HOLDERS,
    lanes_of,
    memory_columns,
    pass_texts,
    places,
    span_columns,
    span_text,
    steady_step,
)


def test_lanes_are_those_in_use(trace: Trace) -> None:
    assert lanes_of(trace) == ["load", "cpu", "gpu"]


def test_clean_pages_lie_over_the_footprint_and_not_in_it(trace: Trace) -> None:
    first, *rest = trace.memory
    mapped = replace(trace, memory=[replace(first, clean=70_000_000), *rest])
    columns = memory_columns(mapped)
    assert columns["mapped"][0] == first.total + 70_000_000 and columns["total"][0] == first.total
    assert columns["mapped"][1:] == columns["total"][1:]
    assert mapped.peak_bytes == trace.peak_bytes
    assert "mapped" not in memory_columns(trace)


def test_steady_step_is_a_median_one_without_first_loads_on_the_device(trace: Trace) -> None:
    step = steady_step(trace)
    assert step is not None
    assert (step.component, step.step, step.start_s, step.end_s) == ("denoiser", 2, 15, 19)
    assert (step.is_steady, step.run_s, step.load_s, step.hidden_share) == (True, 4, 2, 1)
    assert [(span.action, span.step, span.block) for span in step.spans] == [
        ("load", 2, "b"),
        ("run", 2, "a"),
        ("load", 3, "a"),
        ("run", 2, "b"),
    ]


def test_where_every_step_loads_anew_first_runs_do_not_make_a_step_unsteady(trace: Trace) -> None:
    spans = [replace(span, cold=span.cold or span.action == "run") for span in trace.spans]
    step = steady_step(replace(trace, spans=spans))
    assert step is not None
    assert (step.step, step.is_steady) == (2, True)


def test_a_run_killed_in_its_first_step_shows_that_step_as_not_steady(killed: Trace) -> None:
    step = steady_step(killed)
    assert step is not None
    assert (step.step, step.is_steady, step.is_only) == (0, False, False)


def test_places_to_zoom_to(trace: Trace, killed: Trace) -> None:
    assert [tuple(place) for place in places(trace)] == [
        ("Whole run", 0, 27),
        ("text_encoder", 2, 5),
        ("denoiser", 5, 23),
        ("First step", 5, 11),
        ("Step 2", 15, 19),
        ("decoder", 23, 27),
    ]
    assert places(killed)[-1].name == "The kill"


def test_span_columns_carry_every_span_in_order_of_start(trace: Trace) -> None:
    columns = span_columns(trace, ["text_encoder", "denoiser", "decoder"])
    assert columns["blocks"] == ["encode", "a", "b", "decode"]
    assert columns["start"] == sorted(span.start_s for span in trace.spans)
    assert {len(values) for name, values in columns.items() if name not in ("blocks", "words")} == {20}
    assert columns["cold"].count(1) == 4


def test_a_span_is_told_by_what_it_does_how_long_where_when_and_with_how_many_bytes(trace: Trace) -> None:
    assert (
        span_text(trace.spans[0], time_unit(27.0))
        == "First load, 2.00 s\ntext_encoder, step 0\n0.000 s to 2.000 s\n100 MB read"
    )
    merged = replace(trace.spans[8], variant="tdtm", start_s=63.0, end_s=64.5)
    assert (
        span_text(merged, time_unit(600.0))
        == "Run, 1.50 s\ndenoiser, step 1, tdtm\n1:03.00 to 1:04.50\n50.0 MB working"
    )
    assert span_text(replace(merged, action="evict", cold=True), time_unit(600.0)).startswith("Unload, 1.50 s\n")


def test_span_columns_say_what_a_span_is_in_words_that_spans_share(trace: Trace) -> None:
    columns = span_columns(trace, ["text_encoder", "denoiser", "decoder"])
    words = columns["words"]
    assert [words[columns[part][0]] for part in ("does", "variant", "holds")] == [
        "First load, 2.00 s",
        "",
        "100 MB read",
    ]
    assert len(words) == len(set(words)) == 8


def test_what_a_lane_does_in_a_step_is_told_together_first_loads_and_runs_apart(trace: Trace) -> None:
    texts = pass_texts(trace)
    columns = span_columns(trace, ["text_encoder", "denoiser", "decoder"])
    told = [texts[index] for index in columns["pass"]]
    assert told[columns["start"].index(13)] == (
        "denoiser, step 2\n2 loads, 2.00 s\nbusy 67 % of 3.00 s\n13.000 s to 16.000 s"
    )
    assert "denoiser, step 0\n2 first runs, 6.00 s\nbusy 100 % of 6.00 s\n5.000 s to 11.000 s" in told


def test_memory_columns_keep_the_peak_and_the_last_of_each_moment(trace: Trace) -> None:
    columns = memory_columns(trace)
    assert columns["time"] == [0, 2, 5, 5, 8, 23, 27]
    assert [sum(columns[holder][i] for holder in HOLDERS) for i in range(7)] == columns["total"]
    assert max(columns["total"]) == trace.peak_bytes
    assert columns["told"]["total"][4] == "610 MB"


def test_a_component_of_one_pass_is_not_called_a_step(trace: Trace) -> None:
    first, *_ = [span for span in trace.spans if span.action == "run"]
    step = steady_step(replace(trace, spans=[trace.spans[0], first], result=None))
    assert step is not None
    assert (step.component, step.is_steady, step.is_only) == ("text_encoder", False, True)
