"""What a search has scored so far, as a file: a search that was cut short goes on from it.

A search is deterministic and scores no candidate twice, so that the candidates scored are all there is to remember.
They hold for one plan on the same devices only, of which the file keeps a fingerprint.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.base.quantities import Bytes
from ondevice_sora.plans.schema import Packages, Plan, plan_data
from ondevice_sora.simulator.prepare import Setting
from ondevice_sora.simulator.search.choices import Choices
from ondevice_sora.simulator.search.problem import Scored, Seen

VERSION = 2
"""Counted up whenever a candidate may score otherwise than it did."""

Known = dict[int, Seen]
"""The candidates scored, by budget in bytes."""


MAX_BYTES = 500_000_000
ANOTHER = "Name another file, or delete this one to search from the start."


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    choices: Choices
    packages: Packages
    scored: Scored | None


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    search: str
    scored: dict[Bytes, list[_Entry]]


def fingerprint(plan: Plan, settings: Sequence[Setting]) -> str:
    """The same for searches in which every candidate scores the same."""
    about: list[Any] = [msgspec.to_builtins(plan_data(plan), str_keys=True)]  # probabilities are keyed by steps
    about += [(s.profile, s.device.hardware, s.limit_bytes, s.limit_spread, s.is_thermal) for s in settings]
    return hashlib.sha256(msgspec.json.encode(about, order="deterministic")).hexdigest()


def load_state(path: Path, search: str) -> Known:
    """The candidates of a file; none if there is no file yet. Raises UserError if it is not of this search."""
    if not os.path.lexists(path):
        return {}
    document = read_json(path, max_bytes=MAX_BYTES, mend=ANOTHER)
    if document.data.get("version") != VERSION or document.data.get("search") != search:
        raise document.error("$", "not the state of this search: the plan, a device or its costs differ")
    known: Known = {}
    for budget, entries in document.convert(_State).scored.items():
        known[budget] = {}
        for number, entry in enumerate(entries):
            found = entry.scored
            if found is not None and (found.choices, found.packages) != (entry.choices, entry.packages):
                raise document.error(f"$.scored.{budget}[{number}]", "the score is another plan's")
            known[budget][entry.choices, entry.packages] = found
    return known


def save_state(path: Path, search: str, known: Known) -> None:
    """Write the file anew, whole or not at all. Raises UserError if it cannot be written."""
    scored = {
        budget: [_Entry(choices, packages, found) for (choices, packages), found in seen.items()]
        for budget, seen in known.items()
    }
    write_text(path, msgspec.json.encode(_State(VERSION, search, scored)).decode())
