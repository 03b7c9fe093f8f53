"""A toy generation of round numbers, made by hand: 27 seconds, four denoising steps of two blocks, 1 GB of limit.

Loads are prefetched by one visit and take 1 s, cold ones 2 s; runs of the denoiser take 2 s, first ones 3 s. Only the
very first load is not hidden behind a run.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from worlds import answers

from ondevice_sora.records.advice import Advice
from ondevice_sora.records.memory import Peak, PeakPart, Residents
from ondevice_sora.records.metrics import busy_shares, component_results
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.records.quality import Evaluation
from ondevice_sora.records.result import BlockRow, Bounds, Result, WhatIf
from ondevice_sora.records.search import SearchReport
from ondevice_sora.records.trace import FootprintSample, Kill, Lane, MemorySample, Span, Trace

MB = 10**6


def load(component: str, step: int, block: str, start_s: float, end_s: float, cold: bool = False) -> Span:
    return Span("load", "load", component, step, block, "plain", start_s, end_s, 100 * MB, cold)


def run(component: str, step: int, block: str, start_s: float, end_s: float, cold: bool = False) -> Span:
    lane: Lane = "cpu" if component == "decoder" else "gpu"
    return Span(lane, "run", component, step, block, "plain", start_s, end_s, 50 * MB, cold)


SPANS = [
    load("text_encoder", 0, "encode", 0, 2, cold=True),
    load("denoiser", 0, "a", 2, 4, cold=True),
    run("text_encoder", 0, "encode", 2, 5, cold=True),
    load("denoiser", 0, "b", 5, 7, cold=True),
    run("denoiser", 0, "a", 5, 8, cold=True),
    load("denoiser", 1, "a", 8, 9),
    run("denoiser", 0, "b", 8, 11, cold=True),
    load("denoiser", 1, "b", 11, 12),
    run("denoiser", 1, "a", 11, 13),
    load("denoiser", 2, "a", 13, 14),
    run("denoiser", 1, "b", 13, 15),
    load("denoiser", 2, "b", 15, 16),
    run("denoiser", 2, "a", 15, 17),
    load("denoiser", 3, "a", 17, 18),
    run("denoiser", 2, "b", 17, 19),
    load("denoiser", 3, "b", 19, 20),
    run("denoiser", 3, "a", 19, 21),
    load("decoder", 0, "decode", 21, 23, cold=True),
    run("denoiser", 3, "b", 21, 23),
    run("decoder", 0, "decode", 23, 27, cold=True),
]
MEMORY = [
    MemorySample(0, baseline=200 * MB, resident=0, loading=100 * MB, working=0, residual=0),
    MemorySample(2, baseline=200 * MB, resident=100 * MB, loading=100 * MB, working=50 * MB, residual=0),
    MemorySample(5, baseline=200 * MB, resident=200 * MB, loading=100 * MB, working=50 * MB, residual=0),
    MemorySample(5, baseline=200 * MB, resident=100 * MB, loading=100 * MB, working=50 * MB, residual=10 * MB),
    MemorySample(8, baseline=200 * MB, resident=200 * MB, loading=100 * MB, working=100 * MB, residual=10 * MB),
    MemorySample(23, baseline=200 * MB, resident=100 * MB, loading=0, working=50 * MB, residual=20 * MB),
    MemorySample(27, baseline=200 * MB, resident=0, loading=0, working=0, residual=30 * MB),
]


def row(component: str, block: str, num_loads: int, num_runs: int, run_s: float) -> BlockRow:
    return BlockRow(
        component=component,
        block=block,
        variant="plain",
        compute_units="cpu_only" if component == "decoder" else "cpu_and_gpu",
        stored_bytes=50 * MB,
        resident_bytes=100 * MB,
        working_bytes=50 * MB,
        load_cold_s=2.0,
        load_warm_s=1.0,
        run_s=run_s,
        num_loads=num_loads,
        num_runs=num_runs,
        load_marks={"published": 1.0},
        run_marks={"fitted": 0.5, "estimated": 0.5},
        kept="sometimes" if component == "denoiser" else "never",
    )


PEAK = Peak(
    8.0,
    "denoiser",
    0,
    "b",
    [
        PeakPart("baseline", None, [], 200 * MB),
        PeakPart("resident", "denoiser", ["a", "b"], 200 * MB),
        PeakPart("loading", "denoiser", ["a"], 100 * MB),
        PeakPart("working", "denoiser", ["b"], 100 * MB),
        PeakPart("left", None, [], 10 * MB),
    ],
)


ADVICE = Advice("Keep block a", ["components: {denoiser: {keep: 1}}"], None, 26.0, 1.0, 710 * MB, 0.01, "it is there")


def result_of(trace: Trace, whole: Trace) -> Result:
    """A result of `trace`; times and components are those of the whole generation, as if there were no limit."""
    killed = trace.kill is not None
    return Result(
        verdict="killed" if killed else "fits",
        total_s=None if killed else 27.0,
        unlimited_s=27.0,
        interval_s=None if killed else (25.0, 30.0),
        components=component_results(whole),
        peak_bytes=trace.peak_bytes,
        needed_bytes=1200 * MB if killed else trace.peak_bytes,
        limit_bytes=trace.limit_bytes,
        limit_source="a toy",
        budget_bytes=800 * MB,
        kill_share=1.0 if killed else 0.04,
        killed_at_s=trace.kill.time_s if trace.kill else None,
        killed_by="loading block 'b'" if killed else None,
        busy_share=busy_shares(whole),
        bounded_by="running denoiser (63 % of the total)",
        advice=[ADVICE],
        marks={"published": 0.25, "fitted": 0.5, "estimated": 0.25},
        bounds=Bounds(run_s=25.0, load_s=14.0, lower_s=25.0, sequential_s=39.0),
        num_evaluations=4,
        evaluations={4: 1.0},
        what_ifs=[
            WhatIf("With the entitlement", "limit 2.00 GB", "fits", 25.0, 900 * MB, 2000 * MB),
            WhatIf("On a smaller phone", "limit 500 MB", "killed", None, 610 * MB, 500 * MB),
        ],
        blocks=[
            row("text_encoder", "encode", 1, 1, 3.0),
            row("denoiser", "a", 4, 4, 2.0),
            row("denoiser", "b", 4, 4, 2.0),
            row("decoder", "decode", 1, 1, 4.0),
        ],
        notes=["Made by hand."],
        residents=[
            Residents("text_encoder", 1, 1, [], 0, [], 0),
            Residents("denoiser", 2, 4, ["a"], 100 * MB, ["b"], 100 * MB),
            Residents("decoder", 1, 1, [], 0, [], 0),
        ],
        peak=None if killed else PEAK,
    )


@pytest.fixture(scope="session")
def trace() -> Trace:
    """Fits: 610 MB at most of 1 GB."""
    plain = Trace("simulated", "toy plan", "Toy phone", "toy", SPANS, MEMORY, 1000 * MB, conditions={"os": "toyOS 1"})
    return msgspec.structs.replace(plain, result=result_of(plain, plain))


@pytest.fixture
def killed(trace: Trace) -> Trace:
    """Killed at 11 s with 1.1 GB, while loading block b of step 1."""
    over = MemorySample(11, baseline=200 * MB, resident=700 * MB, loading=100 * MB, working=100 * MB, residual=0)
    stopped = msgspec.structs.replace(
        trace,
        plan="toy plan, too large",
        spans=[span for span in trace.spans if span.end_s <= 11],
        memory=[*(sample for sample in trace.memory if sample.time_s < 11), over],
        kill=Kill(11.0, "load", "denoiser", 1, "b", 1100 * MB, 1000 * MB),
    )
    return msgspec.structs.replace(stopped, result=result_of(stopped, trace))


@pytest.fixture
def measured(trace: Trace) -> Trace:
    """What a phone might have done: the same spans a tenth slower, and no result."""
    slower = [msgspec.structs.replace(span, start_s=span.start_s * 1.1, end_s=span.end_s * 1.1) for span in trace.spans]
    return msgspec.structs.replace(trace, kind="measured", spans=slower, result=None)


@pytest.fixture
def sampled(measured: Trace) -> Trace:
    """The same with what the system was seen to charge: 50 MB more than the ledger says at most."""
    seen = [FootprintSample(0.0, 250 * MB), FootprintSample(8.5, 660 * MB), FootprintSample(29.7, 90 * MB)]
    return msgspec.structs.replace(measured, footprint=seen)


HOSTILE = '</script><script>alert("x")</script><img src=http://example.invalid/x onerror=alert(1)>&amp;\u2028'


@pytest.fixture
def hostile(trace: Trace) -> Trace:
    """Every text that a user or a file can choose tries to break out."""
    assert trace.result is not None
    result = msgspec.structs.replace(
        trace.result,
        limit_source=HOSTILE,
        bounded_by=HOSTILE,
        advice=[msgspec.structs.replace(ADVICE, title=HOSTILE, keys=[HOSTILE], command=HOSTILE, reason=HOSTILE)],
        notes=[HOSTILE],
        what_ifs=[WhatIf(HOSTILE, HOSTILE, "fits", 1.0, 1, 2)],
        blocks=[msgspec.structs.replace(block, block=HOSTILE, variant=HOSTILE) for block in trace.result.blocks],
    )
    spans = [
        msgspec.structs.replace(span, block=HOSTILE + span.block, variant=HOSTILE, component=HOSTILE + span.component)
        for span in trace.spans
    ]
    return msgspec.structs.replace(
        trace, plan=HOSTILE, device=HOSTILE, model=HOSTILE, spans=spans, result=result, conditions={HOSTILE: HOSTILE},
        provenance=Provenance(*[HOSTILE] * 8),
    )  # fmt: skip


@pytest.fixture(scope="session")
def search_report(trace: Trace) -> SearchReport:
    return answers.search_report(trace)


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """Its clip lies in tmp_path."""
    return answers.evaluation(tmp_path)


@pytest.fixture
def hostile_report(hostile: Trace) -> SearchReport:
    report = answers.search_report(hostile)
    rows = [
        msgspec.structs.replace(
            row,
            name=HOSTILE,
            device=HOSTILE,
            num_blocks={HOSTILE: 1},
            component_s={HOSTILE: row.total_s},
            blocks=[msgspec.structs.replace(block, component=HOSTILE, name=HOSTILE) for block in row.blocks],
        )
        for row in report.planning.rows
    ]
    chosen = report.chosen
    explanation = msgspec.structs.replace(
        chosen.explanation,
        reasons=[msgspec.structs.replace(reason, title=HOSTILE, note=HOSTILE) for reason in chosen.explanation.reasons],
        flips=[HOSTILE],
        notes=[HOSTILE],
    )
    return msgspec.structs.replace(
        report,
        model=HOSTILE,
        planning=msgspec.structs.replace(report.planning, rows=rows, budget_source=HOSTILE),
        chosen=msgspec.structs.replace(
            chosen,
            explanation=explanation,
            sensitivities=[msgspec.structs.replace(row, figure=HOSTILE) for row in chosen.sensitivities],
        ),
    )


@pytest.fixture
def hostile_evaluation(evaluation: Evaluation) -> Evaluation:
    return msgspec.structs.replace(
        evaluation,
        plan=HOSTILE,
        machines=(HOSTILE,),
        weights_sha256=HOSTILE,
        rows=tuple(msgspec.structs.replace(row, title=HOSTILE) for row in evaluation.rows),
        clips=tuple(msgspec.structs.replace(clip, prompt=HOSTILE) for clip in evaluation.clips),
        definitions={HOSTILE: HOSTILE},
    )
