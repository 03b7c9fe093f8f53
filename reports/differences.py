"""What the plans of several traces have different: keys and values, and the versions and profiles behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.reading import parse_yaml
from ondevice_sora.base.units import format_bytes
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.rows import UNKNOWN

LONG = 60
SIZES = ("budget",)


class Different(NamedTuple):
    """A key of the plan and its value in each trace, in their order."""

    key: str
    values: tuple[str, ...]


def differences(traces: Sequence[Trace]) -> list[Different]:
    """In the order of the plans' keys. Of a trace that does not say its plan, every value is a dash."""
    plans = [_plan_of(trace) for trace in traces]
    keys = dict.fromkeys(key for plan in plans for key in plan or ())
    found = []
    for key in keys:
        values = [None if plan is None else plan.get(key) for plan in plans]
        if any(isinstance(value, bool) for value in values):  # what is not switched on is off
            values = [
                False if plan is not None and value is None else value
                for plan, value in zip(plans, values, strict=True)
            ]
        if any(value != values[0] for value in values):
            told = [UNKNOWN if plan is None else _told(key, value) for plan, value in zip(plans, values, strict=True)]
            found.append(Different(key, tuple(told)))
    return found + _behind(traces)


def _behind(traces: Sequence[Trace]) -> list[Different]:
    """The versions and the profiles, where those differ."""
    found = []
    made = [trace.provenance for trace in traces]
    for name, field in (
        ("version of ondevice-sora", "version"),
        ("profile", "profile"),
        ("profile's SHA-256", "profile_sha256"),
    ):
        values = [None if each is None else getattr(each, field) for each in made]
        if len({value for value in values if value is not None}) > 1:
            found.append(Different(name, tuple(UNKNOWN if value is None else _shortened(value) for value in values)))
    return found


def _plan_of(trace: Trace) -> dict[str, Any] | None:
    """The plan's values by dotted key, without its name, which stands over the columns."""
    if trace.provenance is None or trace.provenance.plan is None:
        return None
    try:
        data = parse_yaml(trace.provenance.plan, Path("plan")).data
    except UserError:  # a trace may have been written by anyone
        return None
    return {key: value for key, value in _flat(data, "") if key != "name"}


def _flat(data: dict[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{key}.")
        elif value is not None:
            yield f"{before}{key}", value


def _told(key: str, value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key.rpartition(".")[2] in SIZES:
        return format_bytes(value)
    if isinstance(value, list):
        told = ", ".join(_told(key, each) for each in value)
        return told if len(told) <= LONG else f"{len(value)} listed: {_shortened(told)}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(name, each)}" for name, each in value.items())
    return _shortened(str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"
