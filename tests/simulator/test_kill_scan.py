"""A verdict for every plan under every limit, and engine and recurrence agree on it.

Loader and runner may meet the limit in the same moment, which once ended `simulate` in a traceback for a tenth of the
limits below 1 GB.
"""

from dataclasses import replace

import pytest

from ondevice_sora.plans.plan_file import ready_plans
from ondevice_sora.profiles.devices import device_keys
from ondevice_sora.simulator.prepare import load_inputs, prepare
from ondevice_sora.simulator.simulate import simulation_of

MB = 10**6
LIMITS = range(100 * MB, 3_301 * MB, 50 * MB)
FEW = range(100 * MB, 3_301 * MB, 800 * MB)


class Scan:
    """A plan on a device under one limit after another.

    With a limit, `keep: app` and `keep: paper` fill it, so that schedule and peak are those under that limit.
    """

    def __init__(self, plan, device):
        self.loaded, setting = load_inputs(plan, device, memory_limit=max(LIMITS))
        self.prepared = prepare(self.loaded, setting)
        self.known = None

    def is_killed(self, limit):
        """Engine and recurrence have the same total and peak without a limit; with it, the peak decides."""
        prepared = self.prepared.changed(setting=self.setting(limit))
        if self.known is None or self.known[0] != prepared.schedule.visits:
            self.known = prepared.schedule.visits, prepared.play(is_limited=False), prepared.finish()
        _, unlimited, finish = self.known
        assert finish.total_s == pytest.approx(unlimited.total_s, rel=1e-9)
        assert finish.peak_bytes == unlimited.peak_bytes
        assert unlimited.kill is None
        limited = prepared.play()
        assert (limited.kill is not None) == (finish.peak_bytes > limit)
        if limited.kill is None:
            assert limited.total_s == unlimited.total_s
            return False
        assert limited.kill.footprint_bytes > limit == limited.kill.limit_bytes
        assert limited.total_s <= limited.kill.time_s <= unlimited.total_s
        return True

    def assert_an_answer(self, limit, is_killed):
        """What `simulate` says: never a traceback, and the same verdict."""
        result = simulation_of(self.loaded, self.setting(limit)).result
        assert result.verdict == ("killed" if is_killed else "fits")
        assert (result.total_s is None) == (result.killed_by is not None) == is_killed

    def setting(self, limit):
        return replace(self.prepared.setting, limit_bytes=limit)


@pytest.mark.parametrize("plan", ready_plans())
@pytest.mark.parametrize("device", ["iphone15pro", "macm4"])
def test_a_sample_of_limits_has_a_verdict(plan, device):
    scan = Scan(plan, device)
    verdicts = [scan.is_killed(limit) for limit in FEW]
    assert verdicts[0], "of 100 MB the app itself takes most"
    assert verdicts == sorted(verdicts, reverse=True), "a higher limit never kills what a lower one lets live"
    scan.assert_an_answer(FEW[1], verdicts[1])


@pytest.mark.exhaustive
@pytest.mark.parametrize("plan", ready_plans())
@pytest.mark.parametrize("device", device_keys())
def test_every_plan_has_a_verdict_on_every_device_under_every_limit(plan, device):
    scan = Scan(plan, device)
    for number, limit in enumerate(LIMITS):
        is_killed = scan.is_killed(limit)
        if number % 8 == 0:  # the interval takes longer than all the rest
            scan.assert_an_answer(limit, is_killed)


@pytest.mark.parametrize(("plan", "limit"), [("ours-256", 700 * MB), ("app-192", 800 * MB)])
def test_where_both_meet_the_limit_in_one_moment_the_plan_is_killed_once(plan, limit):
    """The limits that ended in a traceback."""
    scan = Scan(plan, "iphone15pro")
    assert scan.is_killed(limit)
    scan.assert_an_answer(limit, True)
