"""What is simulated besides a plan and a device: the memory limit or what decides it, and heat."""

from __future__ import annotations

import re
from dataclasses import dataclass

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.profile import Place, load_profile
from ondevice_sora.simulator.prepare import Setting, setting_of


@dataclass(frozen=True)
class Conditions:
    """As the commands' options and the arguments of the Python interface say them.

    memory_limit   bytes that iOS allows, instead of what is known of the device
    entitlement    the app has the increased-memory entitlement, whatever the plan says
    os             the version of the system whose limit is meant, such as '18.1'
    thermal        apply the device's thermal derating

    Raises UserError for a version that is none, and for what a limit that is given makes void.
    """

    memory_limit: int | None = None
    entitlement: bool = False
    os: str | None = None
    thermal: bool = False

    def __post_init__(self) -> None:
        if self.os is not None and not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", self.os):
            raise UserError(f"--os: '{self.os}' is not a version", mend="Write one such as 18 or 18.1.")
        for option in ("os", "entitlement"):
            if getattr(self, option) and self.memory_limit is not None:
                raise UserError(f"--{option} has no effect with --memory-limit", mend="Give one of the two.")

    def applied(self, loaded: LoadedPlan) -> LoadedPlan:
        """The plan of an app that has the entitlement, if it does."""
        if not self.entitlement:
            return loaded
        return loaded.changed(memory=replace(loaded.plan.memory, entitlement=True))

    def setting(self, device: str | Place, plan: Plan) -> Setting:
        """A device by key or profile file, or with its profile, as the setting of a plan. Raises UserError."""
        profile, facts = load_profile(device) if isinstance(device, str) else device
        return setting_of(
            profile, facts, plan, memory_limit=self.memory_limit, os_version=self.os, is_thermal=self.thermal
        )
