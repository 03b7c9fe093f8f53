"""A verdict for every plan under every limit, and engine and recurrence agree on it.

Loader and runner may meet the limit in the same moment, which once ended `simulate` in a traceback for a tenth of the
limits below 1 GB.
"""

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import ready_plans
from ondevice_sora.profiles.devices import device_keys
from ondevice_sora.simulator.prepare import asked, prepare
from ondevice_sora.simulator.simulate import answer

MB = 10**6
LIMITS = range(100 * MB, 3_301 * MB, 50 * MB)
FEW = range(100 * MB, 3_301 * MB, 800 * MB)


def assert_a_verdict(plan, device, limit):
    """Unlimited, engine and recurrence have the same total and peak; limited, the peak decides whether it is killed.

    With a limit, `keep: app` and `keep: paper` fill it: schedule and peak are those of the plan under that limit.
    """
    loaded, setting = asked(plan, device, memory_limit=limit)
    try:
        prepared = prepare(loaded, setting)
    except UserError:
        return None  # refused beforehand: its own budget cannot be kept whatever the limit
    unlimited, finish = prepared.play(is_limited=False), prepared.finish()
    assert finish.total_s == pytest.approx(unlimited.total_s, rel=1e-9)
    assert finish.peak_bytes == unlimited.peak_bytes
    assert unlimited.kill is None
    limited = prepared.play()
    assert (limited.kill is not None) == (finish.peak_bytes > limit)
    if limited.kill is not None:
        assert limited.kill.footprint_bytes > limit == limited.kill.limit_bytes
        assert limited.kill.time_s <= unlimited.total_s
        assert limited.total_s <= limited.kill.time_s
    return limited.kill is not None


def assert_an_answer(plan, device, limit, is_killed):
    """What `simulate` says: never a traceback, and the same verdict."""
    result = answer(*asked(plan, device, memory_limit=limit)).result
    assert result.verdict == ("killed" if is_killed else "fits")
    assert (result.total_s is None) == is_killed
    assert (result.killed_by is not None) == is_killed


@pytest.mark.parametrize("plan", ready_plans())
@pytest.mark.parametrize("device", ["iphone15pro", "macm4"])
def test_a_sample_of_limits_has_a_verdict(plan, device):
    verdicts = [assert_a_verdict(plan, device, limit) for limit in FEW]
    assert verdicts[0], "of 100 MB the app itself takes most"
    assert verdicts == sorted(verdicts, reverse=True), "a higher limit never kills what a lower one lets live"
    assert_an_answer(plan, device, FEW[1], verdicts[1])


@pytest.mark.exhaustive
@pytest.mark.parametrize("plan", ready_plans())
@pytest.mark.parametrize("device", device_keys())
def test_every_plan_has_a_verdict_on_every_device_under_every_limit(plan, device):
    for number, limit in enumerate(LIMITS):
        verdict = assert_a_verdict(plan, device, limit)
        if verdict is not None and number % 5 == 0:  # the interval takes longer than all the rest
            assert_an_answer(plan, device, limit, verdict)


@pytest.mark.parametrize("plan", ["ours-256", "app-192"])
def test_where_both_meet_the_limit_in_one_moment_the_plan_is_killed_once(plan):
    """The limits that ended in a traceback."""
    assert assert_a_verdict(plan, "iphone15pro", {"ours-256": 700, "app-192": 800}[plan] * MB)
