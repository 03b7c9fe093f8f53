"""Where a prediction is off: rows that add up, and a section that stands only where there is a prediction."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ondevice_sora.records.trace import Span, Trace
from ondevice_sora.reports.page.report import render
from ondevice_sora.reports.prediction import prediction_of


@pytest.fixture
def happened(trace: Trace) -> Trace:
    """The toy generation with its third run 1.5 s longer and everything after it later; no result, as measured."""
    slow = trace.spans.index(next(span for span in trace.spans if span.action == "run" and span.block == "b"))
    moved = [later(span, 1.5 if number > slow else 0.0) for number, span in enumerate(trace.spans)]
    moved[slow] = replace(moved[slow], end_s=moved[slow].end_s + 1.5)
    return replace(trace, kind="measured", spans=moved, result=None)


def later(span: Span, seconds: float) -> Span:
    return replace(span, start_s=span.start_s + seconds, end_s=span.end_s + seconds)


def test_the_parts_add_up_to_the_totals_difference(trace: Trace, happened: Trace) -> None:
    found = prediction_of([trace, happened])
    assert found is not None
    assert found.total.off_s == pytest.approx(-1.5)
    assert sum(part.off_s for part in found.parts) == pytest.approx(-1.5)
    assert found.error == pytest.approx(-1.5 / 28.5)


def test_the_block_that_took_longer_is_named(trace: Trace, happened: Trace) -> None:
    found = prediction_of([happened, trace])
    assert found is not None
    assert found.simulated is trace
    off = {(block.block, block.variant): block for block in found.blocks if abs(block.off_s) > 1e-9}
    assert list(off) == [("b", "plain")]
    assert off["b", "plain"].run.off_s == pytest.approx(-1.5)
    assert off["b", "plain"].num_runs == 4


def test_waiting_is_the_block_s_that_was_waited_for(trace: Trace) -> None:
    """The first load takes a second longer: the run after it waits for it, nothing else changes."""
    delayed = [replace(trace.spans[0], end_s=3.0), *(later(span, 1.0) for span in trace.spans[1:])]
    found = prediction_of([trace, replace(trace, kind="measured", spans=delayed, result=None)])
    assert found is not None
    waits = {block.block: block.wait.off_s for block in found.blocks}
    assert waits == pytest.approx({"encode": -1.0, "a": 0.0, "b": 0.0, "decode": 0.0})
    loads = {block.block: block.load.off_s for block in found.blocks}
    assert loads == pytest.approx({"encode": -1.0, "a": 0.0, "b": 0.0, "decode": 0.0})


def test_only_one_prediction_and_one_measurement_of_one_plan_are_compared(trace: Trace, happened: Trace) -> None:
    assert prediction_of([trace, trace]) is None
    assert prediction_of([trace]) is None
    assert prediction_of([trace, replace(happened, plan="another")]) is None
    assert prediction_of([trace, happened, happened]) is None


def test_a_phone_s_prediction_is_not_judged_by_a_computer_that_plays_its_export(trace: Trace, happened: Trace) -> None:
    phone = replace(trace, device="iPhone 15 Pro")
    assert prediction_of([phone, replace(happened, device="this computer, reference executor")]) is None
    assert prediction_of([phone, replace(happened, device="iPhone 15 Pro")]) is not None
    assert prediction_of([phone, replace(happened, device="iPhone16,1")]) is not None
    assert prediction_of([phone, replace(happened, device="iPhone14,5")]) is None
    assert prediction_of([replace(trace, device="this machine (x86_64)"), replace(happened, device="host")]) is not None


def test_the_page_says_how_far_the_prediction_is_off(trace: Trace, happened: Trace) -> None:
    page = render([trace, happened])
    assert "How far the prediction is off" in page
    assert "Most of the difference is running (1.50\u00a0s too little); of all blocks" in page
    assert "How far the prediction is off" not in render([trace, replace(happened, plan="another")])


def test_a_perfect_prediction_is_the_same(trace: Trace) -> None:
    assert "Predicted and measured are the same." in render([trace, replace(trace, kind="measured", result=None)])
