"""A capture: a process a load, first loads apart, every finished block kept, failures told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("coremltools")

from worlds.coreml_packages import described_package, linear_package
from worlds.fake_phone import FakePhone, connect

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.main import main
from ondevice_sora.profiles.capture_file import read_capture
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.runtime.capture.phone.capture import Settings, capture, catalogue_key, choose_phone, in_a_process
from ondevice_sora.runtime.capture.phone.requests import Installed, Phone, Reply, Request
from ondevice_sora.runtime.capture.phone.targets import targets_in

PHONE = Phone("UDID", "Test phone", "iOS 18.1", "22B83", "iPhone16,1", "iPhone 15 Pro")
INSTALLED = Installed("com.example", "B1")


class Scripted:
    """Work that takes round numbers of seconds, and fails where it is told to."""

    def __init__(self, failures: dict[str, Reply] | None = None) -> None:
        self.failures = failures or {}
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        self.asked.append(request)
        failure = self.failures.get(Path(request.package).name)
        if failure is not None:
            return failure
        of_package = [each for each in self.asked if each.package == request.package]
        load_s = 8.0 if len(of_package) == 1 else 1.0
        return Reply(load_s=load_s, run_s=(3.0, *[2.0] * request.later_runs), installed=INSTALLED)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "denoiser").mkdir()
    for name in ("a", "b", "c"):
        linear_package(tmp_path / f"denoiser/{name}.mlpackage")
    return tmp_path / "denoiser"


def run(folder: Path, work: Scripted, **changes):
    model, targets = targets_in(folder, ["cpu_and_gpu"])
    path = folder.parent / "phone.json"
    return capture(targets, changes.get("phone", PHONE), "iphone15pro", model, path, Settings(repeats=2), work)


def test_each_load_is_a_process_and_the_first_stays_apart(folder):
    work = Scripted()
    captured, lost = run(folder, work)
    assert lost == ""
    assert [(b.first_unit, b.loads.first_s, b.loads.later_s) for b in captured.blocks] == [
        (name, (8.0,), (1.0, 1.0)) for name in "abc"
    ]
    assert captured.blocks[0].runs.first_s == (3.0, 3.0, 3.0)
    assert captured.blocks[0].runs.later_s == (2.0, 2.0)
    assert [request.later_runs for request in work.asked] == [2, 0, 0] * 3
    assert [request.installed for request in work.asked] == [None, *[INSTALLED] * 8]


def test_a_failing_block_is_recorded_and_the_others_measured(folder):
    captured, lost = run(folder, Scripted({"b.mlpackage": Reply(failure="no such model", lost="")}))
    assert [block.first_unit for block in captured.blocks] == ["a", "c"]
    assert [(f.package, f.reason) for f in captured.failures] == [("b.mlpackage", "no such model")]
    assert lost == ""


def test_an_app_that_ended_is_said_to_have(folder):
    captured, _ = run(folder, Scripted({"b.mlpackage": Reply(failure="no file", lost="app")}))
    (failure,) = captured.failures
    assert failure.reason == "the app ended, perhaps for its memory: no file"
    assert (failure.app_ended, failure.first_unit, failure.action) == (True, "b", None)
    assert failure.function == ""
    assert read_capture(folder.parent / "phone.json").failures == captured.failures


def test_a_lost_phone_ends_the_capture_and_what_was_measured_stays(folder):
    captured, lost = run(folder, Scripted({"b.mlpackage": Reply(failure="the phone is not connected", lost="phone")}))
    assert lost == "the phone is not connected"
    assert [block.first_unit for block in captured.blocks] == ["a"]
    assert read_capture(folder.parent / "phone.json").blocks == captured.blocks


def test_a_capture_goes_on_where_it_was(folder):
    first, _ = run(folder, Scripted({"b.mlpackage": Reply(failure="gone", lost="phone")}))
    work = Scripted()
    captured, _ = run(folder, work)
    assert [Path(request.package).stem for request in work.asked] == ["b"] * 3 + ["c"] * 3
    assert captured.blocks[0] == first.blocks[0]
    assert captured.failures == ()


def test_a_package_that_changed_is_measured_again(folder):
    run(folder, Scripted())
    weights = folder / "b.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    weights.write_bytes(weights.read_bytes() + bytes(64))
    work = Scripted()
    captured, _ = run(folder, work)
    assert {Path(request.package).stem for request in work.asked} == {"b"}
    assert sorted(block.first_unit for block in captured.blocks) == ["a", "b", "c"]


def test_another_system_does_not_go_on_with_it(folder):
    run(folder, Scripted())
    newer = msgspec.structs.replace(PHONE, os_build="22C150")
    with pytest.raises(UserError, match=r"begun with another system: iOS 18.1 22B83, now iOS 18.1 22C150"):
        run(folder, Scripted(), phone=newer)


def test_which_phone():
    other = msgspec.structs.replace(PHONE, name="Other", udid="O")
    assert choose_phone([PHONE], "") is PHONE
    assert choose_phone([PHONE, other], "Other") is other
    assert choose_phone([PHONE, other], "UDID") is PHONE
    for phones, wanted, said in (
        ([], "", "no phone is connected"),
        ([PHONE], "Other", "no connected phone is named 'Other'"),
        ([PHONE, other], "", "several phones are connected"),
    ):
        with pytest.raises(UserError, match=said):
            choose_phone(phones, wanted)


def test_which_device_of_the_catalogue():
    unknown = msgspec.structs.replace(PHONE, product_type="iPhone99,1", marketing_name="iPhone 99")
    larger = msgspec.structs.replace(PHONE, product_type="iPhone16,2", marketing_name="iPhone 15 Pro Max")
    assert catalogue_key(PHONE, "iphone") == catalogue_key(larger, "iphone") == "iphone15pro"
    assert catalogue_key(unknown, "iPhone 15 Pro") == "iphone15pro"
    with pytest.raises(UserError, match="the catalogue has no 'iPhone 99'"):
        catalogue_key(unknown, "iphone")
    with pytest.raises(UserError, match="the connected phone is an iPhone 15 Pro"):
        catalogue_key(PHONE, "iphone13pro")


def test_the_process_that_measures_tells_why_it_could_not(tmp_path):
    """Here: there is no devicectl. The whole of coremltools is imported in a process of its own."""
    request = Request(str(tmp_path), "", "cpu_and_gpu", 1, "UDID", str(tmp_path), patience_s=100.0)
    reply = in_a_process(request)
    assert "The 'devicectl' command is required" in reply.failure
    assert reply.lost == "phone"


@pytest.fixture
def connected(monkeypatch, tmp_path):
    """The command with the fake phone, and work in this process."""
    from ondevice_sora.runtime.capture.phone import capture as module
    from ondevice_sora.runtime.capture.phone import worker

    monkeypatch.chdir(tmp_path)
    phone = FakePhone({"y": (2, 3)})
    connect(phone, monkeypatch)
    monkeypatch.setattr(module, "check_devicectl", lambda: None)
    monkeypatch.setattr(module, "in_a_process", lambda request: asyncio.run(worker.measure(request)))
    (tmp_path / "blocks").mkdir()
    described_package(tmp_path / "blocks/first.mlpackage")
    described_package(tmp_path / "blocks/second.mlpackage", ("plain", "tdtm"))
    return phone


CAPTURE = ["profile", "capture", "--device", "iphone", "--blocks", "blocks", "--repeats", "2"]


def test_the_command_writes_a_capture_and_its_profile(connected, capsys):
    assert main([*CAPTURE, "-o", "phone.yaml"]) == 0
    err = capsys.readouterr().err
    assert "Wrote phone.yaml" in err
    assert "measuring blocks second tdtm on cpu_and_gpu" in err
    profile, device = load_profile("phone.yaml")
    assert device.key == "iphone15pro"
    assert [(m.model, m.component, m.first_unit, m.variant, m.load_cold_s.value, m.run_s.value)
            for m in profile.measurements] == [
        ("blocks", "blocks", "first", "plain", 1.5, 0.25),
        ("blocks", "blocks", "second", "plain", 1.5, 0.25),
        ("blocks", "blocks", "second", "tdtm", 1.5, 0.25),
    ]  # fmt: skip
    assert "note: blocks first on cpu_and_gpu: later loads took as long as the first" in err
    assert read_capture("phone.json").conditions.device_model == "iPhone16,1"


def test_what_is_captured_is_what_estimate_describes(connected, capsys):
    """So that a model of one's own simulates with measured figures."""
    main([*CAPTURE, "-o", "phone.yaml"])
    assert main(["profile", "estimate", "blocks", "--device", "phone.yaml", "-o", "out"]) == 0
    capsys.readouterr()
    assert main(["simulate", "--device", "out/profile.yaml", "--plan", "out/plan.yaml", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["blocks"]
    assert {row["run_s"] for row in rows} == {0.25}
    assert {tuple(row["run_marks"]) for row in rows} == {("measured",)}


def test_failures_and_a_lost_phone_are_told_and_the_exit_status_says_so(connected, capsys):
    def unplugged(params):
        if params.get("functionName") == "tdtm":
            connected.is_connected = False
            return None
        return {"result": {"modelID": params["modelID"], "duration": 1_500_000_000}}

    connected.answer["MLModelService.Load"] = unplugged
    assert main([*CAPTURE, "-o", "phone.yaml", "--patience", "10"]) == 1
    err = capsys.readouterr().err
    assert "the phone was lost" in err
    assert "1 of 3 were not measured. Run the same command again: it goes on." in err
    assert "Wrote phone.yaml" in err
    connected.is_connected = True
    connected.answer.clear()
    assert main([*CAPTURE, "-o", "phone.yaml"]) == 0
    assert "measuring blocks first" not in capsys.readouterr().err


def test_memory_figures_of_a_harness_are_taken_over(connected, capsys):
    main([*CAPTURE, "-o", "phone.yaml"])
    data = json.loads(Path("phone.json").read_text())
    memory = {"before_load": [100], "after_load": [1100], "run_peak": [1600], "after_evict": [110]}
    data["blocks"] = [block | {"memory": memory, "loads": {}, "runs": {}} for block in data["blocks"][:2]]
    data["blocks"][1]["component"] = "another"
    data["conditions"] |= {"thermal_state": "fair", "free_bytes": 3_000_000_000, "tools": {"harness": "1"}}
    ended = {
        "package": "a.mlpackage", "function": "", "compute_units": "cpu_and_gpu", "reason": "the app was ended",
        "component": "first", "first_unit": "a", "last_unit": "a", "action": "load", "app_ended": True,
    }  # fmt: skip
    failed = {**ended, "app_ended": False}
    Path("memory.json").write_text(json.dumps(data | {"baseline_bytes": [100], "failures": [ended, failed]}))
    capsys.readouterr()
    assert main([*CAPTURE, "-o", "phone.yaml", "--memory-capture", "memory.json"]) == 0
    assert "note: memory figures of a block that was not captured: another second" in capsys.readouterr().err
    profile, _ = load_profile("phone.yaml")
    assert profile.measurements[0].resident_bytes.value == 1000
    assert profile.measurements[0].working_bytes.value == 500
    assert profile.measurements[0].run_s.value == 0.25
    assert profile.costs.loads.residual_share.value == 0.01
    assert profile.conditions["thermal state"] == "fair"
    assert [(kill.first_unit, kill.action) for kill in profile.kills] == [("a", "load")]
    data["model"] = "other"
    Path("memory.json").write_text(json.dumps(data))
    assert main([*CAPTURE, "-o", "phone.yaml", "--memory-capture", "memory.json"]) == 2
    assert "the memory figures are of model 'other', not 'blocks'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "iphone"], "--blocks is missing"),
        (["--device", "iphone", "--blocks", "blocks", "-o", "x.json"], "must end in .yaml"),
        (["--device", "iphone", "--blocks", "nowhere"], "no such folder or package"),
        (["--device", "iphone", "--blocks", "blocks", "--phone", "x"], "no connected phone is named 'x'"),
        (["--device", "iphone13pro", "--blocks", "blocks"], "the connected phone is an iPhone 15 Pro"),
        (["--device", "host"], "--store is missing"),
        (["--device", "host", "--store", "s", "--team", "x"], "--team has no effect on this machine"),
        (["--device", "iphone", "--blocks", "blocks", "--width", "64"], "--width has no effect on a phone"),
    ],
)
def test_mistakes_are_one_message(connected, capsys, arguments, said):
    assert main(["profile", "capture", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_without_devicectl_there_is_one_clear_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["profile", "capture", "--device", "iphone", "--blocks", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: there is no `devicectl` here, which reaches a phone\nCapture on a Mac")
    assert "Traceback" not in err
