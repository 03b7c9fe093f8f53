"""The rows of a sweep as they are done, one JSON line each, in a file beside the table: what a sweep goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.lines import Lines
from ondevice_sora.base.text import END, Line

Row = dict[str, Any]
"""Column -> value; units in the names, None for unknown."""

TEXT = ("model", "device", "technique", "verdict", "reason")
WHOLE = ("width", "height", "frames", "budget_bytes", "peak_bytes", "limit_bytes")
VERDICTS = ("fits", "killed", "refused")
MAX_BYTES = 500_000_000
SWEEP_ANEW = "Delete the file to sweep anew."
Key = Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{24}}{END}", description="24 hexadecimal digits")]
Number = Annotated[float, msgspec.Meta(ge=-1e18, le=1e18)] | Annotated[int, msgspec.Meta(ge=-(10**18), le=10**18)]


class _Done(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A line of the file: a cell's key and its row."""

    key: Key
    row: dict[Line, str | Number | None]


class Journal:
    """The journal of the sweep that writes `table`."""

    def __init__(self, table: Path) -> None:
        self._lines = Lines(table.with_name(f"{table.name}.rows.jsonl"), MAX_BYTES, SWEEP_ANEW)
        self.path, self.remove = self._lines.path, self._lines.remove

    def read(self) -> dict[str, Row]:
        """Row by the cell's key. Raises UserError."""
        rows: dict[str, Row] = {}
        for document in self._lines.read():
            done = document.convert(_Done)
            _check(done.row, document)
            rows[done.key] = done.row
        return rows

    def add(self, key: str, row: Row) -> None:
        """Raises UserError if it cannot be written."""
        self._lines.add([key, row])


def _check(row: Row, document: Document) -> None:
    """What the schema does not say: which columns there must be, and of what kind. Raises UserError."""
    for name in ("model", "device", "technique", "verdict"):
        if row.get(name) is None:
            raise document.error("$[1]", f"the column '{name}' is missing")
    for name, value in row.items():
        kinds = str if name in TEXT else int if name in WHOLE else (int, float)
        if value is not None and not isinstance(value, kinds):
            raise document.error(f"$[1].{name}", f"{value!r} does not belong in this column")
    if row["verdict"] not in VERDICTS:
        raise document.error("$[1].verdict", f"{row['verdict']!r} is none of {', '.join(VERDICTS)}")
