"""The sentence that a comparison begins with."""

from __future__ import annotations

from msgspec.structs import replace

from ondevice_sora.records.provenance import Provenance
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.headline import headline


def in_seconds(trace: Trace, total_s: float) -> Trace:
    """The same run, simulated in so many seconds."""
    assert trace.result is not None
    return replace(trace, result=replace(trace.result, total_s=total_s))


def test_it_says_which_run_is_faster_by_how_much_and_what_that_costs(trace: Trace) -> None:
    fast = replace(in_seconds(trace, 20.0), memory=trace.memory[:2])
    assert headline([trace, fast], "AB") == (
        "B is faster",
        "It takes 20.0 s, 7.00 s (26 %) less than A, and needs 160 MB less memory, 450 MB.",
    )


def test_of_several_the_fastest_stands_beside_the_next(trace: Trace) -> None:
    found = headline([trace, in_seconds(trace, 18.0), in_seconds(trace, 20.0)], "ABC")
    assert found == (
        "B is fastest",
        "It takes 18.0 s, 2.00 s (10 %) less than C, and needs as much memory, 610 MB.",
    )


def test_runs_that_are_killed_are_named(trace: Trace, killed: Trace) -> None:
    assert headline([killed, trace], "AB") == ("Only B fits", "It takes 27.0 s. A would be killed.")
    assert headline([killed, killed], "AB") == ("No run fits", "All 2 cross the memory limit.")


def test_the_fastest_is_not_praised_if_it_is_too_risky(trace: Trace) -> None:
    fast = in_seconds(trace, 20.0)
    assert fast.result is not None
    risky = replace(fast, result=replace(fast.result, kill_share=0.09))
    assert headline([trace, risky], "AB").words == "B is faster, but too risky"
    assert headline([trace, fast], "AB").words == "B is faster"


def test_times_of_different_videos_are_not_set_against_each_other_without_a_word(trace: Trace) -> None:
    small, large = (
        replace(in_seconds(trace, total_s), provenance=Provenance("", "", "", plan=f"video: {{width: {width}}}"))
        for total_s, width in ((20.0, 192), (27.0, 256))
    )
    assert headline([small, large], "AB").sentence.endswith(
        "Not all make a video of the same shape: compare the times of those that do."
    )
    assert "shape" not in headline([small, small], "AB").sentence


def test_runs_of_one_length_are_told_as_equal(trace: Trace) -> None:
    assert headline([trace, trace], "AB").words == "Both take 27.0 s"
    found = headline([trace, in_seconds(trace, 20.0), in_seconds(trace, 20.001)], "ABC")
    assert found == ("B and C are equally fast", "Both take 20.0 s, 7.00 s (26 %) less than A.")


def test_a_prediction_is_held_against_its_interval(trace: Trace, measured: Trace) -> None:
    assert headline([trace, measured], "AB") == (
        "Predicted 9.1 % too little",
        "Predicted 27.0 s, measured 29.7 s. That is inside the predicted 90 % interval, 25.0 s to 30.0 s.",
    )
    slower = replace(measured, spans=[replace(span, end_s=span.end_s * 1.1) for span in measured.spans])
    assert "That is outside the predicted 90 % interval" in headline([slower, trace], "AB").sentence
    assert headline([trace, measured, slower], "ABC").sentence == (
        "Predicted 27.0 s, measured 29.7 s to 32.7 s in 2 runs. 1 of 2 lie in the predicted 90 % interval, "
        "25.0 s to 30.0 s."
    )


def test_a_measured_peak_is_set_beside_the_predicted_one(trace: Trace, sampled: Trace) -> None:
    assert headline([trace, sampled], "AB").sentence.endswith("Peak: predicted 610 MB, measured 660 MB at most.")


def test_runs_that_say_nothing_about_each_other_are_not_ranked(trace: Trace, measured: Trace) -> None:
    assert headline([trace, replace(measured, plan="another")], "AB").words == "2 runs side by side"
