"""Where the system has ended the app on a device: what a phone's journal told after it had happened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from ondevice_sora.base.quantities import Bytes
from ondevice_sora.base.text import Line
from ondevice_sora.base.units import format_bytes
from ondevice_sora.profiles.blocks import ComputeUnits, span_name

NEAR = 0.9
"""Ended at this share of its limit or above, an app was ended for its memory: what was read last was read some
milliseconds before."""


class SeenKill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The app was ended while a block was loaded or run.

    `footprint_bytes` was read last before, `limit_bytes` is what the system allowed the app; None where it did not say.
    """

    model: Line
    component: Line
    first_unit: Line
    last_unit: Line
    variant: Line
    compute_units: ComputeUnits
    action: Literal["load", "run"]
    source: Line
    footprint_bytes: Bytes | None = None
    limit_bytes: Bytes | None = None

    @property
    def is_for_memory(self) -> bool:
        """Whether the footprint was near the limit: where either is not known, it is taken to have been."""
        if self.footprint_bytes is None or self.limit_bytes is None:
            return True
        return self.footprint_bytes >= NEAR * self.limit_bytes

    @property
    def sentence(self) -> str:
        """Such as 'iOS ended the app at 3.29 GB, limit 3.30 GB, while loading denoiser spatial_5 (source).'

        Where the footprint was far below the limit it says that the app was ended, and not by whom.
        """
        variant = "" if self.variant == "plain" else f" {self.variant}"
        doing = "loading" if self.action == "load" else "running"
        block = f"{self.component} {span_name(self.first_unit, self.last_unit)}{variant}"
        place = "" if self.footprint_bytes is None else f" at {format_bytes(self.footprint_bytes)}"
        if self.limit_bytes is not None:
            place += f", limit {format_bytes(self.limit_bytes)},"
        told = f"{place} while {doing} {block} ({self.source})."
        if self.is_for_memory:
            return f"iOS ended the app{told}"
        return f"The app was ended{told} It was far below its limit, so perhaps by its user."


def tell_kills(kills: Iterable[SeenKill], most: int) -> list[str]:
    """A sentence for each block and action, of the largest footprint at which it ended the app: `most` at most, those
    near the limit first, and how many more there are."""
    largest: dict[tuple[str, ...], SeenKill] = {}
    for kill in kills:
        key = (kill.component, kill.first_unit, kill.last_unit, kill.variant, kill.compute_units, kill.action)
        if key not in largest or (kill.footprint_bytes or 0) > (largest[key].footprint_bytes or 0):
            largest[key] = kill
    ordered = sorted(largest.values(), key=lambda kill: not kill.is_for_memory)
    told = [kill.sentence for kill in ordered[:most]]
    left = len(ordered) - len(told)
    return [*told, f"So it was at {left} more."] if left else told
