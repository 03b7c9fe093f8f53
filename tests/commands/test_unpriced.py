"""A model without operations is not answered as if it were whole: it is said wherever its times are shown."""

from __future__ import annotations

import json

import pytest

from ondevice_sora.commands.main import main
from ondevice_sora.plans.plan_file import ready_plans
from ondevice_sora.simulator.prepare import load_inputs, prepare
from ondevice_sora.simulator.unpriced import unpriced_components

MODEL = """\
name: sizes only
source: a folder of packages
components:
  - name: text_encoder
    passes: 1
    units: [{name: text, parameters: 120000000, plain: {matmul_flops: 1e10}}]
  - name: unet
    passes: steps
    units: [{name: chunk1, parameters: 430000000, plain: {}}, {name: chunk2, parameters: 430000000, plain: {}}]
"""
TOLD = "times are far too short: the model says no operations of unet (2 "


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "model.yaml").write_text(MODEL)
    (tmp_path / "plan.yaml").write_text(
        "name: sized\nmodel: model.yaml\nsampler: {steps: 4}\ncomponents: {unet: {blocks: unit, keep: optimal}}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize(
    "command",
    [
        "simulate --plan plan.yaml",
        "simulate --plan plan.yaml --plan small",
        "simulate --plan plan.yaml --device iphone15pro,iphone16pro",
        "plan search plan.yaml --seconds 1",
        "plan explain plan.yaml",
    ],
)
@pytest.mark.usefixtures("here")
def test_it_is_told_with_every_answer(capsys, command):
    main(command.split())
    shown = " ".join(capsys.readouterr().out.split())
    assert TOLD in shown


@pytest.mark.usefixtures("here")
def test_the_answer_gives_no_time_that_could_be_believed(capsys):
    main(["simulate", "--plan", "plan.yaml"])
    shown = capsys.readouterr().out
    assert shown.startswith("FITS, BUT ITS TIME IS NOT KNOWN on iPhone 15 Pro")
    assert "One generation takes much longer than " in shown
    assert "Likely between" not in shown and "Best possible" not in shown
    main(["simulate", "--plan", "plan.yaml", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["unpriced"] == ["unet"]
    assert TOLD in document["cautions"][0]
    assert not any("Table 1" in note for note in document["notes"]), "the notes of another model's totals"


@pytest.mark.parametrize("name", ready_plans())
def test_every_ready_plan_is_priced(name):
    assert unpriced_components(prepare(*load_inputs(name))) == {}
