"""YAML that people write: what is read, and that every mistake in it is named with file, line and mend."""

import json
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.limits import MAX_BYTES, MAX_DEPTH
from ondevice_sora.base.files.reading import parse_yaml, read_extended, read_yaml

FILE = Path("plan.yaml")


class Sampler(msgspec.Struct):
    steps: int


class Plan(msgspec.Struct):
    name: str
    sampler: Sampler


def data(text: str) -> Any:
    return parse_yaml(text, FILE).data


def complaint(text: str) -> str:
    """What a user is told about this text."""
    with pytest.raises(UserError) as caught:
        parse_yaml(text, FILE)
    return str(caught.value)


def write(folder: Path, **files: str) -> Path:
    """Write NAME.yaml for each argument; returns the path of the first."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / f"{next(iter(files))}.yaml"


# Scalars


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("1_000", 1000),
        ("012", 12),
        ("1e9", 1e9),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("off", "off"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("0x1F", "0x1F"),
        ("3.3 GB", "3.3 GB"),
        ('"5"', "5"),
        ("'null'", "null"),
        ("日本", "日本"),
    ],
)
def test_a_scalar_is_what_it_looks_like(text: str, value: object) -> None:
    """No dates, no sexagesimal numbers, no `off` that turns into false."""
    found = data(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_json_is_read_too() -> None:
    assert data('{"a": [1, 2.5, {"b": null}]}') == {"a": [1, 2.5, {"b": None}]}


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    assert data("\ufeffname: x") == {"name": "x"}


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.inf", "1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_refused(text: str) -> None:
    assert complaint(f"name: x\na: {text}") == (
        f"plan.yaml:2: {text} is not a finite number\nLeave the key out where nothing is known."
    )


def test_an_endless_integer_is_refused() -> None:
    assert re.match(
        r"plan\.yaml:1: '9+…? is too long for a number|plan\.yaml:1: '9+' is too", complaint("a: " + "9" * 41)
    )
    assert data("a: " + "9" * 39) == {"a": int("9" * 39)}


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=10),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.[]0 ", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_json_writes_is_read_back(value: Any) -> None:
    assert data(json.dumps({"a": value})) == {"a": value}


# Text that is no document


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "plan.yaml:1: expected keys with values, but the file is empty"),
        ("# only a comment\n", "plan.yaml:1: expected keys with values, but the file is empty"),
        ("- 1\n- 2\n", "plan.yaml:1: expected keys with values, but the file is a list"),
        ("hello", "plan.yaml:1: expected keys with values, but the file is only 'hello'"),
        ("a: 1\nb: [1, 2\n", "plan.yaml:3: not valid YAML: while parsing a flow sequence, did not find expected ','"),
        ("a: 1\nb: c: d\n", "plan.yaml:2: not valid YAML: mapping values are not allowed in this context"),
        ("a: 1\n\tb: 2\n", "plan.yaml:2: not valid YAML: a tab, where only blanks may set a line in\nWrite blanks."),
        ('a: "open\n', "plan.yaml:2: not valid YAML: while scanning a quoted scalar, found unexpected end of stream"),
        ("a: 1\n---\nb: 2\n", "plan.yaml:2: not valid YAML: expected a single document in the stream, but found"),
        ("a: \x07", "plan.yaml: not valid YAML: control characters are not allowed"),
        ("a: 1\nb: 2\na: 3\n", "plan.yaml:3: the key 'a' stands twice\nKeep one of the two."),
        ("s:\n  1: a\n  '1': b\n", "plan.yaml:3: the key '1' stands twice"),
        ("a: 1\n? [b, c]\n: 2\n", "plan.yaml:2: a key must be a word"),
        ("a: &x 1\nb: *x\n", "plan.yaml:2: YAML aliases (*x) are not read\nWrite the value out."),
        ("a: 1\nb: !!int five\n", "plan.yaml:2: YAML tags (tag:yaml.org,2002:int) are not read\nWrite plain values."),
        ("a: !!python/object/apply:os.system [ls]", "plan.yaml:1: YAML tags (tag:yaml.org,2002:python/object/"),
        ("a: !!set {b, c}", "plan.yaml:1: YAML tags (tag:yaml.org,2002:set) are not read"),
        ("a: !secret x", "plan.yaml:1: YAML tags (!secret) are not read"),
    ],
)
def test_text_that_cannot_be_read_is_refused_with_its_line(text: str, expected: str) -> None:
    assert complaint(text).startswith(expected)


def test_a_yaml_bomb_is_refused_before_it_grows() -> None:
    """Nine levels of nine aliases: a gigabyte if it were expanded."""
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    assert complaint("a0: &a0 lol\n" + "\n".join(levels)).startswith("plan.yaml:2: YAML aliases (*a0) are not read")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_bottomless_nesting_is_refused_at_once(opening: str) -> None:
    before = time.process_time()
    text = "a:\n  " + opening * (MAX_BYTES // 2 // len(opening))
    assert complaint(text) == f"plan.yaml:2: nested deeper than {MAX_DEPTH} levels"
    assert time.process_time() - before < 2


def test_nesting_is_counted_by_depth_not_by_number() -> None:
    siblings = ", ".join(["[[1]]"] * MAX_DEPTH)
    assert len(data(f"a: [{siblings}]")["a"]) == MAX_DEPTH
    deepest = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert data(f"a: {deepest}")["a"] is not None
    assert complaint(f"a: [{deepest}]").endswith(f"nested deeper than {MAX_DEPTH} levels")


# Files


def test_a_file_that_is_missing_is_named_with_the_nearest_beside_it(tmp_path: Path) -> None:
    write(tmp_path, plan="a: 1", other="a: 1")
    with pytest.raises(
        UserError, match=r"pln\.yaml: no such file\nDid you mean 'plan\.yaml'\? Known: other\.yaml, plan\.yaml\."
    ):
        read_yaml(tmp_path / "pln.yaml")  # fmt: skip


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"plan\.yaml: no such file\nThere is no folder '.*/nowhere'\."):
        read_yaml(tmp_path / "nowhere" / "plan.yaml")


def test_a_file_of_10_mb_is_refused_unread(tmp_path: Path) -> None:
    path = write(tmp_path, plan="a: " + "x" * 10_000_000)
    with pytest.raises(UserError, match=rf"plan\.yaml: the file is too large; at most {MAX_BYTES} bytes are read"):
        read_yaml(path)


# extends


def test_without_extends_a_file_stands_for_itself(tmp_path: Path) -> None:
    assert read_extended(write(tmp_path, plan="a: 1\n")).data == {"a": 1}


def test_mappings_merge_and_everything_else_is_replaced(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        near="extends: base.yaml\nsampler: {steps: 30}\nlist: [9]\nplain: {deep: 1}\nnothing:\nnew: 5\n",
        base="name: base\nsampler: {steps: 50, kind: heun}\nlist: [1, 2, 3]\nplain: 7\nnothing: {a: 1}\n",
    )
    assert read_extended(path).data == {
        "name": "base",
        "sampler": {"steps": 30, "kind": "heun"},
        "list": [9],
        "plain": {"deep": 1},
        "nothing": None,
        "new": 5,
    }


def test_each_value_keeps_the_line_of_the_file_it_came_from(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        near="extends: base.yaml\n\n\nsampler:\n  kind: heun\nlist:\n  - {a: 1}\n",
        base="name: base\nsampler:\n  steps: 50\n  kind: euler\nlist:\n- 1\n- {a: 1, b: 2}\n",
    )
    document = read_extended(path)
    near, base = tmp_path / "near.yaml", tmp_path / "base.yaml"
    assert document.where("$.name") == f"{base}:1: name"
    assert document.where("$.sampler") == f"{near}:4: sampler"
    assert document.where("$.sampler.steps") == f"{base}:3: sampler.steps"
    assert document.where("$.sampler.kind") == f"{near}:5: sampler.kind"
    assert document.where("$.list[0].a") == f"{near}:7: list[0].a"
    assert document.where("$.list[1]") == f"{near}:6: list[1]", "the base's second item is gone, and its line with it"


def test_a_mistake_in_the_base_is_reported_in_the_base(tmp_path: Path) -> None:
    path = write(tmp_path, near="extends: base.yaml\nname: x\n", base="# a comment\nsampler: {steps: many}\n")
    with pytest.raises(UserError, match=r"base\.yaml:2: sampler\.steps: expected a whole number, found 'many'"):
        read_extended(path).convert(Plan)


def test_a_mistake_that_overrides_the_base_is_reported_in_the_nearer_file(tmp_path: Path) -> None:
    path = write(tmp_path, near="extends: base.yaml\nsampler: {steps: many}\n", base="name: x\nsampler: {steps: 3}\n")
    with pytest.raises(UserError, match=r"near\.yaml:2: sampler\.steps: expected a whole number, found 'many'"):
        read_extended(path).convert(Plan)


def test_a_chain_of_files_lets_the_nearest_win(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", middle="extends: ../far.yaml\nb: middle\nc: middle\n")
    path = write(tmp_path, near="extends: sub/middle.yaml\nc: near\n", far="a: far\nb: far\nc: far\n")
    assert read_extended(path).data == {"a": "far", "b": "middle", "c": "near"}


@pytest.mark.parametrize(
    ("files", "line", "chain"),
    [
        ({"a": "extends: a.yaml"}, "a.yaml:1", "a.yaml -> a.yaml"),
        ({"a": "extends: b.yaml", "b": "x: 1\nextends: a.yaml"}, "b.yaml:2", "a.yaml -> b.yaml -> a.yaml"),
        (
            {"a": "extends: b.yaml", "b": "extends: c.yaml", "c": "extends: b.yaml"},
            "c.yaml:1",
            "a.yaml -> b.yaml -> c.yaml -> b.yaml",
        ),
    ],
)
def test_files_that_extend_each_other_in_a_circle_are_refused_where_it_closes(
    tmp_path: Path, files: dict[str, str], line: str, chain: str
) -> None:
    with pytest.raises(UserError) as caught:
        read_extended(write(tmp_path, **files))
    assert str(caught.value) == (
        f"{tmp_path}/{line}: extends: the files extend each other in a circle: {chain}\nRemove one 'extends'."
    )


def test_a_circle_through_a_link_is_still_a_circle(tmp_path: Path) -> None:
    path = write(tmp_path, a="extends: alias.yaml")
    (tmp_path / "alias.yaml").symlink_to(path)
    with pytest.raises(UserError, match="in a circle"):
        read_extended(path)


def test_a_missing_base_is_named_with_the_nearest_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path, near="name: x\nextends: bsae.yaml\n", base="a: 1")
    with pytest.raises(
        UserError, match=r"near\.yaml:2: extends: no such file: 'bsae\.yaml'\nDid you mean 'base\.yaml'\?"
    ):
        read_extended(path)


def test_a_base_may_be_the_name_of_a_file_in_the_library(tmp_path: Path) -> None:
    """A file beside this one goes before the library's; a library's file may extend another by name."""
    (tmp_path / "library").mkdir()
    write(tmp_path / "library", ready="extends: basic\na: ready\n", basic="a: basic\nb: basic\n")
    path = write(tmp_path, near="extends: ready\nc: near\n")
    assert read_extended(path, tmp_path / "library").data == {"a": "ready", "b": "basic", "c": "near"}
    with pytest.raises(UserError, match="no such file: 'ready'"):
        read_extended(path)
    (tmp_path / "ready").write_text("a: mine\n")
    assert read_extended(path, tmp_path / "library").data == {"a": "mine", "c": "near"}


@pytest.mark.parametrize("base", ['""', ".", "nowhere/x.yaml", '"a\\0b"', "x" * 300, "../" * 2000 + "x", "loop.yaml"])
def test_a_base_that_cannot_be_a_file_is_refused(tmp_path: Path, base: str) -> None:
    """A folder, a NUL, a name too long for the system, a link to itself."""
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    path = write(tmp_path, near=f"extends: {base}\n")
    for library in (None, tmp_path):
        with pytest.raises(UserError, match=r"near\.yaml:1: extends: no such file: '"):
            read_extended(path, library)


@pytest.mark.parametrize(("base", "shown"), [("5", "5"), ("[a.yaml]", r"\['a\.yaml'\]"), ("true", "True")])
def test_extends_names_one_file(tmp_path: Path, base: str, shown: str) -> None:
    with pytest.raises(
        UserError, match=rf"near\.yaml:1: extends: {shown} is not a file name\nName one file to start from\."
    ):
        read_extended(write(tmp_path, near=f"extends: {base}\n"))


def test_merging_long_files_takes_no_quadratic_time(tmp_path: Path) -> None:
    """3000 keys over 3000: about 2 s if every key searches every line, 0.1 s otherwise."""
    keys = "".join(f"k{i}: {i}\n" for i in range(3000))
    path = write(tmp_path, near="extends: base.yaml\n" + keys, base=keys)
    before = time.process_time()
    assert len(read_extended(path).data) == 3000
    assert time.process_time() - before < 1.2
