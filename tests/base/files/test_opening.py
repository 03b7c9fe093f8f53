"""Regular files of bounded size are opened, and nothing else: not a pipe, not a device, not a link out of a folder."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.opening import NotAFileError, open_beside, open_regular, read_bytes, read_text


def pipe(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def test_all_of_a_file_is_read_up_to_the_largest_size(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"x" * 1000)
    assert read_bytes(path, 1000) == b"x" * 1000
    with pytest.raises(UserError, match=r"plan\.yaml: the file is too large; at most 999 bytes are read"):
        read_bytes(path, 999)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (Path.mkdir, "this is a folder, not a file"),
        (pipe, "this is a pipe, not a file"),
        (bound_socket, "this is a socket, not a file"),
        (link_to("/dev/zero"), "this is a device, not a file"),
        (link_to("nowhere"), "no such file"),
        (link_to("plan.yaml"), "cannot be read: Too many levels of symbolic links"),
    ],
)
def test_what_is_not_a_file_is_refused_without_waiting_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], what: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    path = Path("plan.yaml")
    make(path)
    with pytest.raises(UserError) as caught:
        read_bytes(path, 100)
    assert str(caught.value) == f"plan.yaml: {what}"


def test_a_link_is_followed_only_where_a_user_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as stream:
        assert stream.read() == b"x"
    with pytest.raises(NotAFileError, match="this is a link, not a file"):
        open_regular(tmp_path / "link", follows_links=False)
    with pytest.raises(NotAFileError, match="this is a link, not a file"):
        open_beside(tmp_path, "link")


@pytest.mark.parametrize("name", ["", ".", "..", "../file", "a/file", "/etc/passwd", ".file", "a\\file", "a\0b"])
def test_a_name_out_of_a_file_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file", tmp_path / "folder" / "file", tmp_path / "folder" / ".file"):
        path.write_text("x")
    with pytest.raises(NotAFileError, match="is not the name of a file in this folder"):
        open_beside(tmp_path / "folder", name)
    with open_beside(tmp_path / "folder", "file") as stream:
        assert stream.read() == b"x"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("a: 1")
    with pytest.raises(UserError, match=r"x\.yaml: cannot be read: Not a directory"):
        read_text(tmp_path / "plan.yaml" / "x.yaml", 100)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"cannot be read: (.*embedded null|File name too long)"):
        read_text(Path(name), 100)


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes("name: Zürich\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"plan\.yaml: not UTF-8 text \(byte 7\)\nSave it as UTF-8\."):
        read_text(path, 100)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("a: 1")
    path.chmod(0)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        read_text(path, 100)


def test_a_file_the_system_refuses_is_reported_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as above where the tests run as root."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "plan.yaml"
    path.write_text("a: 1")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match=r"plan\.yaml: cannot be read: Permission denied"):
        read_text(path, 100)
