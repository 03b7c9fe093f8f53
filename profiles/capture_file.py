"""A capture: what was measured of single blocks on a device, as a harness writes it down (docs/profile.md).

The phone's harness, `profile capture --device iphone` and anybody else write the same JSON; `profile_of_capture` makes
a profile of it. Captures keep samples; medians and spreads are derived here. Seconds, and bytes of `phys_footprint`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.writing import write_json
from ondevice_sora.base.text import END, Line
from ondevice_sora.profiles.blocks import PROCESSORS, ComputeUnits, span_name
from ondevice_sora.profiles.costs import figures, replace_figures
from ondevice_sora.profiles.devices import Device, device_keys, is_machine, load_device, machines
from ondevice_sora.profiles.figures import Figure, repeated, sampled, spread_of
from ondevice_sora.profiles.kills import SeenKill, tell_kills
from ondevice_sora.profiles.measurements import LEAST_RATE, Measurement
from ondevice_sora.profiles.models.model import Name, Precision, Variant
from ondevice_sora.profiles.profile import SCALED_FROM, Profile, RunNoise, load_profile, scale_profile

FORMAT = "ondevice-sora-capture-1"
MAX_BYTES = 50_000_000
MOST_TOLD = 5
"""So many failures of each kind are told one by one."""
LIKE_FIRST = 0.9
"""Later loads whose median is above this share of the first load hardly found a cache."""

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
    reported = {block.key: block for block in harness.blocks if _byte_lists(block)}
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
        failures=(*capture.failures, *(failure for failure in harness.failures if failure.is_kill)),
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
        memory = {name: getattr(block.memory, name) for name in block.memory.__struct_fields__}
        lengths = {name: len(values) for name, values in memory.items() if values}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise UserError(
                f"lists of different lengths: {told}", mend="Give one sample a load.", field=f"{pointer}.memory"
            )
        if not (_seconds_lists(block) or lengths):
            raise UserError(f"{block.label} has no samples", mend="Leave out what was not measured.", field=pointer)
    if not capture.blocks and not _kills(capture):
        raise UserError("no block was measured", field="$.blocks")


def profile_of_capture(capture: Capture) -> tuple[Profile, list[str]]:
    """The profile that `simulate --device` takes, and notes on what the samples could not say.

    Measured blocks get medians of their samples. Everything else stays as in the device's own profile, or as scaled
    from another's, but for what was measured of all blocks: baseline, unloading, what stays after an eviction, what a
    load holds while it is under way, and how loads and runs slow each other. Raises UserError.
    """
    source = f"profile capture, {capture.conditions.date[:10]}"
    base = _base(capture)
    known = figures(base.costs)
    notes: list[str] = []
    changes = {name: figure for name, figure in _cost_changes(capture, source, notes).items() if name in known}
    profile = Profile(
        device=capture.device,
        costs=replace_figures(base.costs, changes),
        hardware=capture.hardware,
        conditions=_conditions(capture, base),
        measurements=tuple(_measurement(capture, block, source, notes) for block in capture.blocks),
        fit=base.fit,
        noise=_noise(capture, source),
        kills=_kills(capture),
    )
    if profile.noise is None:
        notes.append("nothing was measured twice, so the interval leaves out how much runs differ on this device")
    return profile, [*notes, *_warnings(capture)]


def _kills(capture: Capture) -> tuple[SeenKill, ...]:
    """Where the app was ended, as far as the capture says at which block."""
    return tuple(
        SeenKill(
            model=capture.model,
            component=failure.component,
            first_unit=failure.first_unit,
            last_unit=failure.last_unit or failure.first_unit,
            variant=failure.variant,
            compute_units=failure.compute_units,
            action=failure.action,
            source=f"profile capture, {(failure.date or capture.conditions.date)[:10]}",
            footprint_bytes=failure.footprint_bytes,
            limit_bytes=failure.limit_bytes,
        )
        for failure in capture.failures
        if failure.is_kill and failure.action is not None
    )


def _base(capture: Capture) -> Profile:
    if capture.hardware is None:
        return load_profile(capture.device)[0]
    profile, source = load_profile(SCALED_FROM)
    return scale_profile(profile, source, msgspec.structs.replace(capture.hardware, key=capture.device))


def _measurement(capture: Capture, block: CapturedBlock, source: str, notes: list[str]) -> Measurement:
    resident = _grown(block.memory.before_load, block.memory.after_load)
    working = _grown(block.memory.after_load, block.memory.run_peak)
    for name, values in (("after_load", resident), ("run_peak", working)):
        if values and median(values) < 0:
            notes.append(f"{block.label}: the footprint fell by {name}, so the figure is left out")
    loads, runs = block.loads, block.runs
    return Measurement(
        model=capture.model,
        component=block.component,
        first_unit=block.first_unit,
        last_unit=block.last_unit,
        variant=block.variant,
        precision=block.precision,
        compute_units=block.compute_units,
        load_warm_s=repeated(loads.later_s, source),
        load_cold_s=_sampled_like(loads.first_s, loads.later_s, source),
        run_s=repeated(runs.later_s, source),
        first_run_s=_sampled_like(runs.first_s, runs.later_s, source),
        unload_s=sampled(block.unload_s, source),
        resident_bytes=sampled(resident, source) if resident and median(resident) >= 0 else None,
        working_bytes=sampled(working, source) if working and median(working) >= 0 else None,
        samples={**_seconds_lists(block), **_byte_lists(block)},
    )


def _sampled_like(values: Sequence[float], others: Sequence[float], source: str) -> Figure | None:
    """`repeated`; what was measured once is taken to vary as other loads or runs of the block do."""
    figure = repeated(values, source)
    if figure is None or len(values) > 1 or len(others) < 2:
        return figure
    return msgspec.structs.replace(figure, spread=min(3.0, round(spread_of(others), 4)))


def _noise(capture: Capture, source: str) -> RunNoise | None:
    """How much one launch of the app differs from the next: of the samples of which each launch gives one.

    Those are later loads and first runs, each relative to the median of its block's. They also have what is theirs
    alone, so that whole runs differ by no more than this. None if nothing was measured twice.
    """
    logarithms: list[float] = []
    groups = 0
    for block in capture.blocks:
        for values in (block.loads.later_s, block.runs.first_s):
            if len(values) > 1 and min(values) > 0:
                groups += 1
                logarithms += [math.log(value / median(values)) for value in values]
    free = len(logarithms) - groups
    if free < 1:
        return None
    spread = math.sqrt(sum(value**2 for value in logarithms) / free)
    note = f"{source}: later loads and first runs, {len(logarithms)} samples of {groups} kinds"
    return RunNoise(min(3.0, float(f"{spread:.4g}")), free + 1, note)


def _seconds_lists(block: CapturedBlock) -> dict[str, tuple[float, ...]]:
    """All samples of seconds by the names that a host capture gives them."""
    named = {
        "load_cold_s": block.loads.first_s,
        "load_warm_s": block.loads.later_s,
        "load_while_running_s": block.loads.while_running_s,
        "first_run_s": block.runs.first_s,
        "run_s": block.runs.later_s,
        "run_while_loading_s": block.runs.while_loading_s,
        "unload_s": block.unload_s,
    }
    return {name: values for name, values in named.items() if values}


def _byte_lists(block: CapturedBlock) -> dict[str, tuple[float, ...]]:
    named = {name: getattr(block.memory, name) for name in block.memory.__struct_fields__}
    return {f"{name}_bytes": tuple(map(float, values)) for name, values in named.items() if values}


def _grown(before: Sequence[int], after: Sequence[int]) -> list[float]:
    """How much the footprint grew in each sample; nothing where either was not reported."""
    return [float(late - early) for early, late in zip(before, after, strict=False)]


def _cost_changes(capture: Capture, source: str, notes: list[str]) -> dict[str, Figure]:
    """Figures of the costs that were measured over all blocks. Rates that nothing can have are noted and left out."""
    residual, transient = [], []
    for block in capture.blocks:
        memory = block.memory
        resident = _grown(memory.before_load, memory.after_load)
        if not resident or median(resident) <= 0:
            continue
        if stayed := _grown(memory.before_load, memory.after_evict):
            residual.append(max(0.0, median(stayed)) / median(resident))
        if above := _grown(memory.after_load, memory.load_peak):
            transient.append(max(0.0, median(above)) / median(resident))
    found = {
        "baseline_bytes": sampled(capture.baseline_bytes, source),
        "loads.unload_s": sampled([median(block.unload_s) for block in capture.blocks if block.unload_s], source),
        "loads.residual_share": sampled(residual, source),
        "loads.transient_share": sampled(transient, source),
    }
    for units, processor in PROCESSORS.items():
        if units == "all":
            continue  # nobody knows where such a block ran
        blocks = [block for block in capture.blocks if block.compute_units == units]
        loads = [_rate(block.loads.later_s, block.loads.while_running_s) for block in blocks]
        runs = [_rate(block.runs.later_s, block.runs.while_loading_s) for block in blocks]
        for name, told, rates in (("load_rate", "loads beside runs", loads), ("run_rate", "runs beside loads", runs)):
            known = [rate for rate in rates if rate is not None]
            if known and median(known) < LEAST_RATE:
                what = f"{told} on {units} came out at {median(known):.2f} of their speed alone"
                notes.append(f"{what}, which something else must have caused: left out")
            else:
                found[f"processors.{processor}.{name}"] = repeated([min(1.0, rate) for rate in known], source)
    return {name: figure for name, figure in found.items() if figure is not None}


def _rate(alone: Sequence[float], beside: Sequence[float]) -> float | None:
    """Speed beside the other activity relative to alone."""
    if not (alone and beside and median(beside)):
        return None
    return median(alone) / median(beside)


def _conditions(capture: Capture, base: Profile) -> dict[str, str]:
    conditions = capture.conditions
    told = {
        "device": conditions.device_model,
        "os": f"{conditions.os} ({conditions.os_build})" if conditions.os_build else conditions.os,
        "date": conditions.date,
        "thermal state": conditions.thermal_state,
        "low-power mode": {None: "", True: "on", False: "off"}[conditions.low_power_mode],
        "free memory": "" if conditions.free_bytes is None else f"{conditions.free_bytes} bytes",
        "blocks not measured": f"as in {base.name}",
        **{f"{name} version": version for name, version in conditions.tools.items()},
    }
    return {name: text for name, text in told.items() if text}


def _warnings(capture: Capture) -> list[str]:
    """What to bear in mind when reading the figures."""
    found = tell_kills(_kills(capture), MOST_TOLD)
    failed = [failure for failure in capture.failures if not failure.is_kill]
    for failure in failed[:MOST_TOLD]:
        function = f" {failure.function}" if failure.function else ""
        what = f"{failure.package}{function} on {failure.compute_units}"
        found.append(f"not measured: {what}: {failure.reason}")
    if len(failed) > MOST_TOLD:
        found.append(f"so it was with {len(failed) - MOST_TOLD} more")
    for block in capture.blocks:
        first, later = block.loads.first_s, block.loads.later_s
        if first and later and median(later) > LIKE_FIRST * median(first):
            found.append(
                f"{block.label}: later loads took as long as the first; they may not have found Core ML's cache"
            )
    hot = [b.label for b in capture.blocks if {"serious", "critical"} & set(b.thermal_states)]
    if hot:
        found.append(f"measured hot (serious or critical thermal state), so already slowed: {', '.join(hot)}")
    if capture.conditions.low_power_mode:
        found.append("measured in low-power mode, which slows the processors")
    return found
