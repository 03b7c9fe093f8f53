"""`sora inspect` reads what `export` has written, and tells what is missing, altered, or of another export."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("coremltools")

from worlds import swift
from worlds.exports import Exported

pytestmark = swift.needs_swift
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(exported: Exported, tmp_path: Path) -> Path:
    """A copy of an export, to be spoilt."""
    return Path(shutil.copytree(exported.directory, tmp_path / "exported"))


def rewritten(path: Path, change: Change) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_a_whole_export_is_summed_up(exported: Exported) -> None:
    done = swift.ran("inspect", exported.directory, "--checksums")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line[:12].strip(): line[12:] for line in done.stdout.splitlines()}
    assert list(rows) == [
        "plan", "video", "blocks", "tokenizer", "device", "visits", "predicted", "needs", "whole",
    ]  # fmt: skip
    assert rows["plan"].startswith("tiny of ")
    assert rows["video"].startswith("64 x 64, 20 frames, ")
    assert rows["whole"] == "every file has its checksum"


def some_file(folder: Path) -> Path:
    return next(path for path in sorted(folder.glob("denoiser.*.mlpackage/**/*.mlmodel")))


def shortened(folder: Path) -> None:
    path = some_file(folder)
    path.write_bytes(path.read_bytes()[:-1])


def turned(folder: Path) -> None:
    path = some_file(folder)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def removed(folder: Path) -> None:
    shutil.rmtree(next(folder.glob("denoiser.*.mlpackage")))


def linked(folder: Path) -> None:
    path = some_file(folder)
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (shortened, "is not as it was exported (size)"),
        (turned, "is not as it was exported (checksum)"),
        (removed, "is missing"),
        (linked, "is not a file or a folder of its own"),
        (lambda folder: (folder / "no_caption.bin").unlink(), "no_caption.bin: is missing"),
    ],
)
def test_what_is_missing_or_altered_is_named(spoil: Callable[[Path], object], told: str, folder: Path) -> None:
    spoil(folder)
    done = swift.ran("inspect", folder, "--checksums")
    assert done.returncode == 2
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert len(problems) == 1
    assert told in problems[0]
    assert done.stderr == f"error: {folder}: 1 file or package is missing or altered. Copy or export it again\n"


def test_by_size_alone_a_turned_bit_is_not_seen(folder: Path) -> None:
    turned(folder)
    done = swift.ran("inspect", folder)
    assert done.returncode == 0
    assert "--checksums reads them" in done.stdout


MANIFESTS: list[tuple[Change, str]] = [
    (lambda data: data.__setitem__("complete", False), "manifest.json: the export is not complete"),
    (lambda data: data.__setitem__("made_with", "other tools"), "schedule of another export, or the manifest has"),
    (lambda data: data.__setitem__("surprise", 1), "manifest.json: surprise: this key is not known"),
]
SCHEDULES: list[tuple[Change, str]] = [
    (lambda data: data.__setitem__("plan_sha256", "0" * 64), "plan_sha256: this is a schedule of another plan: 'tiny'"),
    (lambda data: data["blocks"][0].__setitem__("name", "other"), "blocks[0]: the export has no block 'other'"),
    (lambda data: data["blocks"][0].__setitem__("function", "other"), "not 'other' of text_encoder.000.mlpackage"),
    (lambda data: data["visits"][-1].__setitem__(0, 99), "]: no block has the number 99"),
    (lambda data: data.__setitem__("leap", {"mode": "fixed", "step": 0}), "not the pass of the plan that should stand"),
    (lambda data: data.__setitem__("leap", {"mode": "fixed", "step": 9}), "not the pass of the plan that should stand"),
]


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        *(("manifest.json", change, told) for change, told in MANIFESTS),
        *(("schedule.json", change, told) for change, told in SCHEDULES),
    ],
)
def test_documents_that_do_not_belong_together_are_told_in_one_line(
    file: str, change: Change, told: str, folder: Path
) -> None:
    rewritten(folder / file, change)
    done = swift.ran("inspect", folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("file", ["manifest.json", "schedule.json"])
def test_a_document_that_is_missing_is_named(file: str, folder: Path) -> None:
    (folder / file).unlink()
    done = swift.ran("inspect", folder)
    assert done.returncode == 2
    assert f"{file}: no such file" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("paint",), ("inspect",), ("inspect", "a", "--loud"), ("virtual", "a.json")])
def test_arguments_that_mean_nothing_get_the_usage(arguments: tuple[str, ...]) -> None:
    done = swift.ran(*arguments)
    assert done.returncode == 2
    assert "usage: sora inspect EXPORT" in done.stderr


def test_a_tokenizer_that_is_not_the_exports_is_refused(exported_small: Exported, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported_small.directory, tmp_path / "small"))
    path = folder / "tokenizer.json"
    assert path.is_file() == (json.loads((folder / "manifest.json").read_text())["tokenizer"] is not None)
    if path.is_file():
        path.write_bytes(path.read_bytes() + b" ")
        done = swift.ran("inspect", folder)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "tokenizer.json: is not as it was exported (checksum)" in done.stderr
