"""Devices: the catalogue, and profiles to change or to make of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.api.given import DEFAULT_DEVICE, Size, in_python, size_of
from ondevice_sora.api.shown import frame_of, printed, titled_table
from ondevice_sora.profiles.devices import Device
from ondevice_sora.profiles.profile import Profile

if TYPE_CHECKING:
    import pandas as pd


def devices() -> list[str]:
    """Keys of the device catalogue."""
    from ondevice_sora.profiles.devices import device_keys

    return device_keys()


@dataclass(frozen=True)
class DeviceProfile:
    """What loading and running cost on a device, and how much memory it allows an app: what a simulation takes."""

    profile: Profile
    device: Device

    @property
    def name(self) -> str:
        """What reports call the device."""
        return self.device.name

    def to_frame(self) -> pd.DataFrame:
        """One row a figure of the costs: its name, value, mark, spread and source. Seconds, bytes, and per second."""
        from ondevice_sora.profiles.costs import figures

        return frame_of(
            {"figure": name, "value": each.value, "mark": each.mark, "spread": each.spread, "source": each.source}
            for name, each in figures(self.profile.costs).items()
        )

    @in_python
    def changed(
        self,
        name: str,
        figures: Mapping[str, float] | None = None,
        *,
        memory_limit: Size | None = None,
        entitled_memory_limit: Size | None = None,
        source: str = "set in Python",
    ) -> DeviceProfile:
        """Another device, like this one but for some figures; they keep their spread and are marked estimated.

        name            what reports call it
        figures         costs by the names that `to_frame` gives: {"loads.read_bytes_per_s": 1.2e9}
        memory_limit    bytes that it allows an app without an entitlement
        entitled_memory_limit   and with the increased-memory one
        source          what is said of where the figures come from

        Raises UserError for a figure that there is not, and for values that cannot be.
        """
        from ondevice_sora.profiles.profile import altered

        limits = {False: memory_limit, True: entitled_memory_limit}
        sizes = {entitled: size_of(limit) for entitled, limit in limits.items() if limit is not None}
        return DeviceProfile(*altered(self.profile, self.device, name, dict(figures or {}), sizes, source))

    def save(self, path: str | Path) -> Path:
        """Write the profile as YAML, which `--device` takes; an existing file is replaced. Raises UserError."""
        from ondevice_sora.base.files.writing import write_yaml
        from ondevice_sora.profiles.profile import profile_data

        write_yaml(Path(path), profile_data(self.profile))
        return Path(path)

    def summary(self) -> str:
        """What `profile show` prints."""
        from ondevice_sora.reports.terminal.devices import print_profile

        return printed(lambda: print_profile(self.profile, self.device))

    def __repr__(self) -> str:
        return f"<DeviceProfile of {self.name}>"

    def _repr_html_(self) -> str:
        return titled_table(f"Costs on {self.name}", self.to_frame, self.summary)


@in_python
def profile(device: str | Path = DEFAULT_DEVICE) -> DeviceProfile:
    """The profile of a device: a key of the catalogue, or a profile file. Raises UserError."""
    from ondevice_sora.profiles.profile import load_profile

    return DeviceProfile(*load_profile(str(device)))


@in_python
def import_capture(path: str | Path, device: str = "") -> DeviceProfile:
    """The profile of a capture file, which a phone's harness wrote: what `profile import` writes.

    device   a key of the catalogue, if the file names neither device nor machine

    Raises UserError for a file that is no capture.
    """
    from ondevice_sora.profiles.capture_file import read_capture
    from ondevice_sora.profiles.capture_profile import profile_of_capture
    from ondevice_sora.profiles.profile import device_of

    found, _ = profile_of_capture(read_capture(str(path), device))
    return DeviceProfile(found, device_of(found))
