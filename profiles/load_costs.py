"""Seconds of loads.

On CPU and GPU:

    later load = load_fixed + stored bytes / read + held bytes / prepare
    first load = the same + specialise_fixed + (stored bytes + held bytes) / specialise

Specialising is charged for the bytes it reads and the bytes it writes, since it turns the one into the other. Where all
packages of a plan fit in the page cache, they are there from when they were installed or last loaded: the term with
`read` is left out.

On the Neural Engine, where the costs have `engine_loads`:

    later load = load_fixed + stored bytes / read + stored bytes / prepare
    first load = the same + compile * (parameters / 1e8) ^ exponent

Of packages that Core AI loads, compiled ahead of time, wherever they run:

    later load = core_ai.load_fixed + stored bytes / read
    first load = the same + stored bytes / core_ai.finish

They are mapped and not copied; what a load reads is what the first run after it touches.

A package that the engine refuses for its size is loaded on the GPU, after it was compiled in vain: every load takes
refused * parameters / 1e8 on top.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ondevice_sora.profiles.block_bytes import held_bytes
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import Array, Costs, MarkShares, Sample
from ondevice_sora.profiles.figures import Mark
from ondevice_sora.profiles.terms import mark_shares, seconds_per, summed

PARAMETERS = 1e8
"""The size of a package that `compile_s` and `refused_s` are told for."""
READ = "loads.read_bytes_per_s"
LATER = ("loads.load_fixed_s", READ, "loads.prepare_bytes_per_s")
FIRST = ("loads.specialise_fixed_s", "loads.specialise_bytes_per_s")
ENGINE_LATER = ("engine_loads.load_fixed_s", "engine_loads.prepare_bytes_per_s")
ENGINE_FIRST = ("engine_loads.compile_s",)
REFUSED = "engine_loads.refused_s"
CORE_AI_FIXED, CORE_AI_FIRST = "core_ai.load_fixed_s", "core_ai.finish_bytes_per_s"


def load_seconds(
    blocks: Sequence[BlockSpec], costs: Costs, sample: Sample, marks: dict[str, Mark], is_cached: bool
) -> tuple[Array, Array, list[MarkShares], list[MarkShares]]:
    """Later and first loads [block, sample], and the marks that each of them rests on."""
    terms = [*LATER, *FIRST]
    if costs.engine_loads is not None:
        terms += [*ENGINE_LATER, *ENGINE_FIRST, REFUSED]
    if costs.core_ai is not None:
        terms += [CORE_AI_FIXED, CORE_AI_FIRST]
    amounts = np.zeros((len(blocks), len(terms)))
    for row, block in enumerate(blocks):
        for name, amount in _amounts(block, costs):
            amounts[row, terms.index(name)] += amount
    seconds = np.stack([seconds_per(sample, name) for name in terms])
    is_first = np.array([name in (*FIRST, *ENGINE_FIRST, CORE_AI_FIRST) for name in terms])
    if is_cached:
        amounts[:, terms.index(READ)] = 0.0
    later = amounts * ~is_first
    of_terms = [marks[name] for name in terms]
    warm_marks, cold_marks = (mark_shares(each * seconds[:, 0], of_terms) for each in (later, amounts))
    return summed(later, seconds), summed(amounts, seconds), warm_marks, cold_marks


def _amounts(block: BlockSpec, costs: Costs) -> list[tuple[str, float]]:
    """How much of each term a block's loads take."""
    stored, parameters = float(block.stored_bytes), block.parameters / PARAMETERS
    engine = costs.engine_loads
    if costs.core_ai is not None and block.loading == "core_ai":
        return [(CORE_AI_FIXED, 1.0), (READ, stored), (CORE_AI_FIRST, stored)]
    if engine is not None and block.processor == "ane":
        return [
            *zip(ENGINE_LATER, (1.0, stored), strict=True),
            (READ, stored),
            *zip(ENGINE_FIRST, (parameters**engine.compile_exponent.value,), strict=True),
        ]
    held = held_bytes(block, costs)
    amounts = [*zip(LATER, (1.0, stored, held), strict=True), *zip(FIRST, (1.0, stored + held), strict=True)]
    if engine is not None and block.falls_back:
        amounts.append((REFUSED, parameters))
    return amounts
