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
    ({"flag": 1}, "flag: expected bool, found int 1"),
    ({"maybe_flag": "on"}, "maybe_flag: expected bool | null, found str 'on'"),
    ({"count": "many"}, "count: expected int, found str 'many'"),
    ({"count": True}, "count: expected int, found bool True"),
    ({"count": 1.5}, "count: expected int, found float 1.5"),
    ({"count": None}, "count: expected int, found nothing"),
    ({"maybe_count": "3"}, "maybe_count: expected int | null, found str '3'"),
    ({"number": "much"}, "number: expected float, found str 'much'"),
    ({"maybe_number": []}, "maybe_number: expected float | null, found list []"),
    ({"text": 5}, "text: expected str, found int 5"),
    ({"maybe_text": {}}, "maybe_text: expected str | null, found dict {}"),
    ({"choice": 5}, "choice: expected str, found int 5"),
    ({"inner": [3]}, "inner: expected object | null, found list [3]"),
    ({"names": "x"}, "names: expected array, found str 'x'"),
    ({"names": ["x", 2]}, "names[1]: expected str, found int 2"),
    ({"maybe_names": 2}, "maybe_names: expected array | null, found int 2"),
    ({"table": ["x"]}, "table: expected object, found list ['x']"),
    ({"table": {"a": "b"}}, "table.a: expected float, found str 'b'"),
    ({"maybe_table": 7}, "maybe_table: expected object | null, found int 7"),
    ({"count_or_choice": 1.5}, "count_or_choice: expected int | str, found float 1.5"),
    ({"count_choice_or_names": 1.5}, "count_choice_or_names: expected int | str | array, found float 1.5"),
    ({"choice_inner_or_names": 1}, "choice_inner_or_names: expected str | object | array, found int 1"),
    ({"choice_or_inner": 1}, "choice_or_inner: expected str | object, found int 1"),
    ({"choice_or_inner": {}}, "choice_or_inner: the key 'steps' is missing\nAdd 'steps:'."),
    ({"text_or_table": 1}, "text_or_table: expected str | object, found int 1"),
    ({"text_or_inner": 1}, "text_or_inner: expected str | object, found int 1"),
    # out of range
    ({"small": 0}, "small: expected int >= 1, found int 0"),
    ({"small": 10}, "small: expected int <= 9, found int 10"),
    ({"share": -0.5}, "share: expected float >= 0.0, found float -0.5"),
    ({"share": 2}, "share: expected float <= 1.0, found int 2"),
    ({"positive": 0}, "positive: expected float > 0.0, found int 0"),
    ({"index": 9}, "index: expected int <= 8, found int 9"),
    ({"name": ""}, "name: expected str of length >= 1, found str ''"),
    ({"name": "long"}, "name: expected str of length <= 3, found str 'long'"),
    ({"version": "v1"}, "version: expected str matching regex '^[0-9]$', found str 'v1'"),
    ({"line": "a\nb"}, "line: expected one line without control characters, found str 'a\\nb'"),
    ({"names": []}, "names: expected array of length >= 1, found list []"),
    ({"names": ["a", "b", "c"]}, "names: expected array of length <= 2, found list ['a', 'b', 'c']"),
    ({"table": {}}, "table: expected object of length >= 1, found dict {}"),
    (
        {"table": {"a": 1, "b": 2, "c": 3}},
        "table: expected object of length <= 2, found dict {'a': 1, 'b': 2, 'c': 3}",
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
    ({"by_number": {"one": 1}}, "by_number.one: as a key, expected int, found str 'one'"),
    ({"by_number": {"10": 1}}, "by_number.10: as a key, expected int <= 9, found str '10'"),
    ({"by_number": {"1": 1, "2": 3}}, "by_number.2: expected float <= 1.0, found int 3"),
    ({"by_choice": {"c": {"steps": 1}}}, "by_choice.c: 'c' is not one of the choices\nChoose from: a, b."),
    ({"by_choice": {"a": {"steps": 1}, "b": {"steps": "x"}}}, "by_choice.b.steps: expected int, found str 'x'"),
    # keys of ours
    ({"nedded": "x"}, "nedded: this key is not known\nDid you mean 'needed'? Known: "),
    ({"inner": {"step": 3}}, "inner.step: this key is not known\nDid you mean 'steps'? Known: steps."),
    ({"inner": {}}, "inner: the key 'steps' is missing\nAdd 'steps:'."),
    ({"inners": [{"steps": 1}, {}]}, "inners[1]: the key 'steps' is missing\nAdd 'steps:'."),
    # of several kinds, told apart by a key
    ({"tagged": 1}, "tagged: expected object, found int 1"),
    ({"tagged": {}}, "tagged: the key 'mode' is missing\nAdd 'mode:'."),
    ({"tagged": {"mode": "fly"}}, "tagged.mode: 'fly' is not one of the choices\nChoose from: walk, leap, merge, end."),
    ({"tagged": {"mode": 3}}, "tagged.mode: expected str, found int 3"),
    ({"tagged": {"mode": "leap"}}, "tagged: the key 'step' is missing\nAdd 'step:'."),
    ({"tagged": {"mode": "leap", "step": "x"}}, "tagged.step: expected int, found str 'x'"),
    (
        {"tagged": {"mode": "fly"}},
        "tagged.mode: 'fly' is not one of the choices\nChoose from: walk, leap, merge, end.",
    ),
    # of fixed length
    ({"listed": 1}, "listed: expected array, found int 1"),
    ({"row": ["1", "x"]}, "row[0]: expected int, found str '1'"),
    ({"row": [1]}, "row: expected array of at least length 2, found list [1]"),
    ({"place": 1}, "place: expected object | null, found int 1"),
    ({"place": {}}, "place: the key 'steps' is missing\nAdd 'steps:'."),
    ({"pair": [1]}, "pair: expected array of length 2, found list [1]"),
    ({"two": [1, 2]}, "two[1]: expected str, found int 2"),
    ({"cell": []}, "cell: expected int | float | str | null, found list []"),
    ({"two": [1]}, "two: expected array of length 2, found list [1]"),
    # types of our own
    ({"size": 5}, "size: 5 is not a size. Write '1 GB'."),
]  # fmt: skip


@pytest.mark.parametrize(("data", "said"), SENTENCES, ids=[said.partition("\n")[0][:50] for _, said in SENTENCES])
def test_what_msgspec_refuses_is_said_in_our_words(data: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        Document(data, {}, Path("world.yaml")).convert(World)
    assert str(caught.value).startswith(f"world.yaml: {said}")


def test_a_file_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(UserError, match=r"^world\.yaml: expected object, found list \['a'\]$"):
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
