"""The command line when the input is usable: exit statuses, what is printed, what is written, what is imported."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import msgspec
import pytest
import yaml
from worlds.paths import ROOT
from worlds.toy_files import TOY_MODEL, TOY_PLAN

import ondevice_sora as sora
from ondevice_sora.commands import main as umbrella
from ondevice_sora.commands import simulate
from ondevice_sora.commands.parser import Parser
from ondevice_sora.plans.plan_file import load_plan, ready_plans
from ondevice_sora.plans.schema import json_schema
from ondevice_sora.profiles.devices import device_keys
from ondevice_sora.records.result import Result
from ondevice_sora.records.trace import read_trace

WHOLE = "extends: app-192-all\nname: the denoiser as one block\ncomponents: {denoiser: {blocks: whole}}\n"
SMALL = """\
name: small
model: opensora
video: {width: 64, height: 64, frames: 5}
text_tokens: 60
sampler: {steps: 4}
components:
  text_encoder: {precision: int8}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in an empty folder, but for two plans."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "whole.yaml").write_text(WHOLE)
    return tmp_path


class Ran(msgspec.Struct):
    status: object
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def run(arguments: str) -> Ran:
        verb, *rest = arguments.split()
        status: object
        try:
            status = simulate.main(rest) if verb == "simulate" else umbrella.main(rest)
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return run


# simulate


def test_a_plan_that_fits_exits_0_and_says_so_first(run):
    ran = run("simulate --plan small.yaml")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("FITS on iPhone 15 Pro · simulated\nsmall")


def test_without_arguments_our_plan_is_simulated_on_an_iphone_15_pro(run):
    ran = run("simulate")
    assert ran.status == 0
    assert ran.out.startswith("FITS on iPhone 15 Pro")
    assert "ours, 256x256" in ran.out


def test_a_plan_that_is_killed_exits_3_with_block_and_moment(run):
    ran = run("simulate --plan whole.yaml --json")
    result = json.loads(ran.out)
    assert ran.status == 3
    assert (result["verdict"], result["total_s"], result["interval_s"]) == ("killed", None, None)
    assert result["killed_at_s"] > 0
    assert "of denoiser, step 0" in result["killed_by"]
    assert result["needed_bytes"] > result["limit_bytes"] == 3_300_000_000
    assert run("simulate --plan whole.yaml").out.startswith("WOULD BE KILLED on iPhone 15 Pro")


def test_the_umbrella_simulates_as_the_short_command_does(run):
    assert run("ondevice-sora simulate --plan small.yaml") == run("simulate --plan small.yaml")


def test_a_given_limit_stands_instead_of_the_devices(run):
    ran = run("simulate --plan small.yaml --memory-limit 400MB --json")
    result = json.loads(ran.out)
    assert (ran.status, result["limit_bytes"], result["limit_source"]) == (3, 400_000_000, "given with the command")


def test_the_entitlement_raises_the_limit(run):
    with_it, without = (json.loads(run(f"simulate --plan small.yaml --json {o}").out) for o in ("--entitlement", ""))
    assert with_it["limit_bytes"] > without["limit_bytes"]


def test_json_is_one_document_with_the_keys_of_a_result(run):
    ran = run("simulate --plan small.yaml --json")
    document = json.loads(ran.out)
    assert list(document) == [field.name for field in msgspec.structs.fields(Result)]
    result = msgspec.json.decode(ran.out, type=Result, strict=False)
    assert json.loads(msgspec.json.encode(result)) == document
    assert document["total_s"] == pytest.approx(sum(part["total_s"] for part in document["components"].values()))
    assert document["interval_s"][0] < document["total_s"] < document["interval_s"][1]
    assert document["what_ifs"]


def test_json_and_summary_show_the_same_numbers(run):
    from ondevice_sora.base.units import format_bytes, format_seconds

    document = json.loads(run("simulate --plan app-192-all --json").out)
    summary = run("simulate --plan app-192-all").out
    assert format_seconds(document["total_s"]) in summary
    assert format_bytes(document["peak_bytes"]) in summary


def test_a_plan_is_simulated_at_another_shape_as_if_its_file_said_so(run, here):
    (here / "short.yaml").write_text("extends: ours-256\nvideo: {width: 192, height: 192, frames: 34}\n")
    by_file, by_option, as_it_is = (
        json.loads(run(f"simulate {what} --json").out)
        for what in ("short.yaml", "ours-256 --video 192x192x34", "ours-256")
    )
    assert by_option["total_s"] == by_file["total_s"] < as_it_is["total_s"]
    assert by_option["peak_bytes"] == by_file["peak_bytes"]
    told = run("simulate ours-256 --video 192x192x34").out
    assert "CI-DL \N{MIDDLE DOT} 192x192x34 \N{MIDDLE DOT} Open-Sora v1.2 " in " ".join(told.split())


@pytest.mark.parametrize(("asked", "complaint"), [
    ("ours-256 --video 250x192x34", "width 250 is not a multiple of 8 pixels\nUse 248 or 256.\n"),
    ("ours-256 --video 32x192x34", "width: expected a whole number >= 64, found 32\n"),
    ("sd1.5-512 --video 512x512x8", "video.frames: a model of pictures makes one frame\n"),
    ("own.yaml --video 64x64x8", "has no effect: model.yaml lists its units for one shape\nRemove it.\n"),
])  # fmt: skip
def test_a_shape_that_a_plan_cannot_have_is_told_of_the_option(run, here, asked, complaint):
    (here / "model.yaml").write_text(TOY_MODEL)
    (here / "own.yaml").write_text(TOY_PLAN)
    told = run(f"simulate {asked}")
    assert (told.status, told.out) == (2, "")
    option = asked.partition(" ")[2]
    assert told.err.startswith(f"error: {option}: {complaint}")


def test_several_plans_are_set_side_by_side(run):
    ran = run("simulate --plan small.yaml --plan whole.yaml --json")
    results = json.loads(ran.out)["results"]
    assert [result["verdict"] for result in results] == ["fits", "killed"]
    assert ran.status == 3
    table = run("simulate --plan small.yaml --plan app-192").out
    assert "small" in table
    assert "reference app, 192x192" in table


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ("--report", ["small.html"]),
        ("--trace", ["small.trace.json"]),
        ("--perfetto", ["small.perfetto.json"]),
        ("--report --trace --perfetto", ["small.html", "small.trace.json", "small.perfetto.json"]),
        ("--report a.html --trace b.json --perfetto c.json", ["a.html", "b.json", "c.json"]),
    ],
)
def test_outputs_are_named_after_the_plan_or_as_given(run, here, options, written):
    before = {path.name for path in here.iterdir()}
    ran = run(f"simulate --plan small.yaml {options}")
    assert ran.status == 0
    assert ran.err == "".join(f"Wrote {name}\n" for name in written)
    assert {path.name for path in here.iterdir()} - before == set(written)


def test_a_dot_in_a_plans_name_does_not_cut_the_names_of_its_files(run, here):
    ran = run("simulate sd1.5-512 --trace --perfetto")
    assert ran.err == "Wrote sd1.5-512.trace.json\nWrote sd1.5-512.perfetto.json\n"


def test_what_is_written_is_what_it_claims_to_be(run, here):
    run("simulate --plan small.yaml --report --trace --perfetto")
    trace = read_trace(here / "small.trace.json")
    assert (trace.kind, trace.plan) == ("simulated", "small")
    assert trace.result is not None
    assert trace.total_s == trace.result.total_s
    events = json.loads((here / "small.perfetto.json").read_text())["traceEvents"]
    assert sum(event["ph"] == "X" and event["tid"] > 1 for event in events) == len(trace.spans)
    assert (here / "small.html").read_text().lstrip().lower().startswith("<!doctype html>")


def processes(path):
    events = json.loads(path.read_text())["traceEvents"]
    return [event["args"]["name"] for event in events if event["name"] == "process_name"]


def test_several_plans_lie_beside_each_other_in_one_perfetto_trace(run, here):
    assert run("simulate --plan small.yaml --plan whole.yaml --perfetto").status == 3
    assert len(set(processes(here / "small.perfetto.json"))) == 2


def test_a_report_of_traces_writes_them_for_perfetto_too(run, here):
    run("simulate --plan small.yaml --trace")
    ran = run("ondevice-sora report small.trace.json small.trace.json --perfetto")
    assert (ran.status, ran.err) == (0, "Wrote small.html\nWrote small.perfetto.json\n")
    assert len(processes(here / "small.perfetto.json")) == 2
    assert "the file exists already" in run("ondevice-sora report small.trace.json -o a.html --perfetto small.html").err


def test_a_killed_plan_still_leaves_its_report_and_trace(run, here):
    ran = run("simulate --plan whole.yaml --report --trace")
    assert ran.status == 3
    kill = read_trace(here / "whole.trace.json").kill
    assert kill is not None
    assert kill.component == "denoiser"
    assert (here / "whole.html").stat().st_size > 0


def test_a_generation_that_is_killed_later_counts_in_the_exit_status(run, here):
    (here / "stays.yaml").write_text("extends: small\nname: stays\ncomponents: {decoder: {keep: always}}\n")
    told = json.loads(run("simulate --plan stays.yaml --repeat 3 --json").out)
    peaks = [one["peak_bytes"] for one in told["generations"]]
    limit = (peaks[0] + peaks[2]) // 2
    assert run(f"simulate --plan stays.yaml --memory-limit {limit}").status == 0
    ran = run(f"simulate --plan stays.yaml --memory-limit {limit} --repeat 3")
    assert ran.status == 3
    assert "generation 3" in ran.out


def test_force_overwrites_and_nothing_else_does(run, here):
    (here / "small.trace.json").write_text("mine")
    assert run("simulate --plan small.yaml --trace").status == 2
    assert (here / "small.trace.json").read_text() == "mine"
    assert run("simulate --plan small.yaml --trace --force").status == 0
    assert read_trace(here / "small.trace.json").plan == "small"


def test_a_device_is_written_into_without_force(run):
    assert run("simulate --plan small.yaml --trace /dev/null").err == "Wrote /dev/null\n"


def test_the_same_input_gives_the_same_bytes(run, here, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1764000000")  # pages and traces say when they were made
    command = "simulate --plan app-192-all --report a.html --trace a.json --perfetto a.perfetto.json --force"
    written = []
    for _ in range(2):
        assert run(command).status == 0
        written.append([(here / f"a{suffix}").read_bytes() for suffix in (".html", ".json", ".perfetto.json")])
    assert written[0] == written[1]
    assert run("simulate --plan small.yaml --json") == run("simulate --plan small.yaml --json")


def test_a_text_only_simulation_loads_nothing_heavy(here):
    code = (
        "import sys; from ondevice_sora.commands.simulate import main; status = main(['--plan', 'ours-256']); "
        "print(status, sorted({'torch', 'plotly', 'coremltools', 'scipy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=here, check=True)
    assert ran.stdout.splitlines()[-1] == "0 []"


def test_a_reader_that_stops_early_is_no_error(here):
    (here / "program.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from ondevice_sora.commands.simulate import main; sys.exit(main())"
    )
    command = f"{sys.executable} program.py --plan small.yaml --json | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=here, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# report


def test_a_report_of_traces_is_named_after_the_first(run, here):
    run("simulate --plan small.yaml --trace")
    run("simulate --plan app-192 --trace")
    ran = run("ondevice-sora report small.trace.json app-192.trace.json")
    assert (ran.status, ran.out) == (0, "")
    page = (here / "small.html").read_text()
    assert "small" in page
    assert "reference app, 192x192" in page


# plan


def test_every_ready_plan_is_listed_and_fits_the_phone_it_was_made_for(run):
    listed = [plan["name"] for plan in json.loads(run("ondevice-sora plan list --json").out)["plans"]]
    assert listed == list(ready_plans())
    for name in listed:
        assert sora.simulate(name, advice=False).verdict == "fits", name


@pytest.mark.parametrize("name", [*ready_plans(), "small.yaml", "dynamic.yaml"])
def test_a_plan_as_shown_is_the_same_plan(run, here, name):
    (here / "dynamic.yaml").write_text(
        "extends: ours-256\nname: 'yes: #1'\nlpl: {mode: dynamic, leap_step: null, stop_steps: {9: 0.5, 11: 0.5}}\n"
        "tdtm: {steps: {first: 3}}\nmemory: {budget: 2.9 GB}\ncomponents: {denoiser: {keep: [input, spatial_0]}}\n"
    )
    shown = run(f"ondevice-sora plan show {name}")
    assert shown.status == 0
    (here / "shown.yaml").write_text(shown.out)
    assert load_plan("shown.yaml").plan == load_plan(name).plan


def test_the_schema_is_printed_or_written_and_covers_the_ready_plans(run, here):
    printed = json.loads(run("ondevice-sora plan schema").out)
    ran = run("ondevice-sora plan schema -o plan.schema.json")
    assert ran.err == "Wrote plan.schema.json\n"
    assert json.loads((here / "plan.schema.json").read_text()) == printed == json_schema()
    known = set(printed["$defs"]["Plan"]["properties"])
    for path in ready_plans().values():
        assert set(yaml.safe_load(path.read_text())) <= known


# profile


def test_every_device_is_listed_and_shown(run):
    listed = run("ondevice-sora profile list").out
    for key in device_keys():
        assert re.search(rf"^{key}\s", listed, re.MULTILINE)
        shown = run(f"ondevice-sora profile show {key}")
        assert shown.status == 0
        for heading in ("Hardware", "Memory limits", "Costs"):
            assert heading in shown.out


def test_a_fitted_profile_can_be_simulated_with(run, here):
    pytest.importorskip("scipy")
    ran = run("ondevice-sora profile fit -o mine.yaml")
    assert ran.status == 0
    assert ran.err.endswith("Wrote mine.yaml\n")
    mine, shipped = (json.loads(run(f"simulate --device {d} --json").out) for d in ("./mine.yaml", "iphone15pro"))
    assert mine["total_s"] == pytest.approx(shipped["total_s"], rel=1e-3)


# validate


def test_validate_gives_every_figure_of_the_shipped_cases(run):
    document = json.loads(run("ondevice-sora validate published --json").out)
    assert document["summary"]["calibration"]["num_figures"] >= 13
    for row in document["rows"]:
        assert row["error"] == pytest.approx(row["simulated"] / row["published"] - 1)
        assert row["role"] in ("calibration", "held_out", "context")


def test_validate_keeps_within_what_was_promised_of_the_calibration_figures(run):
    summary = json.loads(run("ondevice-sora validate published --json").out)["summary"]["calibration"]
    assert summary["worst_error"] <= 0.05
    assert summary["mean_error"] <= 0.025


def test_validate_takes_a_file_that_it_has_not_seen(run, here):
    (here / "mine.yaml").write_text(
        "source: mine\ncases:\n"
        "  - name: other phone\n    device: iphone14pro\n    plan: small.yaml\n"
        "    figures: [{quantity: total_s, published: 10, place: my desk}]\n"
        "  - name: file's phone\n    plan: {extends: small.yaml, sampler: {steps: 2}}\n"
        "    figures:\n      - {quantity: total_s, published: 10, place: my desk, role: context}\n"
        "      - {quantity: peak_bytes, published: 1e9, place: my desk}\n"
    )
    rows = json.loads(run("ondevice-sora validate published --cases mine.yaml --json").out)["rows"]
    assert [(row["case"], row["quantity"], row["role"]) for row in rows] == [
        ("other phone", "total_s", "held_out"),
        ("file's phone", "total_s", "context"),
        ("file's phone", "peak_bytes", "held_out"),
    ]
    (here / "two.yaml").write_text(SMALL.replace("steps: 4", "steps: 2"))
    alone = json.loads(run("simulate --plan two.yaml --json").out)
    assert rows[1]["simulated"] == pytest.approx(alone["total_s"]), "the first case's own device is for that case only"


def test_validate_prints_a_table_with_its_errors(run):
    out = run("ondevice-sora validate published").out
    assert "calibration" in out
    assert "mean error" in out


# help


def examples() -> Iterator[tuple[str, str]]:
    for verb in umbrella.VERBS:
        for line in import_module(f"ondevice_sora.commands.{verb}").EXAMPLES.splitlines():
            for command in re.split(r"; ", line.strip()):
                if command.startswith(("simulate", "ondevice-sora ")):
                    yield verb, re.split(r"\s{2,}", command)[0]


def parse(command: str) -> None:
    program, *arguments = shlex.split(command)
    verb = "simulate" if program == "simulate" else arguments.pop(0)
    parser = Parser()
    import_module(f"ondevice_sora.commands.{verb}").add_arguments(parser)
    parser.parse_args(arguments)


@pytest.mark.parametrize("verb", umbrella.VERBS)
def test_help_shows_an_example_and_exits_0(run, verb):
    ran = run(f"ondevice-sora {verb} --help")
    assert ran.status == 0
    assert [command for of_verb, command in examples() if of_verb == verb]
    assert "example" in ran.out


@pytest.mark.parametrize("command", sorted({command for _, command in examples()}))
def test_every_example_of_the_help_parses(command):
    parse(command)


def test_every_command_of_the_readme_parses():
    lines = [line.strip().removeprefix("$ ") for line in (ROOT / "README.md").read_text().splitlines()]
    commands = [line.partition("#")[0] for line in lines if line.startswith(("simulate -", "ondevice-sora "))]
    assert commands
    for command in commands:
        parse(command)


def test_without_a_verb_the_verbs_are_listed(run):
    for arguments in ("ondevice-sora", "ondevice-sora --help"):
        ran = run(arguments)
        assert ran.status == 0
        assert all(verb in ran.out for verb in umbrella.VERBS)
    assert run("ondevice-sora --version").out.startswith("ondevice-sora ")


def test_python_runs_it_where_it_is_not_on_the_path(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ondevice-sora", "--version"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("ondevice_sora", run_name="__main__")
    assert (stop.value.code, capsys.readouterr().out) == (0, run("ondevice-sora --version").out)


def test_a_reader_who_leaves_early_changes_no_exit_status(tmp_path: Path) -> None:
    (tmp_path / "whole.yaml").write_text("extends: app-256\nname: whole\ncomponents: {denoiser: {blocks: whole}}\n")
    simulate = f"{sys.executable} -m ondevice_sora.commands.simulate --plan whole.yaml --json"
    command = f"{simulate} | head -c 1; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    assert (run.stdout, run.stderr) == ("{3\n", "")
