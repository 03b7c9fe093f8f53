"""What every verb prints, at 80, 100 and 160 columns: a change meant not to alter it leaves `screens` alone.

What takes long, or comes out differently each time, is printed of answers made by hand. Write the files anew with
`WRITE_SCREENS=1 python -m pytest tests/commands/test_screens.py`, and look at what git says has changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from worlds.answers import evaluation, explanation, planning

from ondevice_sora.commands.main import VERBS, main, usage, verb_parser
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.records.agreement import Check, PlanRow
from ondevice_sora.records.checks import (
    CaseResult,
    CorpusClass,
    CorpusReport,
    CorpusRow,
    ParityRow,
    PublishedRow,
    SkippedRow,
)
from ondevice_sora.records.estimate import Estimate, EstimatedFunction, EstimatedPackage
from ondevice_sora.records.exports import ExportedPart
from ondevice_sora.records.search import RefusedVariant, VariantPoint
from ondevice_sora.records.weights import FetchedPart, PartReport, WeightsReport
from ondevice_sora.reports.terminal import (
    agreement,
    corpus,
    devices,
    estimates,
    exports,
    models,
    parity,
    published,
    quality,
    reference,
    search,
    weights,
)

SCREENS = Path(__file__).parent / "screens"
WIDTHS = [80, 100, 160]
MB = 10**6
TOY = """\
name: a toy
model: opensora
video: {width: 64, height: 64, frames: 5}
text_tokens: 60
sampler: {steps: 4}
components: {text_encoder: {precision: int8}}
"""
NOT_PRINTED = {"report", "run", "generate", "schedule", "plan schema", "steps plan", "model init", "completion"}
"""Verbs that print one sentence or a file's text, or what another verb prints."""


def command(line: str) -> Callable[[], object]:
    return lambda: main(line.split())


def searched() -> None:
    search.print_planning({"toy": planning(), "other toy": planning(risk=0.95)})
    search.print_front(planning())


def variants() -> None:
    point = VariantPoint(
        total_s=300.0, peak_bytes=2900 * MB, stored_bytes=2000 * MB, num_packages=4, budget_bytes=2950 * MB,
        kill_share=0.004, gap=0.01, ending="converged", plan={}, evaluations=8, estimated_db=28.5,
        precision={"denoiser": "float16"}, compute_units={"decoder": "cpu_and_gpu"},
        share_by_mark={"fitted": 0.75, "estimated": 0.25},
    )  # fmt: skip
    refused = RefusedVariant(9, {"denoiser": "float32"}, {"decoder": "cpu_only"}, "no plan keeps the budget")
    search.print_variants([point, refused], "toy, Toy phone; 3.00 GB, given with --budget")


def measured() -> None:
    seconds = Figure(0.25, "measured", "5 samples")
    rows = tuple(
        Measurement("toy", "denoiser", f"spatial_{at}", f"temporal_{at}", load_warm_s=seconds, run_s=seconds,
                    resident_bytes=Figure(170e6, "measured", "5 samples"))
        for at in range(3)
    )  # fmt: skip
    devices.print_measurements(replace(load_profile("iphone15pro")[0], measurements=rows))


def fitted() -> None:
    record = load_profile("iphone15pro")[0].fit
    assert record is not None
    devices.print_fit(record)


def estimated() -> None:
    function = EstimatedFunction(
        component="denoiser", unit="unet_chunk1", variant="plain", function="main",
        operations={"conv": 3, "matmul": 5}, matmul_flops=6e11, attention_flops=3e11, convolution_flops=1e11,
        moved_bytes=10 * MB, working_bytes=50 * MB, load_cold_s=2.0, load_warm_s=0.5, run_s=1.5,
        load_marks={"published": 1.0}, run_marks={"fitted": 0.75, "estimated": 0.25},
    )  # fmt: skip
    package = EstimatedPackage(
        path="a.mlpackage", compute_units="cpu_and_gpu", precision="float16", file_bytes=101 * MB,
        weight_bytes=100 * MB, filler_bytes=2 * MB, parameters=50 * MB, held_bytes={"cpu_and_gpu": 120 * MB},
        functions=[function, replace(function, variant="tdtm")], notes=["larger than 1.00 GB"],
    )  # fmt: skip
    estimates.print_estimate(Estimate("Toy phone", [package, package], ["a note"]))


def described() -> None:
    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.simulator.prepare import model_of

    models.print_model(model_of(load_plan("sd1.5-512")).model)


def agreed() -> None:
    row = PlanRow("window 1", "toy", 1.1, (0.9, 1.0, 1.2), 500 * MB, 400 * MB, 450 * MB, True, (0.95, 1.3))
    other = replace(row, plan="window 2", model="other", predicted_s=2.0, measured_bytes=600 * MB, is_equal=False)
    agreement.print_agreement([row, other], [Check("time: median error", 0.1, 0.05)])


def compared() -> None:
    rows = [
        PublishedRow("LPL at step 15", "total_s", "Table 1", "calibration", 100.0, 102.0, 0.02, (95.0, 110.0)),
        PublishedRow("the whole app", "peak_bytes", "Figure 13", "held_out", 3e9, 3.3e9, 0.1, (2e9, 3.1e9)),
    ]
    published.print_published(rows, "published against simulated", "a paper")


def of_a_corpus() -> None:
    row = CorpusRow("sd15-1", "Stable Diffusion 1.5", "iPhone 14 Pro", "ane", "latency", 9.5, 10.1, 6.0, 14.0, False)
    summed = CorpusClass("ane", "latency", "checked", 1, 0.06, 1.0, 1.0, None)
    skipped = [SkippedRow("llm-7b", "its model is not described")]
    corpus.print_corpus(CorpusReport([row, replace(row, id="sd15-2", quantity="memory")], [summed], skipped), "corpus")


def of_weights() -> None:
    parts = [
        PartReport("text_encoder", "complete", {"a.safetensors": 9 * 10**9}, 219, 4_762_000_000, ["float32"], "24"),
        PartReport("tokenizer", "complete", {"spiece.model": 792_000}),
    ]  # fmt: skip
    weights.print_weights(WeightsReport("opensora", "opensora", parts, ["a note"]))


SCREEN: dict[str, Callable[[], object]] = {
    "simulate": command("simulate toy.yaml"),
    "simulate, several plans": command("simulate toy.yaml small.yaml app-192"),
    "simulate, several devices": command("simulate toy.yaml --device iphone12,iphone15pro,ipadprom4"),
    "plan list": command("plan list"),
    "plan show": command("plan show app-192-all"),
    "plan search": searched,
    "plan search, variants": variants,
    "plan explain": lambda: search.print_explanation(explanation()),
    "plan sweep": command("plan sweep grid.yaml --processes 1 --force"),
    "steps show": command("steps show small"),
    "profile list": command("profile list"),
    "profile show": command("profile show iphone15pro"),
    "profile fit": fitted,
    "profile capture": measured,
    "profile import": measured,
    "profile estimate": estimated,
    "describe": described,
    "weights get": lambda: weights.print_fetched([FetchedPart("denoiser", 3, 4_600 * MB, "owner/model", 40 * "a")]),
    "weights check": of_weights,
    "export": lambda: exports.print_export([ExportedPart("denoiser", 28, 1_200 * MB, "float16")], 27, 28),
    "validate published": compared,
    "validate published, corpus": of_a_corpus,
    "validate reference": lambda: reference.print_reference([
        CaseResult("stdit3.npz", "block 0", 1.2e-6, 5e-5),
        CaseResult("vae.npz", "a case with a long name", None, 1e-5, "needs a file that is missing"),
    ]),
    "validate export": lambda: parity.print_parity([
        ParityRow("denoiser", "spatial_0..temporal_3", "STDiT3 block", "y", 3e-6, 1e-5),
        ParityRow("decoder.spatial", "up0", "VAE block", "frames", 2e-5, 1e-5),
    ]),
    "validate host": agreed,
    "evaluate": lambda: quality.print_evaluation(evaluation(Path())),
    "ondevice-sora": lambda: print(usage()),
}  # fmt: skip


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(TOY)
    (tmp_path / "small.yaml").write_text(TOY.replace("a toy", "a toy of eight steps").replace("steps: 4", "steps: 8"))
    (tmp_path / "grid.yaml").write_text("models: [toy.yaml]\n")

    def printed(name, width):
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        SCREEN[name]()
        return capsys.readouterr().out

    return printed


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SCREEN)
def test_a_screen_is_the_golden_one(printed, name, width):
    text = printed(name, width)
    path = SCREENS / f"{re.sub('[^a-z0-9]+', '-', name)}.{width}.txt"
    if os.environ.get("WRITE_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert max(map(cell_len, text.splitlines())) <= width
    assert " \n" not in text


def test_every_verb_that_prints_has_a_screen():
    leaves = [name for verb in VERBS for name in [f"{verb} {each}" for each in verb_parser(verb).choices] or [verb]]
    assert set(leaves) - NOT_PRINTED <= set(SCREEN)
    assert {path.name.split(".")[0] for path in SCREENS.iterdir()} == {
        re.sub("[^a-z0-9]+", "-", name) for name in SCREEN
    }
