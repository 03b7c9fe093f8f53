"""What LPL's settings come to is plain numbers, known before a run begins."""

import pytest

from ondevice_sora.plans.leap import PUBLISHED_GPU_CODE, Plateau, resolved
from ondevice_sora.plans.schema import Lpl


@pytest.mark.parametrize(("num_steps", "first"), [(30, 15), (7, 4), (1, 1)])
def test_the_paper_counts_its_first_step_as_a_share_of_the_run_rounded_up(num_steps: int, first: int) -> None:
    assert resolved(Lpl("dynamic", rule="paper"), num_steps) == Plateau(1e-4, 3, first, "whole")


def test_the_gpu_code_does_not() -> None:
    assert {resolved(Lpl("dynamic", rule="gpu_code"), steps) for steps in (16, 30, 100)} == {PUBLISHED_GPU_CODE}
