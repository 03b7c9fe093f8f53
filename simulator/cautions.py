"""What a reader must know before believing an answer: which of its figures nobody knows, and what Core ML may do."""

from __future__ import annotations

import math

from ondevice_sora.base.units import format_bytes, format_count, format_seconds
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import figures
from ondevice_sora.profiles.kills import tell_kills
from ondevice_sora.simulator.core_ai import core_ai_cautions
from ondevice_sora.simulator.engine import Outcome
from ondevice_sora.simulator.prepare import Prepared
from ondevice_sora.simulator.risk import spread_at_peak
from ondevice_sora.simulator.unpriced import unpriced_caution

MOST_KILLS = 3
"""So many blocks at which the app was ended are named."""
WIDE = 0.3
"""The spread of working memory from which on it is told."""


def cautions(prepared: Prepared, outcome: Outcome) -> list[str]:
    """Sentences, the most telling first; none for a plan that is priced by what is known."""
    unpriced = unpriced_caution(prepared)
    return [
        *([unpriced] if unpriced else []),
        *_kills(prepared, outcome),
        *_refused(prepared),
        *_first_loads(prepared),
        *_left_to_core_ml(prepared),
        *_working_memory(prepared, outcome),
        *core_ai_cautions(prepared, outcome),
    ]


def _kills(prepared: Prepared, outcome: Outcome) -> list[str]:
    """Where the app was ended on this device, beside what is predicted to be held."""
    model = prepared.model.name
    told = tell_kills((kill for kill in prepared.setting.profile.kills if kill.model == model), MOST_KILLS)
    if told:
        told[-1] += f" Predicted here: a peak of {format_bytes(outcome.peak_bytes)}."
    return told


def _refused(prepared: Prepared) -> list[str]:
    """Packages that the engine is not known to take."""
    schedule, device = prepared.schedule, prepared.setting.device
    found = [block for block in schedule.blocks if block.falls_back]
    if not found:
        return []
    largest = max(found, key=lambda block: block.stored_bytes)
    most = device.hardware.ane_max_package_bytes
    assert most is not None, "nothing falls back where no limit is known"
    what = f"block '{largest.name}' of {largest.component} is {format_bytes(largest.stored_bytes)}"
    if len(found) > 1:
        what = f"{format_count(len(found), 'block')} are too large for the Neural Engine; {what}"
    else:
        what = f"A block is too large for the Neural Engine: {what}"
    text = f"{what}, and {device.name} is known to take {format_bytes(most.value)} there ({most.source})."
    told = "Taken to run on the GPU, with the GPU's memory; Core ML says nothing, and may fail to load it."
    vain = _in_vain(prepared, found)
    if vain:
        told += f" Loads of them take {format_seconds(vain)} more, for what is compiled in vain; a guess."
    return [f"{text} {told}"]


def _in_vain(prepared: Prepared, found: list[BlockSpec]) -> float:
    """Seconds of all loads that go to programs which the engine then refuses."""
    known = figures(prepared.setting.profile.costs).get("engine_loads.refused_s")
    if known is None:
        return 0.0
    names = set(map(id, found))
    blocks = [prepared.schedule.blocks[visit.block] for visit in prepared.schedule.visits if visit.loads]
    return sum(known.value * block.parameters / 1e8 for block in blocks if id(block) in names)


def _first_loads(prepared: Prepared) -> list[str]:
    """First loads on the engine, which nobody can tell beforehand."""
    if prepared.setting.profile.costs.engine_loads is None:
        return []
    costs, schedule = prepared.costs, prepared.schedule
    loaded = [v.block for v in schedule.visits if v.loads and v.cold and schedule.blocks[v.block].processor == "ane"]
    if not loaded:
        return []
    first = sum(float(costs.load_cold_s[block, 0]) for block in loaded)
    later = sum(float(costs.load_warm_s[block, 0]) for block in loaded)
    return [
        f"First loads on the Neural Engine are not known: {format_seconds(first)} here, and a third or three times "
        "that would be no surprise. Core ML compiles the package for the engine, which takes as long as its graph is "
        f"intricate. "
        f"The same loads at a later launch take about {format_seconds(later)}."
    ]


def _left_to_core_ml(prepared: Prepared) -> list[str]:
    """Blocks of which Core ML chooses the processor."""
    count = sum(block.compute_units == "all" and not block.falls_back for block in prepared.schedule.blocks)
    if not count:
        return []
    are = "is" if count == 1 else "are"
    return [
        f"Core ML chooses where {format_count(count, 'block')} on `all` {are} run, and does not say: taken to be the "
        "Neural Engine; the interval covers the GPU too."
    ]


def _working_memory(prepared: Prepared, outcome: Outcome) -> list[str]:
    """A peak that is made of what nobody can tell well."""
    peak, spread = outcome.peak.charged, spread_at_peak(prepared, outcome)
    if peak.working < peak.total / 3 or spread < WIDE:
        return []
    return [
        f"The peak is made of working memory of convolutions, {format_bytes(peak.working)}: Core ML has been seen to "
        f"take {math.exp(spread):.1f} times as much, or as little. The probability of a kill includes that."
    ]
