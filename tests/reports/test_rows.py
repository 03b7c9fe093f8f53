"""What reports say, row by row."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ondevice_sora.records.ladder import MOST_DOUBT, Rung
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.records.result import Generation
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.rows import (
    block_groups,
    bounds_sentence,
    component_rows,
    facts,
    hidden_load_share,
    interval_sentence,
    interval_text,
    labels,
    main_component,
    mark_rows,
    saved_share,
    typical_step_s,
    verdict,
)
from ondevice_sora.reports.timeline import places, steady_step


def test_verdict_says_how_long_and_how_much_room(trace: Trace) -> None:
    answer = verdict(trace)
    assert (answer.is_killed, answer.word) == (False, "Fits")
    assert answer.sentence == "One generation takes 27.0 s. Memory peaks at 610 MB, 390 MB below the limit of 1.00 GB."
    assert answer.sureness == (
        "Risk of being killed: 4.0 %. (iOS publishes no limit, and the app's own use is not known exactly.)"
    )
    assert interval_sentence(trace) == "Likely between 25.0 s and 30.0 s (90 %)."
    assert bounds_sentence(trace) == "Best possible 25.0 s; with no overlap of loads and runs 39.0 s."


def test_a_risk_that_is_certain_is_told_without_reasons(trace: Trace, killed: Trace) -> None:
    for run, share, told in ((trace, 0.0, "0.0 %"), (killed, 1.0, "100 %")):
        assert run.result is not None
        sure = replace(run, result=replace(run.result, kill_share=share))
        assert verdict(sure).sureness == f"Risk of being killed: {told}."


def test_one_phone_and_several_call_the_same_risk_too_high(trace: Trace) -> None:
    assert trace.result is not None
    for share, word in ((MOST_DOUBT, "Fits"), (MOST_DOUBT + 0.001, "Fits, but too risky")):
        answer = verdict(replace(trace, result=replace(trace.result, kill_share=share)))
        rung = Rung("phone", "phone", False, 10**9, "published", "fits", 1.0, 1.0, 10**8, share)
        assert (answer.word, rung.fits) == (word, word == "Fits")
    assert "5.1 %, more than the 5.0 % up to which a plan is said to fit. (iOS" in (answer.sureness or "")


def test_a_time_that_is_not_known_does_not_hide_a_risk(trace: Trace) -> None:
    assert trace.result is not None
    words = [
        verdict(replace(trace, result=replace(trace.result, kill_share=share, unpriced=["unet (2 blocks)"]))).word
        for share in (MOST_DOUBT, MOST_DOUBT + 0.001)
    ]
    assert words == ["Fits, but its time is not known", "Fits, but too risky, and its time is not known"]


def test_verdict_of_a_kill_names_moment_block_step_and_bytes(killed: Trace) -> None:
    answer = verdict(killed)
    assert (answer.is_killed, answer.word) == (True, "Would be killed")
    assert answer.sentence == (
        "iOS ends the app after 11.0 s, while loading block b of denoiser in step 1: 1.10 GB is 100 MB over the limit "
        "of 1.00 GB."
    )


def test_a_measured_run_is_told_as_something_that_happened(measured: Trace, killed: Trace) -> None:
    assert verdict(measured).word == "Completed"
    assert verdict(measured).sentence.startswith("One generation took 29.7 s. Memory peaked at ")
    assert verdict(measured).sureness is None
    happened = verdict(replace(killed, kind="measured", result=None))
    assert (happened.word, happened.sentence[:19]) == ("Killed", "The app was ended a")


def test_facts_quote_the_result(trace: Trace) -> None:
    assert [tuple(fact) for fact in facts(trace)] == [
        ("Total time", "27.0 s", "likely 25.0 s to 30.0 s (90 %)"),
        ("Peak footprint", "610 MB", "limit 1.00 GB, 390 MB free"),
        ("Risk of being killed", "4.0 %", "the limit is not known exactly"),
        ("GPU busy", "78 %", "CPU 15 %, Load 52 %"),
        ("One denoiser step", "4.00 s", "median of 3 steps"),
    ]


def test_facts_of_a_kill_say_what_would_be_needed(killed: Trace) -> None:
    assert [tuple(fact) for fact in facts(killed)][:3] == [
        ("Killed after", "11.0 s", "all of it 27.0 s without a limit"),
        ("Memory needed", "1.20 GB", "limit 1.00 GB, 200 MB missing"),
        ("Risk of being killed", "100 %", "at every limit that is likely"),
    ]
    assert facts(killed)[3].note.endswith("without a limit")
    assert killed.kill is not None
    at_once = replace(killed, kill=replace(killed.kill, time_s=0.0))
    assert facts(at_once)[0][:2] == ("Killed", "at once")


def test_a_sampled_footprint_is_a_fact_beside_the_ledgers_peak(sampled: Trace) -> None:
    assert [tuple(fact) for fact in facts(sampled)][1:3] == [
        ("Peak footprint", "610 MB", "limit 1.00 GB, 390 MB free"),
        ("Peak, measured", "660 MB", "the most that the system charged"),
    ]


def test_generations_in_a_row_are_facts_of_their_own(trace: Trace) -> None:
    assert trace.result is not None
    rows = [
        Generation("first", "fits", 27.0, 27.0, (25.0, 30.0), 610_000_000, None),
        Generation("loaded", "killed", None, 20.0, None, 1_200_000_000, "running block 'a' of denoiser, step 0"),
    ]
    result = replace(trace.result, generations=rows)
    assert [tuple(fact) for fact in facts(replace(trace, result=result))][-2:] == [
        ("Generation 1", "27.0 s", "after installing, likely 25.0 s to 30.0 s (90 %), peak 610 MB"),
        ("Generation 2", "killed", "later in a launch, running block 'a' of denoiser, step 0, peak 1.20 GB"),
    ]


def test_what_only_a_simulation_knows_is_missing_from_a_measurement(measured: Trace) -> None:
    assert interval_text(measured) is None
    assert mark_rows(measured) == []
    assert saved_share(measured) is None
    assert facts(measured)[0].note == "of one run"


def test_component_times_split_into_run_stall_and_rest(trace: Trace) -> None:
    rows = component_rows(trace)
    assert [(row.component, row.total_s, row.run_s, row.stall_s, row.rest_s) for row in rows] == [
        ("text_encoder", 5, 3, 2, 0),
        ("denoiser", 18, 18, 0, 0),
        ("decoder", 4, 4, 0, 0),
    ]
    assert sum(row.total_s for row in rows) == trace.total_s


def test_only_loading_under_a_run_counts_as_hidden(trace: Trace) -> None:
    assert hidden_load_share(trace.spans) == pytest.approx(12 / 14)
    assert hidden_load_share([]) is None


def test_saved_share_lies_between_one_by_one_and_the_bound(trace: Trace) -> None:
    assert saved_share(trace) == pytest.approx((39 - 27) / (39 - 25))


def test_typical_step_leaves_out_the_first(trace: Trace) -> None:
    assert typical_step_s(trace) == ("denoiser", 4.0, 3)


def test_marks_stand_surest_first(trace: Trace) -> None:
    assert mark_rows(trace) == [("published", 0.25), ("fitted", 0.5), ("estimated", 0.25)]


def test_blocks_that_cost_the_same_share_a_row(trace: Trace) -> None:
    groups = block_groups(trace)
    assert [(group.component, group.name, group.num_blocks) for group in groups] == [
        ("text_encoder", "encode", 1),
        ("denoiser", "a … b", 2),
        ("decoder", "decode", 1),
    ]
    both = groups[1]
    assert (both.num_loads, both.num_runs, both.all_loads_s, both.all_runs_s) == (8, 8, 10, 18)
    assert [member.name for member in both.members] == ["a", "b"]
    assert both.marks == pytest.approx({"published": 10 / 28, "fitted": 9 / 28, "estimated": 9 / 28})


def test_blocks_that_cost_differently_do_not_share_a_row(trace: Trace) -> None:
    assert trace.result is not None
    rows = [replace(row, run_s=5.0) if row.block == "b" else row for row in trace.result.blocks]
    changed = replace(trace, result=replace(trace.result, blocks=rows))
    assert [group.name for group in block_groups(changed)] == ["encode", "a", "b", "decode"]


def test_blocks_of_a_measurement_are_what_they_did(measured: Trace) -> None:
    encode, both, decode = block_groups(measured)
    assert (both.name, both.compute_units, both.num_runs) == ("a … b", "GPU", 8)
    assert (both.load_cold_s, both.load_warm_s, both.run_s) == pytest.approx((2.2, 1.1, 2.2))
    assert encode.load_warm_s is None
    assert decode.marks == {"measured": 1.0}


def test_a_run_that_did_nothing_has_no_rows() -> None:
    empty = Trace("measured", "nothing", "Toy phone", "toy", [], [], 1000)
    assert main_component(empty) is None
    assert component_rows(empty) == []
    assert block_groups(empty) == []
    assert places(empty) == []
    assert steady_step(empty) is None


def test_labels_tell_traces_apart(trace: Trace, measured: Trace) -> None:
    assert labels([trace]) == ["toy plan"]
    assert labels([trace, measured]) == ["toy plan (simulated)", "toy plan (measured)"]
    assert labels([trace, replace(trace, device="Other")]) == ["toy plan (Toy phone)", "toy plan (Other)"]
    assert labels([trace, trace]) == ["toy plan #1", "toy plan #2"]
    assert labels([trace, replace(trace, limit_bytes=2 * 10**9)]) == [
        "toy plan (limit 1.00 GB)",
        "toy plan (limit 2.00 GB)",
    ]


def test_runs_of_one_plan_are_called_by_their_files_or_by_when_they_were_made(trace: Trace) -> None:
    def made(name: str, moment: str) -> Trace:
        return replace(trace, provenance=Provenance("simulate", "0", moment, plan_name=name))

    assert labels([made("a.yaml", "1"), made("b.yaml", "1")]) == ["toy plan (a.yaml)", "toy plan (b.yaml)"]
    assert labels([made("a.yaml", "2026-11-26T10:00:00Z"), made("a.yaml", "2026-11-26T11:00:00Z")]) == [
        "toy plan (2026-11-26T10:00:00Z)",
        "toy plan (2026-11-26T11:00:00Z)",
    ]
