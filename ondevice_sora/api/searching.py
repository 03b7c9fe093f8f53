"""The fastest plan that fits, and the best for every number of evaluations, precision and compute unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

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
    save_plan,
    size_of,
)
from ondevice_sora.api.shown import check_choice, frame, frame_of, preformatted, printed
from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.profiles.models.model import Branches, Precision
from ondevice_sora.records.ladder import MOST_DOUBT
from ondevice_sora.records.search import DEFAULT_SECONDS, Planning, RefusedVariant, VariantPoint

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from ondevice_sora.api.catalogue import DeviceProfile
    from ondevice_sora.commands.searching import Progress
    from ondevice_sora.simulator.prepare import Setting

DEFAULT_STEPPED_PLAN = "steps-256"


@dataclass(frozen=True)
class Search:
    """The fastest plan found within a budget, beside others. `plan` can be simulated and saved."""

    planning: Planning
    plan: LoadedPlan
    setting: Setting

    @property
    def gap(self) -> float | None:
        """How far the plan may be from the best possible one, relative to a bound; None without a bound."""
        return self.planning.gap

    def to_frame(self, what: Literal["plans", "front"] = "plans") -> pd.DataFrame:
        """The plans compared, one row each and device; or the front of total and peak. Raises UserError."""
        check_choice(what, ("plans", "front"))
        if what == "front":
            return frame(self.planning.memory_front)
        return frame(self.planning.rows).drop(columns="blocks")

    def figure(self) -> Figure:
        """Seconds over bytes at the peak: the plans compared, and the front where `budgets` were searched."""
        from ondevice_sora.reports.charts import planning_figure

        return planning_figure(self.planning)

    def save(self, path: str | Path) -> Path:
        """Write the plan found as YAML; the path of a model that lists its units is taken from where it is written.

        A model that is no file is written beside it. Existing files are replaced.
        """
        return save_plan(self.plan, Path(path))

    def summary(self) -> str:
        """What `plan search` prints."""
        from ondevice_sora.reports.terminal.search import print_planning

        return printed(lambda: print_planning({self.plan.plan.model_name: self.planning}))

    def report(self, path: str | Path) -> Path:
        """Write the page that `plan search --report` writes; an existing file is replaced."""
        from ondevice_sora.provenance import provenance
        from ondevice_sora.records.search import SearchReport
        from ondevice_sora.reports.page.search import write_search
        from ondevice_sora.simulator.changes.report import plan_report

        made = provenance(call_of("search", self.plan.plan.model_name), self.plan, self.setting.profile)
        chosen = plan_report(self.plan, self.setting, made)
        write_search(SearchReport(self.plan.plan.model_name, self.planning, chosen), path)
        return Path(path)

    def __repr__(self) -> str:
        from ondevice_sora.base.units import format_bytes, format_seconds

        found = self.planning.rows[0]
        took = "is killed" if found.total_s is None else f"takes {format_seconds(found.total_s)}"
        peak = "" if found.peak_bytes is None else f", peak {format_bytes(found.peak_bytes)}"
        return f"<Search: {self.plan.plan.name!r} on {found.device} {took}{peak}>"

    def _repr_html_(self) -> str:
        return preformatted(self.summary())


@dataclass(frozen=True)
class Variants:
    """The best plan of every choice of what was left free besides the partition."""

    points: list[VariantPoint | RefusedVariant]
    start: LoadedPlan
    title: str

    def to_frame(self) -> pd.DataFrame:
        """One row a variant: evaluations, precision and compute units by component, seconds, bytes; or why not."""
        rows = []
        for point in self.points:
            row = msgspec.to_builtins(point)
            for key in ("precision", "compute_units", "share_by_mark"):
                row |= {f"{name}_{key}": value for name, value in row.pop(key, {}).items()}
            row.pop("plan", None)
            rows.append(row)
        return frame_of(rows)

    @in_python
    def fastest(self, quality: float | None = None) -> LoadedPlan:
        """The plan of the fastest variant that is estimated to come so near to all steps, in dB.

        Raises UserError if none does.
        """
        from ondevice_sora.simulator.search.asked import fastest_of

        point = fastest_of(self.points, quality)
        found = loaded_plan({**point.plan, "model": self.start.plan.model} if self.start.listed is None else point.plan)
        return LoadedPlan(found.plan, self.start.document, self.start.listed)

    def summary(self) -> str:
        """What `plan search --evaluations` prints."""
        from ondevice_sora.reports.terminal.search import print_variants

        return printed(lambda: print_variants(self.points, self.title))

    def __repr__(self) -> str:
        return f"<Variants: {len(self.points)} of {self.title}>"

    def _repr_html_(self) -> str:
        return preformatted(self.summary())


@in_python
def search(
    plan: PlanLike = DEFAULT_PLAN,
    device: str | Path | DeviceProfile | Sequence[str] = DEFAULT_DEVICE,
    *,
    budget: Size | None = None,
    risk: float | None = None,
    max_kill_share: float = MOST_DOUBT,
    seconds: float | None = DEFAULT_SECONDS,
    keep_cuts: bool = False,
    budgets: int = 0,
    memory_limit: Size | None = None,
    entitlement: bool = False,
    os: str | float | None = None,
    thermal: bool = False,
    progress: bool = True,
) -> Search:
    """Find the fastest plan that keeps to a footprint: cuts, windows, residents. The rest stays as in `plan`.

    device      one, or several for one plan that is best on average
    budget      the footprint to keep to; without it, what is below the device's limit with 99 % certainty
    risk        choose by this quantile of the costs' spread, and be so sure that the limit is not below the budget
    max_kill_share   find no plan that is above the limit in more of the draws of limit, baseline and working memory
    seconds     stop then with the best so far; None: when nothing better is found
    keep_cuts   leave the plan's blocks as they are: only windows and residents are chosen
    budgets     search so many smaller budgets too, for the front of total and peak
    progress    tell how far it is, on the terminal or under the cell

    The other arguments are those of `simulate`. Ctrl-C ends it with the best so far (planning.ending says so); before
    there is any plan it raises KeyboardInterrupt. Raises UserError for input that cannot be used, or if no plan fits.
    """
    from ondevice_sora.simulator.search.asked import Wanted, search_plan

    loaded, settings = _asked(plan, device, memory_limit, entitlement, os, thermal)
    size = None if budget is None else size_of(budget)
    wanted = Wanted(size, risk, max_kill_share, seconds, keep_cuts, budgets)
    with _told(progress) as tell:
        found = search_plan(loaded, settings, wanted, tell)
    return Search(found.planning, found.best, found.settings[0])


@in_python
def variants(
    plan: PlanLike | None = None,
    device: str | Path | DeviceProfile | Sequence[str] = DEFAULT_DEVICE,
    *,
    evaluations: Sequence[int] = (),
    precision: Mapping[str, Sequence[Precision]] | None = None,
    compute_units: Mapping[str, Sequence[ComputeUnits]] | None = None,
    branches: Sequence[Branches] = (),
    steps: str | Path | None = None,
    budget: Size | None = None,
    risk: float | None = None,
    max_kill_share: float = MOST_DOUBT,
    seconds: float | None = DEFAULT_SECONDS,
    memory_limit: Size | None = None,
    entitlement: bool = False,
    os: str | float | None = None,
    thermal: bool = False,
    progress: bool = True,
) -> Variants:
    """The best plan of every choice of what is left free besides the partition: `plan search --evaluations 6..30`.

    plan            the ready plan 'ours-256' unless given, with evaluations 'steps-256'
    evaluations     numbers of network evaluations, in place of the plan's grid and LPL: range(6, 31)
    precision       what components may be stored and computed in: {"denoiser": ["float32", "float16"]}
    compute_units   where all blocks of components may run: {"decoder": ["cpu_only", "cpu_and_gpu"]}
    branches        how guidance may compute its branches: ["batch", "in_turn"]
    steps           a file of `steps plan` with grids for the evaluations and their quality (the model's that ships)

    The other arguments are those of `search`; the seconds are those of all variants together. Raises UserError for
    input that cannot be used, or if no variant fits.
    """
    from ondevice_sora.base.units import format_bytes
    from ondevice_sora.simulator.search.asked import Wanted, freedoms_of, search_freely

    if not (evaluations or precision or compute_units or branches):
        raise UserError("nothing is left free", mend="Give evaluations, precision, compute_units or branches.")
    given = plan if plan is not None else DEFAULT_STEPPED_PLAN if evaluations else DEFAULT_PLAN
    loaded, settings = _asked(given, device, memory_limit, entitlement, os, thermal)
    freedoms = freedoms_of(loaded.plan.model_name, evaluations, precision, compute_units, branches, steps)
    wanted = Wanted(None if budget is None else size_of(budget), risk, max_kill_share, seconds)
    with _told(progress) as tell:
        size, source, found = search_freely(loaded, settings, wanted, freedoms, tell)
        points = list(found)
    devices = ", ".join(setting.device.name for setting in settings)
    return Variants(points, loaded, f"{name_of(given)}, {devices}; {format_bytes(size)}, {source}")


def _asked(
    plan: PlanLike,
    device: str | Path | DeviceProfile | Sequence[str],
    memory_limit: Size | None,
    entitlement: bool,
    os: str | float | None,
    thermal: bool,
) -> tuple[LoadedPlan, list[Setting]]:
    """Raises UserError."""
    conditions = conditions_of(memory_limit, entitlement, os, thermal)
    loaded = conditions.applied(loaded_plan(plan))
    devices = list(device) if isinstance(device, Sequence) and not isinstance(device, str) else [device]
    return loaded, [conditions.setting(place_of(each), loaded.plan) for each in devices]


@contextmanager
def _told(is_shown: bool) -> Iterator[Progress]:
    """What tells how far a search is. An interrupt that came is raised where nothing is half done."""
    from ondevice_sora.base.interrupts import noted
    from ondevice_sora.commands.progress import status_line
    from ondevice_sora.commands.searching import Progress

    with noted(), status_line(is_shown=is_shown) as say, Progress(say, lambda: None) as progress:
        yield progress
