"""The front door for code does what the commands do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds.coreml_packages import linear_package

import ondevice_sora as sora
from ondevice_sora.commands.main import main
from ondevice_sora.records.trace import read_trace

KEYS = {"extends": "small", "memory": {"budget": "190 MB"}}


@pytest.fixture(scope="module")
def run() -> sora.Run:
    return sora.simulate("small", what_ifs=True)


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, ondevice_sora; print([name for name in sys.modules if name.startswith('ondevice_sora.')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_every_name_is_there_and_has_a_docstring() -> None:
    assert set(sora.__all__) <= set(dir(sora))
    for name in sora.__all__:
        assert getattr(sora, name).__doc__, name
    assert sora.__version__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        sora.nothing  # noqa: B018


def test_a_simulation_is_the_commands(run: sora.Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--plan", "small", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert run.result is not None
    assert (run.total_s, run.peak_bytes, run.verdict) == (told["total_s"], told["peak_bytes"], told["verdict"])
    assert main(["simulate", "--plan", "small"]) == 0
    assert run.summary().split() == capsys.readouterr().out.split()
    assert "FITS" in run._repr_html_()
    assert "'small" in repr(run)


def test_advice_may_be_left_out_and_nothing_else_changes() -> None:
    run = sora.simulate("app-192", memory_limit="900 MB")
    without = sora.simulate("app-192", memory_limit="900 MB", advice=False)
    assert run.result.advice != [] and without.result.advice == []
    assert (without.total_s, without.peak_bytes) == (run.total_s, run.peak_bytes)


def test_a_plan_may_be_its_keys(run: sora.Run) -> None:
    assert sora.simulate(KEYS).total_s == run.total_s
    killed = sora.simulate(KEYS, memory_limit="150 MB")
    assert (killed.verdict, killed.limit_bytes) == ("killed", 150_000_000)


@pytest.mark.parametrize(
    ("plan", "limit", "said"),
    [
        ({"extends": "smal"}, None, "extends: no such file"),
        ({"extends": "small", "sampler": {"steps": 0}}, None, "sampler.steps"),
        ("no-such-plan", None, "no plan file and no ready plan is named 'no-such-plan'"),
        ("small", "much", "'much' is not a size"),
    ],
)
def test_mistakes_are_user_errors(plan: sora.api.PlanLike, limit: str | None, said: str) -> None:
    with pytest.raises(sora.UserError, match=said):
        sora.simulate(plan, memory_limit=limit)


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda: sora.simulate(42), "42 is no plan"),  # type: ignore[arg-type]
        (lambda: sora.simulate("small", ["iphone15pro", "iphone16pro"]), "is no device"),  # type: ignore[arg-type]
        (lambda: sora.simulate("small", memory_limit=-1), "-1 is not a size above zero"),
        (lambda: sora.simulate("small", memory_limit="1 GB", entitlement=True), "has no effect with memory_limit"),
        (lambda: sora.simulate("small", os_version="eighteen"), "'eighteen' is not a version"),
        (lambda: sora.simulate("small", repeat=0), "repeat: 0 is not a whole number from 1 to 100"),
        (lambda: sora.simulate("small", advice=False).to_dataframe("block"), "Did you mean 'blocks'"),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_cannot_be_used_are_user_errors(mistake: Callable[[], object], said: str) -> None:
    with pytest.raises(sora.UserError, match=said):
        mistake()


def test_the_entitlement_and_a_version_are_given_as_they_come_to_mind() -> None:
    assert sora.simulate("small", entitlement=True, os_version=18.1, advice=False).limit_bytes == 6_000_000_000
    assert sora.simulate("small", memory_limit=1.5e9, advice=False).limit_bytes == 1_500_000_000


def test_results_are_one_line_where_they_are_not_asked_for_more(tmp_path: Path) -> None:
    found = sora.search("small", memory="1 GB", seconds=None)
    assert repr(found).startswith("<Search: 'found within 1.00 GB' on iPhone 15 Pro takes ")
    assert len(repr(found)) < 120


def test_a_run_is_saved_loaded_and_reported(run: sora.Run, tmp_path: Path) -> None:
    saved = run.save(tmp_path / "run.json")
    assert read_trace(saved) == run.trace
    again = sora.load_trace(saved)
    assert again == run
    assert "small model" in run.report(tmp_path / "one.html").read_text()
    assert "small model" in sora.report(run, tmp_path / "own.html").read_text()
    assert "2 runs compared" in sora.report([run, again], tmp_path / "two.html").read_text()


def test_a_run_as_data_frames(run: sora.Run) -> None:
    pytest.importorskip("pandas")
    assert run.result is not None
    spans = run.to_dataframe()
    assert len(spans) == len(run.trace.spans)
    assert spans["end_s"].max() == run.total_s
    assert run.to_dataframe("memory")["total"].max() == run.peak_bytes
    assert len(run.to_dataframe("blocks")) == len(run.result.blocks)
    assert run.to_dataframe("components")["total_s"].sum() == pytest.approx(run.total_s)


def test_without_pandas_one_sentence_says_so(run: sora.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(sora.UserError, match="data frames need pandas, which is not installed"):
        run.to_dataframe()


def test_the_figure_shows_every_span_and_the_limit(run: sora.Run) -> None:
    figure = run.figure()
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert sum(len(bar.x) for bar in bars) == len(run.trace.spans)
    assert {name for bar in bars for name in bar.y} == {"Load", "GPU"}
    assert figure.layout.yaxis2.title.text == "footprint, MB"
    assert [note.text for note in figure.layout.annotations] == ["limit 3.30 GB, far above"]


def test_a_search_gives_a_plan_that_simulates_and_saves(tmp_path: Path) -> None:
    found = sora.search("small", memory="1 GB", seconds=None)
    assert sora.simulate(found.plan).total_s == pytest.approx(found.planning.rows[0].total_s)
    assert sora.simulate(found.save(tmp_path / "found.yaml")).total_s == pytest.approx(found.planning.rows[0].total_s)
    assert 0 <= found.gap < 1
    assert "found" in found.summary()


def test_an_estimate_is_written_and_simulates(tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    (tmp_path / "unet").mkdir()
    linear_package(tmp_path / "unet/a.mlpackage")
    estimated = sora.estimate(tmp_path / "unet", passes={"unet": "steps"}, steps=3)
    folder = estimated.save(tmp_path / "out")
    assert sora.simulate(folder / "plan.yaml", str(folder / "profile.yaml")).verdict == "fits"
    assert "unet" in estimated.summary()
    with pytest.raises(sora.UserError, match="no package is named"):
        sora.estimate([])
    with pytest.raises(sora.UserError, match="input 'x' cannot have the shape 4,3"):
        sora.estimate(tmp_path / "unet", shapes={"x": (4, 3)})
    with pytest.raises(sora.UserError, match="no package has more than one function"):
        sora.estimate(tmp_path / "unet", function="all")
