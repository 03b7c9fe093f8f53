"""JSON that programs write: read strictly, because anybody may have altered it since."""

import json
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.json_files import parse_json, read_json, read_record, read_rows
from ondevice_sora.base.files.limits import MAX_DEPTH


class Row(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    size: Annotated[int, msgspec.Meta(ge=0)] = 0


def complaint(text: str) -> str:
    with pytest.raises(UserError) as caught:
        parse_json(text, "a.json")
    return str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(VALUES)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert parse_json(json.dumps(value), "a.json") == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a.json: not valid JSON: Expecting value"),
        ("{\n]", "a.json:2: not valid JSON: Expecting property name enclosed in double quotes"),
        ('{"a": 1} {"b": 2}', "a.json: not valid JSON: Extra data"),
        ('{"a": NaN}', "a.json: NaN is not a number\nLeave the key out where nothing is known."),
        ('{"a": [-Infinity]}', "a.json: -Infinity is not a number"),
        ('{"a": 1e400}', "a.json: 1e400 is not a finite number"),
        ('{"a": ' + "9" * 41 + "}", f"a.json: {'9' * 41} is too long for a number"),
        ('{"a": ' + "9" * 5000 + "}", f"a.json: {'9' * 59}… is too long for a number"),
        ('{"a": 1, "b": 2, "a": 3}', "a.json: the key 'a' stands twice\nKeep one of the two."),
        ('{"a": "\\ud800"}', "a.json: not valid JSON: half a character, \\ud800 to \\udfff alone"),
        ("[" * 100_000, f"a.json: nested deeper than {MAX_DEPTH} levels"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"a.json: nested deeper than {MAX_DEPTH} levels"),
    ],
)
def test_what_is_no_honest_json_is_refused(text: str, expected: str) -> None:
    assert complaint(text).startswith(expected)


def test_depth_is_counted_by_levels_not_by_number() -> None:
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_json(deepest, "a.json")
    assert len(parse_json("[" + ", ".join(["[[1]]"] * 100) + "]", "a.json")) == 100


def test_a_record_is_of_its_schema_or_the_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    path.write_text('{"name": "a", "size": 3}')
    assert read_record(path, Row) == Row("a", 3)
    path.write_text('{"name": "a", "size": -3}')
    with pytest.raises(UserError) as caught:
        read_record(path, Row, mend="Write it again.")
    assert str(caught.value) == f"{path}: size: expected a whole number >= 0, found -3\nWrite it again."


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_a_record_has_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "row.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"row\.json: expected keys with values, found .*\nWrite it again\."):
        read_json(path, mend="Write it again.")


def test_the_format_of_a_file_is_looked_at_first(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    for text, what in (("{}", "not a row: no 'format': 'row-1'"), ('{"format": "row-2"}', "format 'row-2' is not ")):
        path.write_text(text)
        with pytest.raises(UserError, match=what):
            read_json(path).check_format("a row", "row-1")


def test_rows_are_read_line_by_line_and_a_torn_one_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'["a"]\n["b"]\n["to')
    assert [(document.data, end) for document, end in read_rows(path, max_bytes=100)] == [(["a"], 6), (["b"], 12)]


def test_a_mistake_in_a_row_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"name": "a"}\n{"name": 3}\n{\xff}\n')
    rows = read_rows(path, max_bytes=100)
    assert next(rows)[0].convert(Row) == Row("a")
    with pytest.raises(UserError, match=r"rows\.jsonl:2: name: expected text, found 3"):
        next(rows)[0].convert(Row)
    with pytest.raises(UserError, match=r"rows\.jsonl:3: not UTF-8 text \(byte 1\)"):
        next(rows)
