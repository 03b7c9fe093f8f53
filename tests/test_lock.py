"""constraints.txt pins all that pyproject.toml asks for, within its ranges, on every Python that it names."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from worlds.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PYTHONS = re.findall(r"3\.\d+", LINES[0])


def asked() -> list[Requirement]:
    """Every requirement of the project: to build it, to run it, and of its extras."""
    listed = [PROJECT["build-system"]["requires"], PROJECT["project"]["dependencies"]]
    listed += PROJECT["project"]["optional-dependencies"].values()
    found = [Requirement(text) for texts in listed for text in texts]
    return [each for each in found if each.name != PROJECT["project"]["name"]]


def pins(python: str) -> dict[str, list[str]]:
    """Name -> versions that hold on a Python on Linux; more than one would be a contradiction."""
    found: dict[str, list[str]] = {}
    for line in LINES:
        if not line.startswith("#"):
            pin = Requirement(line)
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            if pin.marker is None or pin.marker.evaluate({"python_version": python}):
                found.setdefault(canonicalize_name(pin.name), []).append(specifier.version)
    return found


def test_the_lock_is_for_the_pythons_that_the_project_names() -> None:
    classifiers = PROJECT["project"]["classifiers"]
    assert [each.rpartition(" ")[2] for each in classifiers if re.fullmatch(r".* :: Python :: 3\.\d+", each)] == PYTHONS
    assert PROJECT["project"]["requires-python"] == f">={PYTHONS[0]}"


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_one_pin_within_its_range(python: str) -> None:
    pinned = pins(python)
    assert {name: versions for name, versions in pinned.items() if len(versions) > 1} == {}
    for requirement in asked():
        (version,) = pinned.get(canonicalize_name(requirement.name), [""])
        assert version, f"{requirement.name} is not pinned; scripts/lock"
        assert version in requirement.specifier, f"{requirement} does not admit {version}; scripts/lock"
