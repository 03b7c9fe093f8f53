"""Configurations, rows with their intervals, and a run that goes on where it stopped."""

import json
import math
import os
import signal
from pathlib import Path

import msgspec
import pytest
import torch
from msgspec.structs import replace
from worlds import chores
from worlds.tiny import PLAN, save_tiny_model

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.plans.schema import Plan
from ondevice_sora.records.quality import Measured
from ondevice_sora.runtime.sampling.generation import generate, generate_from
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.runtime.small.dataset import describe
from ondevice_sora.runtime.small.evaluation import evaluation
from ondevice_sora.runtime.small.evaluation.aggregate import rows, wilson_interval
from ondevice_sora.runtime.small.evaluation.configurations import configurations
from ondevice_sora.runtime.small.shipped import load_small, small_request
from ondevice_sora.runtime.small.vocabulary import tokenize


def small_plan(steps: int = 30) -> Plan:
    plan = load_plan("small").plan
    return replace(plan, sampler=replace(plan.sampler, steps=steps))


def test_configurations_of_thirty_steps_are_the_papers():
    known = configurations(small_plan(), [0.05])
    assert list(known) == [
        "full", "fixed_8", "fixed_12", "fixed_16", "fixed_20", "fixed_24",
        *(f"{grid}_{count}_{solver}" for count in (8, 12, 16) for grid in ("even", "shift", "power")
          for solver in ("euler", "ab2")),
        "exact", "exact_check", "paper", "gpu_code",
        "curvature_0.05", "bent_curvature_0.05", "tdtm_first", "tdtm_second", "tdtm_spatial", "tdtm_temporal",
        "tdtm_all", "together_paper", "together_0.05",
    ]  # fmt: skip
    assert known["even_16_euler"].plan.evaluations() == known["fixed_16"].plan.evaluations() == 16
    merged = {name: [step for step in range(30) if known[name].plan.merges(step)] for name in known}
    assert merged["tdtm_first"] == list(range(15))
    assert merged["tdtm_second"] == list(range(15, 30))
    assert merged["tdtm_all"] == merged["together_0.05"] == list(range(30))
    assert merged["full"] == merged["fixed_16"] == []


def test_what_the_base_plan_says_of_lpl_and_tdtm_does_not_count():
    base = configurations(small_plan())
    assert configurations(base["together_paper"].plan) == base


def test_few_steps_leave_no_leap_outside_the_run():
    for configuration in configurations(small_plan(3)).values():
        assert configuration.plan.evaluations() <= 3 or configuration.name in ("exact", "exact_check")


def record(name, scene, *, seed=0, evaluations=30, seconds=3.0, mse=0.0, right=True) -> Measured:
    shown = {"shape": True, "colour": True, "direction": right, "all": right}
    return Measured(
        configuration=name, plan={}, scene=scene, prompt="", seed=seed, num_evaluations=evaluations, leap_step=None,
        leap_estimated_error=None, cosines=(), denoiser_s=seconds, total_s=seconds + 1, full_denoiser_s=3.0,
        full_total_s=4.0, mse=mse, ssim=1.0, right=shown, flickering=1.0, is_dynamic=False, motion=0.5,
        machine="a toy",
    )  # fmt: skip


def one_row(name, records, **others):
    known = configurations(small_plan())
    return {row.configuration: row for row in rows(known, {**others, name: records})}[name]


def test_a_row_pools_its_videos():
    row = one_row("fixed_16", [record("", 0, seconds=1.0, mse=10.0), record("", 1, seconds=2.0, mse=30.0)])
    assert row.time_ratio.value == pytest.approx(6 / 3)
    assert row.whole_time_ratio.value == pytest.approx(8 / 5)
    assert row.psnr_db.value == pytest.approx(10 * math.log10(255**2 / 20))
    assert (row.num_prompts, row.num_videos) == (2, 2)


def test_means_of_a_few_prompts_have_no_interval_and_shares_have_a_wide_one():
    """Resamples of two prompts lie between the two: they would claim 95 % where it is a toss of a coin."""
    few, enough = (one_row("fixed_16", [record("", n, mse=10.0 + n) for n in range(count)]) for count in (5, 6))
    assert few.psnr_db.value is not None and (few.psnr_db.low, few.psnr_db.high) == (None, None)
    assert enough.psnr_db.low < enough.psnr_db.value < enough.psnr_db.high
    assert few.adherence["shape"].low < 0.6 < few.adherence["shape"].high == 1


def test_equal_videos_have_no_psnr_rather_than_a_made_up_one():
    row = one_row("full", [record("full", scene) for scene in range(4)])
    assert (row.psnr_db.value, row.psnr_db.low, row.psnr_db.high) == (None, None, None)


def test_seeds_of_one_prompt_are_resampled_together():
    """Four seeds of two prompts vary no less than one seed of each."""
    once = one_row("paper", [record("", scene, evaluations=10 + scene) for scene in range(8)])
    often = one_row("paper", [record("", n // 4, seed=n % 4, evaluations=10 + n // 4) for n in range(32)])
    assert once.evaluations == often.evaluations
    assert once.adherence == often.adherence
    assert once.evaluations.low < once.evaluations.value == 13.5 < once.evaluations.high


def test_a_share_of_all_still_has_an_interval():
    share = one_row("full", [record("full", scene) for scene in range(64)]).adherence["shape"]
    assert share.value == 1
    assert 0.93 < share.low < 1


def test_gain_is_measured_against_a_fixed_leap_of_as_many_evaluations():
    """Fixed leaps of 12 and 16 evaluations have 20 and 24 dB; one of 14 would have 22, ours has 23."""

    def mse(decibels):
        return 255**2 / 10 ** (decibels / 10)

    fixed = {
        f"fixed_{count}": [record("", scene, evaluations=count, mse=mse(psnr)) for scene in range(6)]
        for count, psnr in ((12, 20), (16, 24))
    }
    ours = [record("", scene, evaluations=14, mse=mse(23)) for scene in range(6)]
    gain = one_row("curvature_0.05", ours, **fixed).gain_over_fixed_db
    assert (gain.value, gain.low, gain.high) == pytest.approx((1, 1, 1))
    late = [record("", scene, evaluations=17, mse=mse(23)) for scene in range(6)]
    assert one_row("curvature_0.05", late, **fixed).gain_over_fixed_db is None, "no fixed leap that late was measured"
    assert one_row("curvature_0.05", ours[:2], **fixed).gain_over_fixed_db is None, "not of the same videos"
    assert one_row("tdtm_all", ours, **fixed).gain_over_fixed_db is None
    assert one_row("together_0.05", ours, **fixed).gain_over_fixed_db is None, "TDTM is not the leap's doing"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def model(weights):
    return load_small(weights)


@pytest.fixture
def tiny_known(tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    known = configurations(load_plan(tmp_path / "plan.yaml").plan, [0.05])
    return {name: known[name] for name in ("full", "fixed_3", "tdtm_all")}


@pytest.fixture
def made(monkeypatch):
    """For each walk over all steps: on how many of them it merges."""
    merging = []
    walked = evaluation._walked

    def counted(model, plan, scene, seed):
        merging.append(sum(plan.merges(step) for step in range(plan.sampler.steps)))
        return walked(model, plan, scene, seed)

    monkeypatch.setattr(evaluation, "_walked", counted)
    return merging


def test_a_run_goes_on_where_it_stopped(weights, tiny_known, tmp_path, made):
    folder, scenes, wanted = tmp_path / "out", evaluation.chosen_scenes(1), list(tiny_known.values())
    told = []

    def stop(count):
        told.append(count)
        if sum(told) == 2:
            raise KeyboardInterrupt

    evaluation.open_folder(folder, "digest")
    with pytest.raises(KeyboardInterrupt):
        evaluation.run_evaluation(weights, folder, wanted, scenes, 1, on_video=stop)
    assert made == [0, 0], "one to warm up; the leap shares the full video's walk"
    made.clear()
    evaluation.run_evaluation(weights, folder, wanted, scenes, 1)
    assert made == [0, 0, 5], "the full video again, to compare with and to time"
    made.clear()
    evaluation.run_evaluation(weights, folder, wanted, scenes, 1)
    assert made == []
    records = evaluation.read_all(folder, wanted, scenes, 1)
    assert {name: [found.num_evaluations for found in all_of] for name, all_of in records.items()} == {
        "full": [5], "fixed_3": [3], "tdtm_all": [5],
    }  # fmt: skip
    assert records["full"][0].mse == 0
    assert records["fixed_3"][0].mse > 0 < records["tdtm_all"][0].mse


def test_a_leap_out_of_a_shared_walk_equals_a_leap_that_was_run(model, tiny_known):
    ((_, scene),) = evaluation.chosen_scenes(1)
    leaping = tiny_known["fixed_3"].plan
    walked, seen = evaluation._walked(model, tiny_known["full"].plan, scene, 0)
    shared = generate_from(walked, seen, VideoNetworks.of(model, small_request(leaping)))
    ids, mask = tokenize([describe(scene)])
    run = generate(VideoNetworks.of(model, small_request(leaping)), ids, mask, seed=0)
    assert (shared.frames == run.frames).all()
    assert torch.equal(shared.sample.latent, run.sample.latent)
    assert shared.sample.steps == run.sample.steps
    assert shared.timings.steps_s == walked.timings.steps_s[:3]


def test_processes_make_the_same_videos_and_measure_them_against_the_exact_solution(weights, tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    known = configurations(load_plan(tmp_path / "plan.yaml").plan, [0.05])
    wanted, scenes = (
        [known[name] for name in ("full", "exact", "exact_check", "even_2_ab2")],
        evaluation.chosen_scenes(2),
    )
    told, threads = {}, torch.get_num_threads()
    torch.set_num_threads(1)  # as the processes have
    for processes in (1, 2):
        folder, counts = tmp_path / str(processes), []
        evaluation.open_folder(folder, "digest")
        evaluation.run_evaluation(weights, folder, wanted, scenes, 2, processes=processes, on_video=counts.append)
        assert sum(counts) == 16
        told[processes] = [
            (each.configuration, each.scene, each.seed, each.num_evaluations, each.mse, each.exact_mse)
            for records in evaluation.read_all(folder, wanted, scenes, 2).values()
            for each in records
        ]
    torch.set_num_threads(threads)
    assert told[1] == told[2]
    errors = {name: [row[5] for row in told[1] if row[0] == name] for name in ("exact", "exact_check", "full")}
    assert errors["exact"] == [0] * 4
    assert all(0 < check < full for check, full in zip(errors["exact_check"], errors["full"], strict=True))


def figures(folder, wanted, scenes):
    """What does not depend on the machine's speed."""
    found = evaluation.read_all(folder, wanted, scenes, 1)
    return {
        name: [(each.scene, each.num_evaluations, each.mse, each.right, each.flickering) for each in records]
        for name, records in found.items()
    }


def test_a_cluster_makes_the_same_videos_though_a_worker_dies(weights, tiny_known, tmp_path):
    """A real scheduler and two real processes, one of them killed when the first scene is done."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    wanted, scenes = list(tiny_known.values()), evaluation.chosen_scenes(4)
    here, there, threads = tmp_path / "here", tmp_path / "there", torch.get_num_threads()
    torch.set_num_threads(1)  # as the workers have
    evaluation.run_evaluation(weights, here, wanted, scenes, 1, clips=1)
    torch.set_num_threads(threads)
    told = []
    with distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        victim = cluster.workers[0].pid

        def on_video(count):
            if count and not any(told):
                os.kill(victim, signal.SIGKILL)
            told.append(count)

        evaluation.run_evaluation(
            weights, there, wanted, scenes, 1, clips=1, scheduler=cluster.scheduler_address, on_video=on_video
        )
    assert sum(told) == len(wanted) * len(scenes)
    assert figures(there, wanted, scenes) == figures(here, wanted, scenes)
    frames = [sorted(path.relative_to(folder) for path in folder.glob("frames/*/*")) for folder in (here, there)]
    assert frames[0] == frames[1] != []
    assert all((here / path).read_bytes() == (there / path).read_bytes() for path in frames[0])


def test_a_worker_with_other_weights_says_so(weights, tiny_known):
    ((index, scene),) = evaluation.chosen_scenes(1)
    wanted = (tiny_known["full"],)
    job = evaluation.Job(weights, "0" * 64, wanted, wanted, index, scene, 0, False)
    with pytest.raises(UserError, match=f"{weights}: this worker has other weights"):
        list(evaluation.made_videos(job, []))


def test_a_scene_that_ends_its_process_time_and_again_is_named(weights, tiny_known, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "_written", chores.fatal_to)
    monkeypatch.setenv("PYTHONPATH", str(Path(chores.__file__).parents[1]))
    with pytest.raises(UserError, match=r"seed 0: 3 processes have ended at this scene.*\nFinished videos are kept"):
        evaluation.run_evaluation(
            weights, tmp_path / "out", list(tiny_known.values()), evaluation.chosen_scenes(1), 1, processes=2
        )


def test_a_result_of_another_plan_is_made_again(weights, tiny_known, tmp_path, made):
    folder, scenes = tmp_path / "out", evaluation.chosen_scenes(1)
    evaluation.run_evaluation(weights, folder, [tiny_known["full"]], scenes, 1)
    made.clear()
    full = tiny_known["full"]
    plan = replace(full.plan, sampler=replace(full.plan.sampler, guidance=2.0))
    evaluation.run_evaluation(weights, folder, [type(full)(full.name, full.title, plan)], scenes, 1)
    assert made == [0, 0]


def test_a_folder_of_other_weights_or_other_things_is_refused(tmp_path):
    evaluation.open_folder(tmp_path / "out", "one")
    evaluation.open_folder(tmp_path / "out", "one")
    with pytest.raises(UserError, match="these results are of other weights"):
        evaluation.open_folder(tmp_path / "out", "two")
    with pytest.raises(UserError, match="has something else in it"):
        evaluation.open_folder(tmp_path, "one")


def test_a_damaged_result_is_named(tiny_known, tmp_path):
    file = tmp_path / "videos" / "full" / "000-0.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"configuration": "full"}))
    with pytest.raises(UserError, match=r"000-0.json: the key 'plan' is missing\nRemove the file."):
        evaluation.read_measured(tmp_path, tiny_known["full"], 0, 0)


MEASURED = {
    "configuration": "full", "plan": {}, "scene": 0, "prompt": "a red circle", "seed": 0, "num_evaluations": 2,
    "leap_step": None, "leap_estimated_error": None, "cosines": [None, 0.5], "denoiser_s": 1.0, "total_s": 2.0,
    "full_denoiser_s": 1.0, "full_total_s": 2.0, "mse": 0.0, "ssim": 1.0,
    "right": dict.fromkeys(["shape", "colour", "direction", "all"], True),
    "flickering": 0.9, "is_dynamic": False, "motion": 0.1, "machine": "here",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"configuration": "paper"}, "configuration: 'paper' in the file of 'full'"),
        ({"scene": 7}, "scene: 7 in the file of 0"),
        ({"denoiser_s": 0.0}, "denoiser_s: expected a number > 0.0"),
        ({"full_total_s": -1}, "full_total_s: expected a number > 0.0"),
        ({"mse": 1e300}, "mse: expected a number <= 65025.0"),
        ({"num_evaluations": 10**9}, "num_evaluations: expected a whole number <= 1000"),
        ({"cosines": [0.5]}, "cosines: 1 of 2 network evaluations"),
        ({"cosines": [2.0, 0.5]}, r"cosines\[0\]: expected a number <= 1.001"),
        ({"right": {"all": True}}, "right: the key 'shape' is missing"),
        ({"machine": "\x1b[31m"}, "machine: expected one line without control characters"),
    ],
)
def test_a_result_altered_by_hand_is_refused_at_its_place(tiny_known, tmp_path, changes, complaint):
    file = tmp_path / "videos" / "full" / "000-0.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(MEASURED))
    assert evaluation.read_measured(tmp_path, tiny_known["full"], 0, 0) is None, "of another plan, but whole"
    file.write_text(json.dumps(MEASURED | changes))
    with pytest.raises(UserError, match=rf"000-0.json: {complaint}"):
        evaluation.read_measured(tmp_path, tiny_known["full"], 0, 0)


@pytest.mark.parametrize("part", ["videos", "videos/full", "videos/full/000-0.json"])
def test_results_are_not_read_or_written_through_links(tiny_known, tmp_path, part):
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "out" / part
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="this is a link; what is in this folder must lie in it"):
        evaluation.read_measured(tmp_path / "out", tiny_known["full"], 0, 0)
    with pytest.raises(UserError, match="this is a link; what is in this folder must lie in it"):
        evaluation.Made(msgspec.convert(MEASURED, Measured), None).write(tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_prompts_are_spread_over_the_held_out_ones():
    assert [index for index, _ in evaluation.chosen_scenes(3)] == [0, 72, 143]
    assert len({index for index, _ in evaluation.chosen_scenes(64)}) == 64
    with pytest.raises(UserError, match="there are 1 to 144"):
        evaluation.chosen_scenes(145)


def test_the_interval_of_a_share_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(10, 10)[1] == 1.0
