"""What a trace's file may say of the footprint that the system was seen to charge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.records.trace import FootprintSample, Trace, read_trace, write_trace

SAMPLED = Trace(
    "measured", "toy", "host", "toy", [], [], 1000, footprint=[FootprintSample(0.0, 7), FootprintSample(0.5, 0)]
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.json"


def test_a_sampled_footprint_is_pairs_of_seconds_and_bytes(path: Path) -> None:
    write_trace(SAMPLED, path)
    assert json.loads(path.read_text())["footprint"] == [[0.0, 7], [0.5, 0]]
    trace = read_trace(path)
    assert trace == SAMPLED
    assert (trace.sampled, trace.sampled_peak_bytes) == ([(0.0, 7), (0.5, 0)], 7)


def test_a_trace_without_one_does_not_mention_it(path: Path) -> None:
    """As those written before there was one."""
    write_trace(Trace("measured", "toy", "host", "toy", [], [], 1000), path)
    assert "footprint" not in json.loads(path.read_text())
    assert (read_trace(path).sampled, read_trace(path).sampled_peak_bytes) == ([], None)


@pytest.mark.parametrize(
    ("footprint", "said"),
    [
        ([[0, 7], [0.5, -1]], r"footprint\[1\]\[1\]: expected a whole number >= 0"),
        ([[-1, 7]], r"footprint\[0\]\[0\]: expected a number >= 0"),
        ([[0.5, 7], [0.25, 7]], r"footprint\[1\]: is earlier than the one before"),
        ([[0.5]], r"footprint\[0\]: expected a list of length 2"),
        ([[0.5, 7, 9]], r"footprint\[0\]: expected a list of length 2"),
        ([[0, 1.5]], r"footprint\[0\]\[1\]: expected a whole number"),
        ([{"time_s": 0, "bytes": 1}], r"footprint\[0\]: expected a list"),
        (None, "footprint: expected a list"),
    ],
)
def test_any_other_footprint_is_refused(path: Path, footprint: object, said: str) -> None:
    write_trace(SAMPLED, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"footprint": footprint}))
    with pytest.raises(UserError, match=said):
        read_trace(path)
