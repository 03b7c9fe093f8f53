"""Files are written whole or not at all, and never anywhere else than asked."""

import itertools
import math
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.base.files.writing import write_json, write_text, write_yaml, written_together


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that must hold no half-written file when the test is over, and nothing outside it be touched."""
    outside = tmp_path / "outside"
    outside.write_text("as it was")
    (tmp_path / "folder").mkdir()
    yield tmp_path / "folder"
    assert [path.name for path in tmp_path.rglob("*") if path.name.startswith(".")] == []
    assert outside.read_text() == "as it was"


def test_what_is_written_is_read_back(folder: Path) -> None:
    write_text(folder / "a.txt", "Zürich\nline 2\n")
    assert (folder / "a.txt").read_bytes() == "Zürich\nline 2\n".encode()
    write_json(folder / "a.json", {"a": [1, 2.5], "b": None, "c": "🎬 Zürich"})
    assert read_yaml(folder / "a.json").data == {"a": [1, 2.5], "b": None, "c": "🎬 Zürich"}
    write_yaml(folder / "a.yaml", {"b": "off", "a": [1, "1", 1e9, None], "c": "Zürich"}, comment="first\n\nsecond")
    assert (folder / "a.yaml").read_text().startswith("# first\n#\n# second\nb: ")
    assert read_yaml(folder / "a.yaml").data == {"b": "off", "a": [1, "1", 1e9, None], "c": "Zürich"}


def test_a_written_file_has_the_usual_permissions(folder: Path) -> None:
    """A temporary file is for its owner alone; the finished one is as any other."""
    (folder / "usual").touch()
    write_text(folder / "a.txt", "x")
    assert stat.S_IMODE((folder / "a.txt").stat().st_mode) == stat.S_IMODE((folder / "usual").stat().st_mode)


def test_an_existing_file_is_replaced_whole(folder: Path) -> None:
    write_text(folder / "a.txt", "a long first text")
    write_text(folder / "a.txt", "short")
    assert [path.name for path in folder.iterdir()] == ["a.txt"]
    assert (folder / "a.txt").read_text() == "short"


def test_a_file_that_is_there_keeps_its_permissions(folder: Path) -> None:
    path = folder / "a.txt"
    path.write_text("secret")
    path.chmod(0o600)
    write_text(path, "as secret")
    with written_together([path]) as (made,):
        made.write_text("still secret")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("still secret", 0o600)


@pytest.mark.parametrize("target", ["../outside", "nowhere", "."])
def test_a_link_in_the_way_is_replaced_and_not_followed(folder: Path, target: str) -> None:
    (folder / "a.txt").symlink_to(target)
    write_text(folder / "a.txt", "new")
    assert (folder / "a.txt").read_text() == "new"
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


def test_temporary_names_cannot_be_guessed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor would a guess help: a name that is taken is not written to."""
    monkeypatch.setattr("tempfile._get_candidate_names", lambda: itertools.repeat("guessed"))
    monkeypatch.setattr("tempfile.TMP_MAX", 3)
    for name in (".ondevice-sora-new-guessed", ".ondevice-sora-files-guessed"):
        (folder / name).symlink_to("../outside")
        with pytest.raises(UserError, match="cannot be written: "):
            write_text(folder / "a.txt", "new")
        with pytest.raises(UserError, match="cannot be written: "), written_together([folder / "a.gif"]):
            pytest.fail("there is nowhere to write to")
        assert [path.name for path in folder.iterdir()] == [name], "it is not ours to remove"
        (folder / name).unlink()


def test_what_a_killed_process_left_half_written_the_next_write_removes(folder: Path) -> None:
    left = folder / ".ondevice-sora-files-left"
    left.mkdir()
    (left / "a.txt").write_text("hal")
    write_text(folder / "a.txt", "whole")
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("length", [255, 256, 5000])
def test_a_name_as_long_as_the_system_allows_is_written(folder: Path, length: int) -> None:
    path = folder / ("n" * length)
    if length == 255:
        write_text(path, "x")
        with written_together([path]) as (made,):
            made.write_text("y")
        assert path.read_text() == "y"
        return
    with pytest.raises(UserError, match="cannot be written: File name too long"):
        write_text(path, "x")


@pytest.mark.parametrize("stage", ["write", "rename"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    write_text(folder / "a.txt", "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "chmod" if stage == "write" else "replace", full)
    with pytest.raises(UserError, match=r"a\.txt: cannot be written: No space left on device"):
        write_text(folder / "a.txt", "new")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.txt": "old"}


def test_files_written_together_take_their_places_at_the_end(folder: Path) -> None:
    paths = [folder / "a.mp4", folder / "a.png"]
    paths[0].write_text("old")
    with pytest.raises(UnicodeEncodeError), written_together(paths) as made:
        made[0].write_text("half, then \udcff")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.mp4": "old"}
    with written_together(paths) as made:
        assert [path.name for path in made] == ["a.mp4", "a.png"], "suffixes say what to write"
        for path in made:
            path.write_text("new")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.mp4": "new", "a.png": "new"}


def test_an_interruption_leaves_the_old_file_and_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(folder / "a.txt", "old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(folder / "a.txt", "new")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.txt": "old"}


def test_numbers_that_json_does_not_have_are_never_written(folder: Path) -> None:
    """A bug of ours, not a user's: it must not end as a file that nobody can read."""
    with pytest.raises(ValueError, match="Out of range float values"):
        write_json(folder / "a.json", {"a": math.nan})
    assert list(folder.iterdir()) == []


def test_a_folder_cannot_be_written_over(folder: Path) -> None:
    (folder / "sub").mkdir()
    with pytest.raises(UserError, match=r"sub: cannot be written: Is a directory"):
        write_text(folder / "sub", "x")


def test_a_folder_that_does_not_exist_cannot_be_written_into(folder: Path) -> None:
    with pytest.raises(UserError, match=r"a\.txt: cannot be written: No such file or directory"):
        write_text(folder / "nowhere" / "a.txt", "x")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_reported(folder: Path) -> None:
    folder.chmod(0o500)
    try:
        with pytest.raises(UserError, match="cannot be written: Permission denied"):
            write_text(folder / "a.txt", "x")
    finally:
        folder.chmod(0o700)


def test_a_pipe_is_written_into_not_replaced(folder: Path) -> None:
    """`--json -o /dev/stdout`, or /dev/null as root: no file may take the device's place."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(UserError, match="a pipe or a device cannot take this"), written_together([pipe]):
        pytest.fail("a video is not written from front to back")


def test_a_pipe_that_nobody_reads_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(UserError, match="pipe: cannot be written: No such device or address"):
        write_text(folder / "pipe", "x")


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout on this system")
def test_standard_output_goes_on_where_it_is(folder: Path) -> None:
    """Redirected into a file, /dev/stdout is that file: what was printed before stays, and no file takes its place."""
    script = "import sys; from ondevice_sora.base.files.writing import write_text; print('first', flush=True); "
    script += "write_text('/dev/stdout', 'second\\n'); print('third')"
    with (folder / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", script], stdout=out, check=True)
    assert (folder / "out").read_text() == "first\nsecond\nthird\n"


@pytest.mark.parametrize(
    "text", ["\x1b[31m", "a\nb: 1", "a\rb: 1", "\x00", "\x85b: 1", "\u2028b: 1", "\ufffe", "\udcff"]
)
def test_nothing_in_a_comment_ends_it(folder: Path, text: str) -> None:
    write_yaml(folder / "a.yaml", {"a": 1}, comment=f"Made of {text} here")
    assert read_yaml(folder / "a.yaml").data == {"a": 1}
