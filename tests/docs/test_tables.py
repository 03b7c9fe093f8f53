"""The tables of keys are the types that read the files: each key with its default, its values and what it means."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest

from ondevice_sora.base.files.keys import kinds_in, meanings, means
from ondevice_sora.plans.schema import Plan, json_schema
from scripts.docs.tables import KINDS, table


class Inner(msgspec.Struct):
    size: Annotated[int, msgspec.Meta(ge=1, le=8), means("Of it.")]


class Toy(msgspec.Struct):
    name: Annotated[str, means("By which it goes.")]
    count: Annotated[Annotated[int, msgspec.Meta(ge=0, le=9)] | None, means("How many.")] = None
    share: Annotated[float, msgspec.Meta(gt=0, le=1), means("Of all.")] = 0.5
    kind: Annotated[Literal["a", "b"] | Inner, means("Which | other.")] = "a"
    parts: Annotated[tuple[Inner, ...], means("Its parts.")] = ()
    is_open: Annotated[bool, means("Whether.")] = False


def test_a_table_has_a_row_for_each_key():
    assert table(Toy).splitlines() == [
        "| key | default | values | |",
        "|---|---|---|---|",
        "| `name` | required | text | By which it goes. |",
        "| `count` | none | 0 to 9 | How many. |",
        "| `share` | `0.5` | above 0 to 1 | Of all. |",
        "| `kind` | `a` | `a`, `b` or `{size}` | Which \\| other. |",
        "| `parts` | `[]` | a list of `{size}` | Its parts. |",
        "| `is_open` | `false` | `true` or `false` | Whether. |",
    ]


def test_a_kind_consists_of_others_at_any_depth():
    assert kinds_in(Toy) == [Toy, Inner]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_key_of_plans_and_models_says_what_it_means(kind):
    assert [field.encode_name for field in msgspec.structs.fields(kind)] == list(meanings(kind))


def test_editors_are_told_the_same():
    """The JSON Schema describes every key of a plan."""
    definitions = json_schema()["$defs"]
    for kind in kinds_in(Plan):
        properties = definitions[kind.__name__]["properties"]
        assert {key: properties[key]["description"] for key in meanings(kind)} == meanings(kind)
