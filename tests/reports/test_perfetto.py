"""The Chrome trace event file."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.perfetto import perfetto, write_perfetto


def events(trace: Trace, phase: str) -> list[dict[str, Any]]:
    return [event for event in perfetto(trace)["traceEvents"] if event["ph"] == phase]


def test_lanes_are_named_threads(trace: Trace) -> None:
    names = {event["tid"]: event["args"]["name"] for event in events(trace, "M") if event["name"] == "thread_name"}
    assert names == {1: "Load", 2: "CPU", 3: "GPU"}


def test_spans_are_complete_events_in_microseconds(trace: Trace) -> None:
    found = events(trace, "X")
    assert len(found) == len(trace.spans)
    assert found[0] == {
        "ph": "X",
        "name": "encode",
        "cat": "load,text_encoder,cold",
        "ts": 0.0,
        "dur": 2_000_000.0,
        "pid": 1,
        "tid": 1,
        "args": {"component": "text_encoder", "step": 0, "variant": "plain", "bytes": 100_000_000, "first": True},
    }
    assert [event["ts"] for event in found] == sorted(event["ts"] for event in found)


def test_spans_of_a_thread_do_not_overlap(trace: Trace) -> None:
    for tid in (1, 2, 3):
        lane = [event for event in events(trace, "X") if event["tid"] == tid]
        assert all(a["ts"] + a["dur"] <= b["ts"] for a, b in pairwise(lane))


def test_memory_counters_add_up_to_the_footprint(trace: Trace) -> None:
    counters = [event for event in events(trace, "C") if event["name"] == "footprint, bytes"]
    assert [sum(event["args"].values()) for event in counters] == [sample.total for sample in trace.memory]


def test_a_sampled_footprint_is_a_counter_of_its_own(trace: Trace, sampled: Trace) -> None:
    def counted(of: Trace) -> list[tuple[float, dict[str, int]]]:
        return [(e["ts"], e["args"]) for e in events(of, "C") if e["name"] == "measured footprint, bytes"]

    assert counted(sampled)[1:] == [(8_500_000.0, {"measured": 660_000_000}), (29_700_000.0, {"measured": 90_000_000})]
    assert counted(trace) == []


def test_a_kill_is_an_instant_event(trace: Trace, killed: Trace) -> None:
    assert events(trace, "i") == []
    (kill,) = events(killed, "i")
    assert (kill["name"], kill["ts"], kill["s"]) == ("killed", 11_000_000.0, "g")
    assert kill["args"]["block"] == "b"


def test_the_file_is_json_and_says_where_it_came_from(measured: Trace, tmp_path: Path) -> None:
    write_perfetto(measured, tmp_path / "trace.json")
    document = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))
    assert document["otherData"]["origin"] == "measured"
    assert document["otherData"]["condition: os"] == "toyOS 1"
