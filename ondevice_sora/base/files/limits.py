"""How much of a file is read: more than any honest one has, less than would do harm."""

from __future__ import annotations

MAX_BYTES = 2_000_000
"""Of a file that a person wrote, or a short one of a program's. Longer ones say so where they are read."""
MAX_DEPTH = 40
MAX_DIGITS = 40
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
