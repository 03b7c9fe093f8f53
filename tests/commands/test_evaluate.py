"""evaluate: what it prints and writes, and what it refuses."""

import json
from pathlib import Path

import pytest
from worlds.pages import outside_references, read

from ondevice_sora.commands.main import main
from ondevice_sora.reports.page.downloads import data_link
from ondevice_sora.runtime.small.evaluation import evaluation

pytestmark = pytest.mark.usefixtures("planned_folder")


@pytest.fixture
def evaluate(weights):
    def evaluate(*arguments):
        usual = {"--plan": "plan.yaml", "--weights": str(weights), "--prompts": "2", "--seeds": "1", "-o": "out"}
        common = [part for option, value in usual.items() if option not in arguments for part in (option, value)]
        try:
            return main(["evaluate", *common, *arguments])
        except SystemExit as stop:
            return stop.code

    return evaluate


def shown_of_results() -> str:
    """The page without where it comes from, which names the command and the time."""
    page = Path("out/report.html").read_text()
    before, heading, after = page.partition("Where this comes from")
    assert heading
    return before + after.partition("</section>")[2]


def test_table_results_and_page_of_a_few_configurations(evaluate, capsys):
    assert evaluate("--only", "fixed_2", "fixed_3", "fixed_4", "curvature_0.9", "tdtm_all", "--clips", "1",
                    "--accepted-errors", "0.9") == 0  # fmt: skip
    captured = capsys.readouterr()
    assert "LPL at 3 of 5" in captured.out
    assert "another model" in captured.out
    assert captured.err == "Wrote out/results.json\nWrote out/report.html\n"
    results = json.loads(Path("out/results.json").read_text())
    rows = {row["configuration"]: row for row in results["rows"]}
    assert list(rows) == ["full", "fixed_2", "fixed_3", "fixed_4", "curvature_0.9", "tdtm_all"]
    assert rows["fixed_2"]["evaluations"]["value"] == 2
    assert rows["full"]["ssim"]["value"] == 1
    assert rows["full"]["psnr_db"]["value"] is None
    assert {row["num_videos"] for row in rows.values()} == {2}
    (clip,) = results["clips"]
    assert clip["configurations"] == list(rows)
    assert (clip["frames"], clip["columns"], clip["width"]) == (17, 6, 64)
    page = Path("out/report.html").read_text()
    (video,) = [attributes["src"] for tag, attributes in read(page).tags if tag == "video"]
    assert video == data_link("video/mp4", Path("out", clip["file"]).read_bytes())
    assert outside_references(page) == []


def test_a_second_run_makes_nothing_and_shows_everything(evaluate, capsys, monkeypatch):
    assert evaluate("--only", "fixed_3") == 0
    first = shown_of_results()
    monkeypatch.setattr(evaluation, "_walked", lambda *_: pytest.fail("nothing is left to make"))
    capsys.readouterr()
    assert evaluate("--only", "full", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["configuration"] for row in printed["rows"]] == ["full", "fixed_3"]
    assert shown_of_results() == first


def test_an_interruption_keeps_what_is_finished(evaluate, capsys, monkeypatch):
    walked, calls = evaluation._walked, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:  # warmed up, and the full steps walked
            raise KeyboardInterrupt
        return walked(*arguments)

    monkeypatch.setattr(evaluation, "_walked", interrupted)
    assert evaluate("--only", "fixed_3", "tdtm_all") == 130
    assert "interrupted: finished videos are kept in out; the same command goes on from them" in capsys.readouterr().err
    assert {path.parent.name for path in Path("out").glob("videos/*/*")} == {"full", "fixed_3"}
    assert not [path for path in Path("out").rglob("*") if "part" in path.name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "fixed_33"], "no configuration is named 'fixed_33'\nDid you mean 'fixed_3'?"),
        (["--prompts", "145"], "'145' is not a whole number from 1 to 144"),
        (["--prompts", "0"], "'0' is not a whole number from 1 to 144"),
        (["--accepted-errors", "-1"], "'-1' is not an error above 0"),
        (["--accepted-errors", "0"], "'0' is not an error above 0"),
        (["--plan", "ours-256"], "is for the model 'opensora'"),
        (["--weights", "nowhere"], "no such directory"),
    ],
)
def test_unusable_options_are_refused_and_leave_nothing(evaluate, capsys, arguments, message):
    assert evaluate(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()
