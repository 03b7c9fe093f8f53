"""What a search has scored so far, as a file: a search that was cut short goes on from it.

A search is deterministic and scores no candidate twice, so that the candidates scored are all there is to remember.
They hold for one plan on the same devices only, of which the file keeps a fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.plans.schema import Packages, Plan, plan_data
from ondevice_sora.simulator.prepare import Setting
from ondevice_sora.simulator.search.choices import Choices
from ondevice_sora.simulator.search.problem import Scored, Seen

VERSION = 1
"""Counted up whenever a candidate may score otherwise than it did."""

Known = dict[int, Seen]
"""The candidates scored, by budget in bytes."""


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    choices: Choices
    packages: Packages
    scored: Scored | None


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    search: str
    scored: dict[int, list[_Entry]]


def fingerprint(plan: Plan, settings: Sequence[Setting]) -> str:
    """The same for searches in which every candidate scores the same."""
    about: list[Any] = [plan_data(plan)]
    about += [(s.profile, s.device.hardware, s.limit_bytes, s.limit_spread, s.is_thermal) for s in settings]
    return hashlib.sha256(msgspec.json.encode(about, order="deterministic")).hexdigest()


def load_state(path: Path, search: str) -> Known:
    """The candidates of a file; none if there is no file yet. Raises UserError if it is not of this search."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", str(path)) from None
    another = "Name another file, or delete this one to search from the start."
    try:
        state = msgspec.json.decode(content, type=_State)
    except msgspec.DecodeError as error:
        raise UserError(f"not the state of a search: {error}", str(path), another) from None
    if state.version != VERSION or state.search != search:
        raise UserError("the state of another search: the plan, a device or its costs differ", str(path), another)
    return {
        budget: {(entry.choices, entry.packages): entry.scored for entry in entries}
        for budget, entries in state.scored.items()
    }


def save_state(path: Path, search: str, known: Known) -> None:
    """Write the file anew, whole or not at all. Raises UserError if it cannot be written."""
    scored = {
        budget: [_Entry(choices, packages, found) for (choices, packages), found in seen.items()]
        for budget, seen in known.items()
    }
    write_text(path, msgspec.json.encode(_State(VERSION, search, scored)).decode())
