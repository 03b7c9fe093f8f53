"""Why a plan takes as long as it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ondevice_sora.api.given import (
    DEFAULT_DEVICE,
    DEFAULT_PLAN,
    PlanLike,
    Size,
    call_of,
    conditions_of,
    in_python,
    loaded_plan,
    name_of,
    place_of,
)
from ondevice_sora.api.shown import check_choice, frame, preformatted, printed
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.records.search import Explanation

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from ondevice_sora.api.catalogue import DeviceProfile
    from ondevice_sora.simulator.prepare import Setting


@dataclass(frozen=True)
class Explained:
    """What bounds a plan, what each thing is worth, and what could be otherwise; each simulated."""

    explanation: Explanation
    plan: LoadedPlan
    setting: Setting

    def to_frame(self, what: Literal["reasons", "components"] = "reasons") -> pd.DataFrame:
        """The plan with one thing changed, or what each component's seconds go to. Raises UserError."""
        check_choice(what, ("reasons", "components"))
        return frame(self.explanation.reasons if what == "reasons" else self.explanation.components)

    def figure(self) -> Figure:
        """What each change saves or costs, in seconds."""
        from ondevice_sora.reports.charts import reasons_figure

        return reasons_figure(self.explanation)

    def report(self, path: str | Path) -> Path:
        """Write the page that `plan explain --report` writes; an existing file is replaced."""
        from ondevice_sora.provenance import provenance
        from ondevice_sora.reports.page.report import write_plan_report
        from ondevice_sora.simulator.changes.report import plan_report

        made = provenance(
            call_of("explain", name_of(self.plan), self.setting.device.name), self.plan, self.setting.profile
        )
        write_plan_report(plan_report(self.plan, self.setting, made), path)
        return Path(path)

    def summary(self) -> str:
        """What `plan explain` prints."""
        from ondevice_sora.reports.terminal.search import print_explanation

        return printed(lambda: print_explanation(self.explanation))

    def __repr__(self) -> str:
        from ondevice_sora.base.units import format_seconds

        found = self.explanation
        took, bound = format_seconds(found.total_s), format_seconds(found.bound_s)
        return f"<Explained: {found.plan!r} on {found.device} takes {took}, no plan less than {bound}>"

    def _repr_html_(self) -> str:
        return preformatted(self.summary())


@in_python
def explain(
    plan: PlanLike = DEFAULT_PLAN,
    device: str | Path | DeviceProfile = DEFAULT_DEVICE,
    *,
    memory_limit: Size | None = None,
    entitlement: bool = False,
    os: str | float | None = None,
    thermal: bool = False,
) -> Explained:
    """What bounds a plan, and what would change it: what `plan explain` does. The arguments are those of `simulate`.

    Raises UserError for input that cannot be used.
    """
    from ondevice_sora.simulator.changes.explain import explain as explanation_of
    from ondevice_sora.simulator.prepare import prepare

    conditions = conditions_of(memory_limit, entitlement, os, thermal)
    loaded = conditions.applied(loaded_plan(plan))
    setting = conditions.setting(place_of(device), loaded.plan)
    return Explained(explanation_of(prepare(loaded, setting)), loaded, setting)
