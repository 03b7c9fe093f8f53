"""A sweep gives the same rows wherever it runs, whatever dies under way, and does no row twice."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from worlds import chores
from worlds.processes import children_of, ended

from ondevice_sora.base.compiled import has_compiler
from ondevice_sora.base.errors import UserError
from ondevice_sora.simulator.sweep.grid import read_grid
from ondevice_sora.simulator.sweep.journal import Journal
from ondevice_sora.simulator.sweep.sweep import row_of, sweep, write_table

needs_numba = pytest.mark.skipif(not has_compiler(), reason="numba is not installed")

GRID = """
models: [app-192, ours-192]
devices: [iphone15pro]
budgets: [null, 3.0 GB]
techniques:
  as planned:
  no overlap: {components: {denoiser: {prefetch: 0}, text_encoder: {prefetch: 0}}}
"""


def grid(tmp_path, text=GRID):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    return read_grid(grid(tmp_path_factory.mktemp("grid")))


@pytest.fixture(scope="module")
def rows(cells):
    return [row_of(cell) for cell in cells]


def test_a_technique_may_be_another_start(tmp_path):
    first, later = read_grid(grid(tmp_path, "models: [small]\ntechniques: {installed: , later: {start: cached}}"))
    assert (first.plan.start, later.plan.start) == ("first", "cached")
    assert row_of(later)["total_s"] < row_of(first)["total_s"]


def test_a_plan_with_dynamic_lpl_is_a_row_as_any_other(tmp_path):
    """Its probabilities are keyed by steps, which are no text: it ended with a traceback."""
    text = "models: [small]\ntechniques: {at 3 or 9: {lpl: {mode: dynamic, stop_steps: {3: 0.5, 9: 0.5}}}}"
    (cell,) = read_grid(grid(tmp_path, text))
    (row,) = sweep([cell], Journal(tmp_path / "table.csv"), processes=1)
    assert row["total_s"] > 0.0
    assert cell.key == read_grid(grid(tmp_path, text))[0].key


def killer(victim):
    """Kills a process when the first row is done."""
    told: list[int] = []

    def progress(count):
        if count and not told:
            told.append(count)
            os.kill(victim(), signal.SIGKILL)

    return progress


def test_cells_are_every_combination_in_the_order_of_the_axes(cells):
    assert [(cell.model, cell.technique, cell.plan.memory.budget) for cell in cells] == [
        ("app-192", "as planned", None), ("app-192", "as planned", 3 * 10**9),
        ("app-192", "no overlap", None), ("app-192", "no overlap", 3 * 10**9),
        ("ours-192", "as planned", 2_600_000_000), ("ours-192", "as planned", 3 * 10**9),
        ("ours-192", "no overlap", 2_600_000_000), ("ours-192", "no overlap", 3 * 10**9),
    ]  # fmt: skip
    assert cells[6].plan.component("denoiser").prefetch == 0
    assert cells[6].plan.component("denoiser").keep == "optimal"
    assert len({cell.key for cell in cells}) == len(cells)


def test_shapes_replace_the_plans(tmp_path):
    (cell,) = read_grid(grid(tmp_path, "models: [ours-256]\nshapes: [{width: 192, height: 144, frames: 17}]\n"))
    assert (cell.plan.video.width, cell.plan.video.height, cell.plan.video.frames) == (192, 144, 17)
    row = row_of(cell)
    assert (row["width"], row["height"], row["frames"]) == (192, 144, 17)
    assert row["total_s"] < 300


def test_rows_add_up_and_overlap_saves(rows):
    for row in rows:
        assert row["text_encoder_s"] + row["denoiser_s"] + row["decoder_s"] == pytest.approx(row["total_s"])
        assert row["low_s"] < row["total_s"] < row["high_s"]
    assert rows[4]["total_s"] < rows[6]["total_s"]


def test_a_plan_that_is_refused_is_a_row_with_a_reason(tmp_path):
    (cell,) = read_grid(grid(tmp_path, "models: [ours-192]\nbudgets: [400 MB]\n"))
    row = row_of(cell)
    assert row["verdict"] == "refused"
    assert "more than the budget of 400 MB" in row["reason"]
    assert "total_s" not in row


def test_searched_cells_have_a_bound(tmp_path):
    (cell,) = read_grid(grid(tmp_path, "models: [ours-192]\nbudgets: [3.0 GB]\nsearch: true\n"))
    row = row_of(cell)
    assert row["bound_s"] <= row["total_s"] <= row["bound_s"] * 1.04
    assert row["peak_bytes"] <= row["budget_bytes"] == 3 * 10**9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [ours-192]\nbudget: [1 GB]\n", r"grid.yaml:2: budget: this key is not known"),
        ("models: [ours-129]\n", r"grid.yaml:1: models\[0\]: no plan file and no ready plan is named 'ours-129'"),
        ("models: [ours-192]\ndevices:\n- iphone15\n- nokia\n", r"grid.yaml:4: devices\[1\]: unknown device 'nokia'"),
        ("models: [ours-192]\ntechniques:\n  a:\n    lpl: {mode: fast}\n", r"grid.yaml:4: lpl.mode: 'fast' is not one"),
        ("models: [ours-192]\ntechniques: {a: {name: b}}\n", r"grid.yaml:2: techniques.a.name: this key is not known"),
        ("models: []\n", r"grid.yaml:1: models: expected"),
        (
            "models: [ours-192]\ntechniques:\n  a:\n    components: {__class__: {prefetch: 0}}\n",
            r"grid.yaml:4: techniques.a.components.__class__: no model of this grid has such a component",
        ),
        (
            'models: [ours-192]\ntechniques: {"a\\e[31m": }\n',
            r"grid.yaml:2: techniques.a.*: as a key, expected one line",
        ),
    ],
)
def test_a_bad_grid_is_refused_with_file_and_line(text, message, tmp_path):
    with pytest.raises(UserError) as refused:
        read_grid(grid(tmp_path, text))
    refused.match(message)


@needs_numba
def test_a_long_sweep_is_compiled_to_the_same_rows(cells, rows, tmp_path, monkeypatch):
    monkeypatch.setattr("ondevice_sora.simulator.sweep.sweep.COMPILED", 1)
    assert sweep(cells, Journal(tmp_path / "rows.jsonl"), processes=1) == rows


def test_a_process_that_dies_loses_nothing(cells, rows, tmp_path):
    journal = Journal(tmp_path / "table.csv")
    progress = killer(lambda: children_of()[0])
    assert sweep(cells, journal, processes=1, progress=progress) == rows
    assert len(journal.path.read_text().splitlines()) == len(cells)


def test_a_cell_that_ends_its_process_time_and_again_is_named(cells, tmp_path, monkeypatch):
    monkeypatch.setattr("ondevice_sora.simulator.sweep.sweep.row_of", chores.fatal)
    monkeypatch.setenv("PYTHONPATH", str(Path(chores.__file__).parents[1]))
    with pytest.raises(UserError) as refused:
        sweep(cells, Journal(tmp_path / "table.csv"), processes=1)
    refused.match("app-192 on iphone15pro, as planned: 3 processes have ended at this cell; the last one was ended by ")
    refused.match("the system .*memory ran short\nRows done are kept; give it fewer --processes if memory is short.")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_the_sweep_however_that_ends(cells, rows, tmp_path, number):
    """And what is in the journal then is enough to go on. None has anything in shared memory that would stay there."""
    program = (
        "import os, sys; from ondevice_sora.commands.main import main\n"
        "from worlds.processes import children_of, shared_memory_of\n"
        "from ondevice_sora.simulator.sweep.sweep import Journal; add = Journal.add\n"
        "def first(*row):\n"
        "    add(*row)\n"
        "    print(*children_of(), flush=True)\n"
        "    assert not [line for pid in (os.getpid(), *children_of()) for line in shared_memory_of(pid)]\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "Journal.add = first\n"
        "sys.exit(main(['plan', 'sweep', 'grid.yaml']))"
    )
    grid(tmp_path)
    journal = Journal(tmp_path / "grid.csv")
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(chores.__file__).parents[1])},
    )  # fmt: skip
    assert ran.returncode == {signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    assert ran.stderr.count("\n") == {signal.SIGTERM: 1, signal.SIGKILL: 0}[number], ran.stderr
    assert ran.stdout and all(ended(int(pid)) for pid in ran.stdout.split())
    assert 1 <= len(journal.read()) <= len(cells)
    assert sweep(cells, journal, processes=1) == rows


def test_a_worker_of_a_cluster_that_dies_loses_nothing(cells, rows, tmp_path):
    """A real scheduler and two real processes, one of them killed midway."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    with distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        pids = [worker.pid for worker in cluster.workers.values()]
        progress = killer(lambda: pids[0])
        assert sweep(cells, Journal(tmp_path / "table.csv"), cluster.scheduler_address, progress=progress) == rows


def test_a_scheduler_that_is_lost_is_told_and_the_rows_done_are_kept(cells, tmp_path, monkeypatch):
    """A scheduler of its own process, killed when the first row is done; the second one takes for ever."""
    pytest.importorskip("distributed", reason="distributed is not installed")
    monkeypatch.setattr("ondevice_sora.simulator.sweep.sweep.row_of", chores.done_once)
    monkeypatch.setenv("PYTHONPATH", str(Path(chores.__file__).parents[1]))
    file = tmp_path / "scheduler.json"
    scheduler = ["scheduler", "--port", "0", "--no-dashboard", "--no-show", "--scheduler-file", str(file)]
    worker = ["worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    started = [
        subprocess.Popen([sys.executable, "-m", f"distributed.cli.dask_{name}", *options], stderr=subprocess.DEVNULL)
        for name, *options in (scheduler, worker)
    ]
    try:
        while not file.is_file() or not file.read_text():
            assert started[0].poll() is None
        address = json.loads(file.read_text())["address"]
        journal = Journal(tmp_path / "table.csv")
        with pytest.raises(UserError) as refused:
            sweep(cells, journal, address, progress=killer(lambda: started[0].pid))
        refused.match(f"{address}: the Dask scheduler was lost with 7 cells left\nRows done are kept; the same command")
        assert [json.loads(line)[1] for line in journal.path.read_text().splitlines()] == [{"made": "up"}]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_rows_done_are_kept_and_a_torn_line_is_not_one(cells, rows, tmp_path):
    journal = Journal(tmp_path / "table.csv")
    made_up = rows[0] | {"total_s": 12345.0}
    journal.add(cells[0].key, made_up)
    with journal.path.open("a") as stream:
        stream.write('["torn')
    told: list[int] = []
    found = sweep(cells[:2], journal, processes=1, progress=told.append)
    assert found == [made_up, rows[1]]
    assert told == [1, 1]
    assert [json.loads(line)[0] for line in journal.path.read_text().splitlines()] == [cell.key for cell in cells[:2]]


def test_no_scheduler_is_a_clear_complaint(cells, tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="distributed is not installed")
    monkeypatch.setattr("ondevice_sora.base.spread.PATIENCE", "1s")
    with pytest.raises(UserError, match="no Dask scheduler answers there"):
        sweep(cells, Journal(tmp_path / "table.csv"), "tcp://127.0.0.1:9")


def test_csv_and_parquet_hold_the_same(rows, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    refused = dict.fromkeys(rows[0]) | {"model": "app-192", "verdict": "refused", "reason": 'a, "b"'}
    for suffix in (".csv", ".parquet"):
        write_table([*rows, refused], tmp_path / f"table{suffix}")
    with (tmp_path / "table.csv").open(newline="") as stream:
        written = list(csv.DictReader(stream))
    table = parquet.read_table(tmp_path / "table.parquet").to_pylist()
    for text, typed in zip(written, table, strict=True):
        assert text == {name: "" if value is None else str(value) for name, value in typed.items()}
    assert table[:-1] == rows


def test_text_that_a_spreadsheet_would_take_for_a_formula_is_text(rows, tmp_path):
    write_table([rows[0] | {"model": "=1+1", "device": "-2", "reason": "@x"}], tmp_path / "table.csv")
    (row,) = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    assert (row["model"], row["device"], row["reason"]) == ("'=1+1", "'-2", "'@x")
    assert float(row["total_s"]) == rows[0]["total_s"]
