"""The surfaces whose inputs need no model, at the desk; all of them with `-m exhaustive` (four minutes)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostile.run import CHECKOUT, Worker, try_surface
from hostile.surfaces import SURFACES

QUICK = ("plan", "model", "profile", "cases", "grid", "trace", "profile import", "sweep journal")


@pytest.mark.parametrize(
    "surface", [*QUICK, *(pytest.param(name, marks=pytest.mark.exhaustive) for name in SURFACES if name not in QUICK)]
)
def test_every_input_holds(surface: str, tmp_path: Path) -> None:
    worker = Worker(CHECKOUT, tmp_path)
    try:
        assert try_surface(worker, surface, list(SURFACES[surface]())) == {}
    finally:
        worker.end()
