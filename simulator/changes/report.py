"""All that a page shows of one plan: its simulation, what bounds it, and the figures that it depends on."""

from __future__ import annotations

from msgspec.structs import replace

from ondevice_sora.base import interrupts
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.records.search import PlanReport
from ondevice_sora.simulator.changes.explain import explain
from ondevice_sora.simulator.changes.sensitivity import sensitivities
from ondevice_sora.simulator.prepare import Setting
from ondevice_sora.simulator.simulate import simulation_of


def plan_report(loaded: LoadedPlan, setting: Setting, made: Provenance) -> PlanReport:
    """Raises UserError."""
    simulation = simulation_of(loaded, setting, with_what_ifs=True)
    interrupts.check()
    explanation = explain(simulation.prepared)
    interrupts.check()
    sensitive = sensitivities(simulation.prepared)
    interrupts.check()
    return PlanReport(replace(simulation.trace, provenance=made), explanation, sensitive)
