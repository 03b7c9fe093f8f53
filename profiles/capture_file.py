"""A capture: what was measured of single blocks on a device, as a harness writes it down (docs/profile.md).

The phone's harness, `profile capture --device iphone` and anybody else write the same JSON; capture_profile.py makes a
profile of it. Captures keep samples: seconds, and bytes of `phys_footprint`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.writing import write_json
from ondevice_sora.base.text import END, Line
from ondevice_sora.profiles.blocks import ComputeUnits, span_name
from ondevice_sora.profiles.devices import Device, device_keys, is_machine, load_device, machines
from ondevice_sora.profiles.models.model import Name, Precision, Variant

FORMAT = "ondevice-sora-capture-1"
MAX_BYTES = 50_000_000

DeviceName = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[A-Za-z0-9_.\- ]*{END}", max_length=80, description="letters, digits, spaces, and any of _ . -"
    ),
]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=10**14)]
SecondsSamples = Annotated[tuple[Seconds, ...], msgspec.Meta(max_length=10_000)]
ByteSamples = Annotated[tuple[Bytes, ...], msgspec.Meta(max_length=10_000)]
ThermalState = Literal["nominal", "fair", "serious", "critical", "unknown"]


class Loads(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds of loads: the first on this device (Core ML specialises the model), later ones, those beside runs."""

    first_s: SecondsSamples = ()
    later_s: SecondsSamples = ()
    while_running_s: SecondsSamples = ()


class Runs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds of runs: the first after a load (the GPU compiles shaders), later ones, later ones beside loads."""

    first_s: SecondsSamples = ()
    later_s: SecondsSamples = ()
    while_loading_s: SecondsSamples = ()


class MemorySamples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The app's footprint in bytes, one sample a load: the lists that are given are equally long.

    before_load, load_peak, after_load, run_peak (highest during the runs), after_evict
    """

    before_load: ByteSamples = ()
    load_peak: ByteSamples = ()
    after_load: ByteSamples = ()
    run_peak: ByteSamples = ()
    after_evict: ByteSamples = ()


class CapturedBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One function of one package on one choice of compute units.

    Component and units name the block as a plan's model does. `package`, `function` and `sha256` (of the package) say
    what was measured; `stored_bytes` is the package's size. `thermal_states` were seen before and after.
    """

    component: Name
    first_unit: Name
    last_unit: Name
    compute_units: ComputeUnits
    precision: Precision
    variant: Variant = "plain"
    package: Line = ""
    function: Line = ""
    sha256: Line = ""
    stored_bytes: Bytes | None = None
    loads: Loads = Loads()
    runs: Runs = Runs()
    unload_s: SecondsSamples = ()
    memory: MemorySamples = MemorySamples()
    thermal_states: tuple[ThermalState, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """What names the block in a profile."""
        return (self.component, self.first_unit, self.last_unit, self.variant, self.precision, self.compute_units)

    @property
    def label(self) -> str:
        units = span_name(self.first_unit, self.last_unit)
        variant = "" if self.variant == "plain" else f" {self.variant}"
        return f"{self.component} {units}{variant} on {self.compute_units}"

    @property
    def samples_s(self) -> dict[str, tuple[float, ...]]:
        """All samples of seconds that there are, by the names that a host capture gives them."""
        named = {
            "load_cold_s": self.loads.first_s,
            "load_warm_s": self.loads.later_s,
            "load_while_running_s": self.loads.while_running_s,
            "first_run_s": self.runs.first_s,
            "run_s": self.runs.later_s,
            "run_while_loading_s": self.runs.while_loading_s,
            "unload_s": self.unload_s,
        }
        return {name: values for name, values in named.items() if values}

    @property
    def sampled_bytes(self) -> dict[str, tuple[float, ...]]:
        """All samples of footprints that there are."""
        named = {name: getattr(self.memory, name) for name in self.memory.__struct_fields__}
        return {f"{name}_bytes": tuple(map(float, values)) for name, values in named.items() if values}


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A block that could not be measured, and why: it failed, or (`app_ended`) the system ended the app.

    Who knows them says the block's names, `action` (what was being done), `footprint_bytes` (the last that was read
    before), `limit_bytes` (what the system allowed the app) and `date`.
    """

    package: Line
    compute_units: ComputeUnits
    reason: Line
    function: Line = ""
    component: Line = ""
    first_unit: Line = ""
    last_unit: Line = ""
    variant: Literal["plain", "tdtm", "tail"] = "plain"
    precision: Precision | None = None
    sha256: Line = ""
    action: Literal["load", "run"] | None = None
    app_ended: bool = False
    footprint_bytes: Bytes | None = None
    limit_bytes: Bytes | None = None
    date: Line = ""

    @property
    def is_kill(self) -> bool:
        """Whether it says at which block the app was ended, and what was being done."""
        return self.app_ended and self.action is not None and bool(self.component and self.first_unit)


class CaptureConditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Under what conditions: the device as it names itself (iPhone16,1), its system, and what measured.

    `free_bytes` is what the system says an app may still allocate before the first load; `tools` are versions by name.
    """

    device_model: Line
    os: Line
    date: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.+\-Z]{0,40})?" + END,
            description="a date such as 2026-01-31",
        ),
    ]
    os_build: Line = ""
    thermal_state: ThermalState = "unknown"
    low_power_mode: bool | None = None
    free_bytes: Bytes | None = None
    tools: dict[Line, Line] = {}


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. `device` is a key of the catalogue; a device that the catalogue lacks brings its `hardware`.

    Once read it names its device, also where the file has only a machine that the catalogue knows (`device_model`).
    `baseline_bytes` is the footprint of the app with no model loaded.
    """

    model: Line
    conditions: CaptureConditions
    blocks: Annotated[tuple[CapturedBlock, ...], msgspec.Meta(max_length=20_000)]
    device: DeviceName = ""
    format: str = FORMAT
    hardware: Device | None = None
    baseline_bytes: ByteSamples = ()
    failures: tuple[Failure, ...] = ()

    @property
    def kills(self) -> tuple[Failure, ...]:
        """Where the app was ended, as far as it says at which block."""
        return tuple(failure for failure in self.failures if failure.is_kill)


def read_capture(path: str | Path, device: str = "") -> Capture:
    """A capture, of `device` if that is given: a key of the catalogue, for files that do not say what they are of.

    Raises UserError, with the place in the file, for anything that is not one, and if `device`, the file and its
    machine do not name the same one.
    """
    document = read_json(path, max_bytes=MAX_BYTES, mend="See 'The capture file' in docs/profile.md.")
    document.check_format("a capture", FORMAT)
    capture = document.convert(Capture)
    with document.locating():
        capture = msgspec.structs.replace(capture, device=_device_of(capture, device))
        _check(capture)
    return capture


def _device_of(capture: Capture, given: str) -> str:
    """The captured device, by its name: as the file has it, or its machine, or the command. Raises UserError."""
    machine = capture.conditions.device_model
    named, known = capture.device, "" if capture.hardware is not None else machines().get(machine, "")
    if named and capture.hardware is None and named not in device_keys():
        mend = f"{nearest(named, device_keys())} Of any other device give `hardware` as well."
        raise UserError(f"unknown device '{named}'", mend=mend, field="$.device")
    if named and known and named != known:
        what = f"'{named}', but {machine} is '{known}'"
        raise UserError(what, mend="Correct `device`, or leave it out.", field="$.device")
    own = named or known
    if given and own and given != own and load_device(given).key != own:
        told = f"'{own}'" if named else f"'{own}' ({machine})"
        raise UserError(
            f"the capture is of {told}, not of '{given}'", "--device", f"Give --device {own}, or leave it out."
        )
    if not own and not given:
        unknown = f": the catalogue knows no machine '{machine}'" if is_machine(machine) else ""
        mend = "Name it, or what it is most like, with `profile import --device`, e.g. --device iphone15pro."
        raise UserError(f"the file does not say which device it is of{unknown}", mend=mend, field="$.device")
    return own or load_device(given).key


def write_capture(path: str | Path, capture: Capture) -> None:
    """Write the capture as JSON; what is empty is left out. Raises UserError."""
    write_json(path, _without_empty(msgspec.to_builtins(capture)))


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, "", {}, [], ())}
    return [_without_empty(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def with_memory_of(capture: Capture, harness: Capture) -> tuple[Capture, list[str]]:
    """The capture with the memory figures and thermal states that a harness reported of the same blocks, and where the
    app was ended in it; and notes.

    Raises UserError if the harness's capture is of another device, model or package.
    """
    for what in ("device", "model"):
        ours, theirs = getattr(capture, what), getattr(harness, what)
        if ours != theirs:
            raise UserError(f"the memory figures are of {what} '{theirs}', not '{ours}'", "--memory-capture")
    reported = {block.key: block for block in harness.blocks if block.sampled_bytes}
    blocks = []
    for block in capture.blocks:
        found = reported.pop(block.key, None)
        if found is None:
            blocks.append(block)
            continue
        if found.sha256 and block.sha256 and found.sha256 != block.sha256:
            raise UserError(f"the memory figures of {block.label} are of another package", "--memory-capture")
        states = found.thermal_states or block.thermal_states
        blocks.append(msgspec.structs.replace(block, memory=found.memory, thermal_states=states))
    notes = [f"memory figures of a block that was not captured: {block.label}" for block in reported.values()]
    told = harness.conditions
    conditions = msgspec.structs.replace(
        capture.conditions,
        thermal_state=told.thermal_state,
        low_power_mode=told.low_power_mode,
        free_bytes=told.free_bytes,
        tools={**capture.conditions.tools, **told.tools},
    )
    merged = msgspec.structs.replace(
        capture,
        blocks=tuple(blocks),
        conditions=conditions,
        baseline_bytes=harness.baseline_bytes,
        failures=(*capture.failures, *harness.kills),
    )
    return merged, notes


def _check(capture: Capture) -> None:
    """What a schema cannot say."""
    if capture.hardware is not None:
        if capture.device in device_keys():
            raise UserError(
                f"the catalogue describes '{capture.device}'", mend="Remove `hardware`.", field="$.hardware"
            )
        if capture.hardware.hardware.gpu_flops_per_s is None:
            what = "the key 'gpu_flops_per_s' is missing"
            raise UserError(what, mend="What was not measured is scaled by it.", field="$.hardware.hardware")
    counts = Counter(block.key for block in capture.blocks)
    for index, block in enumerate(capture.blocks):
        pointer = f"$.blocks[{index}]"
        if counts[block.key] > 1:
            raise UserError(
                f"{block.label} ({block.precision}) stands twice", mend="Keep one of the two.", field=pointer
            )
        lengths = {name.removesuffix("_bytes"): len(values) for name, values in block.sampled_bytes.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise UserError(
                f"lists of different lengths: {told}", mend="Give one sample a load.", field=f"{pointer}.memory"
            )
        if not (block.samples_s or lengths):
            raise UserError(f"{block.label} has no samples", mend="Leave out what was not measured.", field=pointer)
    if not capture.blocks and not capture.kills:
        raise UserError("no block was measured", field="$.blocks")
