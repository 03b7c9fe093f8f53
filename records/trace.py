"""The trace: what every engine writes, simulated or measured, and what every report is made from.

A span says what one lane did from start to end; memory samples say what the app was charged at each change. Times are
seconds from the start of the generation, sizes are bytes.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.base.quantities import Bytes, Seconds
from ondevice_sora.base.text import Line
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.records.result import Result

Lane = Literal["load", "cpu", "gpu", "ane"]
Action = Literal["load", "run", "evict"]
Step = Annotated[int, msgspec.Meta(ge=0, le=10**6)]
FORMAT = "ondevice-sora-trace-1"
MAX_BYTES = 500_000_000
WRITE_ONE = "Write one with `simulate --trace FILE`."


class Span(msgspec.Struct, frozen=True, gc=False):
    """One action of one lane. `step` is the denoising step or the pass.

    `cold` marks the first load of a package on the device, and the first run of a block after each of its loads.
    """

    lane: Lane
    action: Action
    component: Line
    step: Step
    block: Line
    variant: Line
    start_s: Seconds
    end_s: Seconds
    bytes: Bytes
    cold: bool = False

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


class MemorySample(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What is charged from `time_s` on, by what holds it; `clean` is mapped besides and not charged."""

    time_s: Seconds
    baseline: Bytes
    resident: Bytes
    loading: Bytes
    working: Bytes
    residual: Bytes
    clean: Bytes = 0

    @property
    def total(self) -> int:
        return self.baseline + self.resident + self.loading + self.working + self.residual


class FootprintSample(NamedTuple):
    """What the system charged at `time_s`."""

    time_s: Seconds
    bytes: Bytes


class Kill(msgspec.Struct, frozen=True):
    """The moment the footprint crossed the limit: what was being done, to which block, and how far over."""

    time_s: Seconds
    action: Action
    component: Line
    step: Step
    block: Line
    footprint_bytes: Bytes
    limit_bytes: Bytes


class Trace(msgspec.Struct, frozen=True):
    """One generation. `kind` says whether it happened or was computed; reports never mix the two silently.

    `spans` are in order of their ends; if there was a kill, they stop at it. `memory` is the ledger's: what was known
    to be held. `footprint` is what the system charged meanwhile, where it was sampled: on a phone to the app, on a
    computer to the process, above what that had before. `limit_bytes` is what the app may use; `budget_bytes` what the
    plan allows itself, null where it does not say. `provenance` is null of a trace that does not say where it is from.
    """

    kind: Literal["simulated", "measured"]
    plan: Line
    device: Line
    model: Line
    spans: list[Span]
    memory: list[MemorySample]
    limit_bytes: Annotated[int, msgspec.Meta(ge=1, le=10**18)]
    kill: Kill | None = None
    conditions: dict[Line, Line] = {}
    result: Result | None = None
    footprint: list[FootprintSample] | msgspec.UnsetType = msgspec.UNSET
    budget_bytes: Bytes | None = None
    provenance: Provenance | None = None
    format: str = FORMAT

    @property
    def total_s(self) -> float:
        """When the last span ends, in seconds."""
        return max((span.end_s for span in self.spans), default=0.0)

    @property
    def peak_bytes(self) -> int:
        """The largest footprint, in bytes."""
        return max((sample.total for sample in self.memory), default=0)

    @property
    def allowed_bytes(self) -> int | None:
        """The plan's budget, as the trace or its result has it."""
        if self.budget_bytes is None and self.result is not None:
            return self.result.budget_bytes
        return self.budget_bytes

    @property
    def sampled(self) -> list[FootprintSample]:
        """The samples of the footprint; none where it was not sampled."""
        return [] if self.footprint is msgspec.UNSET else self.footprint

    @property
    def sampled_peak_bytes(self) -> int | None:
        """The largest of them, in bytes."""
        return max((sample.bytes for sample in self.sampled), default=None)


def write_trace(trace: Trace, path: str | Path) -> None:
    write_text(path, msgspec.json.encode(trace).decode() + "\n")


def read_trace(path: str | Path) -> Trace:
    """A saved trace. Raises UserError if the file is not one, or breaks off."""
    document = read_json(path, max_bytes=MAX_BYTES, mend=WRITE_ONE)
    document.check_format("a trace", FORMAT)
    trace = document.convert(Trace)
    check_trace(trace, document)
    return trace


def check_trace(trace: Trace, document: Document, pointer: str = "$") -> None:
    """What a schema cannot say of a trace at `pointer`: that time runs forwards. Raises UserError."""
    for index, span in enumerate(trace.spans):
        if span.end_s < span.start_s:
            raise document.error(f"{pointer}.spans[{index}]", "ends before it starts")
    for index in range(1, len(trace.memory)):
        if trace.memory[index].time_s < trace.memory[index - 1].time_s:
            raise document.error(f"{pointer}.memory[{index}]", "is earlier than the one before")
    for index, (before, after) in enumerate(pairwise(trace.sampled), start=1):
        if after.time_s < before.time_s:
            raise document.error(f"{pointer}.footprint[{index}]", "is earlier than the one before")
