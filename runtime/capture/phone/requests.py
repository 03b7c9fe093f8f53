"""What the capture and its measuring processes tell each other; nothing here needs coremltools."""

from __future__ import annotations

from typing import Literal

import msgspec

from ondevice_sora.profiles.blocks import ComputeUnits


class Phone(msgspec.Struct, frozen=True):
    """A connected device: how to reach it, and what it says it is; an empty text where it does not say."""

    udid: str
    name: str
    os: str
    os_build: str
    product_type: str
    marketing_name: str


class Installed(msgspec.Struct, frozen=True):
    """The ModelRunner app on the phone."""

    bundle_identifier: str
    database_uuid: str


class Signing(msgspec.Struct, frozen=True):
    """Who signs the ModelRunner app; see coremltools' AppSigningCredentials."""

    team: str = ""
    bundle_identifier: str | None = None
    provisioning_profile: str | None = None


class Request(msgspec.Struct, frozen=True):
    """What one process does: load `function` of `package` (empty: the only one), run it 1 + `later_runs` times."""

    package: str
    function: str
    compute_units: ComputeUnits
    later_runs: int
    udid: str
    working_directory: str
    patience_s: float
    installed: Installed | None = None
    signing: Signing = Signing()


class Reply(msgspec.Struct, frozen=True):
    """What came of it. `lost` says whose fault a failure is: the phone's connection, or this block's."""

    load_s: float | None = None
    run_s: tuple[float, ...] = ()
    installed: Installed | None = None
    failure: str = ""
    lost: Literal["", "phone", "app"] = ""
