"""Text from any file is shown, and never obeyed."""

import json
import re

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ondevice_sora.base.text import Line, Title, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Zürich, 日本, 🎬", "plain, Zürich, 日本, 🎬"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", r"\u001b[31mred\u001b[0m"),
        ("over\rwritten\x07\x00", r"over\u000dwritten\u0007\u0000"),
        ("\x7f\x9b31m", r"\u007f\u009b31m"),
        ("line\u2028paragraph\u2029", r"line\u2028paragraph\u2029"),
        ("\u202eteg\u202c \u2066x\u2069", r"\u202eteg\u202c \u2066x\u2069"),
        ("\udcff\ufffe", r"\udcff\ufffe"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_inside_quotes_json_and_yaml_mean_the_same_as_before(text: str) -> None:
    text = text.replace("\n", "").replace("\t", "")
    for quoted in (json.dumps(text), json.dumps(text, ensure_ascii=False), msgspec.json.encode(text).decode()):
        assert json.loads(printable(quoted)) == text
    if "\ufeff" not in text:
        assert yaml.safe_load(printable(yaml.safe_dump([text], allow_unicode=True, default_style='"'))) == [text]


@pytest.mark.parametrize("bad", ["\x1b", "\n", "\r", "\x00", "\x85", "\x9b", "\u2028", "\u202e"])
@pytest.mark.parametrize("place", ["a{}b", "{}a", "a{}"])
def test_a_line_has_none_of_it_not_even_at_its_end(bad: str, place: str) -> None:
    for kind in (Line, Title):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(place.format(bad), kind)
        assert msgspec.convert(place.format("é"), kind)


def test_the_patterns_are_valid_for_editors_too() -> None:
    """JSON Schema has JavaScript's regular expressions, which know no \\Z; nothing of Python's own stands in them."""
    pattern = msgspec.json.schema(Title)["pattern"]
    assert not re.search(r"\\[AZz]|\(\?[P<]", pattern)
