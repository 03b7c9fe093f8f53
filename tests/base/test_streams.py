"""Output is safe for terminals, in whatever encoding, and one message says that it cannot be written."""

import io
import json
import os
import subprocess
import sys

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.streams import as_is, safe_streams

SHOWS = "from ondevice_sora.base.streams import safe_streams\nimport sys\nwith safe_streams():\n    {}\n"


def encoded(text: str, encoding: str) -> bytes:
    """What `text` comes to on an output of this encoding."""
    stream, before = io.TextIOWrapper(io.BytesIO(), encoding=encoding), sys.stdout
    sys.stdout = stream
    try:
        with safe_streams():
            print(text, end="")
    finally:
        sys.stdout = before
    stream.flush()
    return stream.buffer.getvalue()


def test_what_is_printed_is_made_printable(capsys: pytest.CaptureFixture[str]) -> None:
    with safe_streams():
        print("\x1b[31mred")
        print("\x9bred", file=sys.stderr)
        as_is(sys.stdout).write("\x1b[0m")
    assert capsys.readouterr() == ("\\u001b[31mred\n\x1b[0m", "\\u009bred\n")


SHOWN = "FITS \N{MIDDLE DOT} 2\N{MULTIPLICATION SIGN}, 3 \N{PLUS-MINUS SIGN}1 \N{HORIZONTAL ELLIPSIS}, Zürich 🎬"


@pytest.mark.parametrize(
    ("encoding", "plain"),
    [
        ("ascii", r"FITS - 2x, 3 +-1 ..., Z\u00fcrich \ud83c\udfac"),
        ("latin-1", SHOWN.replace("\N{HORIZONTAL ELLIPSIS}", "...").replace("🎬", r"\ud83c\udfac")),
        ("cp1252", SHOWN.replace("🎬", r"\ud83c\udfac")),
        ("utf-8", SHOWN),
    ],
)
def test_characters_that_the_encoding_lacks_come_as_plain_ones(encoding: str, plain: str) -> None:
    assert encoded(SHOWN, encoding) == plain.encode(encoding)


def test_the_dots_of_steps_stay_one_character_each() -> None:
    assert encoded("\N{BLACK CIRCLE}\N{BLACK CIRCLE}\N{MIDDLE DOT}", "ascii") == b"oo-"


def test_json_stays_json_in_any_encoding() -> None:
    text = "Zürich 日本 🎬 \x9b"
    assert json.loads(encoded(json.dumps(text, ensure_ascii=False), "ascii").decode()) == text


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_output_is_a_mistake_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(sys, "stderr", Full())
    with safe_streams():
        with pytest.raises(UserError, match="standard output: cannot be written: No space left on device"):
            print("x")
        print("nobody can be told", file=sys.stderr)


def test_a_closed_output_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with safe_streams(), pytest.raises(UserError, match="standard output: cannot be written: it is closed"):
        print("x", file=sys.stdout)


def test_the_streams_are_what_they_were_afterwards() -> None:
    before = sys.stdout, sys.stderr
    with pytest.raises(KeyError), safe_streams():
        raise KeyError
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.skipif(os.name != "posix", reason="descriptors of another kind")
def test_no_file_takes_a_closed_output_s_place() -> None:
    script = SHOWS.format("print(open('/dev/null').fileno(), file=sys.stderr)")
    ended = subprocess.run(["sh", "-c", '"$0" -c "$1" >&- <&-', sys.executable, script], capture_output=True, text=True)
    assert int(ended.stderr) > 2, ended.stderr
