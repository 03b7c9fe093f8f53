"""`describe`, and `simulate --model`: a model of the hub from its config alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ondevice_sora.commands import main as umbrella
from ondevice_sora.commands import simulate


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path


def status_of(command: Callable[[list[str]], int], arguments: str) -> object:
    try:
        return command(arguments.split())
    except SystemExit as stop:
        return stop.code


def test_whole_components_of_a_shipped_model_are_killed_and_the_ready_plan_fits(capsys):
    """Of what ships alone: no PyTorch, no process, and seconds."""
    assert simulate.main(["--model", "wan2.1-1.3b", "--video", "480x320x49", "--device", "iphone17pro"]) == 3
    out = capsys.readouterr().out
    assert out.startswith("WOULD BE KILLED on iPhone 17 Pro")
    assert "iOS ends the app at once, while loading block input..output of text_encoder" in " ".join(out.split())
    assert "No single change that was tried fits with a risk of at most 5.0 %." in " ".join(out.split())
    assert simulate.main(["--plan", "wan2.1-1.3b-480", "--device", "iphone17pro"]) == 0


def test_a_model_at_its_own_shape_needs_no_video(capsys):
    assert simulate.main(["--model", "sd1.5", "--device", "iphone17pro"]) == 0
    assert "Stable Diffusion 1.5, whole components in float16, 512x512x1" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "message"), [
    ("--model wan3", "'wan3' is no shipped config"),
    ("--model sd1.5 --plan sd1.5-512", "--model has no effect with --plan"),
    ("--model .", ".: it has no shape of its own\nGive one with --video"),
    ("--model sd1.5 --video 64", "'64' is no shape"),
])  # fmt: skip
def test_what_simulate_cannot_do_with_a_model(arguments, message, capsys):
    assert status_of(simulate.main, arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    ("describe nothing-of-the-sort", "is no shipped config, and there is no such file or folder"),
    ("describe sd1.5 --video 512x", "is no shape"),
    ("describe .", ".: it has no shape of its own\nGive one with --video, such as 1024x1024"),
    ("describe sd1.5 --attention half", "is neither fused, scores nor a number of queries"),
    ("describe sd1.5 --decoder-tile 3", "is not a whole number from 64 to 2048"),
    ("describe sd1.5 -o nowhere/model.yaml", "there is no folder nowhere"),
])  # fmt: skip
def test_what_describe_cannot_do(arguments, message, capsys):
    assert status_of(umbrella.main, arguments) == 2
    assert message in capsys.readouterr().err


def test_a_plan_at_a_new_shape_is_described_once_and_kept(here, capsys):
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    (here / "plan.yaml").write_text(
        "name: p\nmodel: {config: sd1.5}\nvideo: {width: 64, height: 64, frames: 1}\nsampler: {steps: 2}\n"
    )
    assert simulate.main(["--plan", "plan.yaml"]) == 0
    (kept,) = (here / "caches" / "ondevice-sora" / "descriptions").iterdir()
    assert kept.name.startswith("sd1.5_64x64x1_b2-")
    assert umbrella.main(["describe", "sd1.5", "--video", "64x64", "-o", "model.yaml"]) == 0
    assert (here / "model.yaml").read_text() == kept.read_text()
    assert "859,520,964" in capsys.readouterr().out


def test_what_describe_says_is_said_of_the_plan_s_line(here, capsys):
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    (here / "plan.yaml").write_text(
        "name: p\nmodel: {config: sd1.5}\nvideo: {width: 100, height: 64, frames: 1}\nsampler: {steps: 2}\n"
    )
    assert simulate.main(["--plan", "plan.yaml"]) == 2
    error = capsys.readouterr().err
    assert "plan.yaml:2" in error
    assert "100 pixels are no multiple of 8" in error
