"""Packages become a model, a profile and a plan: amounts as counted, seconds from the device's figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("coremltools")

from coreml_packages import Writer, linear_package

from ondevice_sora.main import main
from profiles.catalogue import listed_model
from profiles.errors import UserError
from profiles.packages import package_rules
from runtime.coreml.folders import find_packages


def matrix_package(path: Path, dtype: str = "fp32", function: str = "main") -> Path:
    """y = x W with 1 MiB of float32 weights, or half of float16."""
    array = np.zeros((512, 512), {"fp32": np.float32, "fp16": np.float16}[dtype])
    writer = Writer(function)
    writer.input("x", dtype, (2, 512))
    writer.weight("w", array, dtype)
    writer.operation("linear", "y", dtype, (2, 512), x="x", weight="w")
    writer.outputs("y")
    path.parent.mkdir(parents=True, exist_ok=True)
    return writer.save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 10):
        matrix_package(tmp_path / f"app/denoiser/part{number}.mlpackage")
    matrix_package(tmp_path / "app/decoder/decoder.mlpackage", "fp16")
    return tmp_path / "app"


def test_folders_are_components_and_packages_their_units_in_order_of_number(folder):
    found = find_packages([folder])
    assert [(each.component, each.unit) for each in found] == [
        ("decoder", "decoder"), ("denoiser", "part1"), ("denoiser", "part2"), ("denoiser", "part10"),
    ]  # fmt: skip
    given = find_packages([folder / "denoiser", folder / "decoder/decoder.mlpackage"])
    assert [each.component for each in given] == ["denoiser"] * 3 + ["model"]


def test_names_are_made_fit_for_a_model(tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    linear_package(folder / "ü..1.mlpackage")
    linear_package(folder / "ö..1.mlpackage")
    assert [(each.component, each.unit) for each in find_packages([folder])] == [("a b", "__1"), ("a b", "__1_2")]


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir])
def test_a_folder_without_packages_is_a_complaint(tmp_path, make):
    make(tmp_path / "empty")
    with pytest.raises(UserError, match=r"no such folder or package|no \.mlpackage in this folder"):
        find_packages([tmp_path / "empty"])


def estimated(capsys, *arguments: str) -> dict:
    assert main(["profile", "estimate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_amounts_are_those_of_the_packages(folder, capsys):
    shown = estimated(capsys, "app")
    assert [package["weight_bytes"] for package in shown["packages"]] == [1 << 19, 1 << 20, 1 << 20, 1 << 20]
    assert [package["precision"] for package in shown["packages"]] == ["float16", "float32", "float32", "float32"]
    (function,) = shown["packages"][1]["functions"]
    assert function["matmul_flops"] == 2 * 2 * 512 * 512
    assert function["working_bytes"] == 2 * 2 * 512 * 4
    assert sum(function["run_marks"].values()) == pytest.approx(1)


def test_what_is_written_simulates_with_the_same_amounts(folder, capsys):
    assert main(["profile", "estimate", "app", "--passes", "denoiser=steps", "--steps", "4", "-o", "out"]) == 0
    assert "simulate --device out/profile.yaml --plan out/plan.yaml" in capsys.readouterr().out
    model, _ = listed_model("model.yaml", Path("out"))
    assert [(component.name, component.passes) for component in model.components] == [
        ("decoder", 1), ("denoiser", "steps"),
    ]  # fmt: skip
    assert model.components[1].units[0].parameters == 512 * 512
    assert main(["simulate", "--device", "out/profile.yaml", "--plan", "out/plan.yaml", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    rows = {row["block"]: row for row in result["blocks"]}
    shown = {p["functions"][0]["unit"]: p for p in estimated(capsys, "app")["packages"]}
    for name, row in rows.items():
        (function,) = shown[name]["functions"]
        assert row["stored_bytes"] == shown[name]["weight_bytes"]
        assert row["resident_bytes"] == shown[name]["held_bytes"]["cpu_and_gpu"]
        for key in ("load_cold_s", "load_warm_s", "run_s", "working_bytes"):
            assert row[key] == pytest.approx(function[key]), key
    assert rows["part1"]["num_runs"] == 4
    assert main(["profile", "estimate", "app", "-o", "out"]) == 2
    assert "the file exists already" in capsys.readouterr().err


def test_a_package_of_several_precisions_keeps_its_bytes(tmp_path, capsys, monkeypatch):
    """An int8 package with float16 beside it: stored and held bytes come out as they are."""
    monkeypatch.chdir(tmp_path)
    writer = Writer()
    writer.input("x", "fp16", (2, 64))
    writer.weight("data", np.zeros((64, 64), np.int8), "int8")
    writer.weight("scale", np.ones((64, 1), np.float16), "fp16")
    writer.operation("constexpr_blockwise_shift_scale", "w", "fp16", (64, 64), data="data", scale="scale")
    writer.weight("bias", np.zeros((2, 1024), np.float16), "fp16")
    writer.operation("linear", "y", "fp16", (2, 64), x="x", weight="w")
    writer.operation("add", "z", "fp16", (2, 1024), x="y", y="bias")
    writer.outputs("z")
    writer.save(tmp_path / "mixed.mlpackage")
    assert main(["profile", "estimate", "mixed.mlpackage", "-o", "out"]) == 0
    capsys.readouterr()
    assert main(["simulate", "--device", "out/profile.yaml", "--plan", "out/plan.yaml", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["blocks"]
    assert row["stored_bytes"] == 64 * 64 + 64 * 2 + 2 * 1024 * 2
    assert row["resident_bytes"] == 64 * 64 * 2 + 2 * 1024 * 2


def test_a_function_named_tdtm_is_the_variant(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = matrix_package(tmp_path / "block.mlpackage", function="plain")
    model = path / "Data/com.apple.CoreML/model.mlmodel"
    other = matrix_package(tmp_path / "x/other.mlpackage", function="tdtm") / "Data/com.apple.CoreML/model.mlmodel"
    third = matrix_package(tmp_path / "x/third.mlpackage", function="long") / "Data/com.apple.CoreML/model.mlmodel"
    model.write_bytes(model.read_bytes() + other.read_bytes() + third.read_bytes())  # protobuf merges what is appended
    shown = estimated(capsys, "block.mlpackage")
    (package,) = shown["packages"]
    assert [(row["variant"], row["function"]) for row in package["functions"]] == [("plain", "plain"), ("tdtm", "tdtm")]
    assert package["weight_bytes"] == 1 << 20, "shared weights count once"
    assert package["notes"] == ["functions that are left out: long"]


def test_what_does_not_run_on_the_neural_engine_is_told_with_its_source(folder, capsys):
    shown = estimated(capsys, "app", "--compute-units", "cpu_and_ne")
    notes = {p["functions"][0]["unit"]: p["notes"] for p in shown["packages"]}
    assert notes["decoder"] == []
    (note,) = notes["part1"]
    assert note.startswith("not on the Neural Engine: values in float32 (1 operations)")
    assert "coremltools guide" in note
    assert all("http" in rule.source for rule in package_rules().not_on_ane)


def test_a_package_over_a_limit_says_so(folder, capsys, monkeypatch):
    rules = package_rules()
    low = [limit.limit_bytes for limit in rules.size_limits]
    monkeypatch.setattr("runtime.coreml.estimate.package_rules", lambda: _lowered(rules, low[0]))
    notes = estimated(capsys, "app/decoder", "--compute-units", "cpu_and_ne")["packages"][0]["notes"]
    assert len(notes) == 1
    assert notes[0].startswith("larger than 1000 bytes")


def _lowered(rules, figure):
    import msgspec

    limit = msgspec.structs.replace(rules.size_limits[0], limit_bytes=msgspec.structs.replace(figure, value=1000.0))
    return msgspec.structs.replace(rules, size_limits=(limit,))


def test_the_table_says_what_is_estimated(folder, capsys):
    assert main(["profile", "estimate", "app"]) == 0
    out = capsys.readouterr().out
    assert "iPhone 15 Pro · CPU and GPU · estimated, not run" in out
    assert "denoiser part10" in out
    assert "note: no component is walked every step" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: there is no such folder or package"),
        (["app", "--passes", "denoisr=steps"], "there is no component 'denoisr'\nDid you mean 'denoiser'?"),
        (["app", "--device", "iphone99"], "unknown device 'iphone99'"),
        (["app", "-o", "missing/out"], "there is no folder missing"),
    ],
)
def test_mistakes_are_one_message(folder, capsys, arguments, said):
    assert main(["profile", "estimate", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("passes", ["denoiser", "=3", "denoiser=0", "denoiser=often"])
def test_passes_must_say_how_often(folder, capsys, passes):
    with pytest.raises(SystemExit):
        main(["profile", "estimate", "app", "--passes", passes])
    assert "does not say how often" in capsys.readouterr().err


def test_a_damaged_package_is_one_message_with_its_path(folder, capsys):
    shutil.rmtree(folder / "denoiser/part2.mlpackage/Data")
    assert main(["profile", "estimate", "app"]) == 2
    assert "part2.mlpackage" in capsys.readouterr().err
