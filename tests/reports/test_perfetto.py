"""The Chrome trace event file: the rules of the format, and what is in it."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from worlds.fullsize import full_size

from ondevice_sora.records.provenance import Provenance
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.perfetto import perfetto, write_perfetto

Event = dict[str, Any]


def events(trace: Trace, phase: str) -> list[Event]:
    return [event for event in perfetto([trace])["traceEvents"] if event["ph"] == phase]


def slices(document: dict[str, Any]) -> dict[tuple[int, int], list[Event]]:
    """The complete events of each thread."""
    found: dict[tuple[int, int], list[Event]] = defaultdict(list)
    for event in document["traceEvents"]:
        if event["ph"] == "X":
            found[event["pid"], event["tid"]].append(event)
    return found


def end(event: Event) -> float:
    return float(round(event["ts"] + event["dur"], 3))


def enclosing(event: Event, document: dict[str, Any]) -> list[Event]:
    """The slices of its thread that an event lies in."""
    return [each for each in slices(document)[event["pid"], event["tid"]] if each["ts"] <= event["ts"] < end(each)]


@pytest.fixture(params=["fits", "killed", "measured", "two runs", "full size"])
def document(request: pytest.FixtureRequest, trace: Trace, killed: Trace, sampled: Trace) -> dict[str, Any]:
    traces = {
        "fits": [trace], "killed": [killed], "measured": [sampled], "two runs": [trace, sampled],
        "full size": [full_size("ours-256")] if request.param == "full size" else [],
    }  # fmt: skip
    found: dict[str, Any] = json.loads(json.dumps(perfetto(traces[request.param])))
    return found


def test_events_have_what_their_phase_needs_and_are_in_order_of_time(document: dict[str, Any]) -> None:
    needed = {
        "M": {"args"}, "X": {"ts", "dur", "cat"}, "C": {"ts", "args"}, "i": {"ts", "s"}, "s": {"ts", "id", "cat"},
        "f": {"ts", "id", "cat", "bp"},
    }  # fmt: skip
    for event in document["traceEvents"]:
        assert {"ph", "name", "pid", "tid", *needed[event["ph"]]} <= set(event)
        assert event.get("dur", 0.0) >= 0
    timed = [event["ts"] for event in document["traceEvents"] if event["ph"] != "M"]
    assert timed == sorted(timed) and timed[0] >= 0


def test_slices_of_a_thread_follow_each_other_or_lie_within_each_other(document: dict[str, Any]) -> None:
    for found in slices(document).values():
        open_ends: list[float] = []
        for event in found:
            while open_ends and open_ends[-1] <= event["ts"]:
                open_ends.pop()
            assert not open_ends or end(event) <= open_ends[-1], event
            open_ends.append(end(event))


def test_every_arrow_goes_from_a_load_to_a_run_of_the_same_block(document: dict[str, Any]) -> None:
    begun = {event["id"]: event for event in document["traceEvents"] if event["ph"] == "s"}
    ended = {event["id"]: event for event in document["traceEvents"] if event["ph"] == "f"}
    assert begun.keys() == ended.keys() and begun
    assert len(begun) == sum(event["ph"] == "s" for event in document["traceEvents"])
    for number, start in list(begun.items())[:40]:
        (load,), (run,) = enclosing(start, document), enclosing(ended[number], document)
        assert start["pid"] == ended[number]["pid"]
        assert (load["cat"].split(",")[0], run["cat"].split(",")[0]) == ("load", "run")
        assert (load["name"], load["args"]["component"]) == (run["name"], run["args"]["component"])
        assert end(load) <= run["ts"]


def test_every_thread_and_process_is_named(document: dict[str, Any]) -> None:
    named = {(e["pid"], e["tid"]) for e in document["traceEvents"] if e["name"] == "thread_name"}
    assert named == set(slices(document))
    processes = {e["pid"] for e in document["traceEvents"] if e["name"] == "process_name"}
    assert processes == {e["pid"] for e in document["traceEvents"]}


def test_lanes_are_threads_beneath_components_and_steps(trace: Trace) -> None:
    names = {event["tid"]: event["args"]["name"] for event in events(trace, "M") if event["name"] == "thread_name"}
    assert names == {1: "Components and steps", 2: "Load", 3: "CPU", 4: "GPU"}


def test_spans_are_complete_events_in_microseconds(trace: Trace) -> None:
    found = [event for event in events(trace, "X") if event["tid"] > 1]
    assert len(found) == len(trace.spans)
    assert found[0] == {
        "ph": "X",
        "name": "encode",
        "cat": "load,text_encoder,cold",
        "ts": 0.0,
        "dur": 2_000_000.0,
        "pid": 1,
        "tid": 2,
        "args": {"component": "text_encoder", "step": 0, "variant": "plain", "bytes": 100_000_000, "first": True},
    }


def test_the_generation_holds_its_components_and_they_hold_their_steps(trace: Trace) -> None:
    found = [(e["cat"], e["name"], e["ts"] / 1e6, end(e) / 1e6) for e in events(trace, "X") if e["tid"] == 1]
    assert found == [
        ("generation", "toy plan", 0, 27),
        ("component", "text_encoder", 2, 5), ("step", "step 0", 2, 5),
        ("component", "denoiser", 5, 23), ("step", "step 0", 5, 11), ("step", "step 1", 11, 15),
        ("step", "step 2", 15, 19), ("step", "step 3", 19, 23),
        ("component", "decoder", 23, 27), ("step", "step 0", 23, 27),
    ]  # fmt: skip


def test_loads_that_nothing_ran_after_have_no_arrow(killed: Trace) -> None:
    loads = sum(span.action == "load" for span in killed.spans)
    assert 0 < len(events(killed, "s")) < loads


def test_memory_counters_add_up_to_the_footprint_beneath_limit_and_budget(trace: Trace) -> None:
    def counted(name: str) -> list[int]:
        return [sum(event["args"].values()) for event in events(trace, "C") if event["name"] == name]

    assert counted("footprint, bytes") == [sample.total for sample in trace.memory]
    assert counted("limit, bytes") == [1_000_000_000] * 2
    assert counted("budget, bytes") == [800_000_000] * 2


def test_a_sampled_footprint_is_a_counter_of_its_own(trace: Trace, sampled: Trace) -> None:
    def counted(of: Trace) -> list[tuple[float, dict[str, int]]]:
        return [(e["ts"], e["args"]) for e in events(of, "C") if e["name"] == "measured footprint, bytes"]

    assert counted(sampled)[1:] == [(8_500_000.0, {"measured": 660_000_000}), (29_700_000.0, {"measured": 90_000_000})]
    assert counted(trace) == []


def test_a_kill_is_an_instant_event(trace: Trace, killed: Trace) -> None:
    assert events(trace, "i") == []
    (kill,) = events(killed, "i")
    assert (kill["name"], kill["ts"], kill["s"]) == ("killed", 11_000_000.0, "p")
    assert kill["args"]["block"] == "b"


def test_a_measured_run_lies_beside_its_prediction(trace: Trace, sampled: Trace) -> None:
    document = perfetto([trace, sampled])
    names = [e["args"]["name"] for e in document["traceEvents"] if e["name"] == "process_name"]
    assert len(set(names)) == 2
    assert names[0].endswith("on Toy phone (simulated)") and names[1].endswith("on Toy phone (measured)")
    numbers = [event["id"] for event in document["traceEvents"] if event["ph"] == "s"]
    assert len(numbers) == len(set(numbers))
    assert [run["origin"] for run in document["otherData"]["runs"]] == ["simulated", "measured"]


def test_the_file_is_json_and_says_where_it_came_from(measured: Trace, tmp_path: Path) -> None:
    made = Provenance("simulate --plan toy", "1.2.3", "2026-11-26T16:00:00Z", plan="model: toy\n")
    write_perfetto([replace(measured, provenance=made)], tmp_path / "trace.json")
    document = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))
    (run,) = document["otherData"]["runs"]
    assert (run["origin"], run["condition: os"]) == ("measured", "toyOS 1")
    assert (run["made"]["command"], run["made"]["version"]) == ("simulate --plan toy", "1.2.3")
    assert (run["made"]["made_at"], run["made"]["plan"]) == ("2026-11-26T16:00:00Z", "model: toy\n")
    (generation,) = [event for event in document["traceEvents"] if event.get("cat") == "generation"]
    assert generation["args"] == run


def test_steps_of_two_compute_units_at_once_end_as_the_next_begins() -> None:
    found = slices(perfetto([full_size("ours-256")]))[1, 1]
    steps = [event for event in found if event["cat"] == "step"]
    assert all(end(a) <= b["ts"] for a, b in pairwise(steps))
