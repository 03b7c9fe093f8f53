"""Say where what is written comes from: the command, the version, the time, the plan and the profile."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from ondevice_sora import __version__
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.complaints import shorten
from ondevice_sora.base.files.writing import yaml_text
from ondevice_sora.base.hashing import hash_of
from ondevice_sora.base.text import in_one_line
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.schema import plan_data
from ondevice_sora.profiles.profile import Profile, profile_data
from ondevice_sora.records.provenance import Provenance


def provenance(command: str, loaded: LoadedPlan | None = None, profile: Profile | None = None) -> Provenance:
    """Made now, by this version. SOURCE_DATE_EPOCH, seconds since 1970, is taken for the time where it is set.

    Raises UserError if that is no time.
    """
    resolved = None if loaded is None else yaml_text(plan_data(loaded.plan))
    document = None if loaded is None else loaded.document
    return Provenance(
        command=command,
        version=__version__,
        made_at=_now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        plan=resolved,
        plan_file=None if document is None else document.text,
        plan_name=None if document is None or document.text is None else in_one_line(document.path.name),
        profile=None if profile is None else profile.name,
        profile_sha256=None if profile is None else hash_of(profile_data(profile)),
    )


def _now() -> datetime:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if not given:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        what = f"SOURCE_DATE_EPOCH={shorten(given)} is no time"
        raise UserError(what, mend="Give whole seconds since 1970, or leave it unset.") from None
