"""The schedules of the ready plans, visit by visit: a change meant not to alter them leaves tests/plans/golden alone.

A file has the passes in order, each with a line a visit; passes that do the same as the one before are one line. Write
them anew with `python tests/plans/test_golden.py`, and look at what git says has changed.
"""

from itertools import groupby
from pathlib import Path

import pytest

from ondevice_sora.plans.plan_file import ready_plans
from ondevice_sora.simulator.prepare import load_inputs, prepare

GOLDEN = Path(__file__).parent / "golden"


def written_out(schedule):
    """A line a visit: the block, its load with how many visits before it may start, its eviction."""
    lines = [f"needed_bytes {schedule.needed_bytes}"]
    passes = []
    for walked in schedule.passes:
        visits = range(walked.first, walked.first + walked.length)
        component = schedule.blocks[schedule.visits[walked.first].block].component
        passes.append((component, schedule.visits[walked.first].step, tuple(_line(schedule, i) for i in visits)))
    for (component, told), group in groupby(passes, key=lambda walked: (walked[0], walked[2])):
        steps = [step for _, step, _ in group]
        lines += ["", f"{component}, step {steps[0]}" + (f" to {steps[-1]}" if len(steps) > 1 else "")]
        lines += [f"    {line}" for line in told]
    return lines


def _line(schedule, index):
    visit = schedule.visits[index]
    block = schedule.blocks[visit.block]
    told = [block.name + (" merging" if block.variant == "tdtm" else "")]
    if visit.loads:
        ahead = "from the start" if visit.gate < 0 else f"{index - 1 - visit.gate} ahead"
        told.append(f"{'cold ' * visit.cold}load {ahead}")
    told += ["first run"] * visit.first_run + ["evict"] * visit.evicts
    return ", ".join(told)


def schedule_of(name):
    return prepare(*load_inputs(name)).schedule


@pytest.mark.parametrize("name", ready_plans())
def test_schedule_is_the_golden_one(name):
    assert written_out(schedule_of(name)) == (GOLDEN / f"{name}.txt").read_text().splitlines()


def test_there_is_no_golden_schedule_of_a_plan_that_is_gone():
    assert {path.stem for path in GOLDEN.iterdir()} == set(ready_plans())


if __name__ == "__main__":
    for plan in ready_plans():
        (GOLDEN / f"{plan}.txt").write_text("\n".join(written_out(schedule_of(plan))) + "\n")
