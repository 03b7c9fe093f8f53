"""The page of an evaluation of LPL and TDTM: findings, all configurations, quality for work, videos side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.records.quality import Clip, Evaluation, Row, published_quality
from ondevice_sora.reports.page.downloads import data_link
from ondevice_sora.reports.page.provenance import source_of
from ondevice_sora.reports.page.templating import page
from ondevice_sora.reports.page.video import MEDIA_TYPES
from ondevice_sora.reports.quality import (
    ANOTHER_MODEL,
    COLUMNS,
    ONE,
    PUBLISHED_HEADINGS,
    bounds_text,
    findings,
    interval_text,
    published_cells,
    sample_text,
    value_text,
)

UNTIL = "\N{THIN SPACE}\N{HORIZONTAL ELLIPSIS}\N{THIN SPACE}"


class Group(NamedTuple):
    """Configurations of one kind, by what their names begin and end with; `is_line` joins their points."""

    prefixes: tuple[str, ...]
    color: str
    name: str
    is_line: bool = False
    suffix: str = ""

    def has(self, configuration: str) -> bool:
        return configuration.startswith(self.prefixes) and configuration.endswith(self.suffix)


GROUPS = (
    Group(("fixed_",), "t0", "LPL fixed", is_line=True),
    Group(("curvature_",), "t1", "ours"),
    Group(("bent_",), "t2", "ours, bent"),
    Group(("paper", "gpu_code"), "t3", "published dynamic rules"),
    Group(("planned_",), "t4", "planned steps", is_line=True, suffix="_euler"),
    Group(("even_",), "t5", "even steps", is_line=True, suffix="_euler"),
)


class Film(NamedTuple):
    """A clip, the link that holds its video, and the titles of its tiles."""

    clip: Clip
    link: str
    titles: list[str]


def write_evaluation(results: Evaluation, folder: Path, path: Path, made: Provenance | None = None) -> None:
    """Write the page; the clips are read from `folder`. Raises UserError if a file cannot be read or written."""
    write_text(path, render_quality(results, folder, made))


def render_quality(results: Evaluation, folder: Path, made: Provenance | None = None) -> str:
    """The whole page as text: self-contained, the same for the same results."""
    groups = _points(results)
    is_charted = sum(len(points) for points in groups.values()) > 1
    return page(
        "quality.html",
        title=f"LPL and TDTM measured: {results.plan}",
        assets=("video.css", "quality.css", "lines.js", "player.js"),
        figures={"plane": _plane(results, groups) if is_charted else None},
        results=results,
        sample=sample_text(results),
        findings=findings(results),
        columns=[column.heading for column in COLUMNS],
        rows=[(row.title, _cells(row)) for row in results.rows],
        groups=[group for group in GROUPS if group.name in groups],
        is_charted=is_charted,
        published=published_quality(),
        published_columns=("Technique", "Place", *PUBLISHED_HEADINGS),
        published_cells=[(each, published_cells(each, results)) for each in published_quality().techniques],
        another_model=ANOTHER_MODEL,
        has_few_prompts=any(row.psnr_db.value is not None and row.psnr_db.low is None for row in results.rows),
        films=_films(results, folder),
        source=source_of(made),
    )


def _cells(row: Row) -> list[tuple[str, str]]:
    """Each value and its interval."""
    return [
        (value_text(column.value(row), column.write), bounds_text(column.value(row), column.write, UNTIL))
        for column in COLUMNS
    ]


def _points(results: Evaluation) -> dict[str, list[dict[str, Any]]]:
    """PSNR over network evaluations, by the name of the group; without configurations whose videos are equal."""
    found: dict[str, list[dict[str, Any]]] = {}
    for group in GROUPS:
        for row in results.rows:
            psnr, evaluations = row.psnr_db, row.evaluations.value
            if not group.has(row.configuration) or psnr.value is None or evaluations is None:
                continue
            low, high = (psnr.value if end is None else end for end in (psnr.low, psnr.high))
            told = f"{row.title}: {interval_text(psnr, ONE, ' dB')}"
            found.setdefault(group.name, []).append(
                {"x": evaluations, "y": psnr.value, "low": low, "high": high, "told": told}
            )
    return found


def _plane(results: Evaluation, groups: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What lies above the line of the fixed leaps loses less for the same work."""
    return {
        "groups": [
            {
                "name": group.name,
                "color": group.color,
                "dash": "solid",
                "isLine": group.is_line,
                "points": sorted(groups[group.name], key=lambda point: float(point["x"])),
            }
            for group in GROUPS
            if group.name in groups
        ],
        "across": "network evaluations",
        "upward": "PSNR, dB",
        "from": 0,
        "to": 1.02 * results.num_steps,
        "places": None,
        "limit": None,
    }


def _films(results: Evaluation, folder: Path) -> list[Film]:
    """Raises UserError for a video that cannot be read."""
    titles = {row.configuration: row.title for row in results.rows}
    return [
        Film(clip, _video_link(folder / clip.file), [titles[name] for name in clip.configurations])
        for clip in results.clips
    ]


def _video_link(file: Path) -> str:
    try:
        return data_link(MEDIA_TYPES[file.suffix], file.read_bytes())
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", str(file)) from None
