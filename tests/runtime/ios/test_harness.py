"""What the phone's harness captures is read here: a profile that `simulate` takes, and where the app was ended."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from worlds import swift

from ondevice_sora.commands.main import main
from ondevice_sora.profiles.capture_file import Capture, read_capture
from ondevice_sora.profiles.capture_profile import profile_of_capture

pytestmark = swift.needs_swift


def harness(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A session of the harness over toy blocks of Open-Sora's names: three, of two functions each."""
    command: list[str | Path] = [swift.program("toy-harness"), folder / "phone.json", folder / "state", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a whole capture."""
    made = tmp_path_factory.mktemp("harness")
    done = harness(made)
    assert (done.returncode, done.stderr) == (0, "")
    return made


@pytest.fixture(scope="module")
def capture(folder: Path) -> Capture:
    return read_capture(folder / "phone.json")


def test_every_sample_arrives(capture: Capture) -> None:
    assert [(block.first_unit, block.variant) for block in capture.blocks] == [
        (f"spatial_{number}", variant) for number in range(3) for variant in ("plain", "tdtm")
    ]
    first, other = capture.blocks[:2]
    assert (first.loads.first_s, first.loads.later_s) == ((2.0,), (2.0,) * 3)
    assert (first.runs.first_s, first.runs.later_s) == ((1.0,) * 4, (0.5,) * 4)
    assert (other.loads.first_s, other.function) == ((), "tdtm")
    assert len(first.loads.while_running_s) == 3
    assert first.unload_s == (0.25,) * 4
    assert first.memory.before_load == (1000,) * 4
    assert first.memory.after_load == (1100,) * 4
    assert first.thermal_states == ("nominal", "nominal")
    assert (capture.device, capture.conditions.os_build, capture.baseline_bytes) == ("iphone15pro", "22B83", (1000,))
    assert capture.conditions.tools == {"harness": "1"}


def test_its_profile_has_the_medians(capture: Capture) -> None:
    profile, _ = profile_of_capture(capture)
    measured = profile.measurements[0]
    assert measured.load_cold_s is not None and measured.load_cold_s.value == 2.0
    assert measured.run_s is not None and measured.run_s.value == 0.5
    assert measured.resident_bytes is not None and measured.resident_bytes.value == 100
    assert profile.costs.baseline_bytes.value == 1000


def test_it_is_imported_and_simulated(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["profile", "import", str(folder / "phone.json"), "-o", "phone.yaml"]) == 0
    capsys.readouterr()
    assert main(["simulate", "--device", "phone.yaml", "--plan", "app-192", "--json"]) in (0, 3)
    blocks = {block["block"]: block["run_s"] for block in json.loads(capsys.readouterr().out)["blocks"]}
    assert [blocks[f"spatial_{number}..temporal_{number}"] for number in range(3)] == [0.5] * 3


def test_of_a_machine_that_nobody_knows_the_device_is_named_with_the_command(tmp_path: Path) -> None:
    assert harness(tmp_path, "--machine", "x86_64").returncode == 0
    assert main(["profile", "import", str(tmp_path / "phone.json"), "-o", str(tmp_path / "a.yaml")]) == 2
    named = ["--device", "iphone15pro", "-o", str(tmp_path / "a.yaml")]
    assert main(["profile", "import", str(tmp_path / "phone.json"), *named]) == 0


def test_where_the_limit_ended_it_is_told_beside_the_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A toy holds 100 bytes and 30 more while it is loaded: the first load already ends it."""
    monkeypatch.chdir(tmp_path)
    assert harness(tmp_path, "--limit", "1110").returncode == -9
    second = harness(tmp_path, "--limit", "1110")
    assert second.returncode == -9
    assert second.stdout.startswith(
        "The app was ended at 1.00 kB of 1.11 kB while loading block 'spatial_0..temporal_0'"
    )
    sentence = (
        "iOS ended the app at 1.00 kB, limit 1.11 kB, while loading denoiser spatial_0..temporal_0 (profile capture"
    )
    assert main(["profile", "import", "phone.json"]) == 0
    assert f"note: {sentence}" in capsys.readouterr().err
    assert main(["simulate", "--device", "phone.yaml", "--plan", "app-192", "--json"]) in (0, 3)
    told = json.loads(capsys.readouterr().out)["cautions"][0]
    assert told.startswith(sentence) and "Predicted here: a peak of " in told


def test_killed_it_goes_on_and_measures_nothing_twice(tmp_path: Path) -> None:
    """A block at which it was ended twice is left out; all others are there in the end."""
    while harness(tmp_path, "--limit", "1225").returncode == -9:
        pass
    first = json.loads((tmp_path / "phone.json").read_text())
    done = harness(tmp_path)
    assert done.returncode == 0
    last = json.loads((tmp_path / "phone.json").read_text())
    assert last["blocks"][: len(first["blocks"])] == first["blocks"]
    assert last["failures"] == first["failures"]
    assert all(failure["app_ended"] for failure in last["failures"])
