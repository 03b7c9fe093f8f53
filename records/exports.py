"""What `export` comes to, component by component."""

from __future__ import annotations

import msgspec


class ExportedPart(msgspec.Struct, frozen=True):
    """A component's packages, their size together, and what weights are stored as."""

    component: str
    num_packages: int
    num_bytes: int
    stored: str
