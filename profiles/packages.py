"""What people have seen Core ML packages do on each choice of compute units: sizes and operations that did not work."""

from __future__ import annotations

from functools import cache

import msgspec

from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.profiles.devices import DATA
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


@cache
def package_rules() -> PackageRules:
    return read_yaml(DATA / "packages.yaml").convert(PackageRules)
