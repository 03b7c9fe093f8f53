"""The front door for code does what the commands do."""

from __future__ import annotations

import copy
import json
import os
import pickle
import pydoc
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from worlds.coreml_packages import linear_package
from worlds.paths import ROOT

import ondevice_sora as sora
from ondevice_sora.commands.main import main
from ondevice_sora.records.trace import read_trace

KEYS = {"extends": "small", "memory": {"budget": "190 MB"}}
OWN_MODEL: dict[str, Any] = {
    "name": "my model",
    "components": [
        {"name": "denoiser", "passes": "steps", "units": [
            {"name": f"layer_{i}", "parameters": "10M", "plain": {"matmul_flops": 1e10, "working_elements": 1e5}}
            for i in range(6)
        ]},
    ],
}  # fmt: skip
OWN_PLAN = {
    "model": OWN_MODEL, "sampler": {"steps": 5}, "components": {"denoiser": {"blocks": "unit"}},
    "memory": {"budget": "400 MB"},
}  # fmt: skip


@pytest.fixture(scope="module")
def run() -> sora.Run:
    return sora.simulate("small", what_ifs=True)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) in (0, 3)
    return capsys.readouterr().out


# --- what is there


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, ondevice_sora; print([name for name in sys.modules if name.startswith('ondevice_sora.')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_what_is_public_is_there_with_a_docstring_and_nothing_else() -> None:
    assert set(dir(sora)) == {*sora.__all__, "__version__"}
    for name in sora.__all__:
        value = getattr(sora, name)
        assert value.__doc__, name
        for attribute, member in vars(value).items() if isinstance(value, type) else ():
            assert attribute.startswith("_") or not callable(member) or member.__doc__, f"{name}.{attribute}"
    assert sora.__version__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        sora.nothing  # noqa: B018


def test_help_begins_with_a_table_of_the_functions() -> None:
    text = pydoc.plain(pydoc.render_doc(sora))
    description, _, rest = text.partition("PACKAGE CONTENTS")
    for name in sora.__all__:
        if not isinstance(getattr(sora, name), type):
            assert f"{name}(" in description, name
            assert f"    {name}(" in rest, name


def test_no_name_of_it_is_taken_by_a_package_within() -> None:
    """`sora.plans` would be a function until somebody imports ondevice_sora.plans."""
    import importlib.util

    assert [name for name in sora.__all__ if importlib.util.find_spec(f"ondevice_sora.{name}")] == []


@pytest.mark.parametrize(
    ("function", "verb", "other"),
    [
        ("simulate", "simulate", {"json": "", "report": "", "trace": "save", "perfetto": "", "csv": "ladder"}),
        ("search", "plan search", {
            "one_plan": "by several devices", "json": "", "report": "", "state": "", "pareto": "budgets", "front": "",
            "evaluations": "variants", "precision": "variants", "compute_units": "variants", "branches": "variants",
            "steps": "variants", "quality": "Variants.fastest", "output": "save",
        }),
        ("variants", "plan search", {
            "one_plan": "by several devices", "json": "", "report": "", "state": "", "pareto": "", "front": "",
            "quality": "Variants.fastest", "output": "save", "keep_cuts": "without effect",
        }),
        ("explain", "plan explain", {"json": "", "report": ""}),
        ("sweep", "plan sweep", {"json": "", "report": ""}),
        ("describe", "describe", {"json": "", "output": "save"}),
        ("estimate", "profile estimate", {"json": "", "output": "save", "component": "components", "shape": "shapes"}),
    ],
)  # fmt: skip
def test_a_function_has_the_options_of_its_command(function: str, verb: str, other: dict[str, str]) -> None:
    """By the same names. `other` are options that are methods of the result, or of the terminal alone."""
    import inspect

    from ondevice_sora.commands.main import verb_parser

    name, _, action = verb.partition(" ")
    parser = verb_parser(name)
    parser = parser.choices[action] if action else parser
    options = {each.dest for each in parser._actions if each.option_strings} - {"help", "force", *other}
    assert options <= set(inspect.signature(getattr(sora, function)).parameters)


def test_a_script_that_uses_it_passes_mypy_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    script.write_text(
        "from collections.abc import Iterable\n"
        "import ondevice_sora as sora\n\n"
        "def nothing(visits: tuple[sora.PolicyVisit, ...]) -> Iterable[bool]:\n"
        "    return [visit.weight_bytes < visit.room_bytes for visit in visits]\n\n"
        "run: sora.Run = sora.simulate({'extends': 'small'}, policy=nothing, memory_limit='1 GB')\n"
        "seconds: float = run.total_s\n"
        "found = sora.search('small', ['iphone15pro', 'iphone16pro'], budget='1 GB', seconds=None)\n"
        "both = sora.compare({'one': run, 'other': sora.simulate(found.plan)})\n"
        "names: list[str] = both.names\n"
        "device = sora.profile().changed('mine', memory_limit=2e9)\n"
        "smallest = sora.ladder('small', ['iphone13']).smallest()\n"
        "key: str = '' if smallest is None else smallest.key\n"
        "sora.sweep({'models': ['small']}, processes=2).save('table.csv')\n"
        "sora.explain('small', device).to_frame('components')\n"
    )
    code = ["-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(script)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}  # where a package counts as installed, and needs its py.typed
    ran = subprocess.run([sys.executable, *code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert ran.returncode == 0, ran.stdout
    script.write_text(
        "import ondevice_sora as sora\nsora.simulate(memory='1 GB')\nseconds: str = sora.simulate().total_s\n"
    )
    ran = subprocess.run([sys.executable, *code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert 'Unexpected keyword argument "memory"' in ran.stdout and "Incompatible types" in ran.stdout


# --- one run


def test_a_simulation_is_the_commands(run: sora.Run, capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(told(capsys, "simulate", "--plan", "small", "--json"))
    assert run.result is not None
    assert (run.total_s, run.peak_bytes, run.verdict) == (said["total_s"], said["peak_bytes"], said["verdict"])
    assert run.summary().split() == told(capsys, "simulate", "--plan", "small").split()
    assert "FITS" in run._repr_html_()
    assert "'small" in repr(run)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({"entitlement": True, "os": 18.1}, ["--entitlement", "--os", "18.1"]),
        ({"memory_limit": 1.5e9, "thermal": True}, ["--memory-limit", "1.5GB", "--thermal"]),
        ({"repeat": 2}, ["--repeat", "2"]),
    ],
)
def test_conditions_are_the_commands(
    given: dict[str, object], options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = sora.simulate("small", advice=False, **given)  # type: ignore[arg-type]
    said = json.loads(told(capsys, "simulate", "small", "--json", *options))
    assert (found.total_s, found.limit_bytes) == (said["total_s"], said["limit_bytes"])
    assert len(found.result.generations) == len(said["generations"])


def test_a_model_of_the_hub_at_another_shape_is_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    found = sora.simulate(model="sd1.5", loading="core_ml", advice=False)
    said = json.loads(told(capsys, "simulate", "--model", "sd1.5", "--loading", "core_ml", "--json"))
    assert (found.result.unlimited_s, found.trace.plan) == (
        said["unlimited_s"],
        "Stable Diffusion 1.5" + found.trace.plan[20:],
    )
    wide = sora.simulate("ours-192", video=(256, 192, 34), advice=False)
    assert wide.trace.plan.endswith("256x192x34")
    assert wide.total_s == sora.simulate("ours-192", video="256x192x34", advice=False).total_s


def test_advice_may_be_left_out_and_nothing_else_changes(run: sora.Run) -> None:
    without = sora.simulate("small", advice=False)
    assert run.result.advice != [] and without.result.advice == []
    assert (without.total_s, without.peak_bytes) == (run.total_s, run.peak_bytes)


def test_a_plan_may_be_its_keys(run: sora.Run) -> None:
    assert sora.simulate(KEYS).total_s == run.total_s
    killed = sora.simulate(KEYS, memory_limit="150 MB")
    assert (killed.verdict, killed.limit_bytes) == ("killed", 150_000_000)


def test_a_run_is_saved_loaded_pickled_copied_and_reported(run: sora.Run, tmp_path: Path) -> None:
    saved = run.save(tmp_path / "run.json")
    assert read_trace(saved) == run.trace
    again = sora.load_trace(saved)
    assert again == run == pickle.loads(pickle.dumps(run)) == copy.deepcopy(run)
    assert "small model" in run.report(tmp_path / "one.html").read_text()
    assert "small model" in sora.report(run, tmp_path / "own.html").read_text()
    assert "2 runs compared" in sora.report([run, again], tmp_path / "two.html").read_text()


def test_a_run_as_data_frames(run: sora.Run) -> None:
    pytest.importorskip("pandas")
    assert run.result is not None
    spans = run.to_frame()
    assert len(spans) == len(run.trace.spans)
    assert spans["end_s"].max() == run.total_s
    assert run.to_frame("memory")["total"].max() == run.peak_bytes
    assert len(run.to_frame("blocks")) == len(run.result.blocks)
    assert run.to_frame("components")["total_s"].sum() == pytest.approx(run.total_s)


def test_without_pandas_one_sentence_says_so(run: sora.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(sora.UserError, match="data frames need pandas, which is not installed"):
        run.to_frame()
    assert "<pre>" in sora.compare([run, run])._repr_html_()


def test_the_figure_shows_every_span_and_the_limit(run: sora.Run) -> None:
    figure = run.figure()
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert sum(len(bar.x) for bar in bars) == len(run.trace.spans)
    assert {name for bar in bars for name in bar.y} == {"Load", "GPU"}
    assert figure.layout.yaxis2.title.text == "footprint, MB"
    assert [note.text for note in figure.layout.annotations] == ["limit 3.30 GB, far above"]


# --- mistakes


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda: sora.simulate({"extends": "smal"}), "extends: no such file"),
        (lambda: sora.simulate({"extends": "small", "sampler": {"steps": 0}}), "sampler.steps"),
        (lambda: sora.simulate("no-such-plan"), "no plan file and no ready plan is named 'no-such-plan'"),
        (lambda: sora.simulate("small", memory_limit="much"), "'much' is not a size"),
        (lambda: sora.simulate(42), "42 is no plan"),  # type: ignore[arg-type]
        (lambda: sora.simulate("small", ["iphone15pro", "iphone16pro"]), "`ondevice_sora.ladder` takes several"),  # type: ignore[arg-type]
        (lambda: sora.simulate("small", memory_limit=-1), "-1 is not a size above zero"),
        (lambda: sora.simulate("small", memory_limit="1 GB", entitlement=True),
         "^entitlement has no effect with memory_limit\nGive one of the two.$"),
        (lambda: sora.simulate("small", model="sd1.5"), "^model has no effect with plan\n"),
        (lambda: sora.simulate("small", video="wide"), "video: 'wide' is no shape"),
        (lambda: sora.simulate("small", os="eighteen"), "^os: 'eighteen' is not a version"),
        (lambda: sora.simulate("small", repeat=0), "repeat: 0 is not a whole number from 1 to 100"),
        (lambda: sora.simulate("small", advice=False).to_frame("block"), "Did you mean 'blocks'"),  # type: ignore[arg-type]
        (lambda: sora.search("small", budget="9 GB"), "^budget: 9.00 GB is above the limit.*add entitlement for"),
        (lambda: sora.search("small", risk=0.2), "risk: 0.2 is not a quantile"),
        (lambda: sora.search("small", seconds=0), "seconds: 0 is not a number of seconds above zero"),
        (lambda: sora.variants("small"), "nothing is left free"),
        (lambda: sora.ladder("small", ["iphone99"]), "unknown device 'iphone99'"),
        (lambda: sora.compare([]), "0 runs are given"),
        (lambda: sora.sweep({"model": ["small"]}), "model: this key is not known\nDid you mean 'models'"),
        (lambda: sora.sweep({"models": ["small"]}, output="table.txt"), "a table is CSV or Parquet"),
        (lambda: sora.sweep({"models": ["small"]}, processes=0), "^processes: 0 is not a number of processes"),
        (lambda: sora.profile().changed("mine", {"loads.read": 1e9}), "unknown figure 'loads.read'"),
        (lambda: sora.profile().changed("iPhone 15 Pro"), "cannot be the name of another device"),
        (lambda: sora.profile().changed("mine", {"loads.transient_share": 11.0}), "11 is out of range"),
    ],
)  # fmt: skip
def test_mistakes_are_user_errors_in_the_words_of_python(mistake: Callable[[], object], said: str) -> None:
    with pytest.raises(sora.UserError, match=f"(?s){said}"):
        mistake()


# --- policies


def lru(visits: tuple[sora.PolicyVisit, ...]) -> list[bool]:
    """The example of docs/python.md."""
    keeps, held = [False] * len(visits), OrderedDict[int, int]()  # package -> the visit since which it is held
    for number, visit in enumerate(visits):
        if visit.package in held:
            keeps[held.pop(visit.package)] = True
        while held and sum(visits[since].weight_bytes for since in held.values()) > visit.room_bytes:
            held.popitem(last=False)
        held[visit.package] = number
    return keeps


def keep_none(visits: tuple[sora.PolicyVisit, ...]) -> list[bool]:
    return [False] * len(visits)


def keep_all(visits: tuple[sora.PolicyVisit, ...]) -> list[bool]:
    return [True] * len(visits)


def test_a_policy_that_says_what_a_shipped_one_says_comes_to_the_same() -> None:
    own, shipped = (sora.simulate("ours-192", policy=policy, advice=False) for policy in (keep_none, "none"))
    assert own.trace.spans == shipped.trace.spans
    assert own.trace.memory == shipped.trace.memory
    assert own.trace.plan.endswith("keep keep_none") and shipped.trace.plan.endswith("keep none")
    assert own.result.advice == []


def test_a_policy_of_ones_own_lies_between_keeping_nothing_and_the_best() -> None:
    """LRU over a cycle of blocks that do not all fit keeps what is visited next last: it is the textbook's bad case."""
    plan = {"extends": "ours-192", "memory": {"budget": "2.6 GB"}}
    none, own, best = (sora.simulate(plan, policy=policy, advice=False) for policy in ("none", lru, "optimal"))
    assert best.total_s <= own.total_s <= none.total_s
    assert own.peak_bytes <= 2_600_000_000
    everything = sora.simulate({"extends": "small", "memory": {"budget": "900 MB"}}, policy=lru, advice=False)
    assert everything.total_s == sora.simulate("small", policy="optimal", advice=False).total_s


def test_a_policy_is_told_every_visit_in_the_order_of_the_runs() -> None:
    seen: list[tuple[sora.PolicyVisit, ...]] = []

    def watching(visits: tuple[sora.PolicyVisit, ...]) -> list[bool]:
        seen.append(visits)
        return [False] * len(visits)

    run = sora.simulate(OWN_PLAN, policy=watching, advice=False)
    runs = [span for span in run.trace.spans if span.action == "run"]
    (visits,) = {*seen}
    assert [(visit.component, visit.step, visit.block) for visit in visits] == [
        (span.component, span.step, span.block) for span in runs
    ]
    rows = {row.block: row for row in run.result.blocks}
    for visit in visits:
        row = rows[visit.block]
        assert (visit.weight_bytes, visit.load_s, visit.run_s) == (row.resident_bytes, row.load_warm_s, row.run_s)
        assert visit.room_bytes < 400_000_000 - row.resident_bytes - row.working_bytes


@pytest.mark.parametrize(
    ("policy", "plan", "said"),
    [
        (keep_all, {"extends": "ours-192", "memory": {"budget": "2 GB"}}, "kept resident.*more than the budget"),
        (lambda visits: [True], "small", "returned 1 values for .* visits\nReturn True or False for each"),
        (lambda visits: ["yes"] * len(visits), "small", "returned 'yes' for visit 0"),
        (lambda visits: None, "small", "returned None"),
        ("lru", "small", "'lru' is no policy\n.*Or give a function"),
        (keep_none, {"extends": "small", "components": {"decoder": {"keep": "always"}}},
         "components.decoder.keep: policy keep_none decides what stays, and the plan keeps decoder"),
    ],
)  # fmt: skip
def test_what_a_policy_may_not_do_is_a_user_error(policy: sora.api.Policy, plan: sora.api.PlanLike, said: str) -> None:
    with pytest.raises(sora.UserError, match=f"(?s){said}"):
        sora.simulate(plan, policy=policy, advice=False)


def test_what_ifs_would_change_what_a_policy_decides() -> None:
    with pytest.raises(sora.UserError, match="the policy decides that"):
        sora.simulate("small", policy=keep_none, what_ifs=True)


# --- many runs


def test_runs_are_compared_in_a_table_a_figure_and_a_sentence(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    runs = {
        policy: sora.simulate({"extends": "ours-192", "memory": {"budget": "2 GB"}}, policy=policy, advice=False)
        for policy in ("none", "paper", "belady")
    }
    both = sora.compare(runs)
    assert both.names == ["none", "paper", "belady"]
    table = both.to_frame().set_index("run")
    assert list(table.total_s) == [run.total_s for run in runs.values()]
    assert list(table.peak_bytes) == [run.peak_bytes for run in runs.values()]
    assert table.filter(regex="^(text_encoder|denoiser|decoder)_s$").sum(axis=1).to_list() == pytest.approx(
        table.total_s.to_list()
    )
    assert set(both.differences().columns) == {"key", "none", "paper", "belady"}
    figure = both.figure()
    stacked = [sum(x) for x in zip(*(bar.x for bar in figure.data if bar.xaxis == "x"), strict=True)]
    assert stacked == pytest.approx(list(table.total_s))
    assert "is fastest" in repr(both)
    assert "<table" in both._repr_html_()
    assert "3 runs compared" in both.report(tmp_path / "three.html").read_text()


def test_a_plan_on_several_phones_is_the_commands(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    phones = sora.ladder("small", ["iphone13", "iphone15pro"])
    said = json.loads(told(capsys, "simulate", "small", "--device", "iphone13,iphone15pro", "--json"))
    assert [rung["total_s"] for rung in said["rungs"]] == list(phones.to_frame().total_s)
    assert phones.summary() == told(capsys, "simulate", "small", "--device", "iphone13,iphone15pro")
    assert phones.smallest().key == "iphone13"
    assert "fits from iPhone 13 on" in repr(phones)
    assert sum(len(trace.x) for trace in phones.figure().data) == len(phones.ladder.rungs)
    assert len(phones.save(tmp_path / "phones.csv").read_text().splitlines()) == 5


def test_a_sweep_is_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    grid = {
        "models": ["small"],
        "budgets": ["190 MB", "150 MB", "1 kB"],
        "techniques": {"as is": None, "cached": {"start": "cached"}},
    }
    file = tmp_path / "grid.yaml"
    file.write_text(json.dumps(grid))
    swept = sora.sweep(grid, processes=1, progress=False)
    assert swept.rows == sora.sweep(file, processes=1, progress=False).rows
    assert (
        swept.rows
        == json.loads(told(capsys, "plan", "sweep", str(file), "-o", str(tmp_path / "a.csv"), "--json"))["rows"]
    )
    assert swept.save(tmp_path / "b.csv").read_text() == (tmp_path / "a.csv").read_text()
    table = swept.to_frame()
    assert (
        swept.summary()
        == f"6 combinations: {sum(table.verdict == 'fits')} fit, 0 killed, {sum(table.verdict == 'refused')} refused"
    )
    assert sum(len(line.x) for line in swept.figure().data) == table.total_s.notna().sum()
    assert "Sweep" in swept.report(tmp_path / "sweep.html").read_text()


def test_a_sweep_takes_plans_of_python_by_name() -> None:
    swept = sora.sweep({"models": {"mine": OWN_PLAN, "small": KEYS}}, processes=1, progress=False)
    assert [row["model"] for row in swept.rows] == ["mine", "small"]
    assert [row["total_s"] for row in swept.rows] == [
        sora.simulate(plan, advice=False).total_s for plan in (OWN_PLAN, KEYS)
    ]


def test_a_sweep_that_was_cut_short_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ondevice_sora.simulator.sweep import sweep as module

    grid, output = {"models": ["small"], "budgets": ["190 MB", "200 MB"]}, tmp_path / "table.csv"

    def spread(work, jobs, *_):
        yield jobs[0], work(jobs[0])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "spread", spread)
        with pytest.raises(KeyboardInterrupt) as interrupted:
            sora.sweep(grid, output=output, progress=False)
    assert "1 of 2 rows are kept" in interrupted.value.__notes__[0]
    done = []

    def counted(work, jobs, *_):
        for job in jobs:
            done.append(job)
            yield job, work(job)

    monkeypatch.setattr(module, "spread", counted)
    assert len(sora.sweep(grid, output=output, progress=False).rows) == 2
    assert len(done) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv"]


# --- search and explanation


def test_a_search_gives_a_plan_that_simulates_and_saves(tmp_path: Path) -> None:
    found = sora.search("small", budget="1 GB", seconds=None, budgets=2, progress=False)
    assert sora.simulate(found.plan).total_s == pytest.approx(found.planning.rows[0].total_s)
    assert sora.simulate(found.save(tmp_path / "found.yaml")).total_s == pytest.approx(found.planning.rows[0].total_s)
    assert 0 <= found.gap < 1
    assert "found" in found.summary()
    assert repr(found).startswith("<Search: 'found within 1.00 GB' on iPhone 15 Pro takes ")
    assert len(repr(found)) < 120
    figure = found.figure()
    assert {trace.name for trace in figure.data} == {"front", "plans compared"}
    assert len(figure.data[0].x) == len(found.planning.memory_front)
    assert "small" in found.report(tmp_path / "search.html").read_text()


def test_a_search_is_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    found = sora.search("small", budget="190 MB", keep_cuts=True, entitlement=True, progress=False)
    said = json.loads(
        told(capsys, "plan", "search", "small", "--budget", "190MB", "--keep-cuts", "--entitlement", "--json")
    )
    assert found.planning.rows[0].total_s == said["rows"][0]["total_s"]
    assert found.planning.budget_bytes == said["budget_bytes"]
    assert [row.name for row in found.planning.rows] == [row["name"] for row in said["rows"]]


def test_an_interrupted_search_gives_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    from ondevice_sora.base import interrupts
    from ondevice_sora.commands import searching

    calls = iter(range(10_000))

    def check() -> None:
        if next(calls) == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(searching.interrupts, "check", check)
    found = sora.search("ours-192", seconds=None, progress=False)
    assert found.planning.ending == "interrupted"
    assert found.planning.rows[0].verdict == "fits"
    assert interrupts is searching.interrupts


def test_variants_are_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    found = sora.variants("small", evaluations=range(8, 10), budget="190 MB", seconds=None, progress=False)
    said = json.loads(
        told(
            capsys,
            "plan",
            "search",
            "small",
            "--evaluations",
            "8..9",
            "--budget",
            "190MB",
            "--seconds",
            "1000",
            "--json",
        )
    )
    assert [point.total_s for point in found.points] == [point["total_s"] for point in said]
    fastest = sora.simulate(found.fastest(), advice=False)
    assert fastest.total_s == pytest.approx(min(point.total_s for point in found.points))
    assert list(found.to_frame().evaluations) == [8, 9]


def test_an_explanation_is_the_commands(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    explained = sora.explain("small")
    said = json.loads(told(capsys, "plan", "explain", "small", "--json"))
    assert list(explained.to_frame().title) == [reason["title"] for reason in said["reasons"]]
    assert explained.to_frame("components").total_s.sum() == pytest.approx(said["total_s"])
    assert explained.summary() == told(capsys, "plan", "explain", "small")
    known = [reason for reason in explained.explanation.reasons if reason.saved_s is not None]
    assert sum(len(bar.x) for bar in explained.figure().data) == len(known)
    assert "small" in explained.report(tmp_path / "why.html").read_text()


# --- one's own device, model and packages


def test_a_device_of_ones_own_is_one_like_another_but_for_some_figures(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    known = sora.profile("iphone15pro")
    mine = known.changed("my phone", {"loads.read_bytes_per_s": 5e8}, memory_limit="2 GB")
    slow = sora.simulate("ours-192", mine, advice=False)
    assert slow.trace.device == "my phone" and slow.limit_bytes == 2_000_000_000
    assert slow.result.unlimited_s > sora.simulate("ours-192", advice=False).total_s
    again = sora.simulate("ours-192", mine.save(tmp_path / "mine.yaml"), advice=False)
    assert (again.trace.spans, again.limit_bytes) == (slow.trace.spans, slow.limit_bytes)
    row = mine.to_frame().set_index("figure").loc["loads.read_bytes_per_s"]
    assert (row.value, row.mark, row.source) == (5e8, "estimated", "set in Python")
    assert row.spread == known.to_frame().set_index("figure").loc["loads.read_bytes_per_s"].spread
    assert sora.simulate("ours-192", mine, entitlement=True, advice=False).limit_bytes == 6_000_000_000


def test_a_capture_is_a_profile_as_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "capture.json"
    page = (ROOT / "docs/profile.md").read_text(encoding="utf-8")
    path.write_text(page.partition("```json capture\n")[2].partition("```")[0])
    measured = sora.import_capture(path)
    assert measured.name == "iPhone 15 Pro"
    assert main(["profile", "import", str(path), "-o", str(tmp_path / "phone.yaml")]) == 0
    assert sora.profile(tmp_path / "phone.yaml").profile.measurements == measured.profile.measurements
    assert measured.profile.measurements[0].run_s.mark == "measured"


def test_a_model_of_ones_own_needs_no_file(tmp_path: Path) -> None:
    run = sora.simulate(OWN_PLAN, advice=False)
    assert {span.block for span in run.trace.spans} == {f"layer_{i}" for i in range(6)}
    found = sora.search(OWN_PLAN, seconds=None, progress=False)
    saved = found.save(tmp_path / "best.yaml")
    assert sora.simulate(saved, advice=False).total_s == pytest.approx(found.planning.rows[0].total_s)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.model.yaml", "best.yaml"]
    copied = pickle.loads(pickle.dumps(found))
    assert copied.plan.plan == found.plan.plan and copied.planning == found.planning
    units = [OWN_MODEL["components"][0]["units"][0]] * 2
    with pytest.raises(sora.UserError, match="'layer_0' stands twice"):
        sora.simulate({"model": {"components": [{"name": "denoiser", "passes": 1, "units": units}]}})


def test_a_described_model_is_what_a_plan_takes(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    described = sora.describe("sd1.5")
    run = sora.simulate({"model": described, "sampler": {"steps": 2}}, advice=False)
    assert {span.component for span in run.trace.spans} <= {part.name for part in described.model.components}
    parameters = sum(unit.parameters for part in described.model.components for unit in part.units)
    assert described.to_frame().parameters.sum() == parameters
    assert f"{parameters:,}" in repr(described)
    saved = described.save(tmp_path / "sd.yaml")
    assert sora.simulate({"model": str(saved), "sampler": {"steps": 2}}, advice=False).total_s == run.total_s


def test_an_estimate_is_written_and_simulates(tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    (tmp_path / "unet").mkdir()
    linear_package(tmp_path / "unet/a.mlpackage")
    estimated = sora.estimate(tmp_path / "unet", passes={"unet": "steps"}, steps=3)
    folder = estimated.save(tmp_path / "out")
    assert sora.simulate(folder / "plan.yaml", str(folder / "profile.yaml")).verdict == "fits"
    assert "unet" in estimated.summary()
    named = sora.estimate(components={"unet": [tmp_path / "unet/a.mlpackage"]}, passes={"unet": "steps"}, steps=3)
    assert named.estimate.packages[0].functions == estimated.estimate.packages[0].functions
    with pytest.raises(sora.UserError, match="no package is named"):
        sora.estimate([])
    with pytest.raises(sora.UserError, match="input 'x' cannot have the shape 4,3"):
        sora.estimate(tmp_path / "unet", shapes={"x": (4, 3)})
    with pytest.raises(sora.UserError, match="no package has more than one function"):
        sora.estimate(tmp_path / "unet", function="all")
    with pytest.raises(sora.UserError, match=r"^loaded_together has no effect without function all"):
        sora.estimate(tmp_path / "unet", loaded_together="shared")
