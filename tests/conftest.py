"""What all tests share: Hypothesis settings, the toy world, and the reference vectors where there are any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from toys import Toy

settings.register_profile("default", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("default")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    """Golden vectors of the reference implementation, which a clone elsewhere does not have."""
    folder = SHARED / "reference"
    if not folder.is_dir():
        pytest.skip(f"the reference vectors are not beside this checkout ({os.path.relpath(folder)})")
    return folder


@pytest.fixture
def toy() -> Toy:
    return Toy()
