"""The hash of plain data, by which plans, profiles and devices are known again."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec


def hash_of(data: Any) -> str:
    """SHA-256 of plain data, the same in whatever order its keys stand."""
    plain = msgspec.to_builtins(data, str_keys=True)
    return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()
