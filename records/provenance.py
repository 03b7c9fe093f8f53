"""Where a trace or an answer comes from: the command, the version, the time, the plan and the profile behind it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ondevice_sora.base.text import LINE, Checksum, Line

Command = Annotated[str, LINE, msgspec.Meta(max_length=200_000)]
PlanText = Annotated[str, msgspec.Meta(max_length=2_000_000)]


class Provenance(msgspec.Struct, frozen=True):
    """What it takes to make the same again.

    command         as it was typed
    version         of ondevice-sora
    made_at         UTC, ISO 8601
    plan            with everything it inherits, as YAML; null where no plan is known
    plan_file       as its author wrote it; null of a plan that was made in a program, or is the same
    plan_name       its file's name
    profile         the name of the costs; with `profile_sha256`, of the profile as data, the same however its file is
                    written
    """

    command: Command
    version: Line
    made_at: Line
    plan: PlanText | None = None
    plan_file: PlanText | None = None
    plan_name: Line | None = None
    profile: Line | None = None
    profile_sha256: Checksum | None = None
