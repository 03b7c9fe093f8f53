"""Predictions of figures that a fit has not seen."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from ondevice_sora.profiles.devices import load_device
from ondevice_sora.records.checks import PublishedRow
from ondevice_sora.simulator.calibration.published import (
    PlannedCase,
    planned_gains,
    prepare_published,
    read_cases,
    rows_document,
)

pytest.importorskip("scipy", reason="fitting needs SciPy")

from ondevice_sora.simulator.calibration.left_out import LeaveOut

FILE, CASES = read_cases()
DEVICE = load_device("iphone15pro")


@pytest.fixture(scope="module")
def fits() -> LeaveOut:
    return LeaveOut(DEVICE, CASES)


@pytest.fixture(scope="module")
def by_run(fits: LeaveOut) -> list[PublishedRow]:
    return fits.rows("run")


def case_number(name: str) -> int:
    return [planned.case.name for planned in CASES].index(name)


def with_published(number: int, factor: float) -> list[PlannedCase]:
    """The cases with the figures of one multiplied."""
    planned = CASES[number]
    figures = tuple(
        (index, msgspec.structs.replace(figure, published=figure.published * factor))
        for index, figure in planned.figures
    )
    return [*CASES[:number], replace(planned, figures=figures), *CASES[number + 1 :]]


def test_a_run_is_left_out_with_all_its_figures(fits: LeaveOut) -> None:
    groups = {group.name: group.places for group in fits.groups("run")}
    number = case_number("256x256, CI-DL")
    assert groups["256x256, CI-DL"] == {(number, 0), (number, 1)}
    assert sum(map(len, groups.values())) == 13
    assert not any(name.startswith("figure") for name in groups), "context is never fitted, so never left out"


def test_a_technique_is_left_out_with_all_runs_that_use_it(fits: LeaveOut) -> None:
    groups = {group.name: {CASES[number].case.name for number, _ in group.places} for group in fits.groups("technique")}
    assert groups == {
        "LPL": {"192x192, LPL", "256x256, LPL"},
        "TDTM": {"192x192, TDTM", "256x256, TDTM"},
        "CI-DL": {"256x256, CI-DL"},
    }


def test_a_prediction_does_not_depend_on_what_is_left_out(fits: LeaveOut) -> None:
    number = case_number("256x256, LPL")
    (places,) = (group.places for group in fits.groups("run") if group.name == "256x256, LPL")
    others = LeaveOut(DEVICE, with_published(number, 3.0))
    assert others.start != pytest.approx(fits.start, rel=1e-2), "a fit that sees the run does depend on it"
    before, after = (
        prepare_published(CASES[number].plan, each.profile(places), DEVICE).finish().total_s for each in (fits, others)
    )
    assert after == pytest.approx(before, rel=1e-4)


def test_every_figure_is_predicted_once_with_its_interval(by_run: list[PublishedRow]) -> None:
    assert len(by_run) == 13
    for row in by_run:
        assert row.left_out == row.case
        assert row.interval is not None
        assert row.interval[0] < row.simulated < row.interval[1]


def test_what_runs_are_predicted_to_take(by_run: list[PublishedRow]) -> None:
    errors = [abs(row.error) for row in by_run]
    assert sum(errors) / len(errors) <= 0.04
    assert max(errors) <= 0.08


def test_a_gain_is_predicted_without_the_run_that_shows_it(fits: LeaveOut) -> None:
    gains = {row.technique: row for row in fits.gains(planned_gains(FILE, CASES))}
    assert list(gains) == ["LPL", "TDTM", "CI-DL"]
    for row in gains.values():
        assert row.interval[0] < row.simulated < row.interval[1]
        assert row.error == pytest.approx(row.simulated / row.published - 1)
    number = case_number("256x256, CI-DL")
    (other,) = LeaveOut(DEVICE, with_published(number, 3.0)).gains(planned_gains(FILE, CASES)[2:])
    assert other.simulated == pytest.approx(gains["CI-DL"].simulated, rel=1e-3)


def test_coverage_is_the_share_of_figures_in_their_interval() -> None:
    row = PublishedRow("a", "total_s", "", "held_out", 10.0, 9.0, -0.1, (8.0, 11.0))
    outside = msgspec.structs.replace(row, interval=(8.0, 9.9))
    without = msgspec.structs.replace(row, interval=None)
    assert rows_document([row, outside, without])["summary"]["held_out"]["coverage"] == 0.5
