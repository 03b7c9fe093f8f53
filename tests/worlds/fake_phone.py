"""A phone for tests: answers `devicectl` as coremltools asks it, so that coremltools' own code runs down to there.

The replies have the form that coremltools 9.0 reads (remote_device.py); none was recorded on a phone.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from coremltools.models.ml_program.experimental import async_wrapper, remote_device

UDID = "00008130-000000000000001C"
LOAD_NS, RUN_NS = 1_500_000_000, 250_000_000


class FakeProcess:
    """The `devicectl` that holds the app's console: it ends when the app does."""

    def __init__(self) -> None:
        self.status: int | None = None

    def poll(self) -> int | None:
        return self.status

    def terminate(self) -> None:
        self.status = -15


class FakePhone:
    """State of the phone, and what it is to do wrong: `answer` may replace the reply to a method by its name."""

    def __init__(self, outputs: dict[str, tuple[int, ...]]) -> None:
        self.outputs = outputs
        self.is_connected = True
        self.marketing_name = "iPhone 15 Pro"
        self.answer: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {}
        self.commands: list[str] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.processes: list[FakeProcess] = []
        self.replies: dict[str, dict[str, Any]] = {}
        self.is_known: set[str] = set()

    def run_command(self, command: str) -> dict[str, Any]:
        self.commands.append(command)
        words = shlex.split(command)
        words = words[words.index("devicectl") + 1 :]
        if words[:2] == ["list", "devices"]:
            return {"result": {"devices": [self._described()]}}
        if not self.is_connected:
            raise remote_device._DeviceCtlError(error_code=1, message=b"ERROR: The device is not connected.\n")
        if words[:3] == ["device", "install", "app"]:
            app = {"bundleID": "com.example.modelrunner", "databaseUUID": "B1B1"}
            return {"result": {"installedApplications": [app]}}
        assert words[:2] == ["device", "copy"], command
        source, destination = words[words.index("--source") + 1], words[words.index("--destination") + 1]
        if words[2] == "to":
            if destination.endswith("message.json"):
                self._receive(json.loads(Path(source).read_text()))
            else:
                assert Path(source).exists(), source
        else:
            self._hand_over(source, Path(destination))
        return {"result": {"source": source, "destination": destination}}

    def launch(self, command: str) -> FakeProcess:
        assert "device process launch --console" in command
        self.commands.append(command)
        self.processes.append(FakeProcess())
        return self.processes[-1]

    def end_app(self) -> None:
        self.processes[-1].status = 9

    def _described(self) -> dict[str, Any]:
        return {
            "identifier": "7A0F",
            "connectionProperties": {"tunnelState": "connected" if self.is_connected else "disconnected"},
            "deviceProperties": {
                "name": "Test phone", "osVersionNumber": "18.1", "osBuildUpdate": "22B83",
                "developerModeStatus": "enabled",
            },
            "hardwareProperties": {
                "deviceType": "iPhone", "udid": UDID, "marketingName": self.marketing_name, "productType": "iPhone16,1",
            },
        }  # fmt: skip

    def _receive(self, message: dict[str, Any]) -> None:
        method, params = message["method"], message["params"]
        self.calls.append((method, params))
        answered = self.answer.get(method, self._usual(method))(params)
        if answered is not None:
            self.replies[message["id"]] = {"jsonrpc": "2.0", "id": message["id"], **answered}

    def _usual(self, method: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return {
            "MLModelService.Load": lambda p: {"result": {"modelID": p["modelID"], "duration": LOAD_NS}},
            "MLModelService.Prediction": self._predicted,
            "MLModelService.Unload": lambda p: {"result": {"modelID": p["modelID"]}},
        }[method]

    def _predicted(self, params: dict[str, Any]) -> dict[str, Any]:
        outputs, offset = {}, 0
        for name, shape in self.outputs.items():
            size = 4 * int(np.prod(shape))
            strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
            storage = {"offset": offset, "size": size}
            outputs[name] = {"shape": list(shape), "strides": strides, "dataType": "Float32", "storage": storage}
            offset += size
        result = {"modelID": params["modelID"], "outputs": outputs, "duration": RUN_NS}
        return {"result": result, "resource": "outputs.bin"}

    def _hand_over(self, source: str, destination: Path) -> None:
        request, name = Path(source).parts[-2:]
        if request not in self.replies:
            raise remote_device._DeviceCtlError(error_code=1, message=b"ERROR: no such file")
        if name == "message.json":
            destination.write_text(json.dumps(self.replies[request]))
        else:
            size = sum(4 * int(np.prod(shape)) for shape in self.outputs.values())
            destination.write_bytes(bytes(size))


def compile_model(model: str, destination_path: str | None = None) -> str:
    """In place of Core ML's compiler, which there is on macOS only."""
    assert Path(model, "Manifest.json").is_file()
    assert destination_path is not None
    Path(destination_path).mkdir()
    return destination_path


def build(device: Any, build_directory: Path, credentials: Any, clean: bool = False) -> Path:
    """In place of Xcode."""
    return build_directory / "ModelRunner.app"


def connect(phone: FakePhone, monkeypatch: Any) -> None:
    """Let coremltools reach the fake, and no clock keep it."""
    monkeypatch.setattr(remote_device._DeviceCtl, "_run_command", staticmethod(phone.run_command))
    monkeypatch.setattr(remote_device._DeviceCtl, "_run_command_async", staticmethod(phone.launch))
    monkeypatch.setattr(remote_device._ModelRunnerAppBuilder, "build", staticmethod(build))
    monkeypatch.setattr(remote_device._shutil, "which", lambda command: f"/usr/bin/{command}")
    monkeypatch.setattr(async_wrapper, "compile_model", compile_model)
    at_once = SimpleNamespace(**vars(asyncio))
    at_once.sleep = lambda seconds: asyncio.sleep(0)
    monkeypatch.setattr(remote_device, "_asyncio", at_once)
    quiet = SimpleNamespace(tqdm=_Quiet)
    monkeypatch.setattr(remote_device, "_tqdm", quiet)


class _Quiet:
    """A progress bar that shows nothing."""

    def __init__(self, iterable: Any = (), **settings: Any) -> None:
        self.iterable = iterable

    def __iter__(self) -> Any:
        return iter(self.iterable)

    def __enter__(self) -> _Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, count: int) -> None:
        pass
