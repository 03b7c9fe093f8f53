"""A small STDiT3 in a block store, and what the executor's tests do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ondevice_sora.plans.partition import cut
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.plans.schema import ComponentPlan, Memory, Plan, Sampler, Start, Tdtm, UnitsPerBlock
from ondevice_sora.profiles.costs import BlockCosts, bytes_alone
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.store import Store, write_store
from ondevice_sora.runtime.networks.description import describe_networks
from ondevice_sora.runtime.networks.network import Network
from ondevice_sora.runtime.networks.stdit3 import LatentSize, PixelSize, STDiT3
from ondevice_sora.runtime.networks.units import State, run_units

SIZE, PIXELS = LatentSize(5, 3, 4), PixelSize(24, 32)
WORKING = 1000


def network_of(model: STDiT3, passes: Any = "steps") -> Network:
    return Network(
        "denoiser",
        passes,
        tuple(model.units(SIZE, PIXELS)),
        tuple(model.units(SIZE, PIXELS, merged_blocks=model.block_names)),
        frozenset(model.block_names),
    )


def empty_like(model: STDiT3) -> STDiT3:
    """The same network without weights."""
    with torch.device("meta"):
        return STDiT3(model.config).eval()


def plan_of(
    blocks: Any = "unit",
    prefetch: int = 1,
    keep: Any = "none",
    steps: int = 3,
    tdtm: Any = "none",
    packages: Any = "shared",
    budget: int | None = None,
    start: Start = "first",
) -> Plan:
    blocks = UnitsPerBlock(blocks) if isinstance(blocks, int) else blocks
    component = ComponentPlan(blocks=blocks, compute_units="cpu_only", prefetch=prefetch, keep=keep)
    return Plan(
        name="toy",
        model="model.yaml",
        sampler=Sampler(steps=steps),
        tdtm=Tdtm(tdtm, packages),
        memory=Memory(budget=None if budget is None else ByteCount(budget)),
        components={"denoiser": component},
        start=start,
    )


def scheduled(plan: Plan, network: Network) -> tuple[Schedule, BlockCosts]:
    model = describe_networks("toy", [network])
    return build_schedule(plan, model, {}, bytes_alone(lambda block: WORKING), evaluations=plan.most_evaluations())


def stored(directory: Path, plan: Plan, network: Network) -> Store:
    model = describe_networks("toy", [network])
    return write_store(directory, model, [network], cut(plan, model, {}))


def held_bytes(run: Executor) -> int:
    """What the ledger has charged at the moment, beside the baseline."""
    last = run.trace().memory[-1]
    return last.total - last.baseline


def inputs(model: STDiT3, step: int) -> State:
    generator = torch.Generator().manual_seed(step)
    return model.initial_state(
        torch.randn(2, 4, *SIZE, generator=generator),
        torch.tensor([700.0 - step, 20.0]),
        torch.randn(2, 7, 12, generator=generator),
        fps=torch.tensor([24.0]),
        text_mask=torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0]]),
    )


def whole(model: STDiT3, plan: Plan, step: int) -> Tensor:
    network = network_of(model)
    units = network.units("tdtm" if plan.merges(step) else "plain")
    return run_units(units, inputs(model, step))["velocity"]
