"""A sweep's grid: every combination of models, shapes, devices, budgets and techniques, as plans to be simulated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.documents import Document, overlaid
from ondevice_sora.base.files.reading import read_extended, read_yaml
from ondevice_sora.base.text import Line, Title
from ondevice_sora.plans.plan_file import READY, LoadedPlan, find_plan, read_plan
from ondevice_sora.plans.schema import Plan, Start, Video, plan_data
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.simulator.conditions import Conditions
from ondevice_sora.simulator.prepare import Setting, model_of

MAX_CELLS = 100_000
TECHNIQUES = ("sampler", "lpl", "tdtm", "memory", "components", "start")
"""The keys of a plan that a technique may change."""

AS_PLANNED = "as planned"

Names = Annotated[tuple[Line, ...], msgspec.Meta(min_length=1)]


class Technique(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a technique changes of a plan: the same keys as in the plan, merged as `extends` merges them."""

    sampler: dict[str, Any] | None = None
    lpl: dict[str, Any] | None = None
    tdtm: dict[str, Any] | None = None
    memory: dict[str, Any] | None = None
    components: dict[str, Any] | None = None
    start: Start | None = None


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The axes of a sweep; an axis that is left out, and a null on one, leave the plan as it is.

    models       ready plans or plan files
    search       whether each combination's plan is searched for, instead of simulated as it is
    """

    models: Names
    devices: Names = ("iphone15pro",)
    shapes: Annotated[tuple[Video | None, ...], msgspec.Meta(min_length=1)] = (None,)
    budgets: Annotated[tuple[ByteCount | None, ...], msgspec.Meta(min_length=1)] = (None,)
    techniques: dict[Title, Technique | None] = {}
    search: bool = False


@dataclass(frozen=True)
class Cell:
    """One combination: its names on the axes, and all that a worker needs, wherever it runs."""

    model: str
    device: str
    technique: str
    loaded: LoadedPlan
    setting: Setting
    is_searched: bool

    @property
    def plan(self) -> Plan:
        return self.loaded.plan

    @property
    def key(self) -> str:
        """The same for cells that come to the same row."""
        setting = self.setting
        about = [
            self.model,
            self.device,
            self.technique,
            msgspec.to_builtins(plan_data(self.plan), str_keys=True),  # probabilities are keyed by steps
            setting.profile,
            setting.device.hardware,
            setting.limit_bytes,
            setting.limit_spread,
            setting.is_thermal,
            self.is_searched,
            *([] if self.loaded.listed is None else [self.loaded.listed]),
        ]
        return hashlib.sha256(msgspec.json.encode(about, order="deterministic")).hexdigest()[:24]


def read_grid(path: str | Path, conditions: Conditions | None = None) -> list[Cell]:
    """The cells of a grid file. Raises UserError with file and line."""
    return cells_of(read_yaml(path), conditions)


def cells_of(
    document: Document, conditions: Conditions | None = None, plans: Mapping[str, LoadedPlan] | None = None
) -> list[Cell]:
    """The cells of a grid, in the order of its axes, all under the same conditions.

    `plans` are models of the grid that are no files, by name. Raises UserError with file and line.
    """
    conditions, plans = conditions or Conditions(), plans or {}
    grid = document.convert(Grid)
    techniques = grid.techniques or {AS_PLANNED: None}
    count = len(grid.models) * len(grid.shapes) * len(grid.devices) * len(grid.budgets) * len(techniques)
    if count > MAX_CELLS:
        raise document.error("$", f"{count:,} combinations; at most {MAX_CELLS:,} are swept", "Shorten an axis.")
    places = []
    for row, device in enumerate(grid.devices):
        with document.locating(f"$.devices[{row}]"):
            places.append((device, f"$.devices[{row}]", *load_profile(device)))
    cells = []
    known: set[str] = set()
    for (m, model), (s, shape), (name, technique) in product(
        enumerate(grid.models), enumerate(grid.shapes), techniques.items()
    ):
        with document.locating(f"$.models[{m}]"):
            base = plans[model].document if model in plans else read_extended(find_plan(model), READY)
        assert base is not None
        changes = {f"$.shapes[{s}]": "video"} if shape is not None else {}
        if technique is not None:
            changes |= {f"$.techniques.{name}.{key}": key for key in TECHNIQUES if getattr(technique, key) is not None}
        loaded = read_plan(overlaid(base, document, changes))
        if model in plans:
            loaded = LoadedPlan(loaded.plan, loaded.document, plans[model].listed)
        loaded = conditions.applied(loaded)
        with suppress(UserError):  # a model that cannot be had so is a row that says it
            known |= {each for part in model_of(loaded).model.components for each in (part.name, part.family)}
        memory = loaded.plan.memory
        for (device, pointer, profile, facts), budget in product(places, grid.budgets):
            own = loaded if budget is None else loaded.changed(memory=replace(memory, budget=budget))
            with document.locating(pointer):
                setting = conditions.setting((profile, facts), own.plan)
            cells.append(Cell(model, device, name, own, setting, grid.search))
    for name, technique in techniques.items():
        for component in (technique.components if technique is not None else None) or {}:
            if component not in known:
                pointer = f"$.techniques.{name}.components.{component}"
                what = "no model of this grid has such a component"
                raise document.error(pointer, what, nearest(component, sorted(known)))
    return cells
