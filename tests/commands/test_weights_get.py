"""weights get, against a server on this machine: whole files or none, and one message for what goes wrong."""

from __future__ import annotations

import inspect
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from worlds.hub_server import COMMIT, Hub, serving

from ondevice_sora.base.files.folders import locked
from ondevice_sora.commands.main import main
from ondevice_sora.runtime.published.catalogue import SOURCES, Source
from ondevice_sora.runtime.published.download import _Arriving
from ondevice_sora.runtime.published.hub import library

constants = pytest.importorskip("huggingface_hub.constants", reason="weights are fetched with huggingface_hub")

CHUNK_BYTES = 1 << 14
"""What the library hands on at a time, here; 10 MB otherwise."""
LENGTH = 10 * CHUNK_BYTES
WEIGHTS = "org/first/model.safetensors"
TOY = (
    Source("denoiser", "org/first", ("config.json", "model.safetensors")),
    Source("text_encoder", "org/second", ("spiece.model",)),
)


def content(seed: int, length: int = LENGTH) -> bytes:
    return random.Random(seed).randbytes(length)


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Two repositories, which are what the model `toy` is made of; the library does not wait between its attempts.

    Nothing of what this machine has set up for the hub is used: no token, no proxy, no notes of the library's.
    """
    home = tmp_path_factory.mktemp("home")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(home / "harnesses"), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setitem(SOURCES, "toy", TOY)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", CHUNK_BYTES)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    first = {"config.json": b'{"depth": 2}', "model.safetensors": content(1), "README.md": b"not asked for"}
    made = Hub({"org/first": first, "org/second": {"spiece.model": content(2)}})
    with serving(made):
        point_to(made.url, monkeypatch)
        yield made


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HF_ENDPOINT does, which the library reads when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def get(folder: Path) -> int:
    return main(["weights", "get", "toy", "-o", str(folder)])


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def whole(hub: Hub) -> dict[str, bytes]:
    return {
        f"{source.folder}/{name}": hub.repositories[source.repository][name] for source in TOY for name in source.files
    }


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one message of a refused command."""
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and "Traceback" not in said.err
    assert said.err.count("error:") == 1
    return said.err.removeprefix("error: ")


# What is fetched


def test_what_the_model_needs_is_fetched_and_nothing_else(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert get(tmp_path / "toy") == 0
    assert files_in(tmp_path / "toy") == whole(hub)
    said = capsys.readouterr()
    assert [line.split() for line in said.out.splitlines()] == [
        ["part", "files", "size", "from"],
        ["denoiser", "2", "164", "kB", "org/first", "at", COMMIT[:12]],
        ["text_encoder", "1", "164", "kB", "org/second", "at", COMMIT[:12]],
    ]
    assert said.err == f"Wrote {tmp_path / 'toy'}\n"


def test_files_are_those_of_the_listed_commit_over_plain_http(hub: Hub, tmp_path: Path) -> None:
    """Whatever the branch is by then; and no Xet, which the server announces."""
    get(tmp_path / "toy")
    paths = {each.path for each in hub.requests}
    assert f"/org/first/resolve/{COMMIT}/model.safetensors" in paths
    assert not any(("/main/" in path and "/api/" not in path) or "xet" in path for path in paths)


def test_a_token_is_sent_where_there_is_one(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get(tmp_path / "without")
    assert {each.token for each in hub.requests} == {None}
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.requests.clear()
    get(tmp_path / "with")
    assert "Bearer hf_secret" in {each.token for each in hub.requests if "/resolve/" in each.path}


def test_what_is_there_is_compared_and_not_fetched_again(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    get(tmp_path / "toy")
    hub.requests.clear()
    assert get(tmp_path / "toy") == 0
    assert [each.path for each in hub.requests if "/api/" not in each.path] == []
    capsys.readouterr()
    for altered, what in ((content(3), "its SHA-256 is "), (b"short", "5 bytes, 163840 published")):
        (tmp_path / "toy/denoiser/model.safetensors").write_bytes(altered)
        assert get(tmp_path / "toy") == 2
        said = complaint(capsys)
        assert f"model.safetensors: this is not the published file: {what}" in said and "Move it away" in said
        assert (tmp_path / "toy/denoiser/model.safetensors").read_bytes() == altered, "what is a user's stays"


# Interrupted, and going on


def test_a_connection_that_breaks_off_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.breaks[WEIGHTS] = [3 * CHUNK_BYTES + 100, 7 * CHUNK_BYTES]
    assert get(tmp_path / "toy") == 0
    assert hub.asked(WEIGHTS) == [0, 3 * CHUNK_BYTES, 7 * CHUNK_BYTES]
    assert files_in(tmp_path / "toy") == whole(hub)


def test_a_server_that_is_gone_is_one_message_and_the_next_run_fetches_the_rest(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.breaks[WEIGHTS] = [4 * CHUNK_BYTES, *[0] * 20]
    assert get(tmp_path / "toy") == 2
    said = complaint(capsys)
    assert said.startswith(f"org/first: {hub.url} cannot be reached, or the connection broke off (")
    assert said.endswith("name a mirror in HF_ENDPOINT. The same command goes on where it was.\n")
    assert {name for name in files_in(tmp_path / "toy") if "/." not in name} == {"denoiser/config.json"}
    hub.breaks.clear()
    hub.requests.clear()
    assert get(tmp_path / "toy") == 0
    assert hub.asked(WEIGHTS) == [4 * CHUNK_BYTES], "only the rest"
    assert files_in(tmp_path / "toy") == whole(hub)


def test_ctrl_c_keeps_what_has_arrived(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], ctrl_c: Callable[[], None]
) -> None:
    arrived = threading.Event()

    def interrupt() -> None:
        ctrl_c()
        arrived.wait()

    hub.on_bytes[WEIGHTS] = 5 * CHUNK_BYTES, interrupt
    try:
        assert get(tmp_path / "toy") == 130
    finally:
        arrived.set()
    said = capsys.readouterr().err
    assert said == f"interrupted: what has arrived is kept in {tmp_path / 'toy'}; the same command goes on from it\n"
    assert {name for name in files_in(tmp_path / "toy") if "/." not in name} == {"denoiser/config.json"}
    hub.requests.clear()
    assert get(tmp_path / "toy") == 0
    assert hub.asked(WEIGHTS) == [5 * CHUNK_BYTES], "only the rest"
    assert files_in(tmp_path / "toy") == whole(hub)


def test_a_server_that_starts_over_is_followed(hub: Hub, tmp_path: Path) -> None:
    """Some ignore that a request is for the rest."""
    hub.breaks[WEIGHTS] = [4 * CHUNK_BYTES]
    hub.is_whole_only = True
    assert get(tmp_path / "toy") == 0
    assert files_in(tmp_path / "toy") == whole(hub)


def test_what_is_left_of_another_commit_is_not_gone_on_from(hub: Hub, tmp_path: Path) -> None:
    hub.breaks[WEIGHTS] = [4 * CHUNK_BYTES, *[0] * 20]
    get(tmp_path / "toy")
    hub.breaks.clear()
    hub.repositories["org/first"]["model.safetensors"] = content(4)
    hub.requests.clear()
    assert get(tmp_path / "toy") == 0
    assert hub.asked(WEIGHTS) == [0]
    assert files_in(tmp_path / "toy") == whole(hub), "and nothing of the old one stays"


# What goes wrong


@pytest.mark.parametrize("file", [WEIGHTS, "org/first/config.json"])
def test_a_file_with_a_wrong_checksum_is_removed_and_told(
    file: str, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository, _, name = file.rpartition("/")
    right = hub.repositories[repository][name]
    hub.altered[file] = right[:-1] + bytes([right[-1] ^ 1])
    assert get(tmp_path / "toy") == 2
    kind = "SHA-256" if file == WEIGHTS else "git hash"
    said = complaint(capsys)
    assert said.startswith(f"org/first: {name} arrived wrong: its {kind} is ") and "It was removed" in said
    assert not any(name in each for each in files_in(tmp_path / "toy"))
    hub.altered.clear()
    assert get(tmp_path / "toy") == 0
    assert files_in(tmp_path / "toy") == whole(hub)


def test_a_file_of_another_length_than_listed_is_told(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.altered[WEIGHTS] = content(1)[:-1]
    assert get(tmp_path / "toy") == 2
    assert "model.safetensors arrived with another length than it is listed with" in complaint(capsys)
    assert not any("model.safetensors" in name for name in files_in(tmp_path / "toy"))


def test_room_is_looked_for_before_anything_is_fetched(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 0, 200_000))
    assert get(tmp_path / "toy") == 2
    said = complaint(capsys)
    assert said.startswith(f"{tmp_path / 'toy'}: no room: 328 kB are still to come, and 200 kB are free\nFree 128 kB")
    assert not (tmp_path / "toy").exists() and not any("/resolve/" in each.path for each in hub.requests)


def test_room_is_needed_for_the_rest_only(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.breaks[WEIGHTS] = [8 * CHUNK_BYTES, *[0] * 20]
    get(tmp_path / "toy")
    hub.breaks.clear()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 0, 260_000))
    assert get(tmp_path / "toy") == 0


def test_a_file_that_the_repository_does_not_have(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del hub.repositories["org/first"]["model.safetensors"]
    assert get(tmp_path / "toy") == 2
    assert complaint(capsys).startswith("org/first: model.safetensors: not among its files at main\n")
    assert not (tmp_path / "toy").exists()


@pytest.mark.parametrize(
    ("refused", "what"),
    [
        ((403, "GatedRepo"), "its terms have not been accepted, or not with this token"),
        ((401, "GatedRepo"), "its terms have not been accepted, or not with this token"),
        ((401, "RepoNotFound"), "URL has no such repository, or not for everybody"),
        ((404, "RevisionNotFound"), "URL does not have this revision of it"),
        ((403, ""), "URL refuses access (status 403)"),
        ((500, ""), "URL answers with status 500"),
        ((503, ""), "URL answers with status 503"),
    ],
)
def test_a_server_that_refuses_is_one_message(
    refused: tuple[int, str], what: str, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refused["org/first"] = refused
    assert get(tmp_path / "toy") == 2
    assert complaint(capsys).startswith(f"org/first: {what.replace('URL', hub.url)}\n")


def test_a_gated_repository_tells_where_to_accept_its_terms(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refused["org/second"] = 403, "GatedRepo"
    assert get(tmp_path / "toy") == 2
    assert complaint(capsys).endswith(
        f"Accept them on {hub.url}/org/second, and give that account's token in HF_TOKEN.\n"
    )


@pytest.mark.parametrize(
    "listing",
    [[], {}, {"id": "org/first"}, "a page", {"sha": "x", "siblings": []}, {"id": "x", "sha": COMMIT, "siblings": [1]}],
)
def test_an_answer_that_is_no_listing_is_one_message(
    listing: Any, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.listing = lambda _: listing
    assert get(tmp_path / "toy") == 2
    assert "the answer is not a listing of the hub's\nCheck HF_ENDPOINT." in complaint(capsys)


@pytest.mark.parametrize("size", [None, -1, "12", 10**20, True])
def test_a_file_without_a_size_counts_as_missing(
    size: Any, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def sized(listing: dict[str, Any]) -> dict[str, Any]:
        listing["siblings"] = [each | {"size": size} for each in listing["siblings"]]
        return listing

    hub.listing = sized
    assert get(tmp_path / "toy") == 2
    assert "not among its files at main" in complaint(capsys)


def test_nobody_at_the_address(tmp_path: Path, hub: Hub, capsys: pytest.CaptureFixture[str],
                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    for url, what in (("http://127.0.0.1:9", "cannot be reached"), ("nowhere", "cannot be reached")):
        point_to(url, monkeypatch)
        assert get(tmp_path / "toy") == 2
        assert what in complaint(capsys)


def test_offline_is_one_message(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert get(tmp_path / "toy") == 2
    assert complaint(capsys).startswith("HF_HUB_OFFLINE: downloads are switched off\n")


def test_a_disk_that_fills_up_meanwhile_keeps_what_was_written(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = _Arriving.write

    def write(self: Any, data: bytes) -> int:
        if self.tell() >= 3 * CHUNK_BYTES:
            raise OSError(28, "No space left on device", None)
        return written(self, data)

    monkeypatch.setattr(_Arriving, "write", write)
    assert get(tmp_path / "toy") == 2
    assert "cannot be written: No space left on device\nMake room." in complaint(capsys)
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("arrange", "what"),
    [
        (lambda path: path.symlink_to("nowhere"), "this is a link that leads nowhere"),
        (lambda path: path.mkdir(), "this is a folder, not a file"),
        (lambda path: os.mkfifo(path), "this is a pipe, not a file"),
    ],
)
def test_something_else_in_a_files_place_is_refused(
    arrange: Any, what: str, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "toy/denoiser").mkdir(parents=True)
    arrange(tmp_path / "toy/denoiser/model.safetensors")
    assert get(tmp_path / "toy") == 2
    assert f"model.safetensors: {what}" in complaint(capsys)


def test_a_partial_file_is_not_followed_where_it_is_a_link(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.breaks[WEIGHTS] = [4 * CHUNK_BYTES, *[0] * 20]
    get(tmp_path / "toy")
    hub.breaks.clear()
    capsys.readouterr()
    (partial,) = (tmp_path / "toy/denoiser").glob(".model.*")
    partial.unlink()
    (tmp_path / "mine").write_bytes(b"mine")
    partial.symlink_to(tmp_path / "mine")
    assert get(tmp_path / "toy") == 2
    assert "this is a link, not a file" in complaint(capsys)
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_two_downloads_into_one_folder_do_not_mix(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "toy").mkdir()
    with locked(tmp_path / "toy"):
        assert get(tmp_path / "toy") == 2
    assert "another process is working with this folder" in complaint(capsys)
    assert files_in(tmp_path / "toy") == {}


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ("weights get sdxl -o out", "no weights of 'sdxl' are published\nKnown: opensora"),
        ("weights get toy -o a-file", "a-file: this is a file; a folder is needed"),
        ("weights get toy -o a-file/below", "a-file/below/denoiser/config.json: Not a directory"),
        ("weights get toy -o a\0b", "embedded null byte"),
    ],
)
def test_mistakes(
    arguments: str, what: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("x")
    assert main(arguments.split()) == 2
    assert what in complaint(capsys)
    assert files_in(tmp_path) == {"a-file": b"x"}


# As a program


def test_the_librarys_environment_variables_hold(tmp_path: Path) -> None:
    """HF_ENDPOINT and HF_TOKEN, and of its own output nothing is seen."""
    sources = SOURCES["opensora"]
    made = Hub({source.repository: {name: content(5, 1000) for name in source.files} for source in sources})
    with serving(made):
        environment = {
            **os.environ,
            "HF_ENDPOINT": made.url,
            "HF_TOKEN": "hf_secret",
            "HF_HOME": str(tmp_path / "home"),
        }
        command = [sys.executable, "-P", "-m", "ondevice_sora.commands.main", "weights", "get", "opensora", "-o", "got"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "Wrote got\n")
    assert "Bearer hf_secret" in {each.token for each in made.requests}
    assert set(files_in(tmp_path / "got")) == {f"{s.folder}/{name}" for s in sources for name in s.files}


def test_what_is_used_of_the_library_is_there() -> None:
    """`http_get` stands in no list of its public functions: a new version may change it."""
    http_get = library().file_download.http_get
    assert {"resume_size", "headers", "expected_size"} <= inspect.signature(http_get).parameters.keys()


def test_what_is_fetched_is_complete_to_weights_check(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the files that public code names to networks that load."""
    pytest.importorskip("torch")
    from benchmarks.published_weights import TINY, write_published_weights

    write_published_weights(tmp_path / "made", TINY, shard_bytes=20_000)
    for source in SOURCES["opensora"]:
        folder = tmp_path / "made" / source.folder
        hub.repositories[source.repository] = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["weights", "get", "opensora", "-o", str(tmp_path / "got")]) == 0
    assert files_in(tmp_path / "got") == files_in(tmp_path / "made")
    assert main(["weights", "check", str(tmp_path / "got")]) == 0
    assert "complete for the model 'opensora'" in capsys.readouterr().out
