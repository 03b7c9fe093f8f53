"""A folder is one process's at a time, and scratch folders do not outlive their use by more than one run."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from worlds import chores

from ondevice_sora.base import children
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked, scratch_in


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(UserError, match="another process is working with this folder\nWait until it has ended"):
            locked(tmp_path).__enter__()
        with pytest.raises(UserError, match="another process"):
            locked(tmp_path, shared=True).__enter__()
    with (
        locked(tmp_path, shared=True),
        locked(tmp_path, shared=True),
        pytest.raises(UserError, match="another process"),
    ):
        locked(tmp_path).__enter__()
    with locked(tmp_path):
        assert not list(tmp_path.iterdir()), "no file of ours lies in it"


def test_a_folder_behind_a_link_is_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with locked(tmp_path / "link"), pytest.raises(UserError, match="another process"):
        locked(tmp_path / "real").__enter__()


def test_a_file_is_held_and_goes_again_if_nothing_was_written(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with locked(journal), pytest.raises(UserError, match="another process is working with this file"):
        locked(journal).__enter__()
    assert not journal.exists()
    with locked(journal):
        journal.write_text("a row")
    assert journal.read_text() == "a row"
    with locked(journal):
        journal.unlink()
        with locked(journal):
            journal.write_text("another's, made since")
    assert journal.read_text() == "another's, made since"


def test_a_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").symlink_to("elsewhere")
    with pytest.raises(UserError, match="cannot be opened"):
        locked(tmp_path / "journal").__enter__()
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[bytes]:
    """A process with a scratch folder in `tmp_path` and files in it, not killed yet."""
    monkeypatch.setenv("PYTHONPATH", str(Path(chores.__file__).parents[1]))
    process = children.start("worlds.chores", "scratch", str(tmp_path), stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"made\n"
    return process


def test_what_a_killed_process_has_left_the_next_one_removes(tmp_path: Path, killed: subprocess.Popen[bytes]) -> None:
    (left,) = tmp_path.iterdir()
    with scratch_in(tmp_path, "trial") as mine:
        assert left.is_dir(), "its process lives"
        assert mine != left
    with killed:
        killed.send_signal(signal.SIGKILL)
    assert (left / "folder/file").is_file()
    with scratch_in(tmp_path, "another"):
        assert left.is_dir(), "it is of another purpose"
    with scratch_in(tmp_path, "trial"):
        assert not left.exists()
    assert not list(tmp_path.iterdir())


def test_only_real_folders_of_ours_are_removed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("")
    (inside / ".ondevice-sora-trial-link").symlink_to(outside)
    (inside / ".ondevice-sora-trial-file").write_text("")
    (inside / "mine").mkdir()
    (inside / ".ondevice-sora-trial-left").mkdir()
    (inside / ".ondevice-sora-trial-left" / "link").symlink_to(outside)
    before = {path.name for path in inside.iterdir()}
    with scratch_in(inside, "trial"):
        pass
    assert {path.name for path in inside.iterdir()} == before - {".ondevice-sora-trial-left"}
    assert (outside / "kept").exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_scratch_folder_goes_whatever_happens(tmp_path: Path, error: type[BaseException]) -> None:
    def work() -> None:
        with scratch_in(tmp_path, "trial") as folder:
            (folder / "file").write_text("")
            raise error

    with pytest.raises(error):
        work()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_takes_no_more_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scratch_in(tmp_path / "none", "trial").__enter__()


def test_two_that_start_at_once_get_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other removes the new folder before it has its name and its lock: then another is made."""
    rename = os.rename
    removed: list[Path] = []

    def late(source: Path, target: Path) -> None:
        if not removed:
            removed.append(source)
            with scratch_in(tmp_path, "trial"):
                assert not os.path.exists(source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    with scratch_in(tmp_path, "trial") as folder:
        assert folder.is_dir()
    assert removed and not list(tmp_path.iterdir())
