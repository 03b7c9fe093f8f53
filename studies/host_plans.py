"""The plans that `validate host` runs: partitions, windows, residency, budgets, LPL and TDTM, on two models.

A budget is room for so many of the largest blocks beside HEADROOM_BYTES, so that it means the same at any width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ondevice_sora.plans.schema import ComponentPlan, FirstSteps, Lpl, Memory, Plan, Sampler, Tdtm, UnitsPerBlock
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.runtime.executor.store import MODEL, Store

SubjectName = Literal["stand-in", "small", "few tokens"]
"""`few tokens` is the stand-in with so few that loading takes longer than running: where a plan matters most."""
FAMILIES: dict[SubjectName, tuple[str, ...]] = {
    "stand-in": ("denoiser",),
    "small": ("text_encoder", "denoiser", "decoder"),
    "few tokens": ("denoiser",),
}
HEADROOM_BYTES = 60_000_000
"""What a run adds beside its blocks, at most: libraries' code and scratch, and working memory."""


@dataclass(frozen=True)
class HostPlan:
    """One plan in short. `blocks` is the number of units per block; `room` the budget in largest blocks."""

    subject: SubjectName
    blocks: int
    prefetch: int
    keep: str | int = "none"
    room: int | None = None
    steps: int = 4
    tdtm: Literal["none", "all"] | int | tuple[int, ...] = "none"
    """a number: the first so many steps"""
    leap_step: int | None = None

    @property
    def name(self) -> str:
        """'stand-in: blocks of 2, window 1, keep optimal within 6 blocks, 4 steps, leap at 2'."""
        merging = {"none": "", "all": ", TDTM"}.get(str(self.tdtm), f", TDTM on {self._merged()}")
        return (
            f"{self.subject}: blocks of {self.blocks}, window {self.prefetch}, keep {self.keep}"
            + (f" within {self.room} blocks" if self.room is not None else "")
            + f", {self.steps} steps{merging}"
            + (f", leap at {self.leap_step}" if self.leap_step is not None else "")
        )

    @property
    def key(self) -> str:
        """The name as part of a file's."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.name).split())

    @property
    def components(self) -> dict[str, ComponentPlan]:
        component = ComponentPlan(
            blocks=UnitsPerBlock(self.blocks),
            compute_units="cpu_only",
            prefetch=self.prefetch,
            keep=self.keep,  # type: ignore[arg-type]
        )
        return dict.fromkeys(FAMILIES[self.subject], component)

    def _merged(self) -> str:
        return f"the first {self.tdtm}" if isinstance(self.tdtm, int) else f"steps {self.tdtm}"

    def plan(self, store: Store) -> Plan:
        """The plan for a store that is cut as it says."""
        largest = max(block.data_bytes for block in store.manifest.blocks)
        budget = None
        if self.room is not None:
            budget = ByteCount(HEADROOM_BYTES + self.room * largest)
        merging = FirstSteps(self.tdtm) if isinstance(self.tdtm, int) else self.tdtm
        return Plan(
            name=self.name,
            model=str((store.directory / MODEL).resolve()),
            sampler=Sampler(self.steps),
            lpl=Lpl() if self.leap_step is None else Lpl(mode="fixed", leap_step=self.leap_step),
            tdtm=Tdtm(merging),
            memory=Memory(budget),
            components=self.components,
        )


def host_plans(count: int | None = None) -> list[HostPlan]:
    """The plans, two of the stand-in to each of the small model; the first `count` of them."""
    return PLANS[:count]


def _stand_in(blocks: int, prefetch: int, *rest: object, **more: object) -> HostPlan:
    return HostPlan("stand-in", blocks, prefetch, *rest, **more)  # type: ignore[arg-type]


def _small(blocks: int, prefetch: int, *rest: object, **more: object) -> HostPlan:
    return HostPlan("small", blocks, prefetch, *rest, **more)  # type: ignore[arg-type]


PLANS = [
    _stand_in(1, 1),
    _stand_in(2, 0, steps=3),
    _small(1, 1, steps=20),
    _stand_in(1, 1, "optimal", room=7, steps=6),
    _stand_in(3, 1, "none", tdtm="all"),
    _small(4, 0, "optimal", tdtm="all", steps=20),
    _stand_in(2, 1, "paper", room=4, steps=5),
    _stand_in(1, 2, 3, steps=5, tdtm=2),
    _small(2, 2, "optimal", room=3, steps=40),
    _stand_in(5, 0, "optimal", leap_step=2, steps=6),
    _stand_in(1, 0, 5, steps=6),
    _small(16, 1, "none", steps=30, leap_step=15),
    _stand_in(2, 1, "optimal", room=3, tdtm=(1, 3), steps=5),
    _stand_in(1, 3, "paper", room=6, steps=4),
    _small(1, 0, "paper", room=9, steps=50, tdtm=25),
    _stand_in(3, 1, "optimal", room=3, steps=6),
    _stand_in(1, 1, "none", tdtm="all", steps=6, leap_step=3),
    _small(3, 1, 2, steps=25),
    _stand_in(2, 2, "none", steps=6),
    _stand_in(1, 1, 8, steps=8),
    _small(2, 1, "none", steps=60, leap_step=30, tdtm="all"),
    _stand_in(3, 0, 2, steps=5, tdtm=(0, 2)),
    _stand_in(5, 1, "none", steps=4),
    _small(16, 0, "optimal", steps=20),
    _stand_in(1, 0, "none", steps=4, tdtm="all"),
    _stand_in(2, 1, 2, steps=8, leap_step=4),
    _stand_in(5, 1, "optimal", steps=6, tdtm=3),
    _stand_in(1, 4, "optimal", room=8, steps=6),
    _small(4, 2, "none", steps=30),
    _stand_in(3, 1, 1, steps=6, leap_step=3, tdtm="all"),
]


SEARCH_STEPS = 12
SEARCH_ROOM = 6


def policies(store: Store) -> dict[str, Plan]:
    """What a plan found by search is set against, in the same budget: every block loaded anew, and the paper's."""
    largest = max(block.data_bytes for block in store.manifest.blocks)

    def plan(name: str, keep: Literal["none", "paper"]) -> Plan:
        component = ComponentPlan(blocks="unit", compute_units="cpu_only", prefetch=1, keep=keep)
        return Plan(
            name=name,
            model=str((store.directory / MODEL).resolve()),
            sampler=Sampler(SEARCH_STEPS),
            memory=Memory(ByteCount(HEADROOM_BYTES + SEARCH_ROOM * largest)),
            components=dict.fromkeys(FAMILIES["few tokens"], component),
        )

    return {"default": plan("default: nothing kept", "none"), "paper": plan("the paper's policy", "paper")}


def grouped(plans: list[HostPlan]) -> Mapping[tuple[SubjectName, int], list[HostPlan]]:
    """The plans by the store that they need."""
    found: dict[tuple[SubjectName, int], list[HostPlan]] = {}
    for plan in plans:
        found.setdefault((plan.subject, plan.blocks), []).append(plan)
    return found


def store_folder(root: Path, subject: SubjectName, blocks: int) -> Path:
    """Where the store of a subject cut into blocks of so many units lies."""
    return root / f"{subject}-{blocks}"
