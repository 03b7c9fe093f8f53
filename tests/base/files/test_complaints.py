"""Values that do not fit a schema: named with their line, what was expected, and the nearest thing that would do."""

import time
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.reading import parse_yaml
from ondevice_sora.base.text import Line
from ondevice_sora.profiles.figures import ByteCount

FILE = Path("plan.yaml")


class Sampler(msgspec.Struct, forbid_unknown_fields=True):
    steps: Annotated[int, msgspec.Meta(ge=1)]
    kind: Literal["euler", "heun"] = "euler"


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    sampler: Sampler | None = None
    budget: ByteCount | None = None
    blocks: list[Sampler] = []
    costs: dict[str, Sampler] = {}
    labels: dict[Annotated[str, msgspec.Meta(pattern="^[A-Z]+$")], int] = {}


def complaint(text: str, kind: type = Plan) -> str:
    """What a user is told about this text, once it is read as a plan."""
    with pytest.raises(UserError) as caught:
        parse_yaml(text, FILE).convert(kind)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sampler: {steps: 3}", "plan.yaml:1: the key 'name' is missing\nAdd 'name:'."),
        ("name: x\nsampler:\n  kind: heun\n", "plan.yaml:2: sampler: the key 'steps' is missing\nAdd 'steps:'."),
        ("name: 5", "plan.yaml:1: name: expected text, found 5"),
        ("name:\n", "plan.yaml:1: name: expected text, found nothing"),
        ("name: x\nsampler:\n  steps: many\n", "plan.yaml:3: sampler.steps: expected a whole number, found 'many'"),
        ("name: x\nsampler:\n  steps: '3'\n", "plan.yaml:3: sampler.steps: expected a whole number, found '3'"),
        ("name: x\nsampler:\n  steps: true\n", "plan.yaml:3: sampler.steps: expected a whole number, found true"),
        ("name: x\nsampler:\n  steps: 2.5\n", "plan.yaml:3: sampler.steps: expected a whole number, found 2.5"),
        ("name: x\nsampler:\n  steps: 0\n", "plan.yaml:3: sampler.steps: expected a whole number >= 1, found 0"),
        ("name: x\nsampler: [1]\n", "plan.yaml:2: sampler: expected keys with values or nothing, found a list [1]"),
        ("name: x\nblocks: {steps: 1}\n", "plan.yaml:2: blocks: expected a list, found keys {'steps': 1}"),
        (
            "name: x\nblocks:\n- steps: 1\n- steps: -1\n",
            "plan.yaml:4: blocks[1].steps: expected a whole number >= 1, found",
        ),
        ("name: x\nblocks:\n  - steps: 1\n  - kind: heun\n", "plan.yaml:4: blocks[1]: the key 'steps' is missing"),
        ("name: x\nbudget: much\n", "plan.yaml:2: budget: 'much' is not a size. Write a number of bytes, or a size"),
        ("name: x\nbudget: [1]\n", "plan.yaml:2: budget: [1] is not a size. Write '3.3 GB' or a number of bytes."),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_line_and_what_was_expected(text: str, expected: str) -> None:
    assert complaint(text).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: x\nsamplr: {}\n", "plan.yaml:2: samplr: this key is not known\nDid you mean 'sampler'? Known: name, "),
        ("name: x\nsampler:\n  steps: 3\n  knid: a\n", "plan.yaml:4: sampler.knid: this key is not known\nDid you"),
        ("name: x\nblocks:\n- steps: 1\n- stesp: 1\n", "plan.yaml:4: blocks[1].stesp: this key is not known\nDid you"),
        ("name: x\ncosts:\n  a:\n    step: 1\n", "plan.yaml:4: costs.a.step: this key is not known\nDid you"),
        ("name: x\nwalrus: 1\n", "plan.yaml:2: walrus: this key is not known\nKnown: name, sampler, budget, "),
        ("name: x\n<<: {sampler: {steps: 1}}\n", "plan.yaml:2: <<: this key is not known\nKnown: "),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(text: str, expected: str) -> None:
    assert complaint(text).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: x\nsampler: {steps: 1, kind: eular}\n", "plan.yaml:2: sampler.kind: 'eular' "),
        ("name: x\nblocks:\n- steps: 1\n  kind: rk4\n", "plan.yaml:4: blocks[0].kind: 'rk4' "),
        ("name: x\ncosts:\n  a.b: {steps: 1, kind: rk4}\n", "plan.yaml:3: costs.a.b.kind: 'rk4' "),
    ],
)
def test_a_wrong_choice_lists_the_choices(text: str, expected: str) -> None:
    message = complaint(text)
    assert message.startswith(expected)
    assert "is not one of the choices\n" in message
    assert message.endswith("Choose from: euler, heun.")


def test_a_long_value_is_shortened_in_the_complaint() -> None:
    message = complaint(f"name: x\nsampler: {{steps: {'many' * 100}}}\n")
    assert message.startswith("plan.yaml:2: sampler.steps: expected a whole number, found 'manymany")
    assert len(message) < 130


# Keys of a mapping, which msgspec's messages leave out


@pytest.mark.parametrize("key", ["b", "decoder.spatial", "192x192", "x[0]", "a b", "[...]", "."])
def test_a_mistake_in_a_mapping_names_the_key_it_stands_under(key: str) -> None:
    text = f"name: x\ncosts:\n  a: {{steps: 1}}\n  '{key}': {{steps: none}}\n  z: {{steps: 1}}\n"
    assert complaint(text) == f"plan.yaml:4: costs.{key}.steps: expected a whole number, found 'none'"


def test_of_two_keys_where_one_begins_like_the_other_the_right_one_is_named() -> None:
    text = "name: x\ncosts:\n  a: {steps: 1}\n  a.steps: {steps: 2}\n  a.b: {steps: 1, kind: 7}\n"
    assert complaint(text) == "plan.yaml:5: costs.a.b.kind: expected text, found 7"


def test_a_second_mistake_further_down_does_not_lead_to_another_key() -> None:
    text = "name: x\ncosts:\n  a: {steps: 1}\n  b: {steps: none}\nlabels:\n  bad: 2\n"
    assert complaint(text) == "plan.yaml:4: costs.b.steps: expected a whole number, found 'none'"


def test_a_mapping_in_a_mapping_names_both_keys() -> None:
    text = "p:\n  a: {x: 1}\n  b: {x: 1, y: [0, no]}\n"
    kind = msgspec.defstruct("Table", [("p", dict[str, dict[str, int | list[int]]])])
    assert complaint(text, kind) == "plan.yaml:3: p.b.y[1]: expected a whole number, found 'no'"


def test_a_key_that_does_not_fit_is_named_on_its_line() -> None:
    """The pattern keeps its capitals: it is to be read as it stands in the schema."""
    message = complaint("name: x\nlabels:\n  GOOD: 1\n  bad: 2\n")
    assert message == "plan.yaml:4: labels.bad: as a key, expected text matching regex '^[A-Z]+$', found 'bad'"


def test_what_a_pattern_means_is_said_in_the_schema_s_words() -> None:
    class Named(msgspec.Struct):
        label: Line
        by_label: dict[Line, int] = {}

    class Row(msgspec.Struct, array_like=True):
        number: int
        label: Line

    table = msgspec.defstruct("Table", [("rows", list[Row])])
    expected = "expected one line without control characters, found"
    assert complaint('label: "a\\eb"\n', Named) == f"plan.yaml:1: label: {expected} 'a\\x1bb'"
    assert complaint('label: a\nby_label:\n  "a\\n": 1\n', Named).endswith(f"as a key, {expected} 'a\\n'")
    assert complaint('rows:\n- [1, "\\u202e"]\n', table) == f"plan.yaml:2: rows[0][1]: {expected} '\\u202e'"


@pytest.mark.parametrize("key", ["x[...]y", "` - at `$", "key` in `$.labels[...]", "a - at `key` in `$`"])
def test_a_key_that_reads_like_part_of_a_complaint_confuses_nobody(key: str) -> None:
    """The place may be the mapping's; there is one message, and no other error."""
    for text in (f"name: x\nlabels:\n  '{key}': 1\n", f"name: x\nlabels:\n  A: '{key}'\n", f"name: x\n'{key}': 1\n"):
        assert complaint(text).startswith("plan.yaml:")
    assert complaint(f"name: x\nsampler: {{steps: 1, kind: '{key}'}}\n").startswith("plan.yaml:2: ")


def test_finding_the_key_in_a_long_mapping_takes_no_quadratic_time() -> None:
    entries = "".join(f"  k{i}: {{steps: 1}}\n" for i in range(6000))
    before = time.process_time()
    assert complaint(f"name: x\ncosts:\n{entries}  z: {{steps: 0}}\n").startswith("plan.yaml:6003: costs.z.steps: ")
    assert time.process_time() - before < 3


# Where a value stands


def test_a_pointer_without_a_line_of_its_own_takes_its_parents() -> None:
    document = parse_yaml("a:\n  b:\n    - c: 1\n    - c: 2\n", FILE)
    assert document.where("$.a.b[1].c") == "plan.yaml:4: a.b[1].c"
    assert document.where("$.a.b[1].c.d.e") == "plan.yaml:4: a.b[1].c.d.e"
    assert document.where("$.a.b[7]") == "plan.yaml:2: a.b[7]"
    assert document.where("$.z") == "plan.yaml:1: z"
    assert document.where() == "plan.yaml:1"


def test_a_document_made_in_memory_is_named_without_a_line() -> None:
    assert Document({"a": 1}, {}, FILE).where("$.a") == "plan.yaml: a"


def test_an_error_has_place_complaint_and_mend() -> None:
    error = parse_yaml("a: 1\nb: 2\n", FILE).error("$.b", "two is too many", "Take one.")
    assert (error.where, error.what, error.mend) == ("plan.yaml:2: b", "two is too many", "Take one.")
