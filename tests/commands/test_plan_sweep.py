"""`plan sweep`: a grid in, a table out, and nothing lost at Ctrl-C."""

import csv

import pytest
from worlds.pages import words

from ondevice_sora.base.files.folders import locked
from ondevice_sora.commands.main import main
from ondevice_sora.simulator.sweep import sweep

GRID = "models: [ours-192]\ndevices: [iphone15pro, iphone16pro]\n"


@pytest.fixture
def grid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text(GRID)
    return tmp_path


def in_this_process(work, cells, *_):
    for cell in cells:
        yield cell, work(cell)


def test_a_grid_becomes_a_table_named_after_it(grid, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "spread", in_this_process)
    assert main(["plan", "sweep", "grid.yaml"]) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == ("2 combinations: 2 fit, 0 killed, 0 refused\n", "Wrote grid.csv\n")
    with open("grid.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["device"] for row in rows] == ["iphone15pro", "iphone16pro"]
    assert sorted(path.name for path in grid.iterdir()) == ["grid.csv", "grid.yaml"]
    assert main(["plan", "sweep", "grid.yaml"]) == 2
    assert "the file exists already" in capsys.readouterr().err


def test_why_rows_were_refused_is_said_once_each(grid, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "spread", in_this_process)
    (grid / "grid.yaml").write_text(GRID + "budgets: [0.5 GB, 2.6 GB]\n")
    assert main(["plan", "sweep", "grid.yaml"]) == 0
    counts, *reasons = capsys.readouterr().out.splitlines()
    assert counts == "4 combinations: 2 fit, 0 killed, 2 refused"
    assert [line.partition("): ")[0] for line in reasons] == ["refused (ours-192, iphone15pro, as planned, and 1 more"]
    with open("grid.csv", newline="") as stream:
        assert reasons[0].partition("): ")[2] in [row["reason"] for row in csv.DictReader(stream)]


def test_a_report_is_written_beside_the_table(grid, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "spread", in_this_process)
    assert main(["plan", "sweep", "grid.yaml", "--report"]) == 0
    assert "Wrote grid.csv\nWrote grid.html" in capsys.readouterr().err
    said = words((grid / "grid.html").read_text())
    assert "Total time by device" in said and "plan sweep grid.yaml --report" in said
    assert main(["plan", "sweep", "grid.yaml", "-o", "other.csv", "--report", "grid.html"]) == 2
    assert "grid.html: the file exists already" in capsys.readouterr().err


def test_ctrl_c_keeps_the_rows_done_and_the_same_command_goes_on(grid, monkeypatch, capsys):
    def interrupted(*arguments):
        yield next(in_this_process(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "spread", interrupted)
    assert main(["plan", "sweep", "grid.yaml"]) == 130
    assert "1 of 2 rows are kept in grid.csv.rows.jsonl" in capsys.readouterr().err
    assert not (grid / "grid.csv").exists()
    left = []

    def noted(work, cells, *_):
        left.extend(cells)
        return in_this_process(work, cells)

    monkeypatch.setattr(sweep, "spread", noted)
    assert main(["plan", "sweep", "grid.yaml"]) == 0
    assert len(left) == 1


def test_two_sweeps_into_one_table_are_one_too_many(grid, capsys):
    (grid / "grid.csv.rows.jsonl").write_text("")
    with locked(grid / "grid.csv.rows.jsonl"):
        assert main(["plan", "sweep", "grid.yaml"]) == 2
    assert "grid.csv.rows.jsonl: another process is working with this file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheduler", "tcp://a:1", "--processes", "2"], "--processes has no effect with --scheduler"),
        (["-o", "table.xlsx"], "a table is CSV or Parquet"),
    ],
)
def test_unusable_requests_are_refused(grid, arguments, message, capsys):
    assert main(["plan", "sweep", "grid.yaml", *arguments]) == 2
    assert message in capsys.readouterr().err
