"""The site is built once for all tests of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.site import build_site


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("material", reason="mkdocs-material is not installed (extra docs)")
    folder: Path = tmp_path_factory.mktemp("site")
    build_site(folder)
    return folder
