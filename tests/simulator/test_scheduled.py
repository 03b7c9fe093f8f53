"""schedule.json is the schedule that is simulated: every visit of it, its memory to the byte, its seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from worlds.schedule_files import made, made_at_random

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.leap import Curvature, Fixed, Never, Plateau
from ondevice_sora.plans.plan_file import LoadedPlan, load_plan, ready_plans
from ondevice_sora.plans.played import Played, played
from ondevice_sora.plans.schedule_file import read_schedule
from ondevice_sora.plans.schema import ComponentPlan, Lpl, Plan, Sampler, plan_hash
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.prepare import Prepared, load_inputs, prepare


def check(prepared: Prepared, found: Played) -> None:
    schedule, memory = prepared.schedule, prepared.machine.memory
    assert found.schedule.visits == schedule.visits
    assert found.schedule.passes == schedule.passes
    assert found.schedule.columns == schedule.columns
    assert found.schedule.held == schedule.held
    assert [each.processor for each in found.schedule.blocks] == [each.processor for each in schedule.blocks]
    assert found.file.memory == memory
    simulated = prepared.play(is_limited=False)
    again = play(found.schedule, found.costs, prepared.machine, is_limited=False)
    assert again.peak_bytes == simulated.peak_bytes == found.file.predicted.peak_bytes
    assert again.total_s == simulated.total_s == found.file.predicted.total_s
    assert again.memory == simulated.memory
    assert again.peak_bytes <= found.schedule.needed_bytes
    if (budget := prepared.plan.memory.budget) is not None:
        assert found.schedule.needed_bytes <= budget


@pytest.mark.parametrize("name", ready_plans())
def test_of_every_ready_plan_it_is_what_simulate_plays(name: str, tmp_path: Path) -> None:
    loaded = load_plan(name)
    prepared, found = made(loaded, tmp_path / "schedule.json")
    check(prepared, found)
    assert prepared.schedule.visits == prepare(*load_inputs(loaded)).schedule.visits
    assert all(size > 0 for size in found.costs.working_bytes)


@pytest.mark.parametrize("seed", range(200))
def test_of_random_plans_too(seed: int, tmp_path: Path) -> None:
    for prepared, found in made_at_random(seed, tmp_path):
        check(prepared, found)


@pytest.mark.parametrize(
    ("lpl", "leap"),
    [
        (Lpl(), Never()),
        (Lpl("fixed", leap_step=3), Fixed(3)),
        (Lpl("dynamic", rule="paper"), Plateau(1e-4, 3, 4, "whole")),
        (Lpl("dynamic", rule="gpu_code"), Plateau(1e-3, 3, 14, "slice")),
        (Lpl("dynamic", rule="curvature", accepted_error=0.05), Curvature(0.05, bend=False)),
        (Lpl("dynamic", rule="bent_curvature", accepted_error=0.05), Curvature(0.05, bend=True)),
    ],
)
def test_the_leap_is_resolved(lpl: Lpl, leap: object, tmp_path: Path) -> None:
    """Half of seven steps is rounded up; under a dynamic rule every step is scheduled, for the video decides."""
    plan = Plan("leaping", "small", sampler=Sampler(steps=7), lpl=lpl)
    _, found = made(LoadedPlan(plan), tmp_path / "schedule.json")
    assert found.file.leap == leap
    steps = [each.step for each in found.file.passes if each.component == "denoiser"]
    assert steps == list(range(4 if lpl.mode == "fixed" else 7))


def test_a_leap_with_probabilities_alone_cannot_be_played(tmp_path: Path) -> None:
    plan = Plan("leaping", "small", sampler=Sampler(steps=7), lpl=Lpl("dynamic", stop_steps={4: 1.0}))
    with pytest.raises(UserError, match="no rule to generate with"):
        made(LoadedPlan(plan), tmp_path / "schedule.json")


SMALL = Plan("little", "small", sampler=Sampler(steps=2))


def torn(data: dict[str, Any]) -> None:
    """The text encoder once more, at the end."""
    last = {**data["passes"][0], "step": 1, "first": len(data["visits"])}
    data["passes"].append(last)
    data["visits"] += [[*visit[:1], 1, *visit[2:]] for visit in data["visits"][: last["length"]]]


def too_early(data: dict[str, Any]) -> None:
    """A block of the denoiser's second step is loaded whatever is in memory."""
    row = data["passes"][2]["first"]
    data["visits"][row][5] = -1


BAD: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda data: data["visits"][3].__setitem__(5, 3), r"visits\[3\].*gate 3 does not lie before it"),
    (lambda data: data["visits"][3].__setitem__(5, -2), r"visits\[3\]\[5\]"),
    (lambda data: data["visits"][1].__setitem__(0, 999), r"visits\[1\].*no block has the number 999"),
    (
        lambda data: data["visits"][-1].__setitem__(0, 0),
        r"visits\[\d+\].*of text_encoder, step \d+, in pass \d+ of decoder",
    ),
    (lambda data: data["visits"][1].__setitem__(0, 0), r"visits\[1\].*block 0 where block 1 comes next"),
    (lambda data: data["visits"][1].__setitem__(2, False), r"visits\[1\].*is not in memory here"),
    (lambda data: data["visits"].pop(), r"passes"),
    (lambda data: data["passes"][1].__setitem__("first", 2), r"passes\[1\].*follow each other"),
    (lambda data: data["passes"].pop(), r"passes"),
    (lambda data: data["blocks"].append(data["blocks"][0]), r"blocks\[\d+\].*stands twice"),
    (
        lambda data: data["blocks"][-1].__setitem__("package", data["blocks"][0]["package"]),
        r"blocks\[\d+\].*package text_encoder\.000\.mlpackage is of text_encoder as well",
    ),
    (torn, r"passes\[\d+\].*the passes of text_encoder do not stand together"),
    (too_early, r"visits\[\d+\].*its gate -1 does not wait for visit \d+, which evicts package denoiser"),
    (lambda data: data["blocks"][0].__setitem__("package", "../x.mlpackage"), r"blocks\[0\]\.package"),
    (lambda data: data["blocks"][0].__setitem__("package", "/x.mlpackage"), r"blocks\[0\]\.package"),
    (lambda data: data.__setitem__("held", [0, 0]), r"held.*different packages"),
    (lambda data: data.__setitem__("budget_bytes", 5), r"needed_bytes.*more than the budget"),
    (lambda data: data.__setitem__("surprise", 5), r"surprise"),
    (lambda data: data.pop("leap"), r"leap"),
    (lambda data: data.__setitem__("format", "ondevice-sora-schedule-9"), r"format"),
]


@pytest.mark.parametrize(("spoil", "complaint"), BAD)
def test_what_cannot_be_played_is_refused_where_it_stands(
    spoil: Callable[[dict[str, Any]], object], complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "schedule.json"
    made(LoadedPlan(SMALL), path)
    data = json.loads(path.read_text())
    spoil(data)
    path.write_text(json.dumps(data))
    with pytest.raises(UserError) as caught:
        read_schedule(path)
    assert str(path) in str(caught.value)
    assert caught.match(complaint)


def test_a_truncated_schedule_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    made(LoadedPlan(SMALL), path)
    path.write_text(path.read_text()[:-200])
    with pytest.raises(UserError, match=r"schedule\.json.*not valid JSON"):
        read_schedule(path)


@pytest.mark.parametrize(
    "other",
    [
        replace(SMALL, name="another"),
        replace(SMALL, sampler=Sampler(steps=3)),
        replace(SMALL, components={"denoiser": ComponentPlan(blocks="whole")}),
    ],
)
def test_another_plans_schedule_is_refused(other: Plan, tmp_path: Path) -> None:
    """By its hash; a hash that is set right by hand meets blocks and passes that are not the plan's."""
    path = tmp_path / "schedule.json"
    prepared, found = made(LoadedPlan(SMALL), path)
    reference = prepared.described.reference
    with pytest.raises(UserError, match="of another plan: 'little'"):
        played(found.file, other, prepared.model, reference)
    if other.name == SMALL.name:
        with pytest.raises(UserError, match=r"which the plan does not have|passes are not those"):
            played(replace(found.file, plan_sha256=plan_hash(other)), other, prepared.model, reference)


def test_a_lane_that_the_plan_does_not_allow_is_refused(tmp_path: Path) -> None:
    prepared, found = made(LoadedPlan(SMALL), tmp_path / "schedule.json")
    blocks = (replace(found.file.blocks[0], lane="ane"), *found.file.blocks[1:])
    with pytest.raises(UserError, match="on the lane ane; the plan has gpu"):
        played(replace(found.file, blocks=blocks), SMALL, prepared.model, prepared.described.reference)
