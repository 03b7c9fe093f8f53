"""What has to be said of an answer in which Core AI loads blocks: what was seen, what is assumed, what is left out."""

from __future__ import annotations

from ondevice_sora.base.units import format_bytes
from ondevice_sora.plans.checks import loaded_by_core_ai
from ondevice_sora.plans.schema import Plan
from ondevice_sora.simulator.engine import Outcome
from ondevice_sora.simulator.prepare import Prepared

SEEN = (
    "With Core AI, weights on the GPU are clean pages of files, which iOS is taken not to charge to the app: published "
    "observations of two iPhones, none made here."
)
ASSUMED = (
    "Assumed with Core AI: every file was compiled ahead of time for this chip (compiled on the phone, one first load "
    "took four times as long); a load reads its file once and copies nothing; runs and working memory are as with Core "
    "ML. Not modelled: that iOS drops clean pages for the sake of other apps, or of another component."
)


def assumptions(plan: Plan) -> list[str]:
    """Sentences; none for a plan that Core ML loads alone."""
    return [SEEN, ASSUMED] if loaded_by_core_ai(plan) is not None else []


def core_ai_cautions(prepared: Prepared, outcome: Outcome) -> list[str]:
    """The same with what it comes to in a generation. `outcome` is of one that no limit ended."""
    told = assumptions(prepared.plan)
    if not told:
        return []
    return [
        told[0],
        *_mapped(prepared, outcome),
        *_too_large(prepared),
        *_read_again(prepared),
        *_on_the_engine(prepared),
        *told[1:],
    ]


def _mapped(prepared: Prepared, outcome: Outcome) -> list[str]:
    """How much is mapped at once, beside the memory that there is."""
    most = max(outcome.memory, key=lambda at: at.clean)
    if not most.clean:
        return []
    ram = prepared.setting.device.hardware.ram_bytes.value
    return [
        f"Up to {format_bytes(most.clean)} are mapped so at once; with the footprint of that moment that is "
        f"{format_bytes(most.clean + most.total)}, of {format_bytes(ram)} of memory."
    ]


def _too_large(prepared: Prepared) -> list[str]:
    """Blocks whose pages do not all stay in memory while they run."""
    room = prepared.setting.profile.clean_room(prepared.setting.device)
    found = [block for block in prepared.schedule.blocks if block.is_mapped and block.stored_bytes > room]
    if not found:
        return []
    largest = max(found, key=lambda block: block.stored_bytes)
    return [
        f"Block '{largest.name}' of {largest.component} is {format_bytes(largest.stored_bytes)}, more than the "
        f"{format_bytes(room)} of clean pages that are taken to stay in memory: taken to be charged to the app."
    ]


def _read_again(prepared: Prepared) -> list[str]:
    """Components whose pages do not stay from one pass to the next."""
    room = prepared.setting.profile.clean_room(prepared.setting.device)
    sizes = {block.component: block.component_bytes for block in prepared.schedule.blocks if block.is_mapped}
    return [
        f"The {name} has {format_bytes(size)} of them, more than the {format_bytes(room)} that are taken to stay in "
        "memory: unless a block is loaded for it, each run reads its weights from storage again."
        for name, size in sizes.items()
        if size > room
    ]


def _on_the_engine(prepared: Prepared) -> list[str]:
    """Blocks of which the app is charged more than they store."""
    known = prepared.setting.profile.costs.core_ai
    blocks = prepared.schedule.blocks
    if known is None or not any(block.loading == "core_ai" and block.processor == "ane" for block in blocks):
        return []
    return [
        f"On the Neural Engine Core AI's weights are charged, {known.engine_charged_factor.value:g} bytes for each "
        "stored: one observation."
    ]
