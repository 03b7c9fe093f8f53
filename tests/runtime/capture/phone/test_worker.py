"""One load and its runs, through coremltools' own benchmarker and service, down to a fake `devicectl`."""

from __future__ import annotations

import asyncio
import inspect

import pytest

pytest.importorskip("coremltools")

from coremltools import proto
from coremltools.models.ml_program.experimental import async_wrapper, remote_device
from coremltools.models.ml_program.experimental.perf_utils import MLModelBenchmarker
from worlds.coreml_packages import Writer, described_package
from worlds.fake_phone import LOAD_NS, RUN_NS, UDID, FakePhone, build, compile_model, connect

from ondevice_sora.runtime.capture.phone import worker
from ondevice_sora.runtime.capture.phone.requests import Installed, Request

INSTALLED = Installed("com.example.modelrunner", "B1B1")


@pytest.fixture
def phone(monkeypatch):
    phone = FakePhone({"y": (2, 3)})
    connect(phone, monkeypatch)
    return phone


@pytest.fixture
def request_(tmp_path):
    (tmp_path / "work").mkdir()
    path = described_package(tmp_path / "block.mlpackage")
    return Request(str(path), "", "cpu_and_gpu", 3, UDID, str(tmp_path / "work"), patience_s=1.0, installed=INSTALLED)


def measured(request, **changes):
    import msgspec

    return asyncio.run(worker.measure(msgspec.structs.replace(request, **changes)))


def test_a_load_and_its_runs_in_seconds(phone, request_):
    reply = measured(request_)
    assert reply.failure == ""
    assert (reply.load_s, reply.run_s) == (LOAD_NS / 1e9, (RUN_NS / 1e9,) * 4)
    methods = [method.partition(".")[2] for method, _ in phone.calls]
    assert methods == ["Load", "Prediction", "Prediction", "Prediction", "Prediction", "Unload"]
    assert phone.calls[0][1]["computeUnits"] == "CPU_AND_GPU"
    assert phone.processes[-1].poll() is not None, "the app is ended"


def test_only_the_first_process_installs(phone, request_):
    first = measured(request_, installed=None)
    assert first.installed == INSTALLED
    assert sum("install app" in command for command in phone.commands) == 1
    measured(request_, installed=first.installed)
    assert sum("install app" in command for command in phone.commands) == 1
    assert sum("process launch" in command for command in phone.commands) == 2


def test_a_function_is_loaded_by_name(phone, request_, tmp_path):
    both = described_package(tmp_path / "both.mlpackage", ("plain", "tdtm"))
    assert measured(request_, package=str(both), function="tdtm").failure == ""
    assert phone.calls[0][1]["functionName"] == "tdtm"


def test_a_slow_load_is_waited_for(phone, request_):
    """coremltools asks 20 times by default; ours is to be patient for as long as it was told."""
    asked = []
    hand_over = phone._hand_over

    def late(source, destination):
        asked.append(source)
        if len(asked) < 60:
            raise remote_device._DeviceCtlError(error_code=1, message=b"ERROR: no such file")
        hand_over(source, destination)

    phone._hand_over = late
    assert measured(request_, patience_s=100.0).failure == ""


def test_a_load_that_fails_is_this_blocks_failure(phone, request_):
    phone.answer["MLModelService.Load"] = lambda _: {
        "error": {"code": -32000, "message": "Failed to build\n the model execution plan"}
    }
    reply = measured(request_)
    assert reply.failure == "Failed to build the model execution plan (code -32000)"
    assert reply.lost == ""


def test_an_app_that_ends_is_told_apart(phone, request_):
    def killed(_):
        phone.end_app()

    phone.answer["MLModelService.Prediction"] = killed
    reply = measured(request_)
    assert reply.lost == "app"
    assert reply.failure == "ERROR: no such file (code 1)"


def test_a_phone_that_is_gone_is_told_apart(phone, request_):
    def unplugged(_):
        phone.is_connected = False

    phone.answer["MLModelService.Load"] = unplugged
    assert measured(request_).lost == "phone"
    assert measured(request_).failure == "the phone is not connected"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"result": {"modelID": "another", "duration": 1}}, "Mismatched model ID"),
        ({"result": ["no mapping"]}, "Expected result to be a mapping type"),
        ({}, "is malformed"),
    ],
)
def test_a_reply_of_another_form_is_a_failure(phone, request_, answer, said):
    phone.answer["MLModelService.Load"] = lambda _: answer
    assert said in measured(request_).failure


@pytest.mark.filterwarnings("ignore:.*never awaited", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_reply_without_a_duration_is_a_failure(phone, request_):
    """coremltools then forgets the loaded model, whose end makes a coroutine that it never awaits."""
    phone.answer["MLModelService.Load"] = lambda params: {"result": {"modelID": params["modelID"]}}
    assert "Failed to retrieve model load duration" in measured(request_).failure


def test_a_package_without_weights_is_a_failure(phone, request_, tmp_path):
    writer = Writer()
    writer.input("x", "fp32", (2, 4))
    writer.operation("relu", "y", "fp32", (2, 4), x="x")
    writer.outputs("y")
    bare = writer.save(tmp_path / "bare.mlpackage")  # whose manifest names no weights
    assert "has no weights" in measured(request_, package=str(bare)).failure


def test_inputs_are_of_the_models_own_types():
    description = proto.Model_pb2.ModelDescription()
    kinds = proto.FeatureTypes_pb2.ArrayFeatureType
    for name, kind in (("a", kinds.FLOAT16), ("b", kinds.INT32), ("c", kinds.FLOAT32), ("d", kinds.DOUBLE)):
        feature = description.input.add(name=name).type.multiArrayType
        feature.dataType = kind
        feature.shape.extend((2, 3))
    arrays = worker.example_inputs(description, "")
    assert {name: str(array.dtype) for name, array in arrays.items()} == {
        "a": "float16", "b": "int32", "c": "float32", "d": "float64",
    }  # fmt: skip
    assert all(array.shape == (2, 3) for array in arrays.values())
    assert all((arrays[name] == again).all() for name, again in worker.example_inputs(description, "").items())
    description.input.add(name="picture").type.imageType.width = 3
    with pytest.raises(ValueError, match="input 'picture' is no array"):
        worker.example_inputs(description, "")


def test_the_phone_says_what_it_is(phone):
    (found,) = worker.connected_phones()
    assert (found.name, found.os, found.os_build, found.product_type, found.marketing_name) == (
        "Test phone", "iOS 18.1", "22B83", "iPhone16,1", "iPhone 15 Pro",
    )  # fmt: skip
    phone.is_connected = False
    assert worker.connected_phones() == []


def parameters(function) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def test_what_is_called_is_as_it_is_in_the_installed_coremltools():
    assert parameters(MLModelBenchmarker) == ["model", "device"]
    assert parameters(MLModelBenchmarker.benchmark_load) == ["iterations"]
    assert parameters(MLModelBenchmarker.benchmark_predict) == ["inputs", "iterations", "warmup"]
    device = remote_device.Device
    assert parameters(device.prepare_for_model_debugging) == ["credentials", "working_directory", "clean"]
    assert parameters(device) == [
        "name", "type", "identifier", "udid", "os_version", "os_build_number", "developer_mode_state", "state",
        "session",
    ]  # fmt: skip
    assert parameters(remote_device.AppSigningCredentials) == [
        "development_team", "provisioning_profile_uuid", "bundle_identifier",
    ]  # fmt: skip
    assert inspect.iscoroutinefunction(async_wrapper.RemoteMLModelAsyncWrapper.unload)


def test_what_the_fake_stands_for_has_the_same_parameters():
    control = remote_device._DeviceCtl
    assert parameters(control._run_command) == parameters(FakePhone.run_command)
    assert parameters(control._run_command_async) == parameters(FakePhone.launch)
    built = parameters(remote_device._ModelRunnerAppBuilder.build)
    assert built == parameters(build), built
    assert parameters(async_wrapper.compile_model) == parameters(compile_model)
