"""What is used of coremltools 9.0 though it does not offer it: its private names stand here and nowhere else.

Each has its reason. tests/runtime/coreml/test_private.py looks them up in the installed coremltools one by one, so that
a newer one says which of them it has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal


def proto_folder() -> str:
    """The folder of its message classes, which are read without importing the rest: that takes seconds.

    Raises ModuleNotFoundError if coremltools is not installed.
    """
    spec = find_spec("coremltools")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'coremltools'", name="coremltools")
    return str(Path(spec.submodule_search_locations[0]) / "proto")


def listed_devices() -> Sequence[Mapping[str, Any]]:
    """What devicectl knows of every device: `Device.get_devices` leaves out the names of the product."""
    from coremltools.models.ml_program.experimental import remote_device

    listing: Any = remote_device._DeviceCtl._run_command("xcrun devicectl list devices")
    return (listing.get("result") or {}).get("devices") or ()


def launch_installed(device: Any, bundle_identifier: str, database_uuid: str, working_directory: Path) -> Any:
    """A session with the app that is installed: the public way installs it anew, and Core ML's cache is then empty."""
    from coremltools.models.ml_program.experimental import remote_device

    installed = remote_device._AppInstallationInfo(bundle_identifier=bundle_identifier, database_uuid=database_uuid)
    return remote_device._DeviceCtl.launch_app(
        device=device, installation_info=installed, working_directory=working_directory
    )


def wait_for_answers(poll_s: float, attempts: int) -> None:
    """How often and how many times it asks the phone for an answer: ten seconds in all are less than a cold load."""
    from coremltools.models.ml_program.experimental import remote_device

    remote_device._DeviceCtlRemoteService.__init__.__defaults__ = (poll_s, attempts)


def loaded_model(benchmarker: Any) -> Any:
    """The model that a benchmarker keeps loaded on the phone, or None, so that it can be unloaded."""
    return benchmarker._loaded_model


def duration_ns(compiled_model: Any, action: Literal["load", "last_predict"]) -> int | None:
    """What Core ML says that a load or a prediction took; CompiledMLModel has no property for it, unlike MLModel."""
    asked = getattr(compiled_model._proxy, f"get_{action}_duration_in_nano_seconds")
    found: int | None = asked()
    return found
