"""Say in our words what msgspec refused, and find where in the data it lies.

msgspec tells by English sentences only. This module is the one place that knows them; tests hold every sentence that
our schemas can come to, so that a release that words one otherwise fails here and nowhere else.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec

from ondevice_sora.base.errors import nearest

SYNONYMS = {
    "fp16": "float16", "half": "float16", "f16": "float16", "fp32": "float32", "full": "float32", "f32": "float32",
    "ane": "cpu_and_ne", "ne": "cpu_and_ne", "neural_engine": "cpu_and_ne", "npu": "cpu_and_ne",
    "gpu": "cpu_and_gpu", "cpu": "cpu_only",
}  # fmt: skip
"""What others call our choices."""


class Complaint(NamedTuple):
    """Where a value is not as it should be (a pointer such as '$.sampler.steps'), what it is, how to mend it."""

    pointer: str
    what: str
    mend: str | None = None


def decode(kind: type, value: Any) -> Any:
    """msgspec's hook for types of our own: each has a `parse` that raises ValueError with the way to write it."""
    return kind.parse(value)  # type: ignore[attr-defined]


def complaint_of(data: Any, kind: type, message: str) -> Complaint:
    """What msgspec's `message` says about `data`, which is not a `kind`."""
    what, of_key, pointer = _parts(message)
    pointer = _name_keys(data, pointer + "[...]" * of_key, message, kind)
    unknown = re.match(r"Object contains unknown field `(.*)`", what, re.DOTALL)
    if unknown:
        known = _fields(kind, steps_of(data, pointer))
        mend = nearest(unknown[1], known) if known else None
        return Complaint(f"{pointer}.{unknown[1]}", "this key is not known", mend)
    missing = re.match(r"Object missing required field `(.*)`", what)
    if missing:
        return Complaint(pointer, f"the key '{missing[1]}' is missing", f"Add '{missing[1]}:'.")
    found = steps_of(data, pointer)[-1] if of_key else value_at(data, pointer)
    if what.startswith(("Invalid enum value", "Invalid value")):
        steps = steps_of(data, pointer)
        choices = list(map(str, _choices(kind, steps, of_key)))
        others = "" if of_key else _others(kind, steps)
        mend = f"{_meant(str(found), choices)}Choose from: {', '.join(choices)}{others}."
        return Complaint(pointer, f"{shorten(found)} is not one of the choices", mend)
    if not what.startswith("Expected"):
        return Complaint(pointer, what)
    expected = what.partition(", got")[0].replace("`", "").removeprefix("Expected ")
    described = _description(kind, steps_of(data, pointer), of_key) if "matching regex" in what else None
    mend = None
    if not of_key and expected.startswith(("int", "float")):
        mend = _as_number(found)
    elif not of_key and "object" in expected and pointer != "$":
        mend = _as_keys(kind, steps_of(data, pointer))
    told = f"expected {described or _in_words(expected)}, found {shown(found)}"
    return Complaint(pointer, f"{'as a key, ' if of_key else ''}{told}", mend)


WORDS = {
    "int": "a whole number", "float": "a number", "str": "text", "object": "keys with values", "array": "a list",
    "bool": "true or false", "null": "nothing",
}  # fmt: skip
"""For msgspec's names of kinds."""


def _in_words(expected: str) -> str:
    """'a whole number or text' for 'int | str'."""
    kinds = re.sub(rf"\b({'|'.join(WORDS)})\b", lambda name: WORDS[name[1]], expected)
    return kinds.replace(" | ", " or ")


def shown(found: Any) -> str:
    """A value as YAML has it, with its kind where that is not plain to see."""
    if found is None or isinstance(found, bool):
        return "nothing" if found is None else str(found).lower()
    kind = "a list " if isinstance(found, list) else "keys " if isinstance(found, dict) else ""
    return f"{kind}{shorten(found)}"


def _as_keys(kind: type, steps: list[str | int]) -> str | None:
    """What may stand there where keys may: their names, and the words that do as well."""
    keys, choices = _fields(kind, steps), list(map(str, _choices(kind, steps, False)))
    if not keys:
        return None
    return f"Write {', '.join(choices) + '; or ' if choices else ''}keys: {', '.join(keys)}."


def _meant(text: str, choices: list[str]) -> str:
    """'Did you mean 'float16'? ' for fp16, if that is among the choices, or for what is written nearly so."""
    close = [SYNONYMS[text.lower()]] if text.lower() in SYNONYMS else get_close_matches(text.lower(), choices, n=1)
    return f"Did you mean '{close[0]}'? " if close and close[0] in choices else ""


def _others(kind: type, steps: list[str | int]) -> str:
    """What may stand there besides the choices: '; or a number, or a list'."""
    from msgspec import inspect

    words: dict[Any, str] = {
        inspect.IntType: "a number",
        inspect.FloatType: "a number",
        inspect.ListType: "a list",
        inspect.VarTupleType: "a list",
        inspect.StructType: "keys with values",
    }
    found = [words[type(info)] for info in _type_at(kind, steps) if type(info) in words]
    return "; or ".join(["", *dict.fromkeys(found)])


def _as_number(found: Any) -> str | None:
    """How a number is written that stands there as text: in quotes, or with a letter for its thousands."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?)\s*([kKMGBT]?)\s*", found) if isinstance(found, str) else None
    if match is None:
        return None
    factor = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}[match[2].lower()]
    number = float(match[1]) * factor
    return f"Write {number:.0f}." if factor > 1 else f"Write {match[1]}, without quotes."


def _parts(message: str) -> tuple[str, bool, str]:
    """What msgspec complains of, whether of a mapping's key instead of its value, and where."""
    found = re.fullmatch(r"(.*) - at `(key` in `)?(\$.*)`", message, re.DOTALL)
    return (found[1], bool(found[2]), found[3]) if found else (message, False, "$")


def _name_keys(data: Any, pointer: str, message: str, kind: type) -> str:
    """msgspec writes [...] for a mapping's key; find which key it was by trying them one at a time."""
    named = ""
    while "[...]" in pointer:
        parent, _, pointer = pointer.partition("[...]")
        named += parent
        steps, mapping = steps_of(data, named), value_at(data, named)
        if not isinstance(mapping, dict) or not mapping:  # a key that has [...] in it
            return f"{named}[...]{pointer}"
        for key in mapping:
            try:
                one_key = _with(data, steps, {key: mapping[key]})
                msgspec.convert(one_key, kind, strict=True, str_keys=True, dec_hook=decode)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    break
        named += f".{key}"
    return named + pointer


def steps_of(data: Any, pointer: str) -> list[str | int]:
    """The keys and indices of '$.a.b[0]'. Follows the data, because a key may itself contain a dot or a bracket."""
    steps: list[str | int] = []
    rest = pointer.removeprefix("$")
    while rest:
        if index := re.match(r"\[(\d+)\]", rest):
            step: str | int = int(index[1])
            rest = rest[index.end() :]
        else:
            known = data if isinstance(data, dict) else ()
            fits = [key for key in known if rest.startswith(key, 1) and rest[1 + len(key) :][:1] in ("", ".", "[")]
            step = max(fits, key=len) if fits else re.split(r"[.\[]", rest[1:], maxsplit=1)[0]
            rest = rest[1 + len(step) :]
        steps.append(step)
        data = _child(data, step)
    return steps


def _child(data: Any, step: str | int) -> Any:
    try:
        return data[step]
    except (KeyError, IndexError, TypeError):
        return None


def value_at(data: Any, pointer: str) -> Any:
    for step in steps_of(data, pointer):
        data = _child(data, step)
    return data


def _with(data: Any, steps: list[str | int], value: Any) -> Any:
    """A copy of `data` in which the mapping at `steps` is `value`; only what lies on the way is copied."""
    if not steps:
        return value
    changed: Any = dict(data) if isinstance(data, dict) else list(data)
    changed[steps[0]] = _with(data[steps[0]], steps[1:], value)
    return changed


def _type_at(kind: type, steps: list[str | int]) -> list[Any]:
    """The msgspec types that may stand at `steps` in `kind`, unions opened."""
    from msgspec import inspect

    found = _opened(inspect.type_info(kind))
    for name in steps:
        found = [leaf for info in found for inner in _inside(info, name) for leaf in _opened(inner)]
    return found


def _opened(info: Any) -> list[Any]:
    """A type, or those that it is a union of."""
    from msgspec import inspect

    if isinstance(info, inspect.UnionType):
        return [leaf for option in info.types for leaf in _opened(option)]
    if isinstance(info, inspect.Metadata) and not isinstance(info.type, inspect.StrType):
        return _opened(info.type)
    return [info]


def _inside(info: Any, name: str | int) -> list[Any]:
    """The types of what a value of this type may have under a key, or at a place."""
    from msgspec import inspect

    match info:
        case inspect.StructType(array_like=True) if isinstance(name, int):
            return [field.type for field in info.fields[name : name + 1]]
        case inspect.StructType() | inspect.DataclassType():
            return [field.type for field in info.fields if field.encode_name == name]
        case inspect.DictType():
            return [info.value_type]
        case inspect.ListType() | inspect.VarTupleType():
            return [info.item_type]
        case inspect.TupleType() if isinstance(name, int):
            return list(info.item_types[name : name + 1])
    return []


def _fields(kind: type, steps: list[str | int]) -> list[str]:
    found = [field.encode_name for info in _type_at(kind, steps) for field in getattr(info, "fields", ())]
    return list(dict.fromkeys(found))


def _choices(kind: type, steps: list[str | int], of_key: bool) -> list[Any]:
    """The values that may stand at `steps`, or, of a key, the keys; where kinds are told apart, what tells them."""
    if found := [value for info in _at(kind, steps, of_key) for value in getattr(info, "values", ())]:
        return found
    return [info.tag for info in _type_at(kind, steps[:-1]) if getattr(info, "tag_field", None) == steps[-1]]


def _at(kind: type, steps: list[str | int], of_key: bool) -> list[Any]:
    """The msgspec types of the values that may stand at `steps`, or of a key that may."""
    found = _type_at(kind, steps[:-1] if of_key else steps)
    return [info.key_type for info in found if hasattr(info, "key_type")] if of_key else found


def _description(kind: type, steps: list[str | int], of_key: bool) -> str | None:
    """What the schema calls the text that may stand at `steps`, if it has words for it."""
    told = [(getattr(info, "extra_json_schema", None) or {}).get("description") for info in _at(kind, steps, of_key)]
    return next((text for text in told if text), None)


def shorten(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
