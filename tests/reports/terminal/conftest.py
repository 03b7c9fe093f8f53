"""A terminal for every report."""

from __future__ import annotations

import pytest
from worlds.terminals import Shown, show


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    return lambda width, work: show(monkeypatch, width, work)
