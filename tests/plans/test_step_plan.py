"""Step plans: lists of times, whatever they are called; what is no such list is refused in one message."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.reading import parse_yaml
from ondevice_sora.plans.checks import check_plan
from ondevice_sora.plans.plan_file import read_plan
from ondevice_sora.plans.schema import Lpl, Plan, Sampler, plan_data
from ondevice_sora.plans.step_file import FORMAT, PlannedGrid, StepFile, read_steps, write_steps
from ondevice_sora.plans.step_plan import Grid, check_grid, grid_times
from ondevice_sora.simulator.prepare import load_inputs, prepare

EVEN = tuple(1000 * (1 - step / 30) for step in range(30))
HASH = "a" * 64


def plan_of(text: str, model: str = "opensora", path: Path = Path("plan.yaml")) -> Plan:
    return read_plan(parse_yaml(f"name: test\nmodel: {model}\n{text}", path)).plan


@pytest.mark.parametrize(
    ("grid", "evaluations"),
    [
        ("even", 30),
        ("{shift: 3}", 30),
        ("{power: 1.5}", 30),
        ("{times: [1000, 400.5, 20]}", 3),
        ("{indices: [0, 1, 5, 29]}", 4),
    ],
)
def test_the_schedule_has_a_pass_of_the_denoiser_for_each_time(grid: str, evaluations: int, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(f"extends: app-256\nname: test\nsampler: {{grid: {grid}}}\n")
    prepared = prepare(*load_inputs(path))
    plan, schedule = prepared.plan, prepared.schedule
    assert plan.evaluations() == plan.most_evaluations() == evaluations
    passes = [schedule.blocks[schedule.visits[walk.first].block].component for walk in schedule.passes]
    assert passes.count("denoiser") == evaluations
    assert len(grid_times(plan.sampler.grid, EVEN)) == evaluations


def test_every_shift_begins_at_noise_however_it_rounds() -> None:
    assert {grid_times(Grid(shift=ratio / 20), [1000.0])[0] for ratio in range(1, 401)} == {1000.0}


def test_times_are_by_their_formulas() -> None:
    """Formulas without a source are those of the methods' definition: see Grid."""
    assert grid_times("even", EVEN) == EVEN
    assert grid_times(Grid(indices=(0, 4, 29)), EVEN) == (EVEN[0], EVEN[4], EVEN[29])
    assert grid_times(Grid(times=(1000.0, 12.5)), EVEN) == (1000.0, 12.5)
    half = grid_times(Grid(shift=2.236), EVEN)[15]
    assert half == pytest.approx(1000 * 2.236 * 0.5 / (1 + 1.236 * 0.5))
    assert grid_times(Grid(power=2.0), EVEN)[15] == pytest.approx(750)


@pytest.mark.parametrize("grid", [Grid(shift=0.05), Grid(shift=20.0), Grid(power=0.2), Grid(power=5.0)])
@pytest.mark.parametrize("steps", [1, 2, 30, 1000])
def test_every_formula_descends_from_noise(grid: Grid, steps: int) -> None:
    times = grid_times(grid, [0.0] * steps)
    assert times[0] == pytest.approx(1000)
    assert all(0 < later < earlier for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", r"3: sampler.grid: says none of shift, power, times, indices, planned"),
        ("{shift: 2, power: 2}", r"sampler.grid: says both shift and power.*`shift: null`"),
        ("{shift: 0}", r"sampler.grid.shift: expected a number >= 0.05"),
        ("{shift: 2, denoiser: " + HASH + "}", r"denoiser: has no effect without indices"),
        ("{times: []}", r"sampler.grid.times: expected a list of length >= 1"),
        ("{times: [900, 500]}", r"the first time is 900, and noise is at 1000"),
        ("{times: [1000, 500, 500]}", r"sampler.grid.times\[2\]: time 500 does not lie below 500, the one before"),
        ("{times: [1000, 500, 600]}", r"sampler.grid.times\[2\]: time 600 does not lie below 500"),
        ("{times: [1000, 500, 0]}", r"sampler.grid.times\[2\]: 0 is the end"),
        ("{times: [1000, .nan]}", r"nan is not a finite number"),
        ("{times: [" + ", ".join(["1"] * 1001) + "]}", r"sampler.grid.times: expected a list of length <= 1000"),
        ("{indices: [1, 2]}", r"the first index is 1.*Begin with 0"),
        ("{indices: [0, 2, 2]}", r"index 2 does not lie above 2, the one before"),
        ("{indices: [0, 30]}", r"index 30 lies beyond the 30 steps.*from 0 to 29"),
        ("{indices: []}", r"sampler.grid.indices: expected a list of length >= 1"),
        ("{planned: {evaluations: 8}}", r"no planned grids ship for the model 'opensora'.*steps plan"),
        ("odd", r"sampler.grid: "),
    ],
)
def test_what_is_no_grid_is_refused_in_one_message(text: str, message: str) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        plan_of(f"sampler: {{grid: {text}}}")


def test_a_number_that_is_none_is_refused_in_a_plan_made_by_a_program_too() -> None:
    with pytest.raises(UserError, match="time nan does not lie below 1000"):
        check_grid(Grid(times=(1000.0, math.nan)), 30)


def test_lpl_leaps_along_eulers_step_and_beyond_no_evaluation_of_its_grid() -> None:
    plan = Plan("x", "opensora", lpl=Lpl("fixed", leap_step=3))
    check_plan(msgspec.structs.replace(plan, sampler=Sampler(grid=Grid(indices=(0, 1, 2, 9)))))
    with pytest.raises(UserError, match="leap step 3 lies beyond the 3 steps"):
        check_plan(msgspec.structs.replace(plan, sampler=Sampler(grid=Grid(indices=(0, 1, 2)))))
    with pytest.raises(UserError, match="LPL leaps along the last drift"):
        check_plan(msgspec.structs.replace(plan, sampler=Sampler(solver="ab2")))


@pytest.mark.parametrize(
    ("text", "dots"),
    [
        ("sampler: {steps: 5}", "+++++"),
        ("sampler: {steps: 5}\nlpl: {mode: fixed, leap_step: 1}", "++..."),
        ("sampler: {steps: 6, grid: {indices: [0, 1, 4]}}", "++..+."),
        ("sampler: {steps: 6, grid: {indices: [0, 1, 4]}}\nlpl: {mode: fixed, leap_step: 1}", "++...."),
        ("sampler: {steps: 6, grid: {times: [1000, 5]}}", "++"),
        ("sampler: {steps: 4}\nlpl: {mode: dynamic, stop_steps: {0: 0.2, 2: 0.8}}", "+++."),
    ],
)
def test_every_plan_is_one_row_of_dots(text: str, dots: str) -> None:
    assert "".join("+" if made else "." for made in plan_of(text).evaluated_steps()) == dots


# Planned grids


def a_file(model: str = "small", steps: int = 4) -> StepFile:
    front = tuple(PlannedGrid(n, 1 / n, tuple(range(n))) for n in range(1, steps + 1))
    times = tuple(1000 * (1 - step / steps) for step in range(steps))
    return StepFile(FORMAT, model, HASH, steps, 2.5, 1, times, front)


def test_a_planned_grid_is_looked_up_beside_its_plan_and_is_indices_from_then_on(tmp_path: Path) -> None:
    write_steps(tmp_path / "grids.json", a_file())
    (tmp_path / "base.yaml").write_text(
        "name: b\nmodel: small\nsampler: {steps: 4, grid: {planned: {evaluations: 3, from: grids.json}}}\n"
    )
    (tmp_path / "below").mkdir()
    path = tmp_path / "below" / "plan.yaml"
    path.write_text("extends: ../base.yaml\nname: derived\n")
    plan = load_inputs(path)[0].plan
    assert plan.sampler.grid == Grid(indices=(0, 1, 2), denoiser=HASH)
    assert plan.evaluations() == 3
    assert plan_data(plan)["sampler"]["grid"] == {"indices": (0, 1, 2), "denoiser": HASH}


@pytest.mark.parametrize(
    ("text", "file", "message"),
    [
        ("{evaluations: 3, from: grids.json}", a_file("other"), "grids of the model 'other'; the plan's is 'small'"),
        ("{evaluations: 3, from: grids.json}", a_file(steps=5), "grids of 5 steps; the plan has 4.*steps: 5"),
        ("{evaluations: 5, from: grids.json}", a_file(), "5 evaluations; grids.json has grids of 1 to 4"),
        ("{evaluations: 3, from: nothing.json}", a_file(), "nothing.json: no such file"),
        ("{evaluations: 3}", a_file(), r"small.json has grids of 30 steps; the plan has 4"),
    ],
)
def test_a_file_that_does_not_go_with_the_plan_is_refused(
    text: str, file: StepFile, message: str, tmp_path: Path
) -> None:
    write_steps(tmp_path / "grids.json", file)
    with pytest.raises(UserError, match=f"(?s){message}"):
        plan_of(f"sampler: {{steps: 4, grid: {{planned: {text}}}}}", "small", tmp_path / "plan.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"steps":4', '"steps":5', "4 times of 5 steps"),
        ('"indices":[0,1,2]', '"indices":[0,2,1]', r"front\[2\].indices\[2\]: index 1 does not lie above 2"),
        ('"indices":[0,1,2]', '"indices":[0,1]', r"front\[2\].indices: 2 indices of 3 evaluations"),
        ('"indices":[0,1,2]', '"indices":[0,1,4]', "index 4 lies beyond the 4 steps"),
        ('"evaluations":3', '"evaluations":4', "needed are the grids of 1 to 4 evaluations"),
        (f'"{FORMAT}"', '"ondevice-sora-steps-0"', "format 'ondevice-sora-steps-0' is not"),
    ],
)
def test_a_file_that_has_been_tampered_with_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "grids.json"
    write_steps(path, a_file())
    text = path.read_text().replace('": ', '":')
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message):
        read_steps(path)


def test_a_file_survives_a_round_trip(tmp_path: Path) -> None:
    write_steps(tmp_path / "grids.json", a_file())
    assert read_steps(tmp_path / "grids.json") == a_file()
