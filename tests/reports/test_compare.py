"""The comparison of traces."""

from __future__ import annotations

from msgspec.structs import replace

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.compare import CompareRow, compare_rows


def rows_of(traces: list[Trace]) -> dict[tuple[str, str], CompareRow]:
    return {(row.section, row.name): row for row in compare_rows(traces)}


def test_differences_are_from_the_first_trace(trace: Trace, measured: Trace) -> None:
    rows = rows_of([trace, replace(measured, kind="simulated")])
    assert [tuple(cell) for cell in rows["Time", "total"].cells] == [
        ("27.0 s", "", 0),
        ("29.7 s", "+2.70 s (+10 %)", -1),
    ]
    assert [tuple(cell) for cell in rows["Time", "typical step"].cells] == [
        ("4.00 s", "", 0),
        ("4.40 s", "+400 ms (+10.0 %)", -1),
    ]


def test_what_is_many_times_as_much_is_told_in_times(trace: Trace) -> None:
    assert trace.result is not None
    slow = replace(trace, result=replace(trace.result, total_s=2700.0))
    assert rows_of([trace, slow])["Time", "total"].cells[1].difference == "+44 min 33 s (100 times)"
    assert (
        rows_of([slow, trace])["Time", "total"].cells[1].difference == "\N{MINUS SIGN}44 min 33 s (\N{MINUS SIGN}99 %)"
    )


def test_a_risk_is_told_as_the_summary_tells_it(trace: Trace) -> None:
    assert trace.result is not None
    runs = [replace(trace, result=replace(trace.result, kill_share=share)) for share in (0.0, 0.0007, 0.05)]
    assert [tuple(cell) for cell in rows_of(runs)["Memory", "risk of a kill"].cells] == [
        ("0.0 %", "", 0),
        ("under 0.1 %", "same", 0),
        ("5.0 %", "+5.0 points", -1),
    ]


def test_a_measurement_is_neither_better_nor_worse_than_what_was_predicted(trace: Trace, measured: Trace) -> None:
    assert {cell.better for row in compare_rows([trace, measured]) for cell in row.cells} == {0}


def test_the_budget_of_a_measured_run_is_not_its_limit(trace: Trace, measured: Trace) -> None:
    rows = rows_of([trace, replace(measured, limit_bytes=25 * 10**9, budget_bytes=800 * 10**6)])
    assert [cell.value for cell in rows["Memory", "budget of the plan"].cells] == ["800 MB", "800 MB"]
    assert [cell.value for cell in rows["Memory", "limit"].cells] == ["1.00 GB", "25.0 GB"]


def test_simulated_and_measured_are_labelled(trace: Trace, measured: Trace) -> None:
    assert [cell.value for cell in rows_of([trace, measured])["", "Origin"].cells] == ["Simulated", "Measured"]


def test_a_trace_differs_from_itself_in_nothing(trace: Trace) -> None:
    for row in compare_rows([trace, trace]):
        assert row.cells[1].difference in ("", "same")
        assert row.cells[1].better == 0


def test_a_killed_run_has_no_total(trace: Trace, killed: Trace) -> None:
    rows = rows_of([trace, killed])
    assert rows["Time", "total"].cells[1].value == "–"
    assert rows["Time", "total"].cells[1].difference == ""
    assert [cell.value for cell in rows["Time", "killed after"].cells] == ["–", "11.0 s"]
    assert [cell.value for cell in rows["Time", "without a limit"].cells] == ["27.0 s", "27.0 s"]


def test_a_sampled_footprint_stands_beside_the_ledgers(trace: Trace, measured: Trace, sampled: Trace) -> None:
    rows = rows_of([trace, sampled])
    assert [cell.value for cell in rows["Memory", "peak footprint"].cells] == ["610 MB", "610 MB"]
    name = ("Memory", "peak, measured by the system")
    assert [tuple(cell) for cell in rows[name].cells] == [("–", "", 0), ("660 MB", "", 0)]
    assert name not in rows_of([trace, measured])


def test_shares_differ_in_points(trace: Trace) -> None:
    first, *rest = trace.spans
    slower = replace(trace, spans=[replace(first, start_s=-7), *rest], result=None)
    cell = rows_of([trace, slower])["Loading", "hidden behind runs"].cells[1]
    assert tuple(cell) == ("57 %", "−28.6 points", -1)


def test_a_component_that_one_trace_lacks_is_a_dash(trace: Trace) -> None:
    without = replace(trace, spans=[span for span in trace.spans if span.component != "decoder"], result=None)
    assert [cell.value for cell in rows_of([trace, without])["Time", "decoder"].cells] == ["4.00 s", "–"]
