"""One load of one function on a connected phone, and its runs, in a process of its own (see capture.py beside it).

coremltools' benchmarker keeps the first instance of a model loaded while it times further loads, so one process
measures one load. The first process of a capture has coremltools build, install and launch its ModelRunner app; later
ones launch the installed app anew, because installing again would empty what Core ML keeps between loads.

What coremltools 9.0's service does otherwise than one would think, and what is done about it:
    waits for an answer 20 times half a second, less than a cold load may take: `patience_s` says how long instead
    asks whether the app lives without calling the function that says so: asked here after a failure
    makes random inputs of float32 where the model wants float16, and fails at images: inputs are made here
    reports no memory, no thermal state, and not whether Core ML had the model in its cache
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from coremltools import ComputeUnit
from coremltools.models import MLModel
from coremltools.models.ml_program.experimental.perf_utils import MLModelBenchmarker
from coremltools.models.ml_program.experimental.remote_device import (
    AppSigningCredentials,
    Device,
    DeviceState,
    DeviceType,
)

from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.runtime.capture.phone.requests import Installed, Phone, Reply, Request
from ondevice_sora.runtime.coreml import private

COMPUTE_UNITS: dict[ComputeUnits, ComputeUnit] = {
    "cpu_only": ComputeUnit.CPU_ONLY,
    "cpu_and_gpu": ComputeUnit.CPU_AND_GPU,
    "cpu_and_ne": ComputeUnit.CPU_AND_NE,
    "all": ComputeUnit.ALL,
}
POLL_S = 0.5
TOKENS = 10
"""Integer inputs are drawn below this, so that they are indices that any table has."""


def connected_phones() -> list[Phone]:
    """iPhones and iPads that are connected and in developer mode. Raises what coremltools raises."""
    described = {}
    for entry in private.listed_devices():
        hardware = entry.get("hardwareProperties") or {}
        described[hardware.get("udid")] = hardware
    return [
        Phone(
            udid=device.udid,
            name=device.name,
            os=f"{'iPadOS' if device.type == DeviceType.IPAD else 'iOS'} {device.os_version}",
            os_build=device.os_build_number,
            product_type=str(described.get(device.udid, {}).get("productType") or ""),
            marketing_name=str(described.get(device.udid, {}).get("marketingName") or ""),
        )
        for device in _connected()
    ]


def _connected() -> list[Device]:
    handheld = (DeviceType.IPHONE, DeviceType.IPAD)
    return [d for d in Device.get_devices() if d.state == DeviceState.CONNECTED and d.type in handheld]


async def measure(request: Request) -> Reply:
    """Do what is asked; every failure is told in the reply."""
    device = None
    installed = request.installed
    try:
        device = await _prepared(request)
        installed = Installed(device.session.bundle_identifier, device.session.installation_info.database_uuid)
        load_s, run_s = await _load_and_run(request, device)
        return Reply(load_s=load_s, run_s=run_s, installed=installed)
    except Exception as error:  # whatever coremltools raises is this block's result
        return Reply(installed=installed, failure=_reason(error), lost=_lost(request, device))
    finally:
        if device is not None:
            device.session.stop()


async def _prepared(request: Request) -> Device:
    """The phone with the app running on it."""
    device = next((device for device in _connected() if device.udid == request.udid), None)
    if device is None:
        raise ConnectionError("the phone is not connected")
    directory = Path(request.working_directory)
    if request.installed is None:
        signing = request.signing
        credentials = AppSigningCredentials(
            development_team=signing.team,
            bundle_identifier=signing.bundle_identifier,
            provisioning_profile_uuid=signing.provisioning_profile,
        )
        return await device.prepare_for_model_debugging(credentials=credentials, working_directory=directory)
    session = private.launch_installed(
        device, request.installed.bundle_identifier, request.installed.database_uuid, directory
    )
    return Device(**{**vars(device), "session": session})


async def _load_and_run(request: Request, device: Device) -> tuple[float, tuple[float, ...]]:
    """Seconds of one load, and of the runs after it."""
    private.wait_for_answers(POLL_S, max(1, round(request.patience_s / POLL_S)))
    model = MLModel(
        request.package,
        compute_units=COMPUTE_UNITS[request.compute_units],
        function_name=request.function or None,
        skip_model_load=True,
    )
    if model.weights_dir is None:
        raise ValueError("the package has no weights; coremltools' device service takes packages with weights only")
    inputs = example_inputs(model.get_spec().description, request.function)
    benchmarker = MLModelBenchmarker(model=model, device=device)
    try:
        load = await benchmarker.benchmark_load(iterations=1)
        runs = await benchmarker.benchmark_predict(inputs=inputs, iterations=1 + request.later_runs, warmup=False)
        return load.samples[0] / 1e3, tuple(sample / 1e3 for sample in runs.samples)
    finally:
        loaded = private.loaded_model(benchmarker)
        if loaded is not None:
            await loaded.unload()


def example_inputs(description: Any, function: str) -> dict[str, np.ndarray[Any, Any]]:
    """An array for each input of a function, of the shape and type that its description gives; the same every time.

    Raises ValueError for an input that is no array: coremltools' service cannot hand over anything else.
    """
    functions = {entry.name: entry for entry in description.functions}
    features: Sequence[Any] = functions[function].input if function in functions else description.input
    random = np.random.default_rng(0)
    arrays = {}
    for feature in features:
        if feature.type.WhichOneof("Type") != "multiArrayType":
            raise ValueError(f"input '{feature.name}' is no array; coremltools' device service takes arrays only")
        kind = feature.type.multiArrayType
        shape = tuple(kind.shape)
        name = kind.ArrayDataType.Name(kind.dataType)
        if name == "INT32":
            arrays[feature.name] = random.integers(0, TOKENS, shape, dtype=np.int32)
        elif name in ("FLOAT32", "FLOAT16", "DOUBLE"):
            arrays[feature.name] = random.random(shape).astype({"DOUBLE": "float64"}.get(name, name.lower()))
        else:
            raise ValueError(f"input '{feature.name}' has elements of type {name}, which the service does not take")
    return arrays


def _reason(error: Exception) -> str:
    """The error in one line; devicectl's own text is bytes in coremltools' errors."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    code = getattr(error, "error_code", None)
    line = " ".join(text.split())[:300]
    return f"{line} (code {code})" if code is not None else line


def _lost(request: Request, device: Device | None) -> Literal["", "phone", "app"]:
    """Whether the phone is gone, or else the app on it, which iOS may have ended."""
    try:
        if request.udid not in {found.udid for found in _connected()}:
            return "phone"
    except Exception:  # devicectl itself fails
        return "phone"
    return "app" if device is not None and not device.session.is_alive() else ""


def main(arguments: list[str]) -> int:
    """worker REQUEST.json REPLY.json"""
    request = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=Request)
    reply = asyncio.run(measure(request))
    Path(arguments[1]).write_text(json.dumps(msgspec.to_builtins(reply)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
