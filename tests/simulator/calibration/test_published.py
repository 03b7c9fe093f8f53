"""The shipped profile meets the published figures, and predicts those it has not seen."""

import pytest

from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.simulator.calibration.published import compare, read_cases


@pytest.fixture(scope="module")
def rows():
    _, cases = read_cases()
    return compare(cases, *load_profile("iphone15pro"))


def test_calibration_figures_are_met_within_five_percent(rows):
    errors = [abs(row.error) for row in rows if row.role == "calibration"]
    assert len(errors) == 13
    assert max(errors) <= 0.05
    assert sum(errors) / len(errors) <= 0.025


def test_the_profile_records_what_the_fit_left_over(rows):
    profile, _ = load_profile("iphone15pro")
    recorded = {(cell.case, cell.quantity): cell.simulated for cell in profile.fit.cells}
    for row in rows:
        if row.role == "calibration":
            assert recorded[(row.case, row.quantity)] == pytest.approx(row.simulated, rel=1e-4)
