"""The search over evaluations, precisions and compute units, and plans held to the doubt that is accepted."""

from __future__ import annotations

import random
from dataclasses import replace as changed
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from worlds.brute_force import WINDOWS, brute_force
from worlds.instances import instance

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.plans.schema import ComponentPlan, Lpl, Plan, Sampler, Tdtm
from ondevice_sora.plans.step_file import FORMAT, PlannedGrid, StepFile
from ondevice_sora.plans.step_plan import Grid
from ondevice_sora.profiles.costs import figures, replace_figures
from ondevice_sora.profiles.models.model import Unit, Work
from ondevice_sora.records.search import RefusedVariant, VariantPoint
from ondevice_sora.simulator.prepare import Described, Setting, model_of, prepare, ready
from ondevice_sora.simulator.risk import kill_risk
from ondevice_sora.simulator.search import search as search_module
from ondevice_sora.simulator.search import variants as variants_module
from ondevice_sora.simulator.search.budget import budget_for
from ondevice_sora.simulator.search.comparison import Goal, find_plan_for
from ondevice_sora.simulator.search.problem import problem_of
from ondevice_sora.simulator.search.smallest import smallest_budget
from ondevice_sora.simulator.search.variants import Freedoms, search_variants, with_evaluations

PROBLEMS = 200


@pytest.mark.parametrize("seed", range(12))
def test_each_number_of_evaluations_has_its_own_optimum(seed: int, tmp_path: Path, monkeypatch) -> None:
    """Against every plan there is of each number, played by the engine."""
    problem = instance(seed, tmp_path, most_units=3)
    plan = replace(problem.plan, tdtm=Tdtm())
    setting, counts = problem.places[0].setting, (3, 1, 2, 5)
    search = search_module.search
    monkeypatch.setattr(
        variants_module, "search", lambda *asked, **settings: search(*asked, windows=WINDOWS, **settings)
    )
    budget = problem.budget
    points = list(search_variants(LoadedPlan(plan), [setting], budget, Freedoms(counts), most_doubt=1.0))
    assert [point.evaluations for point in points] == list(counts)
    for point in points:
        alone = with_evaluations(plan, point.evaluations, None)
        best = brute_force(problem_of(alone, model_of(LoadedPlan(alone)), [setting], budget))
        assert point.total_s == pytest.approx(best, rel=1e-9)
        assert point.gap == 0.0
        assert point.peak_bytes <= budget


@pytest.mark.parametrize("seed", range(6))
def test_each_precision_and_each_choice_of_compute_units_has_its_own_optimum(
    seed: int, tmp_path: Path, monkeypatch
) -> None:
    problem = instance(seed, tmp_path, most_units=3)
    plan = replace(problem.plan, tdtm=Tdtm())
    setting, budget = problem.places[0].setting, 2 * problem.budget
    search = search_module.search
    monkeypatch.setattr(
        variants_module, "search", lambda *asked, **settings: search(*asked, windows=WINDOWS, **settings)
    )
    freedoms = Freedoms(
        precision={"denoiser": ("float32", "float16")}, compute_units={"denoiser": ("cpu_only", "cpu_and_gpu")}
    )
    points = list(search_variants(LoadedPlan(plan), [setting], budget, freedoms, most_doubt=1.0))
    chosen = [(point.precision["denoiser"], point.compute_units["denoiser"]) for point in points]
    components = [
        ComponentPlan(precision=precision, compute_units=units)
        for precision in ("float32", "float16")
        for units in ("cpu_only", "cpu_and_gpu")
    ]
    assert chosen == [(each.precision, each.compute_units) for each in components]
    for point, component in zip(points, components, strict=True):
        alone = replace(plan, components={**plan.components, "denoiser": component})
        best = brute_force(problem_of(alone, model_of(LoadedPlan(alone)), [setting], budget))
        assert point.total_s == pytest.approx(best, rel=1e-9)
        assert sum(point.share_by_mark.values()) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(8))
def test_each_way_to_compute_the_branches_has_its_own_optimum(seed: int, tmp_path: Path, monkeypatch) -> None:
    """Where they take turns blocks do twice the work of a half, with half the memory and what waits."""
    problem = instance(seed, tmp_path, most_units=3)
    plan = replace(problem.plan, tdtm=Tdtm())
    setting, search = problem.places[0].setting, search_module.search

    def turned(unit: Unit) -> Unit:
        work = unit.plain
        half = {
            name: getattr(work, name) / 2 for name in work.__struct_fields__ if name not in ("runs", "token_merges")
        }
        return replace(unit, plain=Work(**half).in_turn(2, work.working_elements / 20), tdtm=None)

    def model_of_branches(loaded: LoadedPlan) -> Described:
        sampler = loaded.plan.sampler
        batch, reference = model_of(loaded.changed(sampler=replace(sampler, branches="batch")))
        if sampler.branches == "batch":
            return Described(batch, reference)
        components = [
            replace(each, units=tuple(map(turned, each.units))) if each.passes == "steps" else each
            for each in batch.components
        ]
        return Described(replace(batch, components=tuple(components)), reference)

    monkeypatch.setattr(variants_module, "model_of", model_of_branches)
    monkeypatch.setattr(
        variants_module, "search", lambda *asked, **settings: search(*asked, windows=WINDOWS, **settings)
    )
    freedoms = Freedoms((2, 3), branches=("batch", "in_turn"))
    points = list(search_variants(LoadedPlan(plan), [setting], problem.budget, freedoms, most_doubt=1.0))
    assert [(point.branches, point.evaluations) for point in points] == [
        ("batch", 2), ("batch", 3), ("in_turn", 2), ("in_turn", 3),
    ]  # fmt: skip
    for point in points:
        alone = with_evaluations(plan, point.evaluations, None)
        alone = replace(alone, sampler=replace(alone.sampler, branches=point.branches))
        best = brute_force(problem_of(alone, model_of_branches(LoadedPlan(alone)), [setting], problem.budget))
        assert point.total_s == pytest.approx(best, rel=1e-9)
        assert point.plan["sampler"].get("branches", "batch") == point.branches


def test_branches_of_what_ships_take_turns_in_less_memory_and_with_fewer_loads() -> None:
    """Eight evaluations at 256x256: half the denoiser's working memory and a twentieth. More blocks stay resident."""
    loaded = load_plan("steps-256")
    setting = setting_in_doubt(loaded.plan, 3_300_000_000, 0.05)
    batch, turned = (
        prepare(loaded.changed(sampler=replace(loaded.plan.sampler, branches=branches)), setting)
        for branches in ("batch", "in_turn")
    )
    working = [
        max(size for block, size in zip(each.schedule.blocks, each.costs.working_bytes, strict=True)
            if block.component == "denoiser")
        for each in (batch, turned)
    ]  # fmt: skip
    assert 0.5 < working[1] / working[0] < 0.55
    assert turned.finish().total_s < batch.finish().total_s
    loads = [sum(visit.loads for visit in each.schedule.visits) for each in (batch, turned)]
    assert loads[1] < loads[0]


def test_branches_of_a_model_that_lists_its_units_are_not_free(tmp_path: Path) -> None:
    problem = instance(0, tmp_path, most_units=2)
    freedoms = Freedoms(branches=("in_turn",))
    with pytest.raises(UserError, match="lists its units for the branches it has"):
        list(search_variants(LoadedPlan(problem.plan), [problem.places[0].setting], 10**9, freedoms, 1.0))


def test_a_variant_that_does_not_fit_says_why_and_the_others_are_found() -> None:
    """In float32 the denoiser is more than a budget in which it fits in 8 bits."""
    loaded = load_plan("small")
    setting = setting_in_doubt(loaded.plan, 3_300_000_000, 0.05)
    whole = ComponentPlan(blocks="whole", precision="float32")
    loaded = loaded.changed(components={"denoiser": whole})
    needed = [
        smallest_budget(problem_of(with_precision, model_of(loaded), [setting], 10**9))
        for precision in ("float32", "int8")
        for with_precision in [replace(loaded.plan, components={"text_encoder": replace(whole, precision=precision),
                                                                "denoiser": replace(whole, precision=precision),
                                                                "decoder": replace(whole, precision=precision)})]
    ]  # fmt: skip
    names = ("text_encoder", "denoiser", "decoder")
    freedoms = Freedoms(precision=dict.fromkeys(names, ("float32", "int8")))
    found = list(search_variants(loaded, [setting], (needed[0] + needed[1]) // 2, freedoms, 1.0, seconds=4.0))
    assert len(found) == 8
    assert isinstance(found[0], RefusedVariant) and "even as a block of its own" in found[0].reason
    assert isinstance(found[-1], VariantPoint)
    with pytest.raises(UserError, match="even as a block of its own"):
        list(search_variants(loaded, [setting], needed[1] // 2, freedoms, 1.0))


def test_a_component_that_is_not_there_is_refused() -> None:
    loaded = load_plan("small")
    setting = setting_in_doubt(loaded.plan, 3_300_000_000, 0.05)
    with pytest.raises(UserError, match=r"has no component 'denoisr'.*\n?.*denoiser"):
        list(search_variants(loaded, [setting], 10**9, Freedoms(precision={"denoisr": ("float16",)}), 1.0))


def test_a_point_is_the_plan_that_it_tells_of(tmp_path: Path) -> None:
    problem = instance(3, tmp_path, most_units=3)
    path = Path(problem.plan.model_name)
    path.write_text(f"is_rectified_flow: true\n{path.read_text()}")
    plan, setting = replace(problem.plan, tdtm=Tdtm(), lpl=Lpl("fixed", leap_step=0)), problem.places[0].setting
    front = tuple(PlannedGrid(n, 0.1 if n < 4 else 0.0, tuple(range(n))) for n in range(1, 5))
    file = StepFile(FORMAT, plan.model_name, "a" * 64, 4, 7.0, 1, (1000.0, 750.0, 500.0, 250.0), front)
    for point in search_variants(LoadedPlan(plan), [setting], problem.budget, Freedoms((2, 4), file), 1.0):
        found = msgspec.convert(point.plan, Plan, str_keys=True, dec_hook=lambda kind, value: kind.parse(value))
        assert found.sampler == Sampler(steps=4, grid=Grid(indices=tuple(range(point.evaluations)), denoiser="a" * 64))
        assert found.lpl == Lpl()
        outcome = ready(found, model_of(LoadedPlan(found)), setting).play()
        assert (outcome.total_s, outcome.peak_bytes) == pytest.approx((point.total_s, point.peak_bytes))
        assert point.estimated_db == (None if point.evaluations == 4 else pytest.approx(20))
    with pytest.raises(UserError, match="5 evaluations were asked for, and the planned grids end at 4"):
        with_evaluations(plan, 5, file)


def test_fewer_evaluations_are_never_slower_in_what_ships() -> None:
    loaded = load_plan("small")
    setting = setting_in_doubt(loaded.plan, 3_300_000_000, 0.05)
    points = list(search_variants(loaded, [setting], 10**9, Freedoms((4, 8, 30)), 1.0, seconds=3.0))
    assert [point.total_s for point in points] == sorted(point.total_s for point in points)


def setting_in_doubt(plan: Plan, limit: int, limit_spread: float) -> Setting:
    """The iPhone 15 Pro with another limit, which is not known exactly; nor is the working memory of convolutions."""
    from ondevice_sora.profiles.profile import load_profile
    from ondevice_sora.simulator.prepare import setting_of

    profile, device = load_profile("iphone15pro")
    factor = "processors.gpu.convolution_working_factor"
    known = {factor: replace(figures(profile.costs)[factor], spread=0.4)}
    profile = replace(profile, costs=replace_figures(profile.costs, known))
    return changed(setting_of(profile, device, plan), limit_bytes=limit, limit_spread=limit_spread)


def test_no_plan_is_found_that_is_in_more_doubt_than_was_accepted(tmp_path: Path) -> None:
    """Limits from just above what the model needs at least; half of the units convolve."""
    found, refused, was_held = 0, 0, 0
    for seed in range(PROBLEMS):
        draw = random.Random(seed)
        problem = instance(seed, tmp_path, most_units=3)
        path = Path(problem.plan.model_name)
        path.write_text(path.read_text().replace("matmul_flops", draw.choice(["matmul_flops", "convolution_flops"])))
        most = draw.choice([0.01, 0.05, 0.2])
        loaded = LoadedPlan(problem.plan)
        setting = setting_in_doubt(problem.plan, problem.budget, draw.choice([0.0, 0.03, 0.15]))
        try:
            budget = budget_for([setting], setting.limit_bytes, None, most)
            answer, plan = find_plan_for(loaded, [setting], budget, Goal(seconds=2.0, budgets=2, most_doubt=most))
        except UserError as error:
            refused += 1
            assert error.where == "--max-kill-share" or "than the budget of" in error.what, error
            continue
        prepared = ready(plan, model_of(loaded), setting)
        assert kill_risk(prepared, prepared.play(is_limited=False)) <= most, seed
        assert answer.rows[0].kill_share <= most, seed
        assert all(point.kill_share <= most for point in answer.memory_front), seed
        found += 1
        was_held += plan.memory.budget < budget[0]
    assert found >= 50 and refused >= 5 and was_held >= 5, (found, refused, was_held)


def test_what_a_larger_footprint_would_give_is_shown_with_its_doubt(capsys) -> None:
    import json

    from ondevice_sora.commands.main import main

    search = ["plan", "search", "--plan", "ours-192", "--budget", "3.3GB", "--seconds", "3", "--json"]
    assert main(search) == 0
    answer = json.loads(capsys.readouterr().out)
    found, larger = answer["rows"][:2]
    assert found["name"] == "found" and found["kill_share"] <= 0.05
    assert larger["name"] == "found within 3.30 GB" and larger["kill_share"] > 0.05
    assert answer["budget_bytes"] < 3_300_000_000
    assert main([*search, "--max-kill-share", "1"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["budget_bytes"] == 3_300_000_000
