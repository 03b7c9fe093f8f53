"""`plan search` and `plan explain`: files in, files out, and what is said when nothing fits."""

import json
import subprocess
import sys

import pytest
from worlds.pages import words

from ondevice_sora.commands.main import main
from ondevice_sora.plans.plan_file import load_plan


@pytest.fixture(scope="module")
def best(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "best.yaml"
    assert main(["plan", "search", "--plan", "ours-192", "--seconds", "3", "-o", str(path)]) == 0
    return path


def test_plan_found_simulates_to_the_predicted_total(best, capsys):
    predicted = float(best.read_text().split("for iphone15pro: ")[1].split(" s predicted")[0])
    assert main(["simulate", "--plan", str(best), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["total_s"] == pytest.approx(predicted, abs=1e-6)
    assert result["peak_bytes"] <= result["budget_bytes"]


def test_plan_found_stands_beside_one_that_fills_the_limit_the_start_the_paper_and_the_app(capsys):
    assert main(["plan", "search", "--plan", "ours-192", "--seconds", "3", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    names = [row["name"] for row in answer["rows"]]
    assert names == ["found", "found within 3.30 GB", "start", "paper's policy", "reference app"]
    assert answer["rows"][0]["total_s"] == min(row["total_s"] for row in answer["rows"] if row["name"] != names[1])
    held: dict[str, set[int]] = {}
    for row in answer["rows"]:
        assert sum(row["component_s"].values()) == pytest.approx(row["total_s"])
        assert sum(row["seconds_by_mark"].values()) == pytest.approx(row["total_s"])
        for component in row["num_blocks"]:
            own = sum(block["resident_bytes"] for block in row["blocks"] if block["component"] == component)
            held.setdefault(component, set()).add(own)
    # every plan cuts the same weights, but for what a package rounds up
    assert all(max(sizes) - min(sizes) <= 100 for sizes in held.values()), held


def test_table_says_gap_and_what_the_gain_rests_on(capsys):
    assert main(["plan", "search", "--plan", "ours-192", "--seconds", "8", "--pareto"]) == 0
    shown = capsys.readouterr().out
    assert "best possible" in shown
    assert "faster than reference app; saved by figures:" in shown
    assert "fastest plans by budget" in shown


def test_plans_of_the_front_are_written_and_simulate_to_what_they_say(tmp_path, capsys):
    folder, data = tmp_path / "front", tmp_path / "front.json"
    search = ["plan", "search", "--plan", "ours-192", "--seconds", "6", "--front", str(folder)]
    assert main([*search, "--pareto", str(data)]) == 0
    capsys.readouterr()
    fronts = json.loads(data.read_text())
    points = fronts["memory_front"]
    assert len(list(folder.iterdir())) == len(points)
    for point in (points[0], points[-1]):
        (path,) = (path for path in folder.iterdir() if load_plan(path).plan.memory.budget == point["budget_bytes"])
        assert main(["simulate", "--plan", str(path), "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["total_s"] == pytest.approx(point["total_s"], abs=1e-6)
        assert result["peak_bytes"] == point["peak_bytes"]
    for point in (fronts["storage_front"][-1], fronts["package_front"][-1]):
        (tmp_path / "point.yaml").write_text(json.dumps(point["plan"]))
        assert main(["simulate", "--plan", str(tmp_path / "point.yaml"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["total_s"] == pytest.approx(point["total_s"], abs=1e-6)
    assert main(search) == 2
    assert "the folder is not empty" in capsys.readouterr().err


def test_several_models_get_a_page_each(tmp_path, monkeypatch, capsys):
    """The README's command for two models refused --report."""
    monkeypatch.chdir(tmp_path)
    command = ["plan", "search", "--plan", "sd21-512,small", "--seconds", "2", "--report"]
    assert main(command) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sd21-512.search.html", "small.search.html"]
    assert main([*command, "one.html"]) == 2
    assert "Leave the name out: each plan then gets a page." in capsys.readouterr().err


def test_a_plan_whose_leap_is_dynamic_is_searched(tmp_path, capsys):
    """Its probabilities are keyed by steps: searching it ended in a traceback."""
    path = tmp_path / "dynamic.yaml"
    path.write_text(
        "extends: small\nname: dynamic\nlpl: {mode: dynamic, rule: paper, stop_steps: {17: 0.6, 18: 0.4}}\n"
    )
    assert main(["plan", "search", "--plan", str(path), "--seconds", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["name"] == "found"


def test_steps_to_merge_on_that_are_not_walked_are_named_as_the_trouble(tmp_path, capsys):
    path = tmp_path / "late.yaml"
    path.write_text("extends: ours-256\nname: late\ntdtm: {steps: [0, 20]}\n")
    assert main(["plan", "search", "--plan", str(path), "--evaluations", "6..7"]) == 2
    told = capsys.readouterr().err
    assert "--evaluations: the plan merges tokens on steps that 6 evaluations do not have" in told
    assert "Write `tdtm: {steps: all}`" in told


def test_one_table_holds_several_models(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["plan", "search", "--plan", "ours-192,ours-256", "--seconds", "1"]) == 0
    shown = capsys.readouterr().out
    assert "ours-192 on iPhone 15 Pro" in shown
    assert "ours-256 on iPhone 15 Pro" in shown
    assert shown.count("reference app  ") == 2


def test_report_and_state_are_written_and_the_search_goes_on(tmp_path, capsys):
    page, state = tmp_path / "search.html", tmp_path / "state.json"
    search = ["plan", "search", "--plan", "ours-192", "--seconds", "2", "--json", "--state", str(state)]
    assert main([*search, "--report", str(page)]) == 0
    first = json.loads(capsys.readouterr().out)
    assert "Beside the other policies" in page.read_text()
    assert main(search) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["score"] <= first["score"]
    assert again["num_evaluated"] >= first["num_evaluated"]
    assert main(["plan", "search", "--plan", "ours-256", "--state", str(state)]) == 2
    assert "not the state of this search" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interruption_writes_the_best_so_far(tmp_path, number, status):
    """A real signal to a real process, sent when the first candidates have been scored."""
    state, best = tmp_path / "state.json", tmp_path / "best.yaml"
    program = (
        "import os, signal; from ondevice_sora.simulator.search import search\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from ondevice_sora.commands.main import main\n"
        "score = search.Problem.score\n"
        "def counted(problem, *choices):\n"
        f"    if len(problem.seen) == 50: os.kill(os.getpid(), signal.{number})\n"
        "    return score(problem, *choices)\n"
        "search.Problem.score = counted\n"
        f"raise SystemExit(main(['plan', 'search', '--state', {str(state)!r}, '-o', {str(best)!r}]))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == status, ended.stderr
    said = f"interrupted: the best plan so far is in {best}; the same command with --force goes on from {state}"
    assert said in ended.stderr
    assert "interrupted; this is the best so far" in " ".join(ended.stdout.split())
    assert load_plan(best).plan.name.startswith("found within")
    assert json.loads(state.read_text())["version"] == 2


def test_risk_keeps_a_margin_and_ranks_by_the_quantile(capsys):
    assert main(["plan", "search", "--plan", "ours-192", "--seconds", "1", "--risk", "0.95", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["rows"][0]["quantile_s"] > answer["rows"][0]["total_s"]
    assert answer["rows"][0]["kill_share"] <= 0.05
    assert all(row["kill_share"] > 0.05 for row in answer["rows"] if row["peak_bytes"] > answer["budget_bytes"])
    assert answer["budget_bytes"] < 3_000_000_000


def test_one_plan_for_several_devices_fits_each(capsys):
    devices = "iphone15pro,iphone16pro"
    assert (
        main(["plan", "search", "--plan", "ours-192", "--seconds", "2", "--one-plan", "--device", devices, "--json"])
        == 0
    )
    answer = json.loads(capsys.readouterr().out)
    found = [row for row in answer["rows"] if row["name"] == "found"]
    assert [row["device"] for row in found] == ["iPhone 15 Pro", "iPhone 16 Pro"]
    assert all(row["verdict"] == "fits" for row in found)
    assert answer["score"] == pytest.approx(1 + answer["gap"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "500 MB"], "smallest budget that works is"),
        (["--budget", "5 GB"], "above the limit of 3.30 GB"),
        (["--device", "iphone15pro", "--one-plan"], "--one-plan has no effect with one device"),
        (["--plan", "ours-192,ours-256", "-o", "x.yaml"], "--output names one file, and 2 plans are searched"),
        (["--plan", "nothing"], "no ready plan is named 'nothing'"),
    ],
)
def test_unusable_requests_are_refused(arguments, message, capsys):
    assert main(["plan", "search", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--risk", "2"], ["--seconds", "0"], ["--budget", "much"]])
def test_options_are_checked(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["plan", "search", *arguments])
    assert ended.value.code == 2


def test_nothing_is_overwritten(best, capsys):
    before = best.read_text()
    assert main(["plan", "search", "--seconds", "1", "-o", str(best)]) == 2
    assert "the file exists already" in capsys.readouterr().err
    assert best.read_text() == before


def test_explanation_adds_up(best, capsys):
    assert main(["plan", "explain", str(best), "--json"]) == 0
    explanation = json.loads(capsys.readouterr().out)
    for row in explanation["components"]:
        parts = row["run_s"] + row["interference_s"] + row["stall_s"] + row["other_s"]
        assert parts == pytest.approx(row["total_s"], rel=1e-6)
    by_title = {reason["title"]: reason for reason in explanation["reasons"]}
    assert by_title["without LPL"]["saved_s"] < 0
    assert by_title["10 % more storage bandwidth"]["saved_s"] > 0
    assert explanation["bound_s"] <= explanation["total_s"]


def test_explanation_of_a_plan_without_budget_says_what_it_leaves_out(capsys):
    assert main(["plan", "explain", "app-192"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "The plan has no memory.budget" in out and "Give it one (`memory: {budget: 2.6 GB}`)" in out


def test_a_plan_found_for_another_device_says_how_it_is_simulated(tmp_path, capsys):
    path = tmp_path / "found.yaml"
    search = ["plan", "search", "ours-192", "--seconds", "1", "-o", str(path), "--force"]
    assert main([*search, "--device", "iphone15"]) == 0
    assert f"Simulate it with: simulate {path} --device iphone15\n" in capsys.readouterr().err
    assert main(search) == 0
    assert "Simulate it with" not in capsys.readouterr().err, "the default device needs no word"


def test_explanation_is_readable(capsys):
    assert main(["plan", "explain", "ours-192"]) == 0
    shown = capsys.readouterr().out
    assert "next-best plans" in shown
    assert "% of its time is running" in shown


def test_the_front_over_numbers_of_evaluations_is_shown_and_written(tmp_path, capsys):
    folder, best = tmp_path / "front", tmp_path / "best.yaml"
    search = ["plan", "search", "--plan", "small", "--evaluations", "8..10", "--seconds", "3"]
    assert main([*search, "--json", "--front", str(folder), "--quality", "25", "-o", str(best)]) == 0
    points = json.loads(capsys.readouterr().out)
    assert [point["evaluations"] for point in points] == [8, 9, 10]
    assert [point["estimated_db"] for point in points] == sorted(point["estimated_db"] for point in points)
    assert sorted(path.name for path in folder.iterdir()) == ["10.yaml", "8.yaml", "9.yaml"]
    assert load_plan(folder / "9.yaml").plan.evaluations() == 9
    enough = next(point for point in points if point["estimated_db"] >= 25)
    assert load_plan(best).plan.evaluations() == enough["evaluations"]
    assert main(["simulate", "--plan", str(best), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total_s"] == pytest.approx(enough["total_s"], abs=1e-6)
    assert main(search) == 0
    assert "quality" in capsys.readouterr().out


def test_a_front_of_unknown_quality_has_no_column_for_it(capsys):
    assert main(["plan", "search", "--plan", "ours-192", "--evaluations", "8..9", "--seconds", "2"]) == 0
    shown = capsys.readouterr().out
    assert "evaluations" in shown and " quality " not in shown.splitlines()[2]
    assert "Not measured on this model: what fewer evaluations do" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quality", "30"], "--quality has no effect without --evaluations"),
        (["--evaluations", "8..9", "--pareto"], "--pareto has no effect with --evaluations"),
        (["--evaluations", "8..9", "-o", "x.yaml"], "which plan of the front is to be written?"),
        (["--evaluations", "8..9", "--plan", "ours-256", "--quality", "30"], "nothing is known of the quality"),
        (["--evaluations", "31", "--plan", "small"], "31 evaluations were asked for, and the planned grids end at 30"),
        (["--evaluations", "2", "--plan", "small", "--quality", "999"], "is estimated to come within 999 dB"),
    ],
)
def test_a_front_that_cannot_be_had_is_refused(arguments, message, capsys):
    assert main(["plan", "search", "--seconds", "1", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--evaluations", "9..8"], ["--evaluations", "x"], ["--max-kill-share", "0"]])
def test_options_that_are_no_numbers_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(["plan", "search", *arguments])
    assert "Write one" in capsys.readouterr().err


def test_explanation_can_be_handed_on_as_one_page(tmp_path, capsys):
    page = tmp_path / "explained.html"
    assert main(["plan", "explain", "ours-192", "--report", str(page)]) == 0
    assert f"Wrote {page}" in capsys.readouterr().err
    said = words(page.read_text(encoding="utf-8"))
    for part in (
        "Timeline",
        "Memory charged to the app",
        "without LPL",
        "What the total depends on",
        "leap_step: 15",
    ):
        assert part in said, part
    assert main(["plan", "explain", "ours-192", "--report", str(page)]) == 2, "it is there already"
