"""Runs that nobody has given operations for: they are priced as a call that does nothing, so that times are too short.

A store's model file is such a one; with a profile captured from that store its blocks are measured, and all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ondevice_sora.base.units import format_count
from ondevice_sora.profiles.models.model import Model, Unit, Work
from ondevice_sora.simulator.prepare import Prepared


def unpriced_components(prepared: Prepared) -> dict[str, int]:
    """By component, how many blocks have no operations and were not measured."""
    found: dict[str, int] = {}
    for row, block in enumerate(prepared.schedule.blocks):
        is_measured = prepared.costs.run_marks[row].get("measured", 0.0) > 0.0
        if not is_measured and _do_nothing(block.units):
            found[block.component] = found.get(block.component, 0) + 1
    return found


def unpriced_caution(prepared: Prepared) -> str | None:
    """What to say of them, and how to mend it; None if there are none."""
    return _caution({name: format_count(count, "block") for name, count in unpriced_components(prepared).items()})


def unpriced_in(model: Model) -> str | None:
    """The same of a model on any device that it was not measured on."""
    return _caution(
        {
            component.name: format_count(len(component.units), "unit")
            for component in model.components
            if _do_nothing(component.units)
        }
    )


def _do_nothing(units: Iterable[Unit]) -> bool:
    """Whether units have weights and nothing that is done with them."""
    units = list(units)
    return any(unit.stored > 0 for unit in units) and all(_is_empty(unit.plain) for unit in units)


def _is_empty(work: Work) -> bool:
    return not (work.matmul_flops or work.attention_flops or work.convolution_flops or work.moved_elements)


def _caution(found: Mapping[str, str]) -> str | None:
    if not found:
        return None
    told = ", ".join(f"{name} ({count})" for name, count in found.items())
    return (
        f"The times are far too short: the model says no operations of {told}, so that running these takes nothing but "
        "the call. Give each unit its operations under `plain` (docs/plan.md), make the model from your packages with "
        "`ondevice-sora profile estimate`, or simulate on a profile captured from them."
    )
