"""Plan files: where they are found, what they extend, and the plan that was read, whose complaints name its lines."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.reading import read_extended
from ondevice_sora.plans.checks import check_plan
from ondevice_sora.plans.schema import Plan
from ondevice_sora.plans.step_file import planned_grid
from ondevice_sora.plans.step_plan import Grid
from ondevice_sora.profiles.models.configured import config_path, refuse_package
from ondevice_sora.profiles.models.model import Model

READY = Path(__file__).parent / "ready"
IN_FOLDER = "plan.yaml"
"""What a plan is called in a folder that is made for it."""


def ready_plans() -> dict[str, Path]:
    return {path.stem: path for path in sorted(READY.glob("*.yaml"), key=lambda path: path.stem)}


def find_plan(name: str) -> Path:
    """A plan file, or a folder that has a plan.yaml, by path; or a ready plan by name.

    Raises UserError, with the nearest ready plan or with what the file is instead.
    """
    path = Path(name)
    # os.path answers "no" where Path raises: too long a name, a NUL in it, a folder that may not be entered
    if os.path.isfile(name) or path.suffix in (".yaml", ".yml", ".json"):
        return path
    ready = ready_plans()
    if name in ready:
        return ready[name]
    refuse_package(name)
    if os.path.isfile(os.path.join(name, IN_FOLDER)):
        return path / IN_FOLDER
    if name and os.path.isdir(name):
        raise UserError(f"this is a folder without a {IN_FOLDER}", name, "Name a plan file or a ready plan.")
    if name and os.path.exists(name):
        return path
    raise UserError(f"no plan file and no ready plan is named '{name}'", mend=nearest(name, list(ready)))


@dataclass(frozen=True)
class LoadedPlan:
    """A plan and the document it was read from; none for a plan made in a program.

    `listed` is its model where that is no file: one made in a program. The plan then has the model's name.
    """

    plan: Plan
    document: Document | None = None
    listed: Model | None = None

    def locating(self, field: str | None = None) -> AbstractContextManager[None]:
        """Complaints from within about a key of the plan name its line; those about nothing named are about `field`."""
        return nullcontext() if self.document is None else self.document.locating(field)

    def changed(self, **settings: Any) -> LoadedPlan:
        """The same with other settings; complaints about them name the lines that they had."""
        return LoadedPlan(msgspec.structs.replace(self.plan, **settings), self.document, self.listed)

    @property
    def folder(self) -> Path:
        """Where the path of a model that lists its units starts from."""
        return Path() if self.document is None else self.document.file_of("$.model").parent

    def moved_to(self, folder: Path) -> Plan:
        """The plan as it is to be written in a folder: a path that `model` names leads from there."""
        model = self.plan.model
        if isinstance(model, str):
            if not model.endswith((".yaml", ".yml", ".json")):
                return self.plan
            return msgspec.structs.replace(self.plan, model=self._from(folder, model))
        if config_path(model.config, self.folder) is None:
            return self.plan
        moved = msgspec.structs.replace(model, config=self._from(folder, model.config))
        return msgspec.structs.replace(self.plan, model=moved)

    def _from(self, folder: Path, path: str) -> str:
        return os.path.relpath((self.folder / path).resolve(), folder.resolve())

    def says(self, field: str) -> bool:
        """Whether the document has a value for '$.sampler.guidance', for instance, be it the default."""
        return self.document is not None and field in self.document.lines


def load_plan(name: str | Path) -> LoadedPlan:
    """A plan by path or, if it is a ready one, by name. Raises UserError."""
    return read_plan(read_extended(find_plan(str(name)), READY))


def read_plan(document: Document) -> LoadedPlan:
    """The plan in a document whose `extends` has been followed; a planned grid is looked up. Raises UserError."""
    _refuse_other_files(document)
    plan = document.convert(Plan)
    with document.locating():
        check_plan(plan)
        sampler = plan.sampler
        if isinstance(sampler.grid, Grid) and sampler.grid.planned is not None:
            folder = document.file_of("$.sampler.grid.planned").parent
            grid = planned_grid(sampler.grid.planned, folder, plan.model_name, sampler.steps)
            plan = msgspec.structs.replace(plan, sampler=msgspec.structs.replace(sampler, grid=grid))
    return LoadedPlan(plan, document)


def _refuse_other_files(document: Document) -> None:
    """Raises UserError for a file of another kind, with where that is named."""
    data = document.data
    if isinstance(data.get("components"), list) and "model" not in data:
        raise document.error("$", "this is a model, not a plan", f"Name it in a plan: `model: {document.path.name}`.")
    if "costs" in data or "measurements" in data:
        raise document.error("$", "this is a profile, not a plan", "Name it with --device.")
    if "models" in data:
        raise document.error("$", "this is a grid, not a plan", "Simulate it with `ondevice-sora plan sweep`.")
