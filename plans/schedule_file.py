"""schedule.json: a schedule as data, made where it is simulated and followed where it is played.

    blocks   what is loaded and run: in which package and function, where, its bytes and predicted seconds
    held     the blocks whose packages are in memory before the first visit, one for each package
    left     the blocks whose packages were unloaded before the first visit and left their residual bytes
    passes   the walks over components, in order: each its first visit and how many there are
    visits   block, step, loads, cold, first_run, gate, evicts, leaves: see Visit in plans/schedule.py

Whoever plays it decides nothing: not what to load or evict, and not when to leap. docs/schedule.md walks through it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.opening import FILE_NAME
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.base.quantities import Bytes, Count, Seconds
from ondevice_sora.base.text import END, Checksum, Line, Title
from ondevice_sora.plans.leap import Leap
from ondevice_sora.plans.schedule import MAX_VISITS, MemoryModel
from ondevice_sora.profiles.blocks import Processor
from ondevice_sora.profiles.models.model import Name, Variant

SCHEDULE = "schedule.json"
FORMAT: Literal["ondevice-sora-schedule-1"] = "ondevice-sora-schedule-1"
MAX_FILE_BYTES = 50_000_000
MAKE_AGAIN = "Make it again with `ondevice-sora schedule`."

PackageName = Annotated[
    str,
    msgspec.Meta(
        pattern=FILE_NAME + r"\.mlpackage" + END, max_length=200, description="the name of an .mlpackage beside it"
    ),
]
Number = Annotated[int, msgspec.Meta(ge=0, lt=MAX_VISITS)]


class ScheduledBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A block in one variant. `number` counts the component's blocks from 0; `lane` is the processor it is taken to
    run on. `load_s` and `run_s` are predicted, alone, after the first time; a package's first load on the device and a
    block's first run after a load take `first_load_s` and `first_run_s`.
    """

    component: Name
    number: Count
    name: Line
    variant: Variant
    package: PackageName
    function: Line
    lane: Processor
    resident_bytes: Bytes
    working_bytes: Bytes
    stored_bytes: Bytes
    load_s: Seconds
    first_load_s: Seconds
    run_s: Seconds
    first_run_s: Seconds
    unload_s: Seconds


class ScheduledPass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One walk over a component's blocks."""

    component: Name
    step: Number
    first: Number
    length: Annotated[int, msgspec.Meta(ge=1, le=MAX_VISITS)]


class ScheduledVisit(NamedTuple):
    """As Visit in plans/schedule.py; msgspec reads and writes it as an array."""

    block: Number
    step: Number
    loads: bool
    cold: bool
    first_run: bool
    gate: Annotated[int, msgspec.Meta(ge=-1, lt=MAX_VISITS)]
    evicts: bool
    leaves: bool


class ProfileName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose costs these are."""

    name: Line
    sha256: Checksum


class Predicted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the simulation of this schedule came to, were there no limit."""

    total_s: Seconds
    peak_bytes: Bytes


class ScheduleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole. `needed_bytes` bounds the footprint that playing it can reach: baseline, blocks and working memory.

    transient_share   of a block's resident bytes that a load is charged besides, while it goes on
    residual_share    of a package's resident bytes that stay charged after its first unloading
    """

    format: Literal["ondevice-sora-schedule-1"]
    plan: Title
    plan_sha256: Checksum
    manifest_sha256: Checksum
    device: Line
    profile: ProfileName
    limit_bytes: Bytes
    limit_source: Line
    budget_bytes: Bytes | None
    baseline_bytes: Bytes
    needed_bytes: Bytes
    transient_share: Annotated[float, msgspec.Meta(ge=0, le=10)]
    residual_share: Annotated[float, msgspec.Meta(ge=0, le=10)]
    predicted: Predicted
    leap: Leap
    blocks: Annotated[tuple[ScheduledBlock, ...], msgspec.Meta(min_length=1, max_length=20_000)]
    held: tuple[Number, ...]
    left: tuple[Number, ...]
    passes: Annotated[tuple[ScheduledPass, ...], msgspec.Meta(min_length=1, max_length=MAX_VISITS)]
    visits: Annotated[tuple[ScheduledVisit, ...], msgspec.Meta(min_length=1, max_length=MAX_VISITS)]

    @property
    def memory(self) -> MemoryModel:
        return MemoryModel(self.baseline_bytes, self.limit_bytes, self.transient_share, self.residual_share)


def write_schedule(path: Path, file: ScheduleFile) -> None:
    """One line for each block, pass and visit. Raises UserError if it cannot be written."""
    rows = []
    for key, value in msgspec.to_builtins(file).items():
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], (dict, list, tuple)):
            lines = ",\n  ".join(json.dumps(each) for each in value)
            rows.append(f" {json.dumps(key)}: [\n  {lines}\n ]")
        else:
            rows.append(f" {json.dumps(key)}: {json.dumps(value)}")
    write_text(path, "{\n" + ",\n".join(rows) + "\n}\n")


def read_schedule(path: Path, *, follows_links: bool = False) -> ScheduleFile:
    """A schedule that can be played: gates before their visits, blocks run while they are loaded. Raises UserError."""
    document = read_json(path, max_bytes=MAX_FILE_BYTES, mend=MAKE_AGAIN, follows_links=follows_links)
    document.check_format("a schedule", FORMAT)
    file = document.convert(ScheduleFile)
    _check(file, document)
    return file


def _check(file: ScheduleFile, document: Document) -> None:
    """What a schema cannot say. Raises UserError."""
    seen: dict[tuple[str, int, str], int] = {}
    component_of: dict[str, str] = {}
    for number, block in enumerate(file.blocks):
        if seen.setdefault((block.component, block.number, block.variant), number) != number:
            raise document.error(f"$.blocks[{number}]", f"block '{block.name}' of {block.component} stands twice")
        if (other := component_of.setdefault(block.package, block.component)) != block.component:
            raise document.error(f"$.blocks[{number}]", f"package {block.package} is of {other} as well")
    for key, numbers in (("held", file.held), ("left", file.left)):
        packages = [file.blocks[number].package for number in numbers if number < len(file.blocks)]
        if len(packages) < len(numbers) or len(set(packages)) < len(packages):
            raise document.error(f"$.{key}", "not the blocks of different packages")
    if file.budget_bytes is not None and file.needed_bytes > file.budget_bytes:
        raise document.error("$.needed_bytes", f"more than the budget of {file.budget_bytes} bytes")
    end = 0
    known: list[str] = []
    for number, each in enumerate(file.passes):
        if each.first != end or each.first + each.length > len(file.visits):
            raise document.error(f"$.passes[{number}]", "passes follow each other, over all visits")
        if each.component in known[:-1]:
            raise document.error(f"$.passes[{number}]", f"the passes of {each.component} do not stand together")
        if each.component not in known:
            known.append(each.component)
        end += each.length
    if end != len(file.visits):
        raise document.error("$.passes", f"passes of {end} visits, but there are {len(file.visits)}")
    _check_visits(file, document)


def _check_visits(file: ScheduleFile, document: Document) -> None:
    """Raises UserError unless every visit finds its block loaded, and can be reached without waiting for ever."""
    resident = {file.blocks[number].package for number in file.held}
    evicted_at: dict[str, int] = {}
    for number, each in enumerate(file.passes):
        for index in range(each.first, each.first + each.length):
            visit, pointer = file.visits[index], f"$.visits[{index}]"
            if visit.block >= len(file.blocks):
                raise document.error(pointer, f"no block has the number {visit.block}")
            block = file.blocks[visit.block]
            if (block.component, visit.step) != (each.component, each.step):
                what = (
                    f"of {block.component}, step {visit.step}, in pass {number} of {each.component}, step {each.step}"
                )
                raise document.error(pointer, what)
            if block.number != index - each.first:
                raise document.error(pointer, f"block {block.number} where block {index - each.first} comes next")
            if visit.gate >= index:
                raise document.error(pointer, f"its gate {visit.gate} does not lie before it: it would wait for itself")
            if visit.loads == (block.package in resident):
                word = "already" if visit.loads else "not"
                raise document.error(pointer, f"package {block.package} is {word} in memory here")
            if visit.loads and visit.gate < (before := evicted_at.get(block.package, -1)):
                what = f"its gate {visit.gate} does not wait for visit {before}, which evicts package {block.package}"
                raise document.error(pointer, what)
            if visit.cold > visit.loads or visit.leaves > visit.evicts or visit.loads > visit.first_run:
                raise document.error(pointer, "a first load without a load, or a first eviction without one")
            if visit.evicts:
                resident.discard(block.package)
                evicted_at[block.package] = index
            else:
                resident.add(block.package)
