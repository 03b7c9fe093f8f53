"""What a user gives: plans, devices, sizes, shapes, conditions. Read and checked; mistakes told in Python's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import msgspec

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.reading import extend
from ondevice_sora.base.units import parse_bytes
from ondevice_sora.plans.plan_file import READY, LoadedPlan, read_plan
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.models.model import Model

if TYPE_CHECKING:
    from ondevice_sora.api.catalogue import DeviceProfile
    from ondevice_sora.profiles.models.configured import Shape
    from ondevice_sora.profiles.profile import Place
    from ondevice_sora.simulator.conditions import Conditions

PlanLike = str | Path | Mapping[str, Any] | Plan | LoadedPlan
"""A plan file, a ready plan's name, a plan's keys as in YAML (`extends` too), or a plan that is there already."""
Size = int | float | str
"""Bytes, or text such as '3.3 GB'."""
DEFAULT_PLAN, DEFAULT_DEVICE = "ours-256", "iphone15pro"

P = ParamSpec("P")
T = TypeVar("T")

_OPTION = re.compile(r"`[^`]*`|--([a-z]+(?:-[a-z]+)*)")


def in_python(function: Callable[P, T]) -> Callable[P, T]:
    """The function, with complaints that name its arguments: `memory_limit` where a command says `--memory-limit`."""

    @wraps(function)
    def called(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return function(*arguments, **named)
        except UserError as error:
            what, where, mend = map(_spelled, (error.what, error.where, error.mend))
            if (what, where, mend) == (error.what, error.where, error.mend):
                raise
            raise UserError(what or "", where, mend, field=error.field) from None

    return called


def _spelled(text: str | None) -> str | None:
    """What stands within `backticks`, a command line, stays."""
    if text is None:
        return None
    return _OPTION.sub(lambda found: found[0] if found[1] is None else found[1].replace("-", "_"), text)


@in_python
def loaded_plan(plan: PlanLike) -> LoadedPlan:
    """Whatever says what a plan is, read and checked.

    `model` in a plan's keys may be a model itself: its keys as in a model file, or what `describe` gives. Raises
    UserError.
    """
    from ondevice_sora.plans.plan_file import load_plan

    if isinstance(plan, LoadedPlan):
        return plan
    if isinstance(plan, Plan):
        return LoadedPlan(plan)
    if isinstance(plan, str | Path):
        return load_plan(plan)
    if not isinstance(plan, Mapping):
        raise UserError(f"{plan!r} is no plan", mend="Give a file, a ready plan's name, or a mapping of a plan's keys.")
    listed = _listed(plan.get("model"))
    keys = dict(plan) if listed is None else {**plan, "model": listed.name}
    loaded = read_plan(extend(Document({"name": "plan", **keys}, {}, Path("plan")), READY))
    return loaded if listed is None else LoadedPlan(loaded.plan, loaded.document, listed)


def _listed(model: Any) -> Model | None:
    """A model that is no name and no file. Raises UserError."""
    from ondevice_sora.api.models import ModelDescription
    from ondevice_sora.profiles.models.catalogue import checked_model

    if isinstance(model, ModelDescription):
        return model.model
    if isinstance(model, Model):
        return model
    if not isinstance(model, Mapping) or "config" in model:
        return None
    named = {"name": "model", "source": "given in Python", **msgspec.to_builtins(model)}
    return checked_model(Document(named, {}, Path("model")))


def ready_plans() -> list[str]:
    """Names of the ready plans."""
    from ondevice_sora.plans import plan_file

    return list(plan_file.ready_plans())


def size_of(size: Size) -> int:
    """Bytes. Raises UserError for text that is no size."""
    try:
        found = int(size) if isinstance(size, (int, float)) else int(parse_bytes(size))
    except (ValueError, OverflowError) as error:
        raise UserError(str(error)) from None
    if found <= 0:
        raise UserError(f"{size!r} is not a size above zero")
    return found


def shape_of(video: str | tuple[int, int, int]) -> Shape:
    """Width, height and frames. Raises UserError."""
    from argparse import ArgumentTypeError

    from ondevice_sora.commands.common import shape_argument

    try:
        return shape_argument(video if isinstance(video, str) else "x".join(map(str, video)))
    except ArgumentTypeError as error:
        raise UserError(str(error), "video") from None


def place_of(device: str | Path | DeviceProfile) -> str | Place:
    """The device, as settings take it. Raises UserError for what is none, and for several."""
    from ondevice_sora.api.catalogue import DeviceProfile

    if isinstance(device, DeviceProfile):
        return device.profile, device.device
    if not isinstance(device, str | Path):
        mend = "Name one, such as 'iphone15pro'; `ondevice_sora.ladder` takes several."
        raise UserError(f"{device!r} is no device", mend=mend)
    return str(device)


def conditions_of(memory_limit: Size | None, entitlement: bool, os: str | float | None, thermal: bool) -> Conditions:
    """Raises UserError."""
    from ondevice_sora.simulator.conditions import Conditions

    limit = None if memory_limit is None else size_of(memory_limit)
    return Conditions(limit, entitlement, None if os is None else str(os), thermal)


def call_of(function: str, *shown: object, **named: object) -> str:
    """The call, in one line, as reports say what they come from; what has its default is left out."""
    from ondevice_sora.base.text import in_one_line

    given = [repr(each) for each in shown]
    given += [f"{key}={value!r}" for key, value in named.items() if value not in (None, False, 1)]
    return in_one_line(f"ondevice_sora.{function}({', '.join(given)})")


def name_of(plan: PlanLike) -> str:
    """What a call says of a plan: its name or file."""
    return str(plan) if isinstance(plan, str | Path) else loaded_plan(plan).plan.name


def save_plan(loaded: LoadedPlan, path: Path) -> Path:
    """Write a plan as YAML, and a model that is no file beside it. Raises UserError."""
    from ondevice_sora.base.files.writing import write_yaml
    from ondevice_sora.plans.schema import plan_data

    data = plan_data(loaded.moved_to(path.parent))
    if loaded.listed is not None:
        beside = path.with_name(f"{path.stem}.model.yaml")
        write_yaml(beside, msgspec.to_builtins(loaded.listed))
        data["model"] = beside.name
    write_yaml(path, data)
    return path
