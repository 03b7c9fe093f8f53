"""The device catalogue: what is known about each phone, tablet and Mac, and how much memory iOS leaves one app.

A device file holds hardware figures, each with its mark and source, and the memory limits that people have observed
(iOS publishes none). What running and loading cost on the device is in its costs (profiles/costs.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.base.text import END, Line, Title
from ondevice_sora.profiles.blocks import UNBOUNDED
from ondevice_sora.profiles.figures import Figure

DATA = Path(__file__).parent / "data"
DEVICES = DATA / "devices"
ALL = "all"
MAX_DEVICES = 100

MACHINE = r"^[A-Za-z]+[0-9]{1,2},[0-9]{1,2}" + END
Machine = Annotated[
    str,
    msgspec.Meta(pattern=MACHINE, description="a machine identifier such as 'iPhone16,1', within [brackets] in quotes"),
]
LAST_VERSION = 40
"""Apple's systems are counted by years since 26, that of 2025: a version beyond this one is a slip."""
Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3})?" + END)]


class MemoryLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One observation: the footprint at which the system ends an app, in bytes, for a range of OS versions.

    `entitlement` is com.apple.developer.kernel.increased-memory-limit. Without os_from and os_until the row holds for
    every version seen so far.
    """

    limit_bytes: Figure
    entitlement: bool = False
    os_from: Version | None = None
    os_until: Version | None = None

    def covers(self, os_version: str) -> bool:
        version = _version(os_version)
        above = self.os_from is None or version >= _version(self.os_from)
        return above and (self.os_until is None or version <= _version(self.os_until))


class Hardware(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Peak rates. A figure that nobody has published is missing, never zero; the catalogue has every GPU's.

    gpu_float16_flops_per_s   where it is not the same as in float32
    ane_ops_per_s            the Neural Engine's as advertised, since the A17 Pro and the M4 in int8
    ane_flops_per_s          its rate in float16
    ane_dram_bytes_per_s     memory bandwidth within one engine's reach, where that is less than the chip's
    ane_weight_bytes_per_s   how fast it streams weights
    """

    ram_bytes: Figure
    dram_bytes_per_s: Figure
    gpu_flops_per_s: Figure | None = None
    storage_read_bytes_per_s: Figure | None = None
    gpu_float16_flops_per_s: Figure | None = None
    ane_ops_per_s: Figure | None = None
    ane_flops_per_s: Figure | None = None
    ane_dram_bytes_per_s: Figure | None = None
    ane_weight_bytes_per_s: Figure | None = None
    ane_max_package_bytes: Figure | None = None


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device of the catalogue. `key` is the file's name: what `--device` takes.

    `core_ai_from` is the first version of its system on which Core AI runs models compiled ahead of time for it; None
    where there is none, or nothing is known.
    `machines` are the identifiers by which machines of its chip and memory name themselves: iPhone16,1.
    """

    name: Title
    chip: Line
    system: Line
    hardware: Hardware
    memory_limits: Annotated[tuple[MemoryLimit, ...], msgspec.Meta(min_length=1)]
    machines: Annotated[tuple[Machine, ...], msgspec.Meta(max_length=100)] = ()
    notes: tuple[Line, ...] = ()
    key: Line = ""
    core_ai_from: Figure | None = None

    @property
    def engine_bytes(self) -> int:
        """The largest package that the Neural Engine is known to take."""
        most = self.hardware.ane_max_package_bytes
        return UNBOUNDED if most is None else round(most.value)

    def has_core_ai(self, os_version: str | None = None) -> bool:
        """Whether Core AI runs models there that were compiled ahead of time, on its newest system unless told."""
        first = self.core_ai_from
        return first is not None and (os_version is None or _version(os_version) >= (int(first.value), 0))

    def memory_limit(self, entitlement: bool = False, os_version: str | None = None) -> MemoryLimit:
        """The limit for one app on this device, the first row that covers the OS version (any row if none is given).

        Raises UserError if nobody has published a limit for that combination.
        """
        if os_version is not None and _version(os_version)[0] > LAST_VERSION:
            raise UserError(f"there is no {self.system} {os_version}", "--os", "Write one such as 18.1 or 26.4.")
        for row in self.memory_limits:
            if row.entitlement == entitlement and (os_version is None or row.covers(os_version)):
                return row
        wanted = "with the increased-memory entitlement" if entitlement else "without an entitlement"
        os_note = f" on {self.system} {os_version}" if os_version else ""
        raise UserError(
            f"no memory limit is known for {self.name} {wanted}{os_note}",
            mend="Give one with --memory-limit, for instance --memory-limit '3.3 GB'.",
        )


def device_keys() -> list[str]:
    return sorted(path.stem for path in DEVICES.glob("*.yaml"))


def devices_named(names: Sequence[str]) -> list[Device]:
    """The devices of these keys; `all` alone names every iPhone and iPad. Raises UserError."""
    if list(names) == [ALL]:
        return [device for device in map(load_device, device_keys()) if not device.name.startswith("Mac")]
    if not 0 < len(names) <= MAX_DEVICES:
        raise UserError(f"{len(names)} devices are named", "--device", f"Name up to {MAX_DEVICES}, or `{ALL}`.")
    return [load_device(name) for name in names]


@cache
def device_names() -> frozenset[str]:
    """The devices' names, as in traces."""
    return frozenset(load_device(key).name for key in device_keys())


@cache
def load_device(key: str) -> Device:
    """A device of the catalogue, by key or by machine. Raises UserError with the nearest known key."""
    known = device_keys()
    folded = key.lower().replace(" ", "").replace("-", "").replace("_", "")
    if folded not in known and is_machine(key):
        folded = device_of_machine(key)
    if folded not in known:
        raise UserError(f"unknown device '{key}'", mend=nearest(folded, known))
    device = read_yaml(DEVICES / f"{folded}.yaml").convert(Device)
    return msgspec.structs.replace(device, key=folded)


def is_machine(text: str) -> bool:
    """Whether a text reads like a machine identifier."""
    return re.match(MACHINE, text) is not None


def device_of_machine(machine: str) -> str:
    """The key of the device that a machine such as iPhone16,1 is. Raises UserError for one that is not known."""
    known = machines()
    if machine not in known:
        mend = f"Name the device that it is most like: {', '.join(device_keys())}."
        raise UserError(f"the catalogue knows no machine '{machine}'", mend=mend)
    return known[machine]


@cache
def machines() -> Mapping[str, str]:
    """The machines of the whole catalogue, each with the key of its device. Raises UserError if one stands twice."""
    found: dict[str, str] = {}
    for key in device_keys():
        for machine in load_device(key).machines:
            if machine in found:
                what = f"machine '{machine}' stands twice, here and under '{found[machine]}'"
                raise UserError(what, str(DEVICES / f"{key}.yaml"), "Keep one of the two.")
            found[machine] = key
    return found


def named(device: str) -> str:
    """What a trace calls its device, by the catalogue's name where it is a machine's identifier: iPhone16,1."""
    key = machines().get(device)
    return device if key is None else load_device(key).name


def _version(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text):
        raise UserError(f"'{text}' is not a version", mend="Write one such as 18 or 18.1.")
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)
