"""A journal is what a sweep goes on from, and is believed no more than any other file."""

import json
import os

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.simulator.sweep.journal import Journal

KEY = "0123456789abcdef01234567"
ROW = {"model": "a", "device": "b", "technique": "c", "verdict": "fits", "reason": None, "total_s": 1.5, "frames": 17}


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "table.csv")


def test_rows_come_back_as_they_were_added(journal):
    journal.add(KEY, ROW)
    journal.add(KEY[::-1], ROW | {"total_s": 2})
    assert journal.read() == {KEY: ROW, KEY[::-1]: ROW | {"total_s": 2}}


def test_a_torn_line_is_cut_off(journal):
    journal.add(KEY, ROW)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + b'["torn')
    assert journal.read() == {KEY: ROW}
    assert journal.path.read_bytes() == whole


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("null", "expected a list, found nothing"),
        ("[]", "list of at least length 2"),
        (json.dumps([KEY, None]), r"\[1\]: expected keys with values, found nothing"),
        (json.dumps([KEY, ROW, 3]), "list of at most length 2"),
        (json.dumps(["key", ROW]), r"\[0\]: expected 24 hexadecimal digits, found 'key'"),
        (json.dumps([KEY, {}]), r"\[1\]: the column 'model' is missing"),
        (json.dumps([KEY, ROW | {"verdict": "lovely"}]), r"\[1\].verdict: 'lovely' is none of fits, killed, refused"),
        (json.dumps([KEY, ROW | {"total_s": "long"}]), r"\[1\].total_s: 'long' does not belong in this column"),
        (json.dumps([KEY, ROW | {"frames": 1.5}]), r"\[1\].frames: 1.5 does not belong in this column"),
        (json.dumps([KEY, ROW | {"total_s": 1e300}]), r"\[1\].total_s: expected a number <= 1e\+18"),
        (json.dumps([KEY, ROW | {"total_s": [1]}]), r"\[1\].total_s: expected"),
        ("[" * 1000 + "]" * 1000, "nested deeper"),
        ("{", "not valid JSON"),
    ],
)
def test_a_line_that_is_no_row_is_refused_by_its_number(journal, line, complaint):
    journal.add(KEY, ROW)
    with journal.path.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(UserError, match=rf"rows.jsonl:2.*{complaint}"):
        journal.read()


def test_a_link_or_a_pipe_in_its_place_is_neither_read_nor_written(journal, tmp_path):
    (tmp_path / "elsewhere").write_text("as it was")
    journal.path.symlink_to("elsewhere")
    for use in (journal.read, lambda: journal.add(KEY, ROW)):
        with pytest.raises(UserError, match=r"this is a link, not a file|Too many levels of symbolic links"):
            use()
    journal.path.unlink()
    os.mkfifo(journal.path)
    for use in (journal.read, lambda: journal.add(KEY, ROW)):
        with pytest.raises(UserError, match=r"this is a pipe, not a file|No such device or address"):
            use()
    assert (tmp_path / "elsewhere").read_text() == "as it was"
