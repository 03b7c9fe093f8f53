"""A search's answer and an evaluation of round numbers, made by hand, for what reports say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from ondevice_sora.profiles.figures import Mark
from ondevice_sora.records.quality import Clip, Evaluation, Interval, Row
from ondevice_sora.records.search import (
    BudgetPoint,
    ComponentReason,
    Explanation,
    FrontPoint,
    PlannedBlock,
    PlannedRow,
    Planning,
    PlanReport,
    Reason,
    SearchReport,
    Sensitivity,
)
from ondevice_sora.records.trace import Trace

MB, GB = 10**6, 10**9


def planned(
    name: str, total_s: float, peak_bytes: int, num_blocks: int, marks: dict[Mark, float], **changes: Any
) -> PlannedRow:
    """A plan of one component whose blocks are of one size; half of them are loaded again."""
    blocks = [
        PlannedBlock("denoiser", f"b{index}", 1200 * MB // num_blocks, 4, 4 if index % 2 else 1)
        for index in range(num_blocks)
    ]
    row = PlannedRow(
        name=name,
        device="Toy phone",
        verdict="fits",
        total_s=total_s,
        component_s={"text_encoder": 10.0, "denoiser": total_s - 10.0},
        quantile_s=None,
        kill_share=0.05,
        peak_bytes=peak_bytes,
        stored_bytes=2 * GB,
        num_packages=num_blocks,
        num_blocks={"denoiser": num_blocks},
        blocks=blocks,
        seconds_by_mark=marks,
    )
    return replace(row, **changes)


def planning(**changes: Any) -> Planning:
    """Found in 300 s within 3 GB, beside three others; one of them is killed."""
    found = planned("found", 300.0, 2900 * MB, 4, {"published": 60.0, "fitted": 150.0, "estimated": 90.0})
    start = planned("start", 310.0, 2500 * MB, 8, {"published": 62.0, "fitted": 158.0, "estimated": 90.0})
    paper = planned("paper's policy", 320.0, 3200 * MB, 8, {"published": 70.0, "fitted": 145.0, "estimated": 105.0},
                    verdict="killed", kill_share=1.0)  # fmt: skip
    app = planned("reference app", 400.0, 2700 * MB, 8, {"published": 90.0, "fitted": 200.0, "estimated": 110.0})
    front = [
        FrontPoint(
            300.0 + 10.0 * index, 2900 * MB - 100 * MB * index, 2 * GB, 4 + index,
            plan={"name": f"found {index}", "model": "toy.yaml"},
        )
        for index in range(15)
    ]  # fmt: skip
    searched = [
        BudgetPoint(
            **to_builtins(point), budget_bytes=point.peak_bytes + 50 * MB, kill_share=0.5**index, gap=0.01,
            ending="converged",
        )
        for index, point in enumerate(front)
    ]  # fmt: skip
    answer = Planning(
        budget_bytes=3 * GB,
        budget_source="given with --budget",
        score=300.0,
        bound=295.0,
        gap=0.0169,
        ending="converged",
        num_evaluated=1234,
        search_s=1.5,
        risk=None,
        rows=[found, start, paper, app],
        memory_front=searched,
        storage_front=front[:2],
        package_front=front[:1],
    )
    return replace(answer, **changes)


def explanation(**changes: Any) -> Explanation:
    """290 s of the 300 are the denoiser's."""
    found = Explanation(
        plan="found within 3.00 GB",
        device="Toy phone",
        total_s=300.0,
        bound_s=295.0,
        peak_bytes=2900 * MB,
        budget_bytes=3 * GB,
        components=[
            ComponentReason("text_encoder", 10.0, 4.0, 0.0, 6.0, 9.0, 0.0, 0.0, "60 % of its time is loading"),
            ComponentReason("denoiser", 290.0, 280.0, 4.0, 5.0, 60.0, 50.0, 1.0, "97 % of its time is running"),
        ],
        reasons=[
            Reason("what more would be worth", "100 MB more budget and limit", 2.5, 100 * MB, 0.97),
            Reason("what each technique is worth", "without LPL", -180.0, 0, 0.0),
            Reason("what each technique is worth", "without TDTM", None, None, None, "refused: 3.40 GB are needed"),
            Reason("next-best plans, one thing changed", "denoiser: prefetch 2, not 1", -0.25, -50 * MB, 0.31),
        ],
        flips=["Not sure: 'denoiser: prefetch 2, not 1' is 250 ms slower here, and faster in 31 % of draws."],
        notes=["Made by hand."],
    )
    return replace(found, **changes)


def search_report(trace: Trace) -> SearchReport:
    """`trace` is the plan found, simulated."""
    chosen = PlanReport(
        trace=trace,
        explanation=explanation(),
        sensitivities=[
            Sensitivity("processors.gpu.matmul_flops_per_s", "fitted", 0.07, 320.0, 282.0),
            Sensitivity("loads.read_bytes_per_s", "published", 0.15, 303.0, 298.0),
        ],
    )
    return SearchReport("toy", planning(), chosen)


SURE = Interval(2.0, 1.9, 2.1)
SHARE = Interval(0.95, 0.9, 0.98)


def quality_row(configuration: str, title: str = "a title", **changes: Any) -> Row:
    """Two times as fast at 25 dB; 95 % right."""
    row = Row(
        configuration=configuration,
        title=title,
        num_prompts=2,
        num_videos=4,
        evaluations=Interval(14.5, 14.0, 15.0),
        time_ratio=SURE,
        whole_time_ratio=SURE,
        psnr_db=Interval(25.0, 24.0, 26.0),
        ssim=Interval(0.9, 0.89, 0.91),
        adherence=dict.fromkeys(("shape", "colour", "direction", "all"), SHARE),
        flickering=SHARE,
        dynamic_degree=SHARE,
        motion_pixels=SURE,
    )
    return replace(row, **changes)


def results(*rows: Row, clips: tuple[Clip, ...] = ()) -> Evaluation:
    return Evaluation("toy", 30, "abc", ("a toy",), rows, clips)


def clip(*configurations: str, prompt: str = "a red circle moving left") -> Clip:
    """Tiles of 16 by 16 pixels in rows of two, 12 frames of half a second."""
    return Clip(prompt, 0, "clip.mp4", configurations, 2, 16, 16, 12, 24.0)


def evaluation(folder: Path) -> Evaluation:
    """All steps, two fixed leaps, one of our own rules, and TDTM; with a clip in `folder` that cannot be played."""
    (folder / "clip.mp4").write_bytes(b"MP4")
    return results(
        quality_row("full", "all 30 steps", psnr_db=Interval(None, None, None), evaluations=Interval(30.0, 30.0, 30.0)),
        quality_row("fixed_16", "LPL at 16 of 30", evaluations=Interval(16.0, 16.0, 16.0)),
        quality_row(
            "fixed_8", "LPL at 8 of 30", evaluations=Interval(8.0, 8.0, 8.0), psnr_db=Interval(20.0, 19.0, 22.0)
        ),
        quality_row("curvature_0.1", "LPL, ours, accepting 0.1", gain_over_fixed_db=Interval(-0.4, -1.0, -0.1)),
        quality_row("tdtm_all", "TDTM on all steps", evaluations=Interval(30.0, 30.0, 30.0)),
        clips=(clip("full", "fixed_16", "tdtm_all"),),
    )


def swept() -> list[dict[str, Any]]:
    """Rows of a sweep over two budgets and three techniques: three fit, one is killed, one refused."""

    def swept_row(technique: str, budget_bytes: int, verdict: str, **known: Any) -> dict[str, Any]:
        return {
            "model": "ours-256", "width": 256, "height": 256, "frames": 51, "device": "iphone15pro",
            "budget_bytes": budget_bytes, "technique": technique, "verdict": verdict, "reason": None,
            "limit_bytes": 3300 * MB, **known,
        }  # fmt: skip

    return [
        swept_row(
            "none", 1500 * MB, "fits", total_s=600.0, low_s=570.0, high_s=640.0, peak_bytes=1400 * MB, kill_share=0.0
        ),
        swept_row(
            "none", 2000 * MB, "fits", total_s=540.0, low_s=520.0, high_s=560.0, peak_bytes=1900 * MB, kill_share=0.0
        ),
        swept_row(
            "paper", 1500 * MB, "fits", total_s=480.0, low_s=470.0, high_s=490.0, peak_bytes=1500 * MB, kill_share=0.0
        ),
        swept_row(
            "paper", 2000 * MB, "killed", total_s=None, low_s=None, high_s=None, peak_bytes=3500 * MB, kill_share=1.0
        ),
        swept_row("all", 1500 * MB, "refused", reason="3.40 GB are needed"),
    ]
