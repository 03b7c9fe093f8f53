"""Sizes of units in a model's file: 215M parameters, or 430 MB."""

from __future__ import annotations

from pathlib import Path

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.models.catalogue import listed_model


def read(folder: Path, size: str) -> int:
    (folder / "model.yaml").write_text(
        "name: toy\nsource: a test\ncomponents:\n- name: unet\n  passes: steps\n  units:\n"
        f"  - {{name: a, {size}, plain: {{}}}}\n"
    )
    return listed_model("model.yaml", folder)[0].components[0].units[0].parameters


@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        ("parameters: 215_000_000", 215_000_000),
        ("parameters: 215M", 215_000_000),
        ("parameters: 1.3 B", 1_300_000_000),
        ("parameters: 12k", 12_000),
        ("bytes: 430 MB", 215_000_000),
        ("bytes: 430000000", 215_000_000),
        ("bytes: 1 GiB", 2**29),
    ],
)
def test_a_size_is_written_as_people_know_it(tmp_path: Path, size: str, parameters: int) -> None:
    assert read(tmp_path, size) == parameters


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ("bytes: 430 XB", r"model.yaml:7: components\[0\].units\[0\].bytes: '430 XB' is not a size\nWrite"),
        ("bytes: [3]", r"bytes: \[3\] is not a size\nWrite"),
        ("bytes: 1 MB, parameters: 3", "a unit's size stands twice, as parameters and as bytes"),
        ("parameters: 215X", "parameters: expected a whole number, found '215X'"),
        ("tables: 3", "the key 'parameters' is missing"),
    ],
)
def test_what_is_no_size_is_refused_with_its_line(tmp_path: Path, size: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read(tmp_path, size)
