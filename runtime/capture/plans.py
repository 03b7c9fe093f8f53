"""The plans whose runs a capture of this machine is made of: the store's own blocks, as they are cut.

    alone    each block is loaded when it is needed and evicted at once: no load and run go on together
    beside   the same, loading one ahead
    kept     blocks stay, as many of the first as fit in a part of the memory: runs without a load before
    probe    as alone; memory is measured instead of time

Where token merging changes a block, every second step merges.
"""

from __future__ import annotations

from collections import defaultdict

from ondevice_sora.plans.schema import BlockEntry, ComponentPlan, Plan, Sampler, Tdtm
from ondevice_sora.profiles.models.catalogue import listed_model
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.store import MODEL, Store

STEPS = 6
MERGED_STEPS = (1, 3, 5)
ALONE, BESIDE, KEPT, PROBE = "alone", "beside", "kept", "probe"
KEPT_SHARE = 0.25
"""Of the machine's memory, what kept blocks may take."""


def capture_plan(store: Store, name: str) -> Plan:
    """The plan of one of the capture's runs."""
    blocks: dict[str, list[BlockEntry]] = defaultdict(list)
    kept: dict[str, list[str]] = defaultdict(list)
    room = int(KEPT_SHARE * footprint.physical_bytes()) if name == KEPT else 0
    for block in store.manifest.blocks:
        blocks[block.component].append(BlockEntry(block.name))
        if block.data_bytes <= room:
            kept[block.component].append(block.first_unit)
            room -= block.data_bytes
    return Plan(
        name=name,
        model=str((store.directory / MODEL).resolve()),
        sampler=Sampler(steps=STEPS),
        tdtm=Tdtm(MERGED_STEPS if stored_model(store).merges_tokens else "none"),
        components={
            component: ComponentPlan(
                blocks=tuple(entries),
                compute_units="cpu_only",
                prefetch=1 if name == BESIDE else 0,
                keep=tuple(kept[component]) or "none",
            )
            for component, entries in blocks.items()
        },
    )


def stored_model(store: Store) -> Model:
    """What the store's model.yaml lists."""
    return listed_model(MODEL, store.directory)[0]
