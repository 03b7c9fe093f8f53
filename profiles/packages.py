"""What people have seen Core ML packages do on each choice of compute units: sizes and operations that did not work."""

from __future__ import annotations

from functools import cache

import msgspec

from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.base.units import format_bytes
from ondevice_sora.profiles.blocks import PROCESSORS, ComputeUnits
from ondevice_sora.profiles.devices import DATA, Device
from ondevice_sora.profiles.figures import Figure


class SizeLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Packages above `limit_bytes` meet `effect` on these compute units."""

    compute_units: ComputeUnits
    limit_bytes: Figure
    effect: str


class NotOnAne(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Operations, by type or by the type of their results, that were seen not to run on the Neural Engine."""

    what: str
    why: str
    source: str
    operations: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()


class PackageRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size_limits: tuple[SizeLimit, ...]
    not_on_ane: tuple[NotOnAne, ...]


def size_notes(size: int, compute_units: ComputeUnits, device: Device) -> list[str]:
    """What people have seen of packages of so many bytes: what the device's Neural Engine took, what is refused."""
    notes = []
    most = device.hardware.ane_max_package_bytes
    if most is not None and PROCESSORS[compute_units] == "ane" and size > most.value:
        told = "the largest that the Neural Engine is known to take; taken here to run on the GPU, with its memory"
        notes.append(f"larger than {format_bytes(most.value)}, {told} ({most.source})")
    for limit in package_rules().size_limits:
        if limit.compute_units == compute_units and size > limit.limit_bytes.value:
            notes.append(
                f"larger than {format_bytes(limit.limit_bytes.value)}: {limit.effect} ({limit.limit_bytes.source})"
            )
    return notes


@cache
def package_rules() -> PackageRules:
    return read_yaml(DATA / "packages.yaml").convert(PackageRules)
