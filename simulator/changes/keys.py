"""The difference between two plans in the words of a plan file, to be pasted into it."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from ondevice_sora.base.units import format_bytes, parse_bytes
from ondevice_sora.plans.schema import ComponentPlan, Lpl, Memory, Plan, Sampler, Tdtm, plan_data

DEFAULTS: dict[str, dict[str, Any]] = {
    key: msgspec.to_builtins(part)
    for key, part in {"sampler": Sampler(), "lpl": Lpl(), "tdtm": Tdtm(), "memory": Memory()}.items()
}
COMPONENT: dict[str, Any] = msgspec.to_builtins(ComponentPlan())


def keys_between(old: Plan, new: Plan) -> list[str]:
    """The keys that make one plan the other, each on a line: 'memory: {budget: 1.84 GB}'. Its name is left out."""
    changed = _difference(_whole(old), _whole(new))
    changed.pop("name", None)
    return [f"{key}: {_flow(value, key)}" for key, value in changed.items()]


def _whole(plan: Plan) -> dict[str, Any]:
    """The plan's data with what equals the defaults; of a component without an entry the defaults are meant."""
    data = plan_data(plan)
    filled = {key: {**defaults, **data.get(key, {})} for key, defaults in DEFAULTS.items()}
    return {**data, **filled}


def _difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in new.items():
        before = old.get(key)
        if value == before:
            continue
        if isinstance(value, dict):
            missing = COMPONENT if value.keys() == COMPONENT.keys() else {}
            found[key] = _difference(before if isinstance(before, dict) else missing, value)
        else:
            found[key] = value
    return found


def _flow(value: Any, key: str = "") -> str:
    """YAML on one line; sizes as people write them, where that loses nothing."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(each, str(name))}" for name, each in value.items()) + "}"
    if key == "budget" and value is not None and parse_bytes(format_bytes(value)) == value:
        return format_bytes(value)
    return str(yaml.safe_dump(value, default_flow_style=True, width=2000)).removesuffix("\n").removesuffix("\n...")
