"""The schedule beside an export, on a run of the export."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hostile.inputs import NOT_FILES, NOT_JSON, ODD, Input, link
from hostile.surfaces.stores import changed

OWN = ("run", "exported", "a red circle", "-o", "v.gif")
WRITES = ("v.gif", "v.png", "v.json", "v.trace.json")
FILE = "exported/schedule.json"


def schedules() -> Iterator[Input]:
    def schedule(name: str, change: Callable[[Any], object], **more: Any) -> Input:
        return Input(name, OWN, made=("export",), arrange=lambda w: changed(w / FILE, change), **more)

    yield Input("as it was", OWN, made=("export",), expected="fine", writes=WRITES)
    for kind, content in (NOT_FILES | NOT_JSON).items():
        yield Input(f"the schedule is {kind}", OWN, {FILE: content}, ("export",))
    yield Input("the schedule is a link", OWN, {FILE: link("../../outside/x.json")}, ("export",))
    for key in ("package", "function", "name", "component"):
        for odd in ("../outside", "/etc/passwd", "..", "", "\x1b[31m", "a\0b", "x" * 5000, "a\n"):
            yield schedule(f"{key} {odd[:20]!r}", partial(_block, key=key, value=odd))
    for place in range(8):
        for odd in ODD:
            yield schedule(
                f"visit[{place}] is {str(odd)[:20]!r}",
                partial(_visit, place=place, value=odd),
                expected="either",
                writes=WRITES,
                is_quick=False,
            )
    for seed in range(60):
        yield schedule(
            f"altered, seed {seed}", partial(_altered, seed=seed), expected="either", writes=WRITES, is_quick=False
        )
    for cut in (2, 50, 500, 5000):
        yield Input(
            f"cut by {cut}",
            OWN,
            made=("export",),
            arrange=partial(_cut, num_bytes=cut),
        )


def _block(data: Any, key: str, value: str) -> None:
    data["blocks"][0][key] = value


def _visit(data: Any, place: int, value: object) -> None:
    data["visits"][1][place] = value


def _cut(work: Path, num_bytes: int) -> None:
    (work / FILE).write_bytes((work / FILE).read_bytes()[:-num_bytes])


def _altered(data: Any, seed: int) -> None:
    """One value of the visits, passes, blocks or sizes replaced."""
    draw = random.Random(seed)
    key = draw.choice(["visits", "passes", "blocks", "needed_bytes", "baseline_bytes", "leap", "held"])
    if key in ("visits", "passes", "blocks"):
        row = draw.choice(data[key])
        place = draw.choice(list(row) if isinstance(row, dict) else list(range(len(row))))
        row[place] = draw.choice([*ODD, 2, 3, -2])
    else:
        data[key] = draw.choice([*ODD, 2, 3])


SURFACES: dict[str, Callable[[], Iterator[Input]]] = {"schedule": schedules}
