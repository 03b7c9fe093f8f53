"""The private names of coremltools that are used are where they were; one that has changed is named."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
from worlds.paths import ROOT

pytest.importorskip("coremltools")

REMOTE = "coremltools.models.ml_program.experimental.remote_device"
BENCHMARKER = "coremltools.models.ml_program.experimental.perf_utils:MLModelBenchmarker"
COMPILED = "coremltools.models:CompiledMLModel"
CHANGED = "changed in this coremltools; see runtime/coreml/private.py"


def found(place: str) -> object:
    """What 'module:name.name' is. Fails with the name that is gone."""
    module, _, names = place.partition(":")
    value: object = import_module(module)
    for name in names.split("."):
        assert hasattr(value, name), f"{place} is gone: {CHANGED}"
        value = getattr(value, name)
    return value


@pytest.mark.parametrize(
    ("place", "parameters"),
    [
        (f"{REMOTE}:_DeviceCtl._run_command", ["command"]),
        (f"{REMOTE}:_DeviceCtl.launch_app", ["device", "installation_info", "working_directory"]),
        (f"{REMOTE}:_AppInstallationInfo", ["bundle_identifier", "database_uuid"]),
        (f"{REMOTE}:_DeviceCtlRemoteService", ["socket", "poll_time", "max_attempts"]),
    ],
)
def test_a_private_function_takes_what_it_took(place: str, parameters: list[str]) -> None:
    function = found(place)
    assert callable(function)
    assert list(inspect.signature(function).parameters) == parameters, f"the parameters of {place} {CHANGED}"


def test_the_patience_with_a_phone_is_the_only_default_of_its_service() -> None:
    service = found(f"{REMOTE}:_DeviceCtlRemoteService")
    assert service.__init__.__defaults__ is not None, f"the defaults of {REMOTE}:_DeviceCtlRemoteService {CHANGED}"
    assert len(service.__init__.__defaults__) == 2, f"the defaults of {REMOTE}:_DeviceCtlRemoteService {CHANGED}"


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (BENCHMARKER, "self._loaded_model = loaded_model"),
        (COMPILED, "self._proxy = _MLModelProxy("),
        ("coremltools.models:MLModel", "__proxy__.get_load_duration_in_nano_seconds()"),
        ("coremltools.models:MLModel", "__proxy__.get_last_predict_duration_in_nano_seconds()"),
    ],
)
def test_a_private_attribute_is_set_or_asked_for_where_it_was(place: str, sentence: str) -> None:
    """Off a Mac nothing is compiled or connected, so that the source is what can be looked at."""
    kind = found(place)
    assert inspect.isclass(kind)
    assert sentence in inspect.getsource(kind), f"{sentence!r} is no longer in {place}: {CHANGED}"


def test_its_messages_lie_in_a_folder_of_their_own() -> None:
    from ondevice_sora.runtime.coreml.private import proto_folder

    assert (Path(proto_folder()) / "Model_pb2.py").is_file(), f"coremltools/proto/Model_pb2.py {CHANGED}"


def test_no_other_module_uses_private_names_of_coremltools() -> None:
    private = re.compile(r"remote_device\._|\._proxy\b|\._loaded_model\b|_DeviceCtl\b")
    using = [path for path in (ROOT / "runtime").rglob("*.py") if private.search(path.read_text(encoding="utf-8"))]
    assert using == [ROOT / "runtime/coreml/private.py"]
