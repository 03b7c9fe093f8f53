"""`validate host`: capture this machine, then predict and run many plans on it, and say how well the two agree.

A stand-in with STDiT3-XL's block width (random weights, fewer blocks, few tokens) and the small model are stored,
captured, and run under plans that differ in partition, windows, residency, budgets, LPL and TDTM: each run in a process
of its own, the page cache without its files. Every plan is predicted from the capture before any of them runs.

Finished runs are kept in --out, by plan and machine: interrupted, the same command goes on. Exit status 1 says that a
figure is over its bound.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ondevice_sora.common import EXIT_FAILED, EXIT_FITS, needing, shown, whole_number
from profiles.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiles.agreement import PlanRow
    from profiles.trace import Trace
    from runtime.host_plans import HostPlan
    from runtime.store import Store
    from runtime.trial import Trial
    from simulator.simulation import Prepared

DEFAULT_PLANS = 24
STANDIN_TEXT_TOKENS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("host-validation"), metavar="DIR",
                        help="runs, profiles, traces (default %(default)s); stores take 4 GB meanwhile")  # fmt: skip
    parser.add_argument("--plans", type=whole_number(1, 30), default=DEFAULT_PLANS, metavar="N",
                        help="how many plans to run (default %(default)s, at most 30)")  # fmt: skip
    parser.add_argument("--rounds", type=whole_number(1, 99), default=3, metavar="N",
                        help="runs of each plan, and of the capture (default %(default)s)")  # fmt: skip
    parser.add_argument("--threads", type=whole_number(1, 1024), metavar="N", help="that run a block (default: cores)")
    parser.add_argument("--width", type=whole_number(16, 1152), default=1152, metavar="N",
                        help="channels of the stand-in (default %(default)s, STDiT3-XL's)")  # fmt: skip
    parser.add_argument("--depth", type=whole_number(1, 28), default=4, metavar="N",
                        help="pairs of blocks of the stand-in (default %(default)s)")  # fmt: skip
    parser.add_argument("--weights", type=Path, metavar="DIR", help="of the small model (default: shipped, or random)")
    parser.add_argument("--keep-stores", action="store_true", help="do not remove the stores at the end")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    with needing("torch"):
        import torch  # noqa: F401
    if options.width % 16:
        raise UserError(f"{options.width} channels do not divide among 16 heads", "--width", "Give a multiple of 16.")
    validation = Validation(options)
    rows = validation.rows()
    return _conclude(rows, validation, options)


@dataclass(frozen=True)
class Predicted:
    """A plan made ready for this machine, and its simulation."""

    prepared: Prepared
    trace: Trace


class Validation:
    """The work of the verb, step by step; what is found done in the folder is not done again."""

    def __init__(self, options: argparse.Namespace) -> None:
        from runtime.host_plans import host_plans

        self.out: Path = options.out
        self.options = options
        self.threads = options.threads or os.cpu_count() or 1
        self.plans = host_plans(options.plans)
        self.machine = _machine(self.threads)
        for folder in ("stores", "plans", "trials", "traces"):
            (self.out / folder).mkdir(parents=True, exist_ok=True)

    def rows(self) -> list[PlanRow]:
        """One row a plan, in order. Raises UserError if a run fails."""
        from runtime.host_plans import grouped

        subjects = list(dict.fromkeys(plan.subject for plan in self.plans))
        self.stores = {key: self._store(*key) for key in grouped(self.plans)}
        units = {subject: self._store(subject, 1) for subject in subjects}
        captured = {subject: self._capture(subject, units[subject]) for subject in subjects}
        predicted = [self._predict(plan, captured[plan.subject][0]) for plan in self.plans]
        wholes = [self._whole(plan) for plan in self.plans]
        runs: list[list[Trial]] = [[] for _ in self.plans]
        for number in range(self.options.rounds):
            for index, plan in enumerate(self.plans):
                profile = captured[plan.subject][0]
                self._say(f"round {number + 1} of {self.options.rounds}, plan {index + 1} of {len(self.plans)}")
                runs[index].append(self._trial(plan, f"run {number}", profile=profile))
        return [
            self._row(plan, self.stores[(plan.subject, plan.blocks)], predicted[i], runs[i], wholes[i],
                      captured[plan.subject][1])
            for i, plan in enumerate(self.plans)
        ]  # fmt: skip

    def _store(self, subject: Any, blocks: int) -> Store:
        from plans.schema import ComponentPlan, UnitsPerBlock
        from runtime.host_plans import FAMILIES, store_folder
        from runtime.store import MANIFEST, Store
        from runtime.subjects import write_subject

        folder = store_folder(self.out / "stores", subject, blocks)
        if (folder / MANIFEST).is_file():
            return Store.open(folder)
        self._say(f"writing {folder}")
        cut = ComponentPlan(blocks=UnitsPerBlock(blocks))
        return write_subject(folder, self._subject(subject), dict.fromkeys(FAMILIES[subject], cut))

    def _subject(self, name: str) -> Any:
        from runtime.models.stdit3 import LatentSize, STDiT3Config
        from runtime.small.shipped import WEIGHTS
        from runtime.subjects import SmallModel, StandIn

        if name == "small":
            shipped = WEIGHTS if (WEIGHTS / "denoiser").is_dir() else None
            return SmallModel(self.options.weights or shipped)
        config = STDiT3Config(depth=self.options.depth, hidden_size=self.options.width)
        return StandIn(config, LatentSize(4, 4, 8), STANDIN_TEXT_TOKENS)

    def _capture(self, subject: str, store: Store) -> tuple[Path, list[Trial]]:
        """The captured profile's file, and the trials that it rests on."""
        from profiles.documents import write_yaml
        from profiles.profile import profile_data
        from runtime.capture import ALONE, BESIDE, PROBE, capture_trial, profile_of
        from runtime.trial import read_trial

        trials: dict[str, list[Trial]] = {name: [] for name in (ALONE, BESIDE, PROBE)}
        for number in range(self.options.rounds):
            for name in trials:
                file = self.out / "trials" / f"{self.machine}-capture-{self._hash(store)}-{name}-{number}.json"
                if not file.is_file():
                    self._say(f"capture of the {subject}, round {number + 1} of {self.options.rounds}: {name}")
                    folder = self.out / "plans"
                    capture_trial(store, name, folder, self.threads)
                    os.replace(folder / f"{name}.json", file)
                trials[name].append(read_trial(file))
        path = self.out / f"host-{subject}.yaml"
        write_yaml(path, profile_data(profile_of(store, trials, self.threads)), "Written by `validate host`.")
        return path, trials[ALONE] + trials[BESIDE]

    def _predict(self, plan: HostPlan, profile: Path) -> Predicted:
        from plans.schema import load_plan
        from profiles.profile import load_profile
        from simulator.answer import answer
        from simulator.simulation import setting_of

        parsed, document = load_plan(self._plan_file(plan))
        known, device = load_profile(str(profile))
        found = answer(parsed, document, setting_of(known, device, parsed))
        return Predicted(found.prepared, found.trace)

    def _plan_file(self, plan: HostPlan) -> Path:
        from plans.schema import plan_data
        from profiles.documents import write_yaml

        path = self.out / "plans" / f"{plan.key}.yaml"
        write_yaml(path, plan_data(plan.plan(self.stores[(plan.subject, plan.blocks)])), "Written by `validate host`.")
        return path

    def _whole(self, plan: HostPlan) -> str:
        """Digest of the unpartitioned model's result: the same for all plans with the same steps, LPL and TDTM."""
        asked = hashlib.sha256(repr((plan.subject, plan.steps, plan.leap_step, plan.tdtm)).encode()).hexdigest()[:12]
        return self._trial(plan, f"whole {asked}", mode="whole").digest

    def _trial(self, plan: HostPlan, name: str, *, mode: str = "", profile: Path | None = None) -> Trial:
        from runtime.trial import in_process, read_trial

        store = self.stores[(plan.subject, plan.blocks)]
        of = self._hash(store, "" if mode else plan.key)
        file = self.out / "trials" / f"{self.machine}-{of}-{name.replace(' ', '-')}.json"
        if file.is_file():
            return read_trial(file)
        path = self._plan_file(plan)
        return in_process(store.directory, path, file, threads=self.threads, profile=profile, mode=mode)

    def _hash(self, store: Store, what: str = "") -> str:
        """Of what is run: the weights, the partition unless nothing is partitioned, and the plan."""
        blocks = "".join(block.checksum for block in store.manifest.blocks) if what else str(store.manifest.origin)
        return hashlib.sha256(f"{blocks}{what}".encode()).hexdigest()[:12]

    def _row(
        self, plan: HostPlan, store: Store, predicted: Predicted, runs: list[Trial], whole: str, captured: list[Trial]
    ) -> PlanRow:
        from profiles.agreement import PlanRow
        from profiles.trace import write_trace

        traces = [trial.trace for trial in runs if trial.trace is not None]
        write_trace(predicted.trace, self.out / "traces" / f"{plan.key}.simulated.json")
        middle = sorted(traces, key=lambda trace: trace.total_s)[len(traces) // 2]
        write_trace(middle, self.out / "traces" / f"{plan.key}.measured.json")
        added = [trial.added_bytes for trial in runs if trial.added_bytes is not None]
        prepared = predicted.prepared
        budget = prepared.plan.memory.budget
        return PlanRow(
            plan=plan.name,
            model=store.manifest.model,
            detail=plan.key,
            predicted_s=predicted.trace.total_s,
            measured_s=tuple(trace.total_s for trace in traces),
            predicted_bytes=prepared.schedule.needed_bytes,
            measured_bytes=max(added) if added else None,
            budget_bytes=None if budget is None else int(budget),
            rescaled_s=_rescaled_s(prepared, captured, runs),
            is_equal=all(trial.digest == whole for trial in runs),
        )

    def _say(self, what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    def remove_stores(self) -> None:
        shutil.rmtree(self.out / "stores", ignore_errors=True)


def _rescaled_s(prepared: Prepared, captured: Sequence[Trial], runs: Sequence[Trial]) -> float:
    """Predicted with the costs as the machine was when the plan ran, by its reference read and work beside each."""
    from dataclasses import replace

    from simulator.engine import play

    loads = _drift([trial.reference_load_s for trial in captured], [trial.reference_load_s for trial in runs])
    work = _drift([trial.reference_run_s for trial in captured], [trial.reference_run_s for trial in runs])
    costs = prepared.costs
    scaled = replace(
        costs,
        load_warm_s=costs.load_warm_s * loads,
        load_cold_s=costs.load_cold_s * loads,
        run_s=costs.run_s * work,
        first_run_s=costs.first_run_s * work,
    )
    return play(prepared.schedule, scaled, prepared.machine, is_limited=False).total_s


def _drift(before: Sequence[float | None], now: Sequence[float | None]) -> float:
    return median(value for value in now if value) / median(value for value in before if value)


def _machine(threads: int) -> str:
    """A short name for this machine as it runs now: results of another are not taken for its own."""
    import platform

    import torch

    from runtime.capture import processor_name

    facts = (processor_name(), os.cpu_count(), platform.release(), torch.__version__, threads)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]


def _conclude(rows: list[PlanRow], validation: Validation, options: argparse.Namespace) -> int:
    import msgspec

    from profiles.agreement import checks
    from profiles.documents import write_json

    found = checks(rows)
    document = {
        "rows": [msgspec.to_builtins(row) for row in rows],
        "checks": [{**msgspec.to_builtins(check), "ok": check.ok} for check in found],
    }
    write_json(validation.out / "agreement.json", document)
    if options.json:
        import json

        print(json.dumps(document, indent=1))
    else:
        from reports.agreement import print_agreement

        shown(lambda: print_agreement(rows, found))
    if not options.keep_stores:
        validation.remove_stores()
    print(f"Wrote {validation.out / 'agreement.json'}", file=sys.stderr)
    return EXIT_FITS if all(check.ok for check in found) else EXIT_FAILED
