"""The keys of a file as a table in Markdown, made from the type that reads them: default, values, meaning.

python -m scripts.docs.tables Memory        one of the types that a plan or a model file consists of
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from msgspec import inspect

from ondevice_sora.base.files.keys import kinds_in, meanings
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.model import Model

KINDS = {kind.__name__: kind for kind in (*kinds_in(Plan), *kinds_in(Model))}
BEYOND = 1e9
"""A range that ends here or later only keeps nonsense out: it is not told."""
IN_WORDS = {
    inspect.BoolType: "`true` or `false`",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.StrType: "text",
}


def table(kind: type[msgspec.Struct]) -> str:
    """One row a key, in the order of the fields."""
    told = meanings(kind)
    rows = [
        f"| `{field.encode_name}` | {_default(field)} | {values(inspect.type_info(field.type))} |"
        f" {told[field.encode_name].replace('|', chr(92) + '|')} |"
        for field in msgspec.structs.fields(kind)
    ]
    return "\n".join(["| key | default | values | |", "|---|---|---|---|", *rows])


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None or value == {}:
        return "none"
    if isinstance(value, msgspec.Struct):
        return "see below"
    if isinstance(value, tuple):
        return f"`[{', '.join(f'{chr(34)}{each}{chr(34)}' for each in value)}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def values(info: inspect.Type) -> str:
    """What may stand there, in words."""
    if isinstance(info, inspect.Metadata):
        return values(info.type)
    if isinstance(info, inspect.CustomType):
        assert info.cls is ByteCount
        return "a size, such as `3.0 GB` or `512 MiB`"
    if isinstance(info, inspect.UnionType):
        kinds = [each for each in info.types if not isinstance(each, inspect.NoneType)]
        return " or ".join(dict.fromkeys(values(each) for each in kinds))
    if isinstance(info, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in info.values)
    if isinstance(info, inspect.VarTupleType):
        return f"a list of {_several(info.item_type)}"
    if isinstance(info, inspect.DictType):
        return f"keys with {_several(info.value_type)}"
    if isinstance(info, inspect.StructType):
        return _keys(info.cls)
    if isinstance(info, (inspect.IntType, inspect.FloatType)):
        return _range(info) or IN_WORDS[type(info)]
    return IN_WORDS[type(info)]


def _keys(kind: type[msgspec.Struct]) -> str:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    return f"`{{{', '.join(names)}}}`" if len(names) <= 3 else "keys, see below"


def _several(info: inspect.Type) -> str:
    inner = info.type if isinstance(info, inspect.Metadata) else info
    if isinstance(inner, (inspect.IntType, inspect.FloatType)):
        return f"numbers, {values(inner)}"
    text = values(inner)
    return {"text": "texts", "keys, see below": "entries, see below"}.get(text, text)


def _range(info: Any) -> str:
    low = info.ge if info.ge is not None else info.gt
    high = info.le if info.le is not None else info.lt and info.lt - 1
    if low is None or high is None or high >= BEYOND:
        return ""
    above = "above " if info.gt is not None else ""
    return f"{above}{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:g}"


if __name__ == "__main__":
    print(table(KINDS[sys.argv[1]]))
