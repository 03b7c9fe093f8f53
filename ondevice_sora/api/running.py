"""One generation: `simulate`, and runs that were saved or measured."""

from __future__ import annotations

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
    shape_of,
)
from ondevice_sora.api.shown import check_choice, frame, frame_of, preformatted, printed
from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.own_policy import Policy, policy_name
from ondevice_sora.plans.schema import NamedKeep
from ondevice_sora.profiles.blocks import Loading
from ondevice_sora.records.result import Result
from ondevice_sora.records.trace import Trace, read_trace, write_trace

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from ondevice_sora.api.catalogue import DeviceProfile

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

    def to_frame(self, what: Literal["spans", "memory", "blocks", "components"] = "spans") -> pd.DataFrame:
        """Every load, run and eviction; the footprint at every change, by holder; the blocks; or the components.

        Raises UserError for another table, and without pandas.
        """
        check_choice(what, ("spans", "memory", "blocks", "components"))
        if what == "spans":
            return frame(self.trace.spans)
        if what == "memory":
            return frame(self.trace.memory).assign(total=[sample.total for sample in self.trace.memory])
        if what == "blocks":
            return frame([] if self.result is None else self.result.blocks)
        from ondevice_sora.reports.rows import component_rows

        return frame_of(row._asdict() for row in component_rows(self.trace))

    def figure(self) -> Figure:
        """What each lane does over time, above the footprint by holder and the limit."""
        from ondevice_sora.reports.figures import run_figure

        return run_figure(self.trace)

    def summary(self) -> str:
        """What `simulate` prints."""
        from ondevice_sora.reports.terminal.summary import print_summary

        return printed(lambda: print_summary(self.trace))

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML page that `simulate --report` writes; an existing file is replaced."""
        from ondevice_sora.reports.page.report import write_report

        write_report([self.trace], path)
        return Path(path)

    def save(self, path: str | Path) -> Path:
        """Write the trace as JSON, for `load_trace` and `ondevice-sora report`; an existing file is replaced."""
        write_trace(self.trace, path)
        return Path(path)

    def __repr__(self) -> str:
        from ondevice_sora.reports.rows import verdict

        return f"<Run of {self.trace.plan!r} on {self.trace.device}, {self.trace.kind}: {verdict(self.trace).sentence}>"

    def _repr_html_(self) -> str:
        return preformatted(self.summary())


@in_python
def simulate(
    plan: PlanLike | None = None,
    device: str | Path | DeviceProfile = DEFAULT_DEVICE,
    *,
    model: str | None = None,
    video: str | tuple[int, int, int] | None = None,
    loading: Loading | None = None,
    policy: NamedKeep | Policy | None = None,
    memory_limit: Size | None = None,
    entitlement: bool = False,
    os: str | float | None = None,
    thermal: bool = False,
    repeat: int = 1,
    advice: bool = True,
    what_ifs: bool = False,
) -> Run:
    """Predict one generation of a plan on a device: what the command `simulate` does.

    plan           a file, a ready plan's name, or a plan's keys; 'ours-256' if neither a plan nor a model is given
    device         a key of the catalogue (see `devices`), a profile file, or a profile (see `profile`)
    model          instead of a plan: a shipped config, a pipeline's folder or one config.json, whole in float16
    video          another shape than the plan's: '480x320x49', or width, height and frames
    loading        what loads every component, whatever the plan says: 'core_ml' or 'core_ai'
    policy         which blocks of all components stay in memory: one of the plan's words for `keep`, or a function
    memory_limit   bytes that the app may use, instead of what is known of the device
    entitlement    the app has the increased-memory entitlement, whatever the plan says
    os             whose limit is meant, such as '18.1'
    thermal        apply the device's derating under heat
    repeat         simulate so many generations in a row (result.generations); the run is the first of them
    advice         also find what to change (result.advice), which takes longer than the rest; none with a function as
                   policy, since advice changes what stays
    what_ifs       also simulate the plan with one thing changed (result.what_ifs); takes several times as long

    Raises UserError for input that cannot be used.
    """
    from ondevice_sora.provenance import provenance
    from ondevice_sora.simulator.simulate import simulation_of
    from ondevice_sora.simulator.whole import asked_plan, kept_by

    conditions, place = conditions_of(memory_limit, entitlement, os, thermal), place_of(device)
    if not isinstance(repeat, int) or not 1 <= repeat <= MOST_REPEATS:
        raise UserError(f"repeat: {repeat!r} is not a whole number from 1 to {MOST_REPEATS}")
    if model is not None and plan is not None:
        raise UserError("--model has no effect with --plan", mend="Give one of the two.")
    given = None if model is not None else loaded_plan(DEFAULT_PLAN if plan is None else plan)
    loaded = conditions.applied(asked_plan(given, model, None if video is None else shape_of(video), loading))
    if policy is not None:
        loaded = kept_by(loaded, policy)
    own = policy if callable(policy) else None
    if own is not None and what_ifs:
        raise UserError(
            "what_ifs change what stays in memory, and the policy decides that", mend="Give one of the two."
        )
    setting = conditions.setting(place, loaded.plan)
    simulation = simulation_of(loaded, setting, what_ifs, repeat, advice, policy=own)
    named = {} if policy is None else {"policy": policy_name(own) if own is not None else policy}
    call = call_of(
        "simulate",
        model or name_of(DEFAULT_PLAN if plan is None else plan),
        device if isinstance(device, str) else setting.device.name,
        video=video,
        loading=loading,
        **named,
        memory_limit=memory_limit,
        entitlement=entitlement,
        os=os,
        thermal=thermal,
        repeat=repeat,
    )
    made = provenance(call, loaded, setting.profile)
    return Run(msgspec.structs.replace(simulation.trace, provenance=made))


def load_trace(path: str | Path) -> Run:
    """A run from the trace that `simulate --trace`, `run --trace` or a phone wrote. Raises UserError."""
    return Run(read_trace(path))
