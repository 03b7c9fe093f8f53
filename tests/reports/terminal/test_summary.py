"""The summary on a terminal."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys

import pytest
import yaml
from msgspec.structs import replace

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.terminal.summary import print_summary

EXPECTED = """\
FITS on Toy phone · simulated
toy plan · toy

One generation takes 27.0 s. Memory peaks at 610 MB, 390 MB below the limit of
1.00 GB.
Likely between 25.0 s and 30.0 s (90 %).
Best possible 25.0 s; with no overlap of loads and runs 39.0 s.
Risk of being killed: 4.0 %. (iOS publishes no limit, and the app's own use is
not known exactly.)

component     time, s   run  stall  runs  loads   loaded    peak
text_encoder     5.00  3.00   2.00     1      1   100 MB  450 MB
denoiser         18.0  18.0      0     8      8   800 MB  610 MB
decoder          4.00  4.00      0     1      1   100 MB  370 MB
total            27.0  25.0   2.00    10     10  1.00 GB  610 MB

limit      1.00 GB (a toy)
budget     800 MB, set by the plan
busy       GPU 78 %, CPU 15 %, Load 52 %
most time  running denoiser (63 % of the total)
rests on   25 % published, 50 % fitted, 25 % estimated figures
resident   denoiser: 1 of 2 blocks, 100 MB: a; 1 for some runs (100 MB)

In memory at the peak, after 8.00 s (denoiser, step 0)
what                             bytes  blocks
the app itself                  200 MB
denoiser: blocks that stay      200 MB  a..b (2 blocks)
denoiser: extra while loading   100 MB  a
denoiser: working memory        100 MB  b
left by unloaded blocks        10.0 MB
together                        610 MB

What to change; each was simulated by itself
1. Keep block a
   1.00 s (3.7 %) faster: 26.0 s, peak 710 MB, risk 1.0 %
   (it is there)
   components: {denoiser: {keep: 1}}
"""


def summary_text(trace: Trace, width: int | None = None) -> str:
    text = io.StringIO()
    print_summary(trace, text, width)
    return text.getvalue()


def test_summary_whole(trace: Trace) -> None:
    assert summary_text(trace, 80) == EXPECTED


def test_a_kill_comes_first(killed: Trace) -> None:
    lines = summary_text(killed).splitlines()
    assert lines[0] == "WOULD BE KILLED on Toy phone · simulated"
    assert lines[3].startswith("iOS ends the app after 11.0 s, while loading block b of denoiser in step 1")
    assert "needed     1.20 GB, 200 MB over the limit" in lines
    assert "without a limit" in summary_text(killed)


def test_a_measurement_is_labelled_and_claims_no_bounds(measured: Trace) -> None:
    text = summary_text(measured)
    assert text.startswith("COMPLETED on Toy phone · measured\n")
    assert "Best possible" not in text and "Likely" not in text and "What to change" not in text


@pytest.mark.parametrize("width", [100, 60, 50])
def test_no_line_is_wider_than_the_terminal(trace: Trace, killed: Trace, width: int) -> None:
    for each in (trace, killed):
        text = summary_text(each, width)
        assert max(len(line) for line in text.splitlines()) <= width
        assert " 5.00 " in next(line for line in text.splitlines() if line.startswith("text_encoder"))


def test_what_is_to_be_pasted_survives_a_narrow_terminal(trace: Trace) -> None:
    """YAML goes on after a comma, a command after a backslash."""
    keys = "components: {text_encoder: {prefetch: 2, keep: optimal}, denoiser: {prefetch: 2, keep: optimal}}"
    command = "ondevice-sora plan search toy --device iphone15pro --budget 2.72GB -o best.yaml"
    assert trace.result is not None
    (one,) = trace.result.advice
    advice = [replace(one, keys=[keys]), replace(one, keys=[], command=command)]
    text = summary_text(replace(trace, result=replace(trace.result, advice=advice)), 60)
    _, first, second = text.split("   (it is there)\n")
    assert yaml.safe_load(first.partition("2. Keep")[0]) == yaml.safe_load(keys)
    assert len(second.splitlines()) > 1
    assert shlex.split(second.replace("\\\n", "")) == shlex.split(command)


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
