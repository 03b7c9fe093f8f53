"""The front door for code: what the commands do, as functions that give results to look at, to plot and to save.

Heavy packages load when they are first needed: plotly for figures and pages, pandas for data frames, coremltools'
message classes for estimates of packages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.reading import extend
from ondevice_sora.base.installation import how_to_install
from ondevice_sora.base.text import in_one_line
from ondevice_sora.base.units import parse_bytes
from ondevice_sora.plans.plan_file import READY, LoadedPlan, read_plan, ready_plans
from ondevice_sora.plans.schema import Plan, plan_data
from ondevice_sora.records.ladder import MOST_DOUBT
from ondevice_sora.records.result import Result
from ondevice_sora.records.search import Planning
from ondevice_sora.records.trace import Trace, read_trace, write_trace

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from ondevice_sora.profiles.blocks import ComputeUnits
    from ondevice_sora.records.estimate import Estimate
    from ondevice_sora.runtime.coreml.estimate.estimate import Described
    from ondevice_sora.simulator.prepare import Setting

PlanLike = str | Path | Mapping[str, Any] | Plan | LoadedPlan
"""A plan file, a ready plan's name, a plan's keys as in YAML (`extends` too), or a plan that is there already."""
Size = int | float | str
"""Bytes, or text such as '3.3 GB'."""
DEVICE = "iphone15pro"
MOST_REPEATS = 100


@dataclass(frozen=True)
class Run:
    """One generation, simulated or measured. All that is known of it is in its trace; times in seconds, sizes in bytes.

    `total_s` is when the last span ends: of a run that is killed, the moment of the kill.
    """

    trace: Trace

    @property
    def result(self) -> Result | None:
        """Verdict, interval, components, blocks, bounds, advice: what a simulation knows. None for a measured run."""
        return self.trace.result

    @property
    def verdict(self) -> Literal["fits", "killed"]:
        return "killed" if self.trace.kill is not None else "fits"

    @property
    def total_s(self) -> float:
        return self.trace.total_s

    @property
    def peak_bytes(self) -> int:
        return self.trace.peak_bytes

    @property
    def limit_bytes(self) -> int:
        return self.trace.limit_bytes

    def to_dataframe(self, what: Literal["spans", "memory", "blocks", "components"] = "spans") -> pd.DataFrame:
        """Every load, run and eviction; the footprint at every change, by holder; the blocks; or the components."""
        _check_choice(what, ("spans", "memory", "blocks", "components"))
        if what == "spans":
            return _frame(self.trace.spans)
        if what == "memory":
            return _frame(self.trace.memory).assign(total=[sample.total for sample in self.trace.memory])
        if what == "blocks":
            return _frame([] if self.result is None else self.result.blocks)
        from ondevice_sora.reports.rows import component_rows

        return _pandas().DataFrame([row._asdict() for row in component_rows(self.trace)])

    def figure(self) -> Figure:
        """What each lane does over time, above the footprint by holder and the limit."""
        from ondevice_sora.reports.figures import run_figure

        return run_figure(self.trace)

    def summary(self) -> str:
        """What `simulate` prints."""
        from ondevice_sora.reports.terminal.summary import print_summary

        return _printed(lambda: print_summary(self.trace))

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML page that `simulate --report` writes; an existing file is replaced."""
        return report([self], path)

    def save(self, path: str | Path) -> Path:
        """Write the trace as JSON, for `load_trace` and `ondevice-sora report`."""
        write_trace(self.trace, path)
        return Path(path)

    def __repr__(self) -> str:
        from ondevice_sora.reports.rows import verdict

        return f"<Run of {self.trace.plan!r} on {self.trace.device}, {self.trace.kind}: {verdict(self.trace).sentence}>"

    def _repr_html_(self) -> str:
        return _preformatted(self.summary())


@dataclass(frozen=True)
class Search:
    """The fastest plan found within a budget, beside others. `plan` can be simulated and saved."""

    planning: Planning
    plan: LoadedPlan

    @property
    def gap(self) -> float | None:
        """How far the plan may be from the best possible one, relative to a bound; None without a bound."""
        return self.planning.gap

    def to_dataframe(self, what: Literal["plans", "front"] = "plans") -> pd.DataFrame:
        """The plans compared, one row each and device; or the front of total and peak."""
        _check_choice(what, ("plans", "front"))
        if what == "front":
            return _frame(self.planning.memory_front)
        return _frame(self.planning.rows).drop(columns="blocks")

    def save(self, path: str | Path) -> Path:
        """Write the plan found as YAML; the path of a model that lists its units is taken from where it is written."""
        from ondevice_sora.base.files.writing import write_yaml

        write_yaml(path, plan_data(self.plan.moved_to(Path(path).parent)))
        return Path(path)

    def summary(self) -> str:
        """What `plan search` prints."""
        from ondevice_sora.reports.terminal.search import print_planning

        return _printed(lambda: print_planning({self.plan.plan.model_name: self.planning}))

    def __repr__(self) -> str:
        from ondevice_sora.base.units import format_bytes, format_seconds

        found = self.planning.rows[0]
        took = "is killed" if found.total_s is None else f"takes {format_seconds(found.total_s)}"
        peak = "" if found.peak_bytes is None else f", peak {format_bytes(found.peak_bytes)}"
        return f"<Search: {self.plan.plan.name!r} on {found.device} {took}{peak}>"

    def _repr_html_(self) -> str:
        return _preformatted(self.summary())


@dataclass(frozen=True)
class PackageEstimate:
    """What Core ML packages cost on a device, counted from their programs; nothing was run."""

    described: Described
    device: str

    @property
    def estimate(self) -> Estimate:
        return self.described.estimate

    def to_dataframe(self) -> pd.DataFrame:
        """One row a function of a package."""
        rows = [
            {"path": package.path, "compute_units": package.compute_units, "precision": package.precision}
            | msgspec.to_builtins(function)
            for package in self.estimate.packages
            for function in package.functions
        ]
        return _pandas().DataFrame(rows)

    def save(self, directory: str | Path) -> Path:
        """Write model.yaml, profile.yaml and plan.yaml, which `simulate` takes."""
        from ondevice_sora.runtime.coreml.estimate.estimate import write_described

        write_described(self.described, Path(directory))
        return Path(directory)

    def summary(self) -> str:
        """What `profile estimate` prints."""
        from ondevice_sora.reports.terminal.estimates import print_estimate

        return _printed(lambda: print_estimate(self.estimate))

    def __repr__(self) -> str:
        return f"<PackageEstimate of {len(self.estimate.packages)} packages on {self.estimate.device}>"

    def _repr_html_(self) -> str:
        return _preformatted(self.summary())


def simulate(
    plan: PlanLike = "ours-256",
    device: str = DEVICE,
    *,
    memory_limit: Size | None = None,
    entitlement: bool = False,
    os_version: str | float | None = None,
    thermal: bool = False,
    what_ifs: bool = False,
    repeat: int = 1,
    advice: bool = True,
) -> Run:
    """Predict one generation of a plan on a device.

    plan           a file, a ready plan's name, or a plan's keys: {"extends": "ours-256", "memory": {"budget": "2 GB"}}
    device         a key of the catalogue (see `devices`), or a profile file
    memory_limit   bytes that the app may use, instead of what is known of the device
    entitlement    the app has the increased-memory entitlement, whatever the plan says
    os_version     whose limit is meant, such as "18.1"
    thermal        apply the device's derating under heat
    what_ifs       also simulate the plan with one thing changed (result.what_ifs); takes several times as long
    repeat         simulate so many generations in a row (result.generations); the run is the first of them
    advice         also find what to change (result.advice), which takes twice to four times as long: not for many plans

    Raises UserError for input that cannot be used.
    """
    from ondevice_sora.provenance import provenance
    from ondevice_sora.simulator.simulate import simulate as simulated

    limit = None if memory_limit is None else size_of(memory_limit)
    if limit is not None and entitlement:
        raise UserError("entitlement has no effect with memory_limit", mend="Give one of the two.")
    loaded, os_version = loaded_plan(plan), None if os_version is None else str(os_version)
    if entitlement:
        loaded = loaded.changed(memory=msgspec.structs.replace(loaded.plan.memory, entitlement=True))
    _check_device(device)
    if not isinstance(repeat, int) or not 1 <= repeat <= MOST_REPEATS:
        raise UserError(f"repeat: {repeat!r} is not a whole number from 1 to {MOST_REPEATS}")
    answer = simulated(
        loaded,
        device,
        memory_limit=limit,
        os_version=os_version,
        is_thermal=thermal,
        with_what_ifs=what_ifs,
        repeat=repeat,
        with_advice=advice,
    )
    told = {
        "memory_limit": memory_limit,
        "entitlement": entitlement,
        "os_version": os_version,
        "thermal": thermal,
        "repeat": repeat,
    }
    given = "".join(f", {key}={value!r}" for key, value in told.items() if value not in (None, False, 1))
    what = str(plan) if isinstance(plan, str | Path) else loaded.plan.name
    made = provenance(
        in_one_line(f"ondevice_sora.simulate({what!r}, {device!r}{given})"), loaded, answer.prepared.setting.profile
    )
    return Run(msgspec.structs.replace(answer.trace, provenance=made))


def search(
    plan: PlanLike = "ours-256",
    device: str | Sequence[str] = DEVICE,
    *,
    memory: Size | None = None,
    risk: float | None = None,
    seconds: float | None = 60.0,
    budgets: int = 0,
    max_kill_share: float = MOST_DOUBT,
    keep_cuts: bool = False,
) -> Search:
    """Find the fastest plan that keeps to a footprint: cuts, windows, residents. The rest stays as in `plan`.

    device    one, or several for one plan that is best on average
    memory    the footprint to keep to; without it, what is below the device's limit with 99 % certainty
    risk      choose by this quantile of the costs' spread, and be so sure that the limit is not below the budget
    seconds   stop then with the best so far; None: when nothing better is found
    budgets   search so many smaller budgets too, for the front of total and peak
    keep_cuts   leave the plan's blocks as they are: only windows and residents are chosen
    max_kill_share   find no plan that is above the limit in more of the draws of limit, baseline and working memory

    Raises UserError for input that cannot be used, or if no plan fits.
    """
    from ondevice_sora.simulator.search.budget import budget_for
    from ondevice_sora.simulator.search.comparison import Goal, find_plan_for

    loaded = loaded_plan(plan)
    devices = [device] if isinstance(device, str) else list(device)
    for name in devices:
        _check_device(name)
    settings = [_setting(loaded, name) for name in devices]
    budget = budget_for(settings, None if memory is None else size_of(memory), risk, max_kill_share)
    goal = Goal(risk=risk, most_doubt=max_kill_share, seconds=seconds, budgets=budgets, keeps_cuts=keep_cuts)
    planning, found = find_plan_for(loaded, settings, budget, goal)
    return Search(planning, LoadedPlan(found, loaded.document))


def estimate(
    paths: str | Path | Iterable[str | Path],
    device: str = DEVICE,
    *,
    compute_units: ComputeUnits | None = None,
    passes: Mapping[str, int | Literal["steps"]] | None = None,
    steps: int = 30,
    name: str = "",
    function: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> PackageEstimate:
    """What Core ML packages would cost on a device: an export, packages, or folders of them (a folder is a component).

    compute_units   where they would run; without, as an export's plan says, else CPU and GPU
    passes          how often components are walked in a generation, such as {"unet": "steps"}; else once
    steps           of the plan; an export has its own
    function        of packages with several: which one, or "all"; without, the package's own default
    shapes          of inputs whose shapes are open, such as {"x": (1, 77)}; else the model's own defaults

    Raises UserError for packages that cannot be counted.
    """
    from ondevice_sora.profiles.profile import load_profile
    from ondevice_sora.runtime.coreml.estimate.estimate import describe
    from ondevice_sora.runtime.coreml.estimate.folders import Choices, find_packages

    chosen = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not chosen:
        raise UserError("no package is named", mend="Give an export, packages, or folders of them.")
    described = describe(
        find_packages(chosen, choices=Choices(function, shapes or {})),
        *load_profile(device),
        compute_units=compute_units,
        name=name or chosen[0].resolve().name,
        passes=dict(passes or {}),
        steps=steps,
    )
    return PackageEstimate(described, device)


def load_trace(path: str | Path) -> Run:
    """A run from the trace that `simulate --trace`, `run --trace` or a phone wrote. Raises UserError."""
    return Run(read_trace(path))


def report(runs: Run | Iterable[Run], path: str | Path) -> Path:
    """Write one self-contained HTML page; several runs are set side by side. Raises UserError without any."""
    from ondevice_sora.reports.page.report import write_report

    write_report([run.trace for run in ([runs] if isinstance(runs, Run) else runs)], path)
    return Path(path)


def devices() -> list[str]:
    """Keys of the device catalogue."""
    from ondevice_sora.profiles.devices import device_keys

    return device_keys()


def plans() -> list[str]:
    """Names of the ready plans."""
    return list(ready_plans())


def loaded_plan(plan: PlanLike) -> LoadedPlan:
    """Whatever says what a plan is, read and checked. Raises UserError."""
    from ondevice_sora.plans.plan_file import load_plan

    if isinstance(plan, LoadedPlan):
        return plan
    if isinstance(plan, Plan):
        return LoadedPlan(plan)
    if isinstance(plan, str | Path):
        return load_plan(plan)
    if not isinstance(plan, Mapping):
        raise UserError(f"{plan!r} is no plan", mend="Give a file, a ready plan's name, or a mapping of a plan's keys.")
    return read_plan(extend(Document({"name": "plan", **plan}, {}, Path("plan")), READY))


def size_of(size: Size) -> int:
    """Bytes. Raises UserError for text that is no size."""
    try:
        found = int(size) if isinstance(size, (int, float)) else int(parse_bytes(size))
    except (ValueError, OverflowError) as error:
        raise UserError(str(error)) from None
    if found <= 0:
        raise UserError(f"{size!r} is not a size above zero")
    return found


def _check_device(device: object) -> None:
    if not isinstance(device, str | Path):
        raise UserError(f"{device!r} is no device", mend="Name one, such as 'iphone15pro', and simulate one at a time.")


def _check_choice(what: str, known: tuple[str, ...]) -> None:
    if what not in known:
        raise UserError(f"there is no table {what!r}", mend=nearest(str(what), list(known)))


def _setting(loaded: LoadedPlan, device: str) -> Setting:
    from ondevice_sora.simulator.prepare import load_inputs

    return load_inputs(loaded, device)[1]


def _frame(records: Sequence[msgspec.Struct]) -> pd.DataFrame:
    return _pandas().DataFrame([msgspec.to_builtins(record) for record in records])


def _pandas() -> Any:
    try:
        import pandas
    except ModuleNotFoundError:
        raise UserError("data frames need pandas, which is not installed", mend=how_to_install("notebook")) from None
    return pandas


def _printed(show: Callable[[], None]) -> str:
    from contextlib import redirect_stdout
    from io import StringIO

    with redirect_stdout(StringIO()) as file:
        show()
    return file.getvalue()


def _preformatted(text: str) -> str:
    from html import escape

    return f"<pre>{escape(text)}</pre>"
