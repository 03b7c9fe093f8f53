"""Models that plans name by their configs: what ships is found without any library, the rest says what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.reading import parse_yaml
from ondevice_sora.plans.plan_file import LoadedPlan, load_plan, read_plan, ready_plans
from ondevice_sora.profiles.models import configured
from ondevice_sora.profiles.models.configured import (
    DESCRIPTIONS,
    ConfiguredModel,
    InChunks,
    Request,
    Shape,
    config_names,
    description_of,
    request_of,
    shipped_config,
)
from ondevice_sora.profiles.models.model import Component
from ondevice_sora.simulator.prepare import load_inputs, model_of, prepare
from ondevice_sora.simulator.whole import whole_plan
from ondevice_sora.studies.descriptions import shipped_requests

WAN = ConfiguredModel("wan2.1-1.3b")
PARAMETERS = {
    "wan2.1-1.3b": {"text_encoder": 5_680_910_336, "denoiser": 1_418_996_800, "decoder": 73_295_603},
    "wan2.2-ti2v-5b": {"text_encoder": 5_680_910_336, "denoiser": 4_999_787_712, "decoder": 555_051_580},
    "ltx-video-2b": {"text_encoder": 4_762_310_656, "denoiser": 1_923_385_472, "decoder": 238_789_296},
    "flux2-klein-4b": {"text_encoder": 3_114_090_752, "denoiser": 3_875_544_576, "decoder": 49_620_259},
    "sd3.5-medium": {
        "text_encoder": 123_650_304, "text_encoder_2": 694_659_840, "text_encoder_3": 4_762_310_656,
        "denoiser": 2_243_171_520, "decoder": 49_545_475,
    },
    "sd1.5": {"text_encoder": 123_060_480, "denoiser": 859_520_964, "decoder": 49_490_199},
    "sdxl": {
        "text_encoder": 123_060_480, "text_encoder_2": 694_659_840, "denoiser": 2_567_463_684, "decoder": 49_490_199,
    },
}  # fmt: skip
"""Of the published checkpoints; of VAEs the decoding half, and of Qwen3-4B the 27 layers that run."""


READY = {
    load_plan(name).plan.model.config: name for name in ready_plans() if not isinstance(load_plan(name).plan.model, str)
}


def plan_of(text: str, path: Path = Path("plan.yaml")) -> LoadedPlan:
    return read_plan(parse_yaml(text, path))


def described(name: str) -> dict[str, Component]:
    return {each.name: each for each in model_of(load_plan(READY[name])).model.components}


@pytest.fixture
def without_libraries(monkeypatch, tmp_path):
    """Neither torch nor its libraries, and nothing kept from before."""
    monkeypatch.setattr(configured, "find_spec", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_of_the_checkpoints(name):
    found = {each: sum(unit.parameters for unit in part.units) for each, part in described(name).items()}
    assert found == PARAMETERS[name]


def test_every_config_that_ships_has_a_ready_plan():
    assert set(config_names()) == set(PARAMETERS)
    assert set(config_names()) == set(READY)


@pytest.mark.parametrize(("name", "tflop"), [("480x320x49", 2 * 31.6), ("832x480x81", 2 * 283)])
def test_a_network_evaluation_of_wan_takes_what_was_counted_elsewhere(name, tflop):
    shape = Shape(*map(int, name.split("x")))
    model = model_of(plan_of(
        f"name: p\nmodel: {{config: wan2.1-1.3b}}\n"
        f"video: {{width: {shape.width}, height: {shape.height}, frames: {shape.frames}}}"
    )).model  # fmt: skip
    (denoiser,) = (each for each in model.components if each.name == "denoiser")
    works = [unit.plain for unit in denoiser.units]
    total = sum(work.matmul_flops + work.attention_flops + work.convolution_flops for work in works)
    assert total / 1e12 == pytest.approx(tflop, rel=0.005)
    assert denoiser.units[1].parameters == 46_440_704


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_ready_plan_is_simulated_without_any_library(name, without_libraries):
    prepared = prepare(*load_inputs(READY[name], "iphone17pro"))
    assert prepared.play(is_limited=True).peak_bytes < prepared.setting.limit_bytes


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_model_as_it_is_published_is_simulated_without_any_library(name, without_libraries):
    loaded, setting = load_inputs(whole_plan(name, None), "iphone17pro")
    is_killed = prepare(loaded, setting).play(is_limited=False).peak_bytes > setting.limit_bytes
    assert is_killed == (name != "sd1.5")


def test_what_would_have_to_be_described_says_which_extra_that_takes(without_libraries):
    loaded = plan_of("name: p\nmodel: {config: wan2.1-1.3b}\nvideo: {width: 496, height: 320, frames: 49}")
    with pytest.raises(UserError, match=r"no description of wan2\.1-1\.3b at 496x320x49 ships or is kept") as error:
        model_of(loaded)
    assert error.value.where == "plan.yaml:2: model"
    assert "describe" in error.value.mend


def test_a_description_that_was_kept_is_read_and_no_process_started(without_libraries):
    request = Request(WAN, Shape(496, 320, 49))
    with pytest.raises(UserError):
        description_of(request)
    shipped = next(DESCRIPTIONS.glob("wan2.1-1.3b_480x320x49_b2.yaml"))
    kept = configured.cache_folder() / f"{request.stem}-{configured._digest(request)}.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text(shipped.read_text())
    assert description_of(request) == kept


def test_a_description_is_made_anew_for_another_config_of_the_same_name(tmp_path):
    path = tmp_path / "config.json"
    digests = set()
    for layers in (1, 2):
        path.write_text(json.dumps({"num_layers": layers}))
        request = request_of(ConfiguredModel(str(path)), tmp_path, Shape(64, 64), 1, None)
        digests.add(configured._digest(request))
    assert len(digests) == 2


def test_a_file_s_name_says_all_that_is_not_as_usual():
    model = ConfiguredModel("sd1.5", InChunks(128), "rows", 256)
    assert (
        Request(model, Shape(512, 512), 1, 40, "in_turn").stem
        == "sd1.5_512x512x1_b1_chunk128_in_turn_rows_tile256_text40"
    )
    assert Request(WAN, Shape(480, 320, 49)).stem == "wan2.1-1.3b_480x320x49_b2"


@pytest.mark.parametrize(("text", "message"), [
    ("model: {config: wan3}", "'wan3' is no shipped config, and there is no such file or folder"),
    ("model: {config: sd1.5, attention: {chunk: 0}}", "chunk"),
    ("model: {config: sd1.5}\nencoder_tokens: 12", "has no effect on a model that is described from a config"),
    ("model: {config: sd1.5, attention: both}", "attention"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_line(text, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        model_of(plan_of(f"name: p\n{text}", tmp_path / "plan.yaml"))
    assert "plan.yaml:" in error.value.where


def test_a_folder_needs_the_plan_s_shape(tmp_path):
    (tmp_path / "pipe").mkdir()
    with pytest.raises(UserError, match="pipe has no shape of its own"):
        model_of(plan_of("name: p\nmodel: {config: pipe}", tmp_path / "plan.yaml"))


def test_a_plan_that_is_written_elsewhere_still_finds_its_folder(tmp_path):
    (tmp_path / "here" / "pipe").mkdir(parents=True)
    loaded = plan_of("name: p\nmodel: {config: pipe}", tmp_path / "here" / "plan.yaml")
    moved = loaded.moved_to(tmp_path / "there")
    assert moved.model.config == "../here/pipe"
    shipped = plan_of("name: p\nmodel: {config: sd1.5}", tmp_path / "here" / "plan.yaml")
    assert shipped.moved_to(tmp_path / "there").model.config == "sd1.5"


def test_a_plan_s_own_default_shape_is_the_config_s():
    assert request_of(WAN, Path(), None, 2, None).video == shipped_config("wan2.1-1.3b").video


def test_descriptions_that_ship_are_of_requests_that_somebody_makes():
    """No file is left over, and none missing."""
    assert {path.stem for path in DESCRIPTIONS.glob("*.yaml")} == set(shipped_requests())


def test_finding_a_description_loads_no_library():
    code = (
        "import sys; from ondevice_sora.simulator.prepare import load_inputs, prepare; "
        "prepare(*load_inputs('sd1.5-512')); "
        "print(sorted({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
