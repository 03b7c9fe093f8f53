"""The summary on a terminal."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.terminal.summary import print_summary

EXPECTED = """\
FITS on Toy phone · simulated
toy plan · toy

The generation takes 27.0 s; the footprint peaks at 610 MB, 390 MB below the limit of 1.00 GB.
90 % interval 25.0 s to 30.0 s under the spread of the costs.
The limit is not known exactly. It lies below the peak with a probability of 4.0 %: then every run
is killed, else none.

component       time     run   stall  runs  loads   loaded    peak
text_encoder  5.00 s  3.00 s  2.00 s     1      1   100 MB  450 MB
denoiser      18.0 s  18.0 s  0.00 s     8      8   800 MB  610 MB
decoder       4.00 s  4.00 s  0.00 s     1      1   100 MB  370 MB
total         27.0 s  25.0 s  2.00 s    10     10  1.00 GB  610 MB

limit       1.00 GB (a toy)
budget      800 MB, set by the plan
busy        GPU 78 %, CPU 15 %, Load 52 %
bounded by  running the denoiser (63 % of the total)
bounds      25.0 s at least; 39.0 s without overlap
rests on    25 % published, 50 % fitted, 25 % estimated figures
"""


def summary_text(trace: Trace, width: int | None = None) -> str:
    text = io.StringIO()
    print_summary(trace, text, width)
    return text.getvalue()


def test_summary_whole(trace: Trace) -> None:
    assert summary_text(trace, 100) == EXPECTED


def test_a_kill_comes_first(killed: Trace) -> None:
    lines = summary_text(killed).splitlines()
    assert lines[0] == "WOULD BE KILLED on Toy phone · simulated"
    assert lines[3].startswith("iOS kills the app after 11.0 s, while loading block b of denoiser in step 1")
    assert "needed      1.20 GB, 200 MB over the limit" in lines
    assert "without a limit" in summary_text(killed)


def test_a_measurement_is_labelled_and_claims_no_bounds(measured: Trace) -> None:
    text = summary_text(measured)
    assert text.startswith("COMPLETED on Toy phone · measured\n")
    assert "bounds" not in text and "interval" not in text


@pytest.mark.parametrize("width", [100, 60, 50])
def test_no_line_is_wider_than_the_terminal(trace: Trace, killed: Trace, width: int) -> None:
    for each in (trace, killed):
        text = summary_text(each, width)
        assert max(len(line) for line in text.splitlines()) <= width
        assert " 5.00 s " in next(line for line in text.splitlines() if line.startswith("text_encoder"))


@pytest.mark.parametrize(("columns", "width"), [("72", 72), ("160", 160), (None, 100)])
def test_it_is_as_wide_as_the_environment_says(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, columns: str | None, width: int
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("os.get_terminal_size", lambda *of: (_ for _ in ()).throw(OSError))
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    seen, wanted = io.StringIO(), io.StringIO()
    print_summary(trace, seen)
    print_summary(trace, wanted, width)
    assert seen.getvalue() == wanted.getvalue()
    assert max(len(line) for line in seen.getvalue().splitlines()) <= width


def test_no_escapes_where_there_is_no_terminal(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    out = io.StringIO()
    print_summary(trace, out)
    assert "\x1b" not in out.getvalue()
    assert not [line for line in out.getvalue().splitlines() if line.endswith(" ")]


def test_markup_and_escapes_in_names_are_shown_as_they_are(hostile: Trace) -> None:
    assert "</script><script>" in summary_text(hostile)


def test_a_summary_loads_nothing_heavy() -> None:
    heavy = ("plotly", "pandas", "rich", "numpy", "jinja2")
    code = f"import sys, ondevice_sora.reports.terminal.summary; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_text_only_simulation_loads_neither_plotly_nor_jinja() -> None:
    code = (
        "import sys; from ondevice_sora.commands.simulate import main; main([]);"
        "print([m for m in ('plotly', 'jinja2', 'markupsafe') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
