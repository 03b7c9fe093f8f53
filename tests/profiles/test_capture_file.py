"""A capture file becomes the profile that its samples say, or one clear complaint."""

from __future__ import annotations

import copy
import html
import json
import math
import re
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.paths import ROOT

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.main import main
from ondevice_sora.profiles.capture_file import Capture, read_capture
from ondevice_sora.profiles.capture_profile import profile_of_capture
from ondevice_sora.profiles.profile import RunNoise, load_profile

DOCS = ROOT / "docs" / "profile.md"
(TEXT,) = re.findall(r"^```json capture\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
EXAMPLE = json.loads(TEXT)


def captured(path: Path, given: str = "", **changes: object) -> Capture:
    """The example of the page with the first block's or the file's keys replaced; None removes a key.

    `given` is the device that the command names.
    """
    data = copy.deepcopy(EXAMPLE)
    for key, value in changes.items():
        target = data if key in msgspec.structs.asdict(msgspec.convert(EXAMPLE, Capture)) else data["blocks"][0]
        target[key] = value
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))
    return read_capture(path, given)


def complaint(path: Path, given: str = "", **changes: object) -> str:
    with pytest.raises(UserError) as raised:
        captured(path, given, **changes)
    return str(raised.value)


def measured_on(machine: str) -> dict[str, object]:
    return {**EXAMPLE["conditions"], "device_model": machine}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "phone.json"


def test_first_and_later_loads_stay_apart(path):
    (measured,) = profile_of_capture(captured(path))[0].measurements
    assert (measured.load_cold_s.value, measured.load_warm_s.value) == (1.82, 0.31)
    assert (measured.first_run_s.value, measured.run_s.value) == (1.595, 1.15)


def test_memory_is_what_a_load_and_what_runs_add(path):
    profile, _ = profile_of_capture(captured(path))
    (measured,) = profile.measurements
    assert measured.resident_bytes.value == 170_500_000
    assert measured.working_bytes.value == 442_500_000
    assert profile.costs.loads.residual_share.value == pytest.approx(1_250_000 / 170_500_000, rel=1e-5)
    assert profile.costs.loads.transient_share.value == pytest.approx(18_000_000 / 170_500_000, rel=1e-5)
    assert profile.costs.baseline_bytes.value == 41_000_000


def test_without_memory_figures_the_devices_own_profile_says(path):
    base = load_profile("iphone15pro")[0]
    profile, _ = profile_of_capture(captured(path, memory={}, baseline_bytes=None, unload_s=[]))
    assert profile.measurements[0].resident_bytes is None
    assert profile.costs == base.costs


def test_interference_comes_from_samples_beside_the_other(path):
    profile, _ = profile_of_capture(captured(path, runs={"later_s": [1.0], "while_loading_s": [1.25]}))
    assert profile.costs.processors["gpu"].run_rate.value == 0.8
    assert profile.costs.processors["gpu"].run_rate.mark == "measured"


def test_rates_that_nothing_can_have_are_left_out_and_told(path):
    base = load_profile("iphone15pro")[0].costs.processors["gpu"].run_rate
    capture = captured(path, runs={"later_s": [1.0, 1.0], "while_loading_s": [25.0]}, failures=[])
    profile, notes = profile_of_capture(capture)
    assert profile.costs.processors["gpu"].run_rate == base
    assert notes == [
        "runs beside loads on cpu_and_gpu came out at 0.04 of their speed alone, which something else must have "
        "caused: left out"
    ]


def test_noise_between_runs_is_that_of_samples_of_which_each_launch_gives_one(path):
    """Later loads and first runs relative to their medians; later runs of one launch say nothing of the next."""
    runs = {"first_s": [1.0, 1.0 * math.exp(0.1), math.exp(-0.1)], "later_s": [1.0, 9.0]}
    profile, _ = profile_of_capture(captured(path, loads={"first_s": [2.0], "later_s": [0.5]}, runs=runs))
    assert profile.noise == RunNoise(0.1, 3, profile.noise.source)
    assert "3 samples of 1 kinds" in profile.noise.source


def test_where_nothing_was_measured_twice_a_note_says_what_the_interval_leaves_out(path):
    once = captured(path, loads={"first_s": [2.0]}, runs={"first_s": [1.0]}, unload_s=[], memory={}, failures=[])
    profile, notes = profile_of_capture(once)
    assert profile.noise is None
    assert notes == ["nothing was measured twice, so the interval leaves out how much runs differ on this device"]


def test_what_was_measured_once_varies_as_the_blocks_other_samples_do(path):
    """The device's first load is always one sample."""
    loads = {"first_s": [2.0], "later_s": [0.9, 1.0, 1.1]}
    (measured,) = profile_of_capture(captured(path, loads=loads))[0].measurements
    assert measured.load_cold_s.spread == pytest.approx(0.14826 * 1.495, abs=1e-4)


def test_what_recurs_is_known_the_better_the_more_samples_there_are(path):
    """The median of three errs by 1.25 deviations over the root of three; memory is as spread as its samples."""
    loads = {"first_s": [2.0], "later_s": [0.9, 1.0, 1.1]}
    (measured,) = profile_of_capture(captured(path, loads=loads))[0].measurements
    assert measured.load_warm_s.spread == pytest.approx(0.1483 * 1.495 * 1.2533 / 3**0.5, abs=1e-4)


def test_a_footprint_that_falls_says_nothing(path):
    memory = {"before_load": [10, 10, 10], "after_load": [5, 5, 20]}
    profile, notes = profile_of_capture(captured(path, memory=memory, failures=[]))
    assert profile.measurements[0].resident_bytes is None
    assert notes == ["denoiser spatial_0..temporal_0 on cpu_and_gpu: the footprint fell by after_load, "
                     "so the figure is left out"]  # fmt: skip


def test_doubts_are_told(path):
    conditions = EXAMPLE["conditions"] | {"low_power_mode": True}
    loads = {"first_s": [1.0], "later_s": [0.95]}
    capture = captured(path, conditions=conditions, loads=loads, thermal_states=["serious"])
    told = "\n".join(profile_of_capture(capture)[1])
    assert "may not have found Core ML's cache" in told
    assert "measured hot" in told
    assert "low-power mode" in told


def test_a_device_that_the_catalogue_lacks_is_scaled_by_its_hardware(path):
    figure = {"mark": "published", "source": "its maker"}
    hardware = {
        "name": "Phone", "chip": "A1", "system": "iOS", "memory_limits": [{"limit_bytes": figure | {"value": 2e9}}],
        "hardware": {"ram_bytes": figure | {"value": 4e9}, "dram_bytes_per_s": figure | {"value": 25.6e9},
                     "gpu_flops_per_s": figure | {"value": 2.15e12}},
    }  # fmt: skip
    profile, _ = profile_of_capture(captured(path, device="phone", hardware=hardware))
    base = load_profile("iphone15pro")[0].costs
    assert profile.costs.loads.prepare_bytes_per_s.value == base.loads.prepare_bytes_per_s.value / 2
    assert captured(path, "phone", device="phone", hardware=hardware).device == "phone"
    assert "the capture is of 'phone', not of 'iphone16'" in complaint(
        path, "iphone16", device="phone", hardware=hardware
    )
    assert "does not say which device it is of" in complaint(path, device=None, hardware=hardware)
    assert "unknown device 'phone'" in complaint(path, device="phone", hardware=None)
    assert "the catalogue describes 'iphone15'" in complaint(path, device="iphone15", hardware=hardware)


def test_a_file_without_a_device_is_of_what_its_machine_is(path):
    """A harness knows no more of its phone than that."""
    capture = captured(path, device=None, conditions=measured_on("iPhone17,4"))
    assert capture.device == "iphone16"
    assert profile_of_capture(capture)[0].device == "iphone16"


def test_a_device_given_with_the_command_is_that_of_a_file_which_says_nothing(path):
    for machine in ("Test phone", "iPhone99,1"):
        assert captured(path, "iPhone 16", device=None, conditions=measured_on(machine)).device == "iphone16"
        assert captured(path, "iPhone17,3", device=None, conditions=measured_on(machine)).device == "iphone16"
    assert captured(path, "iPhone 15 Pro").device == "iphone15pro", "the same device, named twice"
    assert captured(path, "", device="iphone16", conditions=measured_on("iPhone99,1")).device == "iphone16"


@pytest.mark.parametrize(
    ("given", "device", "machine", "said"),
    [
        ("", None, "Test phone", "phone.json: device: the file does not say which device it is of\nName it.*--device"),
        (
            "",
            None,
            "iPhone99,1",
            "it is of: the catalogue knows no machine 'iPhone99,1'\nName it.*--device iphone15pro",
        ),
        (
            "iphone16",
            None,
            "iPhone16,2",
            r"--device: the capture is of 'iphone15pro' \(iPhone16,2\), not of 'iphone16'",
        ),
        (
            "iphone16",
            "iphone15pro",
            "x",
            "the capture is of 'iphone15pro', not of 'iphone16'\nGive --device iphone15pro",
        ),
        ("", "iphone16", "iPhone16,1", "phone.json: device: 'iphone16', but iPhone16,1 is 'iphone15pro'\nCorrect"),
        ("iphone61", None, "x", "unknown device 'iphone61'\nDid you mean"),
        ("iphone16", "iphone51", "x", "device: unknown device 'iphone51'"),
    ],
)
def test_a_device_that_is_not_told_or_told_in_two_ways_is_one_complaint(path, given, device, machine, said):
    assert re.search(said, complaint(path, given, device=device, conditions=measured_on(machine)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "x-2"}, "format 'x-2' is not 'ondevice-sora-capture-1'"),
        ({"format": None}, "no 'format'"),
        ({"loads": {"first_s": [-1]}}, "blocks[0].loads.first_s[0]: expected a number >= 0.0, found -1"),
        ({"loads": {"frist_s": [1]}}, "this key is not known\nDid you mean 'first_s'?"),
        ({"memory": {"before_load": [1, 2], "after_load": [3]}}, "different lengths: before_load 2, after_load 1"),
        ({"loads": {}, "runs": {}, "unload_s": [], "memory": {}}, "on cpu_and_gpu has no samples"),
        ({"blocks": [EXAMPLE["blocks"][0]] * 2}, "spatial_0..temporal_0 on cpu_and_gpu (float32) stands twice"),
        ({"blocks": [], "failures": []}, "no block was measured"),
        ({"blocks": [], "failures": [{**EXAMPLE["failures"][0], "app_ended": False}]}, "no block was measured"),
        ({"failures": [{**EXAMPLE["failures"][0], "footprint_bytes": -1}]}, "failures[0].footprint_bytes: expected"),
        ({"failures": [{**EXAMPLE["failures"][0], "action": "sing"}]}, "Choose from: load, run."),
        ({"compute_units": "any"}, "Choose from: all, cpu_and_gpu, cpu_and_ne, cpu_only."),
        ({"conditions": {"device_model": "x", "os": "y", "date": "today"}}, "conditions.date"),
        ({"conditions": {"device_model": "\x1b[31m", "os": "y", "date": "2026-01-31"}}, "conditions.device_model"),
        ({"conditions": {"device_model": "x", "os": "y\n", "date": "2026-01-31"}}, "conditions.os"),
        ({"model": "a\u202eb"}, "model: expected one line without control characters"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_complaint(path, changes, said):
    assert said in complaint(path, **changes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{\n]", "phone.json:2: not valid JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": ' + "9" * 5000 + "}", "is too long for a number"),
        ('{"a": "\\ud800"}', "half a character"),
        ("[" * 100_000, "nested deeper than 40 levels"),
        ("[]", "expected keys with values"),
    ],
)
def test_what_is_not_json_is_one_complaint(path, text, said):
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(said)):
        read_capture(path)


KILL = EXAMPLE["failures"][0]
SENTENCE = (
    "iOS ended the app at 3.29 GB, limit 3.30 GB, while loading text_encoder layer_6..layer_7 "
    "(profile capture, 2026-11-20)."
)


def test_where_the_app_was_ended_is_kept_and_told(path):
    profile, notes = profile_of_capture(captured(path))
    (kill,) = profile.kills
    assert (kill.component, kill.first_unit, kill.last_unit, kill.action) == (
        "text_encoder", "layer_6", "layer_7", "load",
    )  # fmt: skip
    assert (kill.footprint_bytes, kill.limit_bytes, kill.compute_units) == (3_290_000_000, 3_300_000_000, "cpu_and_gpu")
    assert SENTENCE in notes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"action": "run", "variant": "tdtm"}, "GB, while running text_encoder layer_6..layer_7 tdtm (profile"),
        ({"limit_bytes": None}, "iOS ended the app at 3.29 GB while loading"),
        ({"limit_bytes": None, "footprint_bytes": None}, "iOS ended the app while loading"),
        ({"last_unit": None}, "loading text_encoder layer_6 (profile"),
        ({"footprint_bytes": 2_970_000_000}, "iOS ended the app at 2.97 GB, limit 3.30 GB, while"),
        (
            {"footprint_bytes": 2_969_999_999},
            "The app was ended at 2.97 GB, limit 3.30 GB, while loading text_encoder layer_6..layer_7 "
            "(profile capture, 2026-11-20). It was far below its limit, so perhaps by its user.",
        ),
        ({"date": None}, "(profile capture, 2026-11-20)"),
    ],
)
def test_the_sentence_says_what_is_known(path, changes, said):
    kill = {key: value for key, value in {**KILL, **changes}.items() if value is not None}
    assert any(said in note for note in profile_of_capture(captured(path, failures=[kill]))[1])


def test_what_failed_otherwise_is_told_as_a_failure(path):
    """Also an app that ended at nobody knows what: coremltools' does not say."""
    plain = {"package": "a.mlpackage", "function": "tdtm", "compute_units": "all", "reason": "no such model"}
    ended = {**plain, "function": "", "app_ended": True}
    profile, notes = profile_of_capture(captured(path, failures=[plain, ended] + [plain] * 5))
    assert profile.kills == ()
    assert notes[:2] == [
        "not measured: a.mlpackage tdtm on all: no such model", "not measured: a.mlpackage on all: no such model",
    ]  # fmt: skip
    assert "so it was with 2 more" in notes


def test_of_ends_at_one_block_the_largest_footprint_is_told(path):
    kills = [{**KILL, "footprint_bytes": size} for size in (3_210_000_000, 3_280_000_000, 3_250_000_000)]
    profile, notes = profile_of_capture(captured(path, failures=kills))
    assert len(profile.kills) == 3
    assert [note for note in notes if "ended the app" in note] == [SENTENCE.replace("3.29", "3.28")]


def test_ends_near_the_limit_are_told_first(path):
    far = {**KILL, "first_unit": "layer_0", "last_unit": "layer_1", "footprint_bytes": 100}
    notes = profile_of_capture(captured(path, failures=[far, KILL]))[1]
    assert [note.startswith("iOS") for note in notes[:2]] == [True, False]


def test_a_capture_of_nothing_but_an_end_is_a_profile(path):
    profile, notes = profile_of_capture(captured(path, blocks=[]))
    assert (profile.measurements, len(profile.kills)) == ((), 1)
    assert SENTENCE in notes


def test_simulate_tells_an_end_beside_the_predicted_peak(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("phone.json").write_text(TEXT)
    assert main(["profile", "import", "phone.json"]) == 0
    assert f"note: {SENTENCE}" in capsys.readouterr().err
    assert main(["simulate", "--device", "phone.yaml", "--plan", "app-192", "--json", "--report"]) in (0, 3)
    result = json.loads(capsys.readouterr().out)
    told = result["cautions"][0]
    assert told.startswith(f"{SENTENCE} Predicted here: a peak of ")
    assert told in html.unescape(Path("app-192.html").read_text(encoding="utf-8")).replace("\xa0", " ")
    assert main(["simulate", "--device", "phone.yaml", "--plan", "app-192"]) in (0, 3)
    assert "iOS ended the app at 3.29 GB" in " ".join(capsys.readouterr().out.split())
    assert main(["profile", "show", "phone.yaml"]) == 0
    assert f"Where the app was ended {SENTENCE} " in " ".join(capsys.readouterr().out.split()) + " "


def test_ends_of_another_models_blocks_are_not_told_of_this_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("phone.json").write_text(json.dumps({**EXAMPLE, "model": "another"}))
    assert main(["profile", "import", "phone.json"]) == 0
    capsys.readouterr()
    assert main(["simulate", "--device", "phone.yaml", "--plan", "app-192", "--json"]) in (0, 3)
    assert not any("ended the app" in each for each in json.loads(capsys.readouterr().out)["cautions"])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_an_altered_capture_is_read_or_refused(tmp_path_factory, data):
    """Any value in the example replaced by anything else: a profile or a UserError, nothing else."""
    path = tmp_path_factory.getbasetemp() / "altered.json"
    altered = copy.deepcopy(EXAMPLE)
    place = altered
    while True:
        steps = list(place) if isinstance(place, dict) else list(range(len(place)))
        step = data.draw(st.sampled_from(steps))
        if not place[step] or not isinstance(place[step], (dict, list)) or data.draw(st.booleans()):
            break
        place = place[step]
    place[step] = data.draw(
        st.sampled_from([None, -1, 0, 1e308, 10**30, "", "x" * 200, [], {}, [0], ["x"], True, "\u2028", [1e-320] * 3])
    )
    path.write_text(json.dumps(altered))
    with suppress(UserError):
        profile_of_capture(read_capture(path))


def test_import_writes_a_profile_that_simulates(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("phone.json").write_text(TEXT)
    assert main(["profile", "import", "phone.json"]) == 0
    assert "Wrote phone.yaml" in capsys.readouterr().err
    assert main(["simulate", "--device", "phone.yaml", "--plan", "app-192", "--json"]) in (0, 3)
    shown = json.loads(capsys.readouterr().out)
    pairs = [block for block in shown["blocks"] if block["block"] == "spatial_0..temporal_0"]
    assert {round(block["run_s"], 3) for block in pairs} == {1.15}
    assert main(["profile", "import", "phone.json"]) == 2
    assert "the file exists already" in capsys.readouterr().err


def test_import_takes_the_device_from_the_command_or_says_that_it_needs_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    capture = {key: value for key, value in EXAMPLE.items() if key != "device"}
    Path("phone.json").write_text(json.dumps(capture | {"conditions": measured_on("my phone")}))
    assert main(["profile", "import", "phone.json"]) == 2
    assert "with `profile import --device`" in capsys.readouterr().err
    assert main(["profile", "import", "phone.json", "--device", "iPhone 15 Pro"]) == 0
    assert load_profile("phone.yaml")[1].key == "iphone15pro"
    Path("phone.json").write_text(json.dumps(capture))
    assert main(["profile", "import", "phone.json", "--device", "iphone16", "--force"]) == 2
    assert "the capture is of 'iphone15pro' (iPhone16,1), not of 'iphone16'" in capsys.readouterr().err
    assert main(["profile", "import", "phone.json", "--force"]) == 0


def test_a_block_that_is_loaded_in_every_step_has_its_first_run_in_every_step(tmp_path, monkeypatch, capsys):
    """Ten steps of two blocks: each has a first load of 1.8 s and later ones of 0.31 s, and runs of 1.6 s."""
    monkeypatch.chdir(tmp_path)
    unit = {"parameters": 42_000_000, "plain": {"matmul_flops": 1e12}}
    model = {"name": "two", "source": "x", "components": [
        {"name": "net", "passes": "steps", "units": [{"name": name, **unit} for name in "ab"]}]}  # fmt: skip
    block = {
        "component": "net", "compute_units": "cpu_and_gpu", "precision": "float32", "unload_s": [0.004],
        "loads": {"first_s": [1.8], "later_s": [0.3, 0.32, 0.31]},
        "runs": {"first_s": [1.6, 1.62, 1.58, 1.6], "later_s": [1.0, 1.01, 0.99]},
    }  # fmt: skip
    blocks = [{**block, "first_unit": name, "last_unit": name} for name in "ab"]
    conditions = {"device_model": "iPhone16,1", "os": "iOS 18.1", "date": "2026-11-20"}
    capture = {"format": EXAMPLE["format"], "device": "iphone15pro", "model": "two", "conditions": conditions}
    Path("model.yaml").write_text(json.dumps(model))
    Path("capture.json").write_text(json.dumps({**capture, "blocks": blocks}))
    Path("plan.yaml").write_text("name: p\nmodel: model.yaml\nsampler: {steps: 10}\ncomponents: {net: {prefetch: 0}}")
    assert main(["profile", "import", "capture.json", "-o", "phone.yaml"]) == 0
    capsys.readouterr()
    assert main(["simulate", "--device", "phone.yaml", "--plan", "plan.yaml", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["total_s"] == pytest.approx(2 * 1.8 + 18 * 0.31 + 20 * (1.6 + 0.004))
    low, high = result["interval_s"]
    assert low < 0.98 * result["total_s"] and 1.02 * result["total_s"] < high
    assert not any("fitted" in note for note in result["notes"])


def test_the_page_describes_every_key_of_a_capture():
    words = set(re.findall(r"[a-z0-9_]+", " ".join(re.findall(r"`[^`\n]+`", DOCS.read_text(encoding="utf-8")))))
    shown = set(re.findall(r'"(\w+)":', TEXT))
    assert {field.encode_name for field in msgspec.structs.fields(Capture)} <= shown | {"hardware"}
    assert shown - words - {"harness"} == set()
