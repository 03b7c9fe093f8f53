"""The schedules of the ready plans, visit by visit: a change meant not to alter them leaves these digests alone."""

import hashlib
import json
from pathlib import Path

import pytest

from ondevice_sora.plans.schema import load_plan, ready_plans
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.simulator.prepare import prepare, setting_of

GOLDEN = json.loads((Path(__file__).parent / "golden_schedules.json").read_text())


def digest(schedule):
    visits = [[*map(int, visit)] for visit in schedule.visits]
    text = json.dumps([visits, schedule.passes, schedule.needed_bytes, [block.name for block in schedule.blocks]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", ready_plans())
def test_schedule_is_the_golden_one(name):
    plan, document = load_plan(name)
    profile, device = load_profile("iphone15pro")
    assert digest(prepare(plan, document, setting_of(profile, device, plan)).schedule) == GOLDEN[name]
