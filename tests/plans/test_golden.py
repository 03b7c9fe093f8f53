"""The schedules of the ready plans, visit by visit: a change meant not to alter them leaves these digests alone."""

import hashlib
import json
from pathlib import Path

import pytest

from ondevice_sora.plans.schema import ready_plans
from ondevice_sora.simulator.prepare import asked, prepare

GOLDEN = json.loads((Path(__file__).parent / "golden_schedules.json").read_text())


def digest(schedule):
    visits = [[*map(int, visit)] for visit in schedule.visits]
    text = json.dumps([visits, schedule.passes, schedule.needed_bytes, [block.name for block in schedule.blocks]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", ready_plans())
def test_schedule_is_the_golden_one(name):
    assert digest(prepare(*asked(name)).schedule) == GOLDEN[name]
