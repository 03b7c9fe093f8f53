"""Reading a network's configuration from a JSON mapping, strictly."""

from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from ondevice_sora.base.errors import UserError

Config = TypeVar("Config")


def config_from_mapping(
    config_class: type[Config], mapping: Mapping[str, Any], where: str, ignored: Collection[str] = ()
) -> Config:
    """An instance of the frozen dataclass `config_class`; JSON lists become tuples.

    `ignored` names keys of the published files that do not change what the network computes. Raises UserError, naming
    the key, for one that is unknown, lacking or of another type than the field's default.
    """
    known = {field.name: field for field in fields(config_class)}  # type: ignore[arg-type]  # always a dataclass here
    unknown = sorted(set(mapping) - set(known) - set(ignored))
    if unknown:
        raise UserError(
            f"{', '.join(unknown)}: no such setting of {config_class.__name__}",
            where,
            f"The settings are {', '.join(known)}.",
        )
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name not in mapping:
            if field.default is MISSING:
                raise UserError(f"{name} is lacking", where, f"Add it; {config_class.__name__} has no default for it.")
            continue
        value = tuple(mapping[name]) if isinstance(mapping[name], list) else mapping[name]
        if field.default is not MISSING and not _same_kind(value, field.default):
            raise UserError(
                f"{name}: {value!r} is not of the kind expected", where, f"Write it like {field.default!r}."
            )
        values[name] = value
    return config_class(**values)


def _same_kind(value: object, default: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple) and isinstance(value, tuple):
        return all(_same_kind(item, default[0]) for item in value)
    return isinstance(value, type(default))
