"""Closed forms: what no schedule can beat, and what no overlap costs."""

from __future__ import annotations

from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.records.result import Bounds


def bounds_of(schedule: Schedule, costs: BlockCosts, sample: int = 0) -> Bounds:
    """Bounds on the total of a schedule, in seconds, heat aside.

    Runs follow each other, and so do loads; the first run waits for the first load, and the last visit's run follows
    the last load. Without any overlap everything adds up. Slowing each other down can exceed that second bound only
    where the two rates together are below one.
    """
    warm, cold = costs.load_warm_s[:, sample], costs.load_cold_s[:, sample]
    run, first, unload = costs.run_s[:, sample], costs.first_run_s[:, sample], costs.unload_s[:, sample]
    loads = [float(cold[v.block] if v.cold else warm[v.block]) if v.loads else 0.0 for v in schedule.visits]
    works = [
        float(first[v.block] if v.first_run else run[v.block]) + (float(unload[v.block]) if v.evicts else 0.0)
        for v in schedule.visits
    ]
    loading = [index for index, visit in enumerate(schedule.visits) if visit.loads]
    after_last_load = sum(works[loading[-1] :]) if loading else 0.0
    first_load = loads[0] if loads else 0.0
    run_s, load_s = sum(works), sum(loads)
    return Bounds(
        run_s=run_s,
        load_s=load_s,
        lower_s=max(first_load + run_s, load_s + after_last_load),
        sequential_s=run_s + load_s,
    )
