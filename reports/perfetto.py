"""Write a trace in the Chrome trace event format, which https://ui.perfetto.dev and chrome://tracing open.

Lanes are threads, spans complete events, memory counters by holder, a kill an instant event. Times are microseconds.
Format: "Trace Event Format", Google (the one that both viewers read).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ondevice_sora.base.files.writing import write_text
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.rows import LANE_NAMES, kind_word, verdict
from ondevice_sora.reports.timeline import HOLDERS, LANES

PID = 1
THREADS = {lane: LANES.index(lane) + 1 for lane in LANES}


def write_perfetto(trace: Trace, path: str | Path) -> None:
    """One trace as Chrome trace JSON. Raises UserError if the file cannot be written."""
    write_text(path, msgspec.json.encode(perfetto(trace)).decode() + "\n")


def perfetto(trace: Trace) -> dict[str, Any]:
    """The document: `traceEvents`, and what is known about the run in `otherData`."""
    return {
        "traceEvents": [*_names(trace), *_spans(trace), *_memory(trace), *_kill(trace)],
        "displayTimeUnit": "ms",
        "otherData": {
            "origin": trace.kind,
            "plan": trace.plan,
            "device": trace.device,
            "model": trace.model,
            "verdict": verdict(trace).sentence,
            **{f"condition: {key}": value for key, value in trace.conditions.items()},
            **(msgspec.to_builtins(trace.provenance) if trace.provenance is not None else {}),
        },
    }


def _names(trace: Trace) -> list[dict[str, Any]]:
    process = f"{trace.plan} on {trace.device} ({kind_word(trace).lower()})"
    events = [_meta("process_name", 0, name=process)]
    used = {span.lane for span in trace.spans}
    for lane, tid in THREADS.items():
        if lane in used:
            events.append(_meta("thread_name", tid, name=LANE_NAMES[lane]))
            events.append(_meta("thread_sort_index", tid, sort_index=tid))
    return events


def _meta(event: str, tid: int, **args: str | int) -> dict[str, Any]:
    return {"ph": "M", "name": event, "pid": PID, "tid": tid, "args": args}


def _spans(trace: Trace) -> list[dict[str, Any]]:
    return [
        {
            "ph": "X",
            "name": f"{span.block}" if span.action != "evict" else f"unload {span.block}",
            "cat": f"{span.action},{span.component}" + (",cold" if span.cold else ""),
            "ts": _us(span.start_s),
            "dur": _us(span.seconds),
            "pid": PID,
            "tid": THREADS[span.lane],
            "args": {
                "component": span.component,
                "step": span.step,
                "variant": span.variant,
                "bytes": span.bytes,
                "first": span.cold,
            },
        }
        for span in sorted(trace.spans, key=lambda span: (span.start_s, span.end_s))
    ]


def _memory(trace: Trace) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [
        {
            "ph": "C",
            "name": "footprint, bytes",
            "ts": _us(sample.time_s),
            "pid": PID,
            "args": {holder: getattr(sample, holder) for holder in HOLDERS},
        }
        for sample in trace.memory
    ]
    for time_s, held in trace.sampled:
        args = {"measured": held}
        events.append({"ph": "C", "name": "measured footprint, bytes", "ts": _us(time_s), "pid": PID, "args": args})
    for time_s in (0.0, trace.total_s):
        limit = {"limit": trace.limit_bytes}
        events.append({"ph": "C", "name": "limit, bytes", "ts": _us(time_s), "pid": PID, "args": limit})
    return events


def _kill(trace: Trace) -> list[dict[str, Any]]:
    kill = trace.kill
    if kill is None:
        return []
    args = msgspec.to_builtins(kill)
    return [{"ph": "i", "s": "g", "name": "killed", "ts": _us(kill.time_s), "pid": PID, "tid": 0, "args": args}]


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 3)
