"""model init: a model and a plan from sizes alone, that simulate and can be searched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondevice_sora.commands.main import main
from ondevice_sora.plans.plan_file import load_plan

NETWORKS = ["text=250MB", "unet=430MB*2", "vae=100MB"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def init(*arguments: str) -> int:
    try:
        return main(["model", "init", *arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def simulated(capsys: pytest.CaptureFixture[str]) -> dict:
    capsys.readouterr()
    assert main(["simulate", "mine/plan.yaml", "--json"]) == 0
    told: dict = json.loads(capsys.readouterr().out)
    return told


def test_what_is_written_simulates_with_the_sizes_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert init(*NETWORKS, "--steps", "12", "-o", "mine") == 0
    told = simulated(capsys)
    assert {name: (row["loaded_bytes"], row["num_visits"]) for name, row in told["components"].items()} == {
        "text": (250_000_000, 1), "unet": (860_000_000, 24), "vae": (100_000_000, 1),
    }  # fmt: skip
    assert set(told["unpriced"]) == {"text", "unet", "vae"}, "sizes say nothing of operations"


def test_packages_of_one_network_may_have_several_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert init("text=250MB", "unet=430MB*2,390MB", "-o", "mine") == 0
    row = simulated(capsys)["components"]["unet"]
    assert (row["loaded_bytes"], row["num_loads"]) == (1_250_000_000, 3)


def test_on_all_phones_no_time_is_told_as_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert init(*NETWORKS, "-o", "mine") == 0
    capsys.readouterr()
    assert main(["simulate", "mine/plan.yaml", "--device", "iphone12,iphone15pro"]) == 0
    out = capsys.readouterr().out
    told = "fits 2 of 2, that with the lowest limit being iPhone 12 (2.10 GB): time not known, much longer than"
    assert told in " ".join(out.split())
    rows = [line for line in out.splitlines() if line.startswith("iPhone")]
    assert len(rows) == 4
    assert all("fits" in row and " over " in row for row in rows)


def test_which_network_runs_at_every_step_may_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert init(*NETWORKS, "--every-step", "vae", "-o", "mine") == 0
    visits = {name: row["num_visits"] for name, row in simulated(capsys)["components"].items()}
    assert visits == {"text": 1, "unet": 2, "vae": 20}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["unet"], "'unet' is not NAME=SIZE or NAME=SIZE*N"),
        (["unet=430MB,"], "'unet=430MB,' is not NAME=SIZE or NAME=SIZE*N, such as unet=430MB*2 or unet=430MB,390MB"),
        (["unet=430MB*0"], "is not NAME=SIZE or NAME=SIZE*N"),
        (["unet=big"], "'big' is not a size"),
        (["unet=1MB", "unet=2MB"], "'unet' is given twice"),
        (["unet=1MB", "--every-step", "vae"], "--every-step: no network is named 'vae'\nChoose from: unet."),
    ],
)
def test_what_is_no_size_is_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(*arguments, "-o", "mine") == 2
    assert told in capsys.readouterr().err
    assert not Path("mine").exists()


def test_files_are_not_overwritten_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("plan.yaml").write_text("mine")
    assert init(*NETWORKS) == 2
    assert (Path("plan.yaml").read_text(), Path("model.yaml").exists()) == ("mine", False)
    assert init(*NETWORKS, "--force") == 0
    assert load_plan("plan.yaml").plan.sampler.steps == 20


def test_where_things_were_written_is_told_as_json_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert init(*NETWORKS, "-o", "mine", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"model": "mine/model.yaml", "plan": "mine/plan.yaml"}


def test_a_search_leaves_the_packages_as_they_are_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert init(*NETWORKS, "-o", "mine") == 0
    blocks = {}
    for how in ([], ["--keep-cuts"]):
        command = ["plan", "search", "mine/plan.yaml", "--budget", "1.3GB", "--seconds", "2", *how, "--json"]
        capsys.readouterr()
        assert main(command) == 0
        found = json.loads(capsys.readouterr().out)
        row = next(iter(found.values()))["rows"][0] if "rows" not in found else found["rows"][0]
        blocks[bool(how)] = row["num_blocks"]["unet"]
    assert blocks == {False: 1, True: 2}


def test_cuts_that_cannot_keep_the_budget_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("whole.yaml").write_text("extends: ours-256\nname: whole\ncomponents: {denoiser: {blocks: whole}}\n")
    assert main(["plan", "search", "whole.yaml", "--budget", "1.3GB", "--keep-cuts", "--seconds", "5"]) == 2
    assert "--keep-cuts: no plan with these blocks keeps the budget of" in capsys.readouterr().err


def test_the_folder_that_was_written_is_named_as_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert init(*NETWORKS, "-o", "mine") == 0
    by_file = simulated(capsys)
    assert main(["simulate", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["components"] == by_file["components"]
