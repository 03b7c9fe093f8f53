"""What the keys of our files mean, said once, at the fields that hold them: for schemas and for the reference pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_type_hints

import msgspec


def means(text: str) -> msgspec.Meta:
    """To annotate a field with: one or more sentences in Markdown. Messages about values do not use them."""
    return msgspec.Meta(extra={"means": text})


def meanings(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Key -> what it means, for the fields of a struct that say so."""
    hints = get_type_hints(kind, include_extras=True)
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    found = {}
    for field, hint in hints.items():
        for each in getattr(hint, "__metadata__", ()):
            if field in names and isinstance(each, msgspec.Meta) and "means" in (each.extra or {}):
                found[names[field]] = (each.extra or {})["means"]
    return found


def kinds_in(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """The struct and all that it consists of, each once, outermost first."""
    found: dict[type[msgspec.Struct], None] = {}

    def walk(kind: type[msgspec.Struct]) -> None:
        if kind not in found:
            found[kind] = None
            for field in msgspec.structs.fields(kind):
                for inner in _structs(msgspec.inspect.type_info(field.type)):
                    walk(inner)

    walk(kind)
    return list(found)


def _structs(info: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(info, msgspec.inspect.StructType):
        yield info.cls
    for name in ("type", "item_type", "value_type"):
        if isinstance(getattr(info, name, None), msgspec.inspect.Type):
            yield from _structs(getattr(info, name))
    for name in ("types", "item_types"):
        for option in getattr(info, name, ()):
            yield from _structs(option)
