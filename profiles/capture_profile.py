"""From a capture to a profile: medians and spreads of the samples, and what they say of all blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import msgspec

from ondevice_sora.profiles.blocks import PROCESSORS
from ondevice_sora.profiles.capture_file import Capture, CapturedBlock
from ondevice_sora.profiles.costs import figures, replace_figures
from ondevice_sora.profiles.figures import Figure, repeated, sampled, spread_of
from ondevice_sora.profiles.kills import SeenKill, tell_kills
from ondevice_sora.profiles.measurements import LEAST_RATE, Measurement
from ondevice_sora.profiles.profile import SCALED_FROM, Profile, RunNoise, load_profile, scale_profile

MOST_TOLD = 5
"""So many failures of each kind are told one by one."""
LIKE_FIRST = 0.9
"""Later loads whose median is above this share of the first load hardly found a cache."""


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
    """Where the app was ended, as profiles have it."""
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
        for failure in capture.kills
        if failure.action is not None
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
        samples={**block.samples_s, **block.sampled_bytes},
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
