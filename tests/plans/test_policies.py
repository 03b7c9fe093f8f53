"""What stays resident between passes, policy by policy, in bytes that can be checked by hand."""

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.loading import DROP, KEEP, MAY_KEEP, STAY
from ondevice_sora.plans.policies import FirstPass, app_window, flags, flags_after

NAMES = ["input", "a", "b", "output"]
MB = 10**6


def first_pass(available, resident=(100, 100, 100, 100), demand=(210, 210, 210, 110), alone=110, baseline=0):
    return FirstPass(resident, demand, alone, baseline, available)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("none", [DROP] * 4),
        ("belady", [MAY_KEEP] * 4),
        ("always", [STAY] * 4),
        (0, [DROP] * 4),
        (3, [KEEP, KEEP, KEEP, DROP]),
        (("b", "input"), [KEEP, DROP, KEEP, DROP]),
    ],
)
def test_residents_that_the_plan_names(keep, expected):
    assert flags(keep, NAMES) == expected


def test_more_residents_than_blocks_are_refused():
    with pytest.raises(UserError, match=r"components\.denoiser\.keep: 5 blocks cannot be kept: there are 4"):
        flags(5, NAMES, "$.components.denoiser.keep")


def test_a_resident_that_no_block_starts_with_is_refused_with_the_nearest():
    with pytest.raises(
        UserError, match=r"keep\[1\]: no block starts with unit 'outputs'\nDid you mean 'output'"
    ) as error:
        flags(("a", "outputs"), NAMES, "$.keep")
    assert error.value.field == "$.keep[1]"


@pytest.mark.parametrize(("available", "kept"), [(200, 0), (309, 0), (310, 1), (409, 1), (510, 3), (10**9, 4)])
def test_the_paper_keeps_the_first_blocks_that_fit_beside_the_largest_demand(available, kept):
    """The first pass takes 210 at most; what is left of `available` holds so many blocks of 100."""
    assert flags_after("paper", first_pass(available)) == [KEEP] * kept + [DROP] * (4 - kept)


def test_the_paper_stops_at_the_first_block_that_does_not_fit():
    """The third would fit where the second does not: a prefix all the same."""
    assert flags_after("paper", first_pass(400, resident=(100, 200, 50, 50))) == [KEEP, DROP, DROP, DROP]


@pytest.mark.parametrize(("available_mb", "kept"), [(620, 0), (621, 1), (790, 1), (791, 2), (960, 2), (10_000, 2)])
def test_the_app_keeps_from_the_second_block_by_its_170_mb(available_mb, kept):
    """Beside 110 MB of need: while free - 170 > 110 + 340. Its first block and one more are never kept."""
    known = first_pass(available_mb * MB, alone=110 * MB)
    assert flags_after("app", known) == [DROP] + [KEEP] * kept + [DROP] * (3 - kept)


def test_the_app_loads_ahead_in_the_middle_of_a_pass_only():
    assert [app_window(position, 6, 1, True) for position in range(6)] == [0, 0, 1, 1, 1, 0]
    assert [app_window(position, 6, 0, True) for position in range(6)] == [0] * 6, "not in the first denoising step"
    assert [app_window(position, 6, 0, False) for position in range(6)] == [0, 0, 1, 1, 1, 0]
