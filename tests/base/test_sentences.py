"""Every sentence with which msgspec refuses a file, and what we say instead.

msgspec says what is wrong in English only, and complaints.py takes its sentences apart: a release that words one
otherwise fails here. `World` has a key for each kind of value that the schemas have; a new kind fails the last test.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import pytest
from msgspec import Meta, inspect

import ondevice_sora
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.text import Line


class Size(int):
    """A type of our own, which says itself what it takes."""

    @classmethod
    def parse(cls, value: Any) -> Size:
        if value != "1 GB":
            raise ValueError(f"{value!r} is not a size. Write '1 GB'.")
        return cls(10**9)


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    steps: int


class Walking(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="walk"):
    """Nothing but its tag."""


class Leaping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="leap"):
    step: int


class Merging(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="merge"):
    step: int


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="end"):
    step: int


class Row(msgspec.Struct, frozen=True, array_like=True):
    steps: int
    name: str


@dataclass(frozen=True)
class Place:
    steps: int


class Pair(NamedTuple):
    first: int
    second: int


Name = Annotated[str, Meta(min_length=1, max_length=3)]
Version = Annotated[str, Meta(pattern="^[0-9]$")]
Small = Annotated[int, Meta(ge=1, le=9)]
Share = Annotated[float, Meta(ge=0, le=1)]


class World(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    needed: str = ""
    anything: Any = None
    flag: bool = False
    maybe_flag: bool | None = None
    count: int = 0
    small: Small = 1
    maybe_count: int | None = None
    number: float = 0.0
    share: Share = 0.0
    positive: Annotated[float, Meta(gt=0)] = 1.0
    index: Annotated[int, Meta(lt=9)] = 1
    maybe_number: float | None = None
    text: str = ""
    name: Name = "x"
    version: Version = "1"
    line: Line = "x"
    maybe_text: str | None = None
    choice: Literal["a", "b"] = "a"
    maybe_choice: Literal["a", "b"] | None = None
    size: Size | None = None
    inner: Inner | None = None
    names: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=2)] = ("x",)
    maybe_names: tuple[str, ...] | None = None
    inners: tuple[Inner, ...] = ()
    table: Annotated[dict[str, float], Meta(min_length=1, max_length=2)] = msgspec.field(
        default_factory=lambda: {"x": 1.0}
    )
    maybe_table: dict[str, Any] | None = None
    by_number: dict[Small, Share] = msgspec.field(default_factory=dict)
    by_choice: dict[Literal["a", "b"], Inner] = msgspec.field(default_factory=dict)
    count_or_choice: int | Literal["all"] = 0
    count_choice_or_names: int | Literal["all"] | tuple[str, ...] = 0
    choice_or_inner: Literal["a", "b"] | Inner = "a"
    choice_inner_or_names: Literal["all"] | Inner | tuple[str, ...] = "all"
    text_or_table: str | dict[str, Any] = ""
    text_or_inner: str | Inner = ""
    # only in what our own programs write
    tagged: Walking | Leaping | Merging | Ending = Walking()
    listed: list[int] = []
    row: Row | None = None
    place: Place | None = None
    pair: Pair = Pair(1, 2)
    two: tuple[int, str] = (1, "x")
    cell: str | int | float | None = None


SENTENCES = [
    # of the wrong kind
    ({"flag": 1}, "flag: expected true or false, found 1"),
    ({"maybe_flag": "on"}, "maybe_flag: expected true or false or nothing, found 'on'"),
    ({"count": "many"}, "count: expected a whole number, found 'many'"),
    ({"count": True}, "count: expected a whole number, found true"),
    ({"count": 1.5}, "count: expected a whole number, found 1.5"),
    ({"count": None}, "count: expected a whole number, found nothing"),
    ({"maybe_count": "3"}, "maybe_count: expected a whole number or nothing, found '3'"),
    ({"number": "much"}, "number: expected a number, found 'much'"),
    ({"maybe_number": []}, "maybe_number: expected a number or nothing, found a list []"),
    ({"text": 5}, "text: expected text, found 5"),
    ({"maybe_text": {}}, "maybe_text: expected text or nothing, found keys {}"),
    ({"choice": 5}, "choice: expected text, found 5"),
    ({"inner": [3]}, "inner: expected keys with values or nothing, found a list [3]"),
    ({"names": "x"}, "names: expected a list, found 'x'"),
    ({"names": ["x", 2]}, "names[1]: expected text, found 2"),
    ({"maybe_names": 2}, "maybe_names: expected a list or nothing, found 2"),
    ({"table": ["x"]}, "table: expected keys with values, found a list ['x']"),
    ({"table": {"a": "b"}}, "table.a: expected a number, found 'b'"),
    ({"maybe_table": 7}, "maybe_table: expected keys with values or nothing, found 7"),
    ({"count_or_choice": 1.5}, "count_or_choice: expected a whole number or text, found 1.5"),
    ({"count_choice_or_names": 1.5}, "count_choice_or_names: expected a whole number or text or a list, found 1.5"),
    ({"choice_inner_or_names": 1}, "choice_inner_or_names: expected text or keys with values or a list, found 1"),
    ({"choice_or_inner": 1}, "choice_or_inner: expected text or keys with values, found 1"),
    ({"choice_or_inner": {}}, "choice_or_inner: the key 'steps' is missing\nAdd 'steps:'."),
    ({"text_or_table": 1}, "text_or_table: expected text or keys with values, found 1"),
    ({"text_or_inner": 1}, "text_or_inner: expected text or keys with values, found 1"),
    # out of range
    ({"small": 0}, "small: expected a whole number >= 1, found 0"),
    ({"small": 10}, "small: expected a whole number <= 9, found 10"),
    ({"share": -0.5}, "share: expected a number >= 0.0, found -0.5"),
    ({"share": 2}, "share: expected a number <= 1.0, found 2"),
    ({"positive": 0}, "positive: expected a number > 0.0, found 0"),
    ({"index": 9}, "index: expected a whole number <= 8, found 9"),
    ({"name": ""}, "name: expected text of length >= 1, found ''"),
    ({"name": "long"}, "name: expected text of length <= 3, found 'long'"),
    ({"version": "v1"}, "version: expected text matching regex '^[0-9]$', found 'v1'"),
    ({"line": "a\nb"}, "line: expected one line without control characters, found 'a\\nb'"),
    ({"names": []}, "names: expected a list of length >= 1, found a list []"),
    ({"names": ["a", "b", "c"]}, "names: expected a list of length <= 2, found a list ['a', 'b', 'c']"),
    ({"table": {}}, "table: expected keys with values of length >= 1, found keys {}"),
    (
        {"table": {"a": 1, "b": 2, "c": 3}},
        "table: expected keys with values of length <= 2, found keys {'a': 1, 'b': 2, 'c': 3}",
    ),
    # not a choice
    ({"choice": "c"}, "choice: 'c' is not one of the choices\nChoose from: a, b."),
    ({"maybe_choice": "c"}, "maybe_choice: 'c' is not one of the choices\nChoose from: a, b."),
    ({"count_or_choice": "some"}, "count_or_choice: 'some' is not one of the choices\nChoose from: all; or a number."),
    (
        {"choice_or_inner": "c"},
        "choice_or_inner: 'c' is not one of the choices\nChoose from: a, b; or keys with values.",
    ),
    # keys of a mapping
    ({"by_number": {"one": 1}}, "by_number.one: as a key, expected a whole number, found 'one'"),
    ({"by_number": {"10": 1}}, "by_number.10: as a key, expected a whole number <= 9, found '10'"),
    ({"by_number": {"1": 1, "2": 3}}, "by_number.2: expected a number <= 1.0, found 3"),
    ({"by_choice": {"c": {"steps": 1}}}, "by_choice.c: 'c' is not one of the choices\nChoose from: a, b."),
    ({"by_choice": {"a": {"steps": 1}, "b": {"steps": "x"}}}, "by_choice.b.steps: expected a whole number, found 'x'"),
    # keys of ours
    ({"nedded": "x"}, "nedded: this key is not known\nDid you mean 'needed'? Known: "),
    ({"inner": {"step": 3}}, "inner.step: this key is not known\nDid you mean 'steps'? Known: steps."),
    ({"inner": {}}, "inner: the key 'steps' is missing\nAdd 'steps:'."),
    ({"inners": [{"steps": 1}, {}]}, "inners[1]: the key 'steps' is missing\nAdd 'steps:'."),
    # of several kinds, told apart by a key
    ({"tagged": 1}, "tagged: expected keys with values, found 1"),
    ({"tagged": {}}, "tagged: the key 'mode' is missing\nAdd 'mode:'."),
    ({"tagged": {"mode": "fly"}}, "tagged.mode: 'fly' is not one of the choices\nChoose from: walk, leap, merge, end."),
    ({"tagged": {"mode": 3}}, "tagged.mode: expected text, found 3"),
    ({"tagged": {"mode": "leap"}}, "tagged: the key 'step' is missing\nAdd 'step:'."),
    ({"tagged": {"mode": "leap", "step": "x"}}, "tagged.step: expected a whole number, found 'x'"),
    (
        {"tagged": {"mode": "fly"}},
        "tagged.mode: 'fly' is not one of the choices\nChoose from: walk, leap, merge, end.",
    ),
    # of fixed length
    ({"listed": 1}, "listed: expected a list, found 1"),
    ({"row": ["1", "x"]}, "row[0]: expected a whole number, found '1'"),
    ({"row": [1]}, "row: expected a list of at least length 2, found a list [1]"),
    ({"place": 1}, "place: expected keys with values or nothing, found 1"),
    ({"place": {}}, "place: the key 'steps' is missing\nAdd 'steps:'."),
    ({"pair": [1]}, "pair: expected a list of length 2, found a list [1]"),
    ({"two": [1, 2]}, "two[1]: expected text, found 2"),
    ({"cell": []}, "cell: expected a whole number or a number or text or nothing, found a list []"),
    ({"two": [1]}, "two: expected a list of length 2, found a list [1]"),
    # types of our own
    ({"size": 5}, "size: 5 is not a size. Write '1 GB'."),
]  # fmt: skip


@pytest.mark.parametrize(("data", "said"), SENTENCES, ids=[said.partition("\n")[0][:50] for _, said in SENTENCES])
def test_what_msgspec_refuses_is_said_in_our_words(data: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        Document(data, {}, Path("world.yaml")).convert(World)
    assert str(caught.value).startswith(f"world.yaml: {said}")


def test_a_file_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(UserError, match=r"^world\.yaml: expected keys with values, found a list \['a'\]$"):
        Document(["a"], {}, Path("world.yaml")).convert(World)


def test_a_number_beyond_all_floats_is_refused_where_it_stands() -> None:
    """In words that msgspec has changed between releases."""
    with pytest.raises(UserError, match=r"^world\.yaml: share: "):
        Document({"share": 10**400}, {}, Path("world.yaml")).convert(World)


# Kinds of values


def plain(info: inspect.Type) -> inspect.Type:
    return info.type if isinstance(info, inspect.Metadata) else info


def kinds_in(info: inspect.Type, inside: frozenset[type] = frozenset()) -> Iterator[str]:
    """The kinds of values in a type, such as 'Int ge', 'Literal | None', 'Dict of Int'."""
    if isinstance(info, inspect.Metadata):  # a description, for what a pattern means
        yield from ("Str described",) if isinstance(info.type, inspect.StrType) else ()
        yield from kinds_in(info.type, inside)
        return
    name = type(info).__name__.removesuffix("Type")
    limits = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")
    yield name
    yield from (f"{name} {limit}" for limit in limits if getattr(info, limit, None) is not None)
    inner: list[inspect.Type] = []
    if isinstance(info, inspect.StructType):
        yield from ("Struct with a tag",) if info.tag is not None else ()
        yield from ("Struct as an array",) if info.array_like else ()
        inner = [] if info.cls in inside else [field.type for field in info.fields]
        inside |= {info.cls}
    elif isinstance(info, inspect.UnionType):
        yield " | ".join(sorted(type(plain(option)).__name__.removesuffix("Type") for option in info.types))
        inner = list(info.types)
    elif isinstance(info, inspect.DictType):
        yield f"Dict of {type(plain(info.key_type)).__name__.removesuffix('Type')}"
        inner = [info.key_type, info.value_type]
    elif isinstance(info, (inspect.ListType, inspect.VarTupleType)):
        inner = [info.item_type]
    elif isinstance(info, inspect.TupleType):
        inner = list(info.item_types)
    for each in inner:
        yield from kinds_in(each, inside)


def schemas() -> set[type[msgspec.Struct]]:
    """The structs that files are read as: those that refuse unknown keys."""
    packages = ("plans", "profiles", "records", "simulator")
    for package in packages:
        folder = Path(ondevice_sora.__file__).parent / package
        for module in pkgutil.walk_packages([str(folder)], f"ondevice_sora.{package}."):
            import_module(module.name)

    def below(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
        for found in kind.__subclasses__():
            yield found
            yield from below(found)

    prefixes = tuple(f"ondevice_sora.{package}." for package in packages)
    ours = {kind for kind in below(msgspec.Struct) if kind.__module__.startswith(prefixes)}
    return {kind for kind in ours if kind.__struct_config__.forbid_unknown_fields}


def test_the_schemas_have_no_kind_of_value_whose_refusal_is_not_tested_above() -> None:
    known = set(kinds_in(inspect.type_info(World)))
    found = {kind.__name__: set(kinds_in(inspect.type_info(kind))) - known for kind in schemas()}
    assert {name: kinds for name, kinds in found.items() if kinds} == {}
    assert len(found) > 30
