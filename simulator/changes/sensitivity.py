"""Which figures of the costs a plan's total depends on: one figure at a time, lower and higher by its spread."""

from __future__ import annotations

from dataclasses import replace as with_fields

from msgspec.structs import replace

from ondevice_sora.profiles.costs import figures, replace_figures
from ondevice_sora.records.search import Sensitivity
from ondevice_sora.simulator.changes.change import Change, tried
from ondevice_sora.simulator.interval import factor_of, slowed
from ondevice_sora.simulator.prepare import Prepared


def sensitivities(prepared: Prepared) -> list[Sensitivity]:
    """One row for each figure whose spread moves the total, the most telling first.

    A rate moves through the seconds that it stands for, as in simulator/interval.py. A figure with which the plan would
    be refused is left out. What figures have in common (the fit knows them together) is not shown here: the spreads of
    single figures can be larger than that of the total.
    """
    setting = prepared.setting
    rows = []
    for name, figure in figures(setting.profile.costs).items():
        if figure.spread <= 0.0:
            continue
        changes = []
        for deviation in (-figure.spread, figure.spread):
            value = float(slowed(name, figure.value, factor_of(figure, deviation)))
            costs = replace_figures(setting.profile.costs, {name: replace(figure, value=value)})
            profile = replace(setting.profile, costs=costs)
            changes.append(Change(name, prepared.plan, with_fields(setting, profile=profile)))
        totals = [other.finish().total_s for _, other in tried(prepared, changes)]
        if len(totals) == 2 and totals[0] != totals[1]:
            rows.append(Sensitivity(name, figure.mark, figure.spread, totals[0], totals[1]))
    return sorted(rows, key=lambda row: -abs(row.high_s - row.low_s))
