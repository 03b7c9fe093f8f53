"""What Python reads Swift reads, and what Python refuses Swift refuses: documents that somebody has altered.

tests/worlds/spoilt.py alters them where readers differ: numbers at the ends of their ranges, zeros and fractions
written in other ways, texts of other scripts and with control characters, repeated keys, halves of characters.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from worlds import swift
from worlds.exports import Exported
from worlds.paths import ROOT
from worlds.schedule_files import made
from worlds.spoilt import spoilt

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.plans.schedule_file import read_schedule
from ondevice_sora.runtime.coreml.export.manifest import read_manifest
from ondevice_sora.runtime.tokenizers.document import read_tokenizer
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer

pytest.importorskip("coremltools")

pytestmark = swift.needs_swift
NUMBERS = ROOT / "ondevice_sora" / "runtime" / "ios" / "numbers"
NUM_DOCUMENTS = 120


def refusal(read: Callable[[], object]) -> str:
    """Why Python does not take a document; empty if it does."""
    try:
        read()
    except UserError as error:
        return str(error)
    return ""


def compared(
    whole: Any, path: Path, read: Callable[[], object], told: Callable[[], str], seeds: range
) -> tuple[list[str], int]:
    """How Swift's verdicts (`told`, empty where it takes the document) differ from Python's; how many were taken."""
    differences, num_taken = [], 0
    for seed in seeds:
        path.write_bytes(spoilt(whole, random.Random(seed)))
        python, other = refusal(read), told()
        num_taken += not python
        if bool(python) != bool(other):
            differences.append(f"{seed}: Python says '{python}', Swift '{other}'")
    return differences, num_taken


def told_by(*arguments: str | Path) -> str:
    """What a command says of a document that it refuses, in one line; empty if it does not."""
    done = swift.ran(*arguments)
    assert done.returncode in (0, 2), done.stderr
    assert len(done.stderr.splitlines()) == (done.returncode == 2), done.stderr
    return done.stderr


def test_schedules(tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    made(load_plan("small"), path)
    whole = json.loads(path.read_text())

    (tmp_path / "out").mkdir()

    def told() -> str:
        said = told_by("virtual", path, "-o", tmp_path / "out")
        # It was read, and cannot be played: its own figures do not go together.
        return "" if "bytes more than the schedule needs" in said else said

    differences, num_taken = compared(whole, path, lambda: read_schedule(path), told, range(NUM_DOCUMENTS))
    assert differences == []
    assert num_taken > NUM_DOCUMENTS / 20


@pytest.mark.parametrize("name", ["tokenizer-words.json", "tokenizer-unigram.json"])
def test_tokenizers(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    whole = json.loads((NUMBERS / name).read_text())
    differences, num_taken = compared(
        whole,
        path,
        lambda: Tokenizer.of(read_tokenizer(path)),
        lambda: told_by("tokens", path),
        range(NUM_DOCUMENTS // 2),
    )
    assert differences == []
    assert num_taken > NUM_DOCUMENTS / 20


def test_manifests(exported: Exported, tmp_path: Path) -> None:
    whole = json.loads((exported.directory / "manifest.json").read_text())
    shutil.copy(exported.directory / "schedule.json", tmp_path)

    def told() -> str:
        said = told_by("inspect", tmp_path)
        # It was read: of another manifest the schedule is another's.
        return "" if "schedule.json" in said or "the export is not complete" in said else said

    differences, num_taken = compared(
        whole, tmp_path / "manifest.json", lambda: read_manifest(tmp_path), told, range(NUM_DOCUMENTS)
    )
    assert differences == []
    assert num_taken > NUM_DOCUMENTS / 20
