"""Comparison with reference vectors: what is there is compared, what is damaged is said, what is off is found."""

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.main import main
from ondevice_sora.runtime.networks.t5 import T5Encoder
from ondevice_sora.studies.reference.compare import validate_reference


@pytest.fixture
def vectors(tmp_path: Path, text_encoder: T5Encoder) -> Path:
    """A directory with two of the files: a text encoder with our own outputs, and a schedule worked out by hand."""
    (tmp_path / "t5_tiny.config.json").write_text(json.dumps(asdict(text_encoder.config)))
    ids, mask = torch.randint(0, 20, (2, 6)), torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    weights = {f"weights.{name}": tensor.clone() for name, tensor in text_encoder.state_dict().items()}
    case = {"mine.input_ids": ids, "mine.attention_mask": mask, "mine.last_hidden_state": text_encoder(ids, mask)}
    save_file({**weights, **case}, tmp_path / "t5_tiny.safetensors")
    schedule = {
        "num_sampling_steps": 2,
        "height": 512,
        "width": 512,
        "num_frames": 17,
        "use_timestep_transform": True,
        "use_discrete_timesteps": False,
        "latent_frames_in_transform": 5,
        "timesteps": [1000.0, 1000 * math.sqrt(5) / (1 + math.sqrt(5))],
    }
    (tmp_path / "rflow_timesteps.json").write_text(json.dumps({"cases": [schedule]}))
    return tmp_path


def change(directory: Path, name: str, by: float) -> None:
    file = directory / "t5_tiny.safetensors"
    tensors = load_file(file)
    tensors[name] = tensors[name] + by
    save_file(tensors, file)


def test_files_present_are_compared_and_others_may_lack(vectors: Path) -> None:
    results = {result.case: result for result in validate_reference(vectors)}
    assert list(results) == [
        "mine.last_hidden_state",
        "2 steps, 512x512, 17 frames",
        "latent frames in the transform",
    ]
    assert all(result.ok for result in results.values())
    assert results["mine.last_hidden_state"].max_abs_difference == 0
    assert results["mine.last_hidden_state"].tolerance == 2e-5


@pytest.mark.parametrize(("by", "status"), [(1e-5, 0), (3e-5, 1), (math.nan, 1)])
def test_the_exit_status_tells_whether_all_is_within_tolerance(
    vectors: Path, capsys: pytest.CaptureFixture[str], by: float, status: int
) -> None:
    change(vectors, "mine.last_hidden_state", by)
    assert main(["validate", "reference", str(vectors)]) == status
    assert ("OVER" in capsys.readouterr().out) == (status == 1)


def test_another_shape_is_over_tolerance(vectors: Path) -> None:
    tensors = load_file(vectors / "t5_tiny.safetensors")
    tensors["mine.last_hidden_state"] = tensors["mine.last_hidden_state"][:, :5].contiguous()
    save_file(tensors, vectors / "t5_tiny.safetensors")
    result = validate_reference(vectors)[0]
    assert not result.ok
    assert result.note == "shape [2, 6, 12] for [2, 5, 12]"


def test_a_wrong_schedule_is_found(vectors: Path) -> None:
    content = json.loads((vectors / "rflow_timesteps.json").read_text())
    content["cases"][0]["timesteps"][1] += 0.01
    content["cases"][0]["latent_frames_in_transform"] = 4
    (vectors / "rflow_timesteps.json").write_text(json.dumps(content))
    schedule, counted = validate_reference(vectors)[1:]
    assert schedule.max_abs_difference == pytest.approx(0.01)
    assert not schedule.ok
    assert not counted.ok


def test_a_file_that_needs_another_is_noted_not_judged(vectors: Path) -> None:
    (vectors / "t5_tiny.config.json").unlink()
    result = validate_reference(vectors)[0]
    assert result.max_abs_difference is None
    assert result.note == "not compared: t5_tiny.config.json is lacking"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("t5_tiny.safetensors", b"\x10\x00", "not a whole safetensors file"),
        ("t5_tiny.config.json", b"{", "not valid JSON"),
        ("t5_tiny.config.json", b"[]", "expected keys with values"),
        ("t5_tiny.config.json", b'{"d_model": 12, "wings": 2}', "wings: no such setting of T5Config"),
        ("t5_tiny.config.json", b'{"d_model": "wide"}', "d_model: expected a whole number, found 'wide'"),
        ("t5_tiny.config.json", b'{"d_model": 12}', "the weights do not fit the network"),
        ("rflow_timesteps.json", b"{}", r"cannot be compared with \(KeyError: 'cases'\)"),
        ("rflow_timesteps.json", b'{"cases": [3]}', "cannot be compared with"),
    ],
)
def test_a_malformed_file_is_one_clear_error(
    vectors: Path, capsys: pytest.CaptureFixture[str], file: str, content: bytes, message: str
) -> None:
    (vectors / file).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        validate_reference(vectors)
    assert file.split(".")[0] in str(caught.value)
    assert main(["validate", "reference", str(vectors)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_lacking_tensor_is_named(vectors: Path) -> None:
    tensors = load_file(vectors / "t5_tiny.safetensors")
    del tensors["mine.attention_mask"]
    save_file(tensors, vectors / "t5_tiny.safetensors")
    with pytest.raises(UserError, match=r"mine\.attention_mask is lacking"):
        validate_reference(vectors)


def test_a_directory_without_reference_vectors_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no reference vectors here"):
        validate_reference(tmp_path)
    with pytest.raises(UserError, match="no such directory"):
        validate_reference(tmp_path / "nowhere")


def test_every_case_of_the_reference_vectors_is_within_tolerance(reference_folder: Path) -> None:
    results = validate_reference(reference_folder)
    assert len(results) >= 100
    assert [result for result in results if result.max_abs_difference is None or not result.ok] == []


def test_every_reference_file_cut_short_is_a_clear_error(reference_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(reference_folder, copy, copy_function=shutil.copyfile)
    copy.chmod(0o755)
    for file in sorted([*copy.glob("*.json"), *copy.glob("*.safetensors")]):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=file.name.replace(".", r"\.")):
            validate_reference(copy)
        file.write_bytes(whole)
