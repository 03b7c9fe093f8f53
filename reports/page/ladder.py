"""The page of which phones a plan fits: without and with the memory entitlement, from the lowest limit up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ondevice_sora.base.files.writing import write_text
from ondevice_sora.records.ladder import Ladder, Rung, ladder_rows
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.reports.ladder import TITLES, answers, meanings, reasons, table_of
from ondevice_sora.reports.page.downloads import Download, csv_download
from ondevice_sora.reports.page.provenance import source_of
from ondevice_sora.reports.page.templating import page

TONES = {"fits": "ok", "too risky": "care"}
"""The colour of a verdict that is not bad."""


class Line(NamedTuple):
    """A device: its cells, and how the verdict is coloured. `rest` are the columns that it has nothing for."""

    cells: list[str]
    tone: str
    rest: int


def write_ladders(ladders: Sequence[Ladder], name: str, path: str | Path, made: Provenance | None = None) -> None:
    """Write the page of these plans on their devices. Raises UserError if it cannot be written."""
    write_text(path, render_ladders(ladders, name, made))


def render_ladders(ladders: Sequence[Ladder], name: str, made: Provenance | None = None) -> str:
    """The whole page as text: self-contained, the same for the same ladders."""
    return page(
        "phones.html",
        title=f"Phones: {name}",
        assets=("phones.css",),
        figures={},
        plans=[_told(ladder) for ladder in ladders],
        table=_table(ladders, name),
        source=source_of(made),
    )


def _told(ladder: Ladder) -> dict[str, Any]:
    table = table_of(ladder)
    heads = [head.capitalize() for head in (*table.words, *table.numbers)]
    return {
        "name": ladder.plan,
        "num_devices": len({rung.key for rung in ladder.rungs}),
        "headline": _headline(ladder),
        "answers": answers(ladder),
        "heads": heads,
        "tables": [
            (title.capitalize(), [_line(rung, table.cells(rung), len(heads)) for rung in rungs])
            for entitlement, title in TITLES.items()
            if (rungs := ladder.under(entitlement))
        ],
        "notes": [*meanings(ladder), *ladder.notes, *reasons(ladder)],
    }


def _headline(ladder: Ladder) -> str:
    rungs = ladder.under(False) or ladder.rungs
    fitting = sum(rung.fits for rung in rungs)
    return f"Fits {fitting or 'none'} of {len(rungs)} devices"


def _line(rung: Rung, cells: list[str], num_heads: int) -> Line:
    return Line(cells, TONES.get(rung.word, "bad"), num_heads - len(cells))


def _table(ladders: Sequence[Ladder], name: str) -> Download:
    rows = ladder_rows(ladders)
    return csv_download(name, list(rows[0]) if rows else [], (list(row.values()) for row in rows))
