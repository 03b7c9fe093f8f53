"""The machine that a made-up world is played on, and how it is scheduled and played."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.plans.heat import Heat
from ondevice_sora.plans.schedule import MemoryModel, Schedule
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.simulator.engine import Outcome, play
from ondevice_sora.simulator.fast import Finish, finish
from ondevice_sora.simulator.machine import Machine


class OnAMachine:
    """Its fields, plan, model and prices are the world's own; rates are the same on every processor."""

    baseline: int
    limit: int
    transient: float
    residual: float
    load_rate: float
    run_rate: float
    heat: Heat

    @property
    def plan(self) -> Plan:
        raise NotImplementedError

    @property
    def model(self) -> Model:
        raise NotImplementedError

    def price(self, blocks: Sequence[BlockSpec]) -> BlockCosts:
        raise NotImplementedError

    @property
    def memory(self) -> MemoryModel:
        return MemoryModel(self.baseline, self.limit, self.transient, self.residual)

    @property
    def machine(self) -> Machine:
        return Machine(
            self.memory,
            dict.fromkeys(("cpu", "gpu", "ane"), self.load_rate), dict.fromkeys(("cpu", "gpu", "ane"), self.run_rate),
            self.heat,
        )  # fmt: skip

    def schedule(self) -> tuple[Schedule, BlockCosts]:
        return build_schedule(self.plan, self.model, {}, self.price, self.memory, speeds=self.machine.speeds)

    def play(self, is_limited: bool = True) -> Outcome:
        schedule, costs = self.schedule()
        return play(schedule, costs, self.machine, is_limited=is_limited)

    def finish(self) -> Finish:
        schedule, costs = self.schedule()
        return finish(schedule, costs, self.machine)
