"""Where a page's numbers come from: the command, the version, the time, the profile, and the plan to copy."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ondevice_sora.records.provenance import Provenance
from ondevice_sora.reports.page.downloads import Download, yaml_download


class PlanText(NamedTuple):
    """A plan to read, copy or save; `about` says which."""

    title: str
    about: str
    text: str
    download: Download


class Source(NamedTuple):
    """`rows` are a name and what there is to say."""

    rows: list[tuple[str, str]]
    plans: list[PlanText]


def source_of(provenance: Provenance | None) -> Source | None:
    """What a page says of it; None where nothing is known, as of a trace that a phone wrote."""
    if provenance is None:
        return None
    rows = [
        ("command", provenance.command),
        ("made", _written(provenance.made_at)),
        ("version", f"ondevice-sora {provenance.version}"),
    ]
    if provenance.profile is not None:
        rows.append(("profile", provenance.profile))
    if provenance.profile_sha256 is not None:
        rows.append(("profile's SHA-256", provenance.profile_sha256))
    stem = (provenance.plan_name or "plan").rpartition(".")[0] or "plan"
    plans = []
    if provenance.plan_file is not None:
        about = "As its file has it."
        plans.append(
            PlanText("The plan as written", about, provenance.plan_file, yaml_download(stem, provenance.plan_file))
        )
    if provenance.plan is not None:
        about = "With everything that it inherits: it needs no other plan."
        plans.append(
            PlanText("The whole plan", about, provenance.plan, yaml_download(f"{stem}.whole", provenance.plan))
        )
    return Source(rows, plans)


def _written(made_at: str) -> str:
    """'26 Nov 2026, 15:22 UTC', or what there is where that is no date."""
    try:
        moment = datetime.fromisoformat(made_at)
    except ValueError:
        return made_at
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
