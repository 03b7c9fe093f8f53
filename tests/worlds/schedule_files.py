"""schedule.json of ready and of random plans, as it is written for a phone."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.leap import Never
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.played import Played, played
from ondevice_sora.plans.schedule import Schedule, packages_of
from ondevice_sora.plans.schedule_file import (
    FORMAT,
    Predicted,
    ProfileName,
    ScheduledBlock,
    ScheduledPass,
    ScheduledVisit,
    ScheduleFile,
    read_schedule,
    write_schedule,
)
from ondevice_sora.plans.schema import (
    ComponentPlan,
    FirstSteps,
    Keep,
    Lpl,
    Memory,
    Plan,
    Sampler,
    Start,
    Tdtm,
    UnitsPerBlock,
    Video,
)
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.simulator.prepare import Prepared, load_inputs, model_of
from ondevice_sora.simulator.scheduled import Function, schedule_file, to_play
from worlds.toys import Toy

NO_MANIFEST = "0" * 64


def function_of(plan: Plan) -> Callable[[BlockSpec], Function]:
    is_separate = plan.tdtm.packages == "separate"

    def function(spec: BlockSpec) -> Function:
        suffix = ".tdtm" if is_separate and spec.variant == "tdtm" else ""
        return Function(f"{spec.component}.{spec.index:03}{suffix}.mlpackage", spec.variant)

    return function


def made(loaded: LoadedPlan, path: Path, **options: Any) -> tuple[Prepared, Played]:
    """The plan as it is played on an iPhone 15 Pro, and the schedule of it, written and read back."""
    loaded, setting = load_inputs(loaded, **options)
    described = model_of(loaded)
    prepared = to_play(loaded.plan, described, setting)
    write_schedule(path, schedule_file(prepared, function_of(loaded.plan), NO_MANIFEST))
    return prepared, played(read_schedule(path), loaded.plan, prepared.model, described.reference)


def random_plan(draw: random.Random) -> Plan:
    """Of the small model, whose blocks' bytes lie as far apart as a large one's: cuts, windows, residents, budgets."""
    steps = draw.randint(1, 6)

    def component(most: int) -> ComponentPlan:
        keeps: list[Keep] = ["none", "paper", "app", "belady", "optimal", "always", 0, 1]
        return ComponentPlan(
            blocks=draw.choice(["whole", "unit", UnitsPerBlock(draw.randint(1, most))]),
            prefetch=draw.choice([0, 1, 2, 3, "app"]),
            keep=draw.choice(keeps),
            compute_units=draw.choice(["cpu_only", "cpu_and_gpu", "cpu_and_ne"]),
            precision=draw.choice(["float32", "float16"]),
        )

    lpls = [Lpl(), Lpl("fixed", leap_step=draw.randrange(steps)), Lpl("dynamic", rule="paper")]
    starts: list[Start] = ["first", "cached", "loaded"]
    return Plan(
        name="random",
        model="small",
        video=Video(64, 64, draw.choice([17, 20, 68])),
        sampler=Sampler(steps=steps, guidance=draw.choice([1.0, 2.5])),
        lpl=draw.choice(lpls),
        tdtm=draw.choice(
            [Tdtm(), Tdtm(FirstSteps(draw.randint(1, steps)), packages=draw.choice(["shared", "separate"]))]
        ),
        components={"text_encoder": component(3), "denoiser": component(6), "decoder": component(4)},
        start=draw.choice(starts),
    )


def made_at_random(seed: int, folder: Path) -> list[tuple[Prepared, Played]]:
    """A random plan's schedule; of every other seed a second one too, with a budget between the smallest that the plan
    might do with and what it takes without one. The files are random-SEED.json and tight-SEED.json.
    """
    draw = random.Random(seed)
    plan = random_plan(draw)
    prepared, found = made(LoadedPlan(plan), folder / f"random-{seed}.json")
    if seed % 2 == 0:
        return [(prepared, found)]
    most, baseline = prepared.schedule.needed_bytes, prepared.machine.memory.baseline
    for _ in range(20):
        budget = ByteCount(round(baseline + draw.uniform(0.3, 1.3) * (most - baseline)))
        try:
            tight = made(LoadedPlan(replace(plan, memory=Memory(budget))), folder / f"tight-{seed}.json")
        except UserError as error:
            assert "more than the budget of" in error.what
            continue
        return [(prepared, found), tight]
    raise AssertionError("no budget was wide enough")


def toy_file(toy: Toy) -> tuple[ScheduleFile, Schedule, BlockCosts]:
    """A toy world's schedule as a file, without a plan or an export behind it. Raises UserError if there is none."""
    schedule, costs = toy.schedule()
    package = packages_of(schedule.blocks, toy.tdtm.packages == "separate")
    seconds = zip(*(array[:, 0].tolist() for array in costs.seconds), strict=True)
    blocks = tuple(
        ScheduledBlock(
            spec.component, spec.index, spec.name, spec.variant, f"{package[number]:03}.mlpackage", spec.variant,
            spec.processor, costs.resident_bytes[number], costs.working_bytes[number], costs.stored_bytes[number], *own,
        )
        for number, (spec, own) in enumerate(zip(schedule.blocks, seconds, strict=True))
    )  # fmt: skip
    outcome = toy.play(is_limited=False)
    file = ScheduleFile(
        format=FORMAT,
        plan="toy",
        plan_sha256=NO_MANIFEST,
        manifest_sha256=NO_MANIFEST,
        device="toy",
        profile=ProfileName("toy", NO_MANIFEST),
        limit_bytes=toy.limit,
        limit_source="made up",
        budget_bytes=toy.budget,
        baseline_bytes=toy.baseline,
        needed_bytes=schedule.needed_bytes,
        transient_share=toy.transient,
        residual_share=toy.residual,
        predicted=Predicted(outcome.total_s, outcome.peak_bytes),
        leap=Never(),
        blocks=blocks,
        held=schedule.held,
        left=tuple(number for number, is_left in enumerate(schedule.columns.is_left) if is_left),
        passes=tuple(
            ScheduledPass("denoiser", step, each.first, each.length) for step, each in enumerate(schedule.passes)
        ),
        visits=tuple(ScheduledVisit(*visit) for visit in schedule.visits),
    )
    return file, schedule, costs
