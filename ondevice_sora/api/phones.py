"""Which phones a plan fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ondevice_sora.api.given import DEFAULT_PLAN, PlanLike, conditions_of, in_python, loaded_plan, shape_of
from ondevice_sora.api.shown import frame_of, printed, titled_table
from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.blocks import Loading
from ondevice_sora.records.ladder import Ladder, Rung

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class Phones:
    """A plan on several devices, each without and with the increased-memory entitlement, from the lowest limit up."""

    ladder: Ladder

    def smallest(self, entitlement: bool = False) -> Rung | None:
        """The device with the lowest limit that the plan fits; None if it fits none."""
        return self.ladder.smallest(entitlement)

    def to_frame(self) -> pd.DataFrame:
        """One row a device and limit: the columns of `simulate --csv`, in bytes and seconds."""
        from ondevice_sora.records.ladder import ladder_rows

        return frame_of(ladder_rows([self.ladder]))

    def figure(self) -> Figure:
        """The time on each device over its limit, by whether the plan fits."""
        from ondevice_sora.reports.charts import ladder_figure

        return ladder_figure(self.ladder)

    def summary(self) -> str:
        """What `simulate --device all` prints."""
        from ondevice_sora.reports.terminal.ladder import print_ladder

        return printed(lambda: print_ladder(self.ladder))

    def save(self, path: str | Path) -> Path:
        """Write the rows: CSV, or Parquet by the file's suffix; an existing file is replaced."""
        from ondevice_sora.records.ladder import ladder_rows
        from ondevice_sora.simulator.sweep.sweep import write_table

        write_table(ladder_rows([self.ladder]), Path(path))
        return Path(path)

    def _sentence(self) -> str:
        smallest = self.smallest()
        fits = "fits none without an entitlement" if smallest is None else f"fits from {smallest.device} on"
        return f"{self.ladder.plan!r} on {len({rung.key for rung in self.ladder.rungs})} devices: {fits}"

    def __repr__(self) -> str:
        return f"<Phones: {self._sentence()}>"

    def _repr_html_(self) -> str:
        return titled_table(self._sentence(), self.to_frame, self.summary)


@in_python
def ladder(
    plan: PlanLike | None = None,
    devices: Literal["all"] | Sequence[str] = "all",
    *,
    model: str | None = None,
    video: str | tuple[int, int, int] | None = None,
    loading: Loading | None = None,
    os: str | float | None = None,
    thermal: bool = False,
) -> Phones:
    """A plan on several devices, or 'all' iPhones and iPads: what `simulate --device all` does.

    The other arguments are those of `simulate`. Each device is tried without and with the entitlement. Raises UserError
    for input that cannot be used on any device; what one device cannot do is in its row.
    """
    from ondevice_sora.profiles.devices import devices_named
    from ondevice_sora.simulator.ladder import which_phones
    from ondevice_sora.simulator.whole import asked_plan

    conditions = conditions_of(None, False, os, thermal)
    if model is not None and plan is not None:
        raise UserError("--model has no effect with --plan", mend="Give one of the two.")
    given = None if model is not None else loaded_plan(DEFAULT_PLAN if plan is None else plan)
    loaded = asked_plan(given, model, None if video is None else shape_of(video), loading)
    named = [devices] if isinstance(devices, str) else list(devices)
    return Phones(which_phones(loaded, devices_named(named), conditions.os, conditions.thermal))
