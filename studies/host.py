"""Agreement on this machine: capture it, then predict and run many plans on it, each run in a process of its own.

A stand-in with STDiT3-XL's block width (random weights, fewer blocks, few tokens) and the small model are stored,
captured, and run under plans that differ in partition, windows, residency, budgets, LPL and TDTM, the page cache
without their files. The capture's rounds go between the rounds of the plans, because a machine is not equally fast all
the time; predictions rest on the capture alone. Finished runs are kept in a folder, by plan and machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.limits import MAX_BYTES
from ondevice_sora.base.files.opening import beneath, read_text, reason
from ondevice_sora.base.files.writing import write_yaml
from ondevice_sora.base.interrupts import check
from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.plans.schema import ComponentPlan, Plan, UnitsPerBlock, plan_data
from ondevice_sora.profiles.profile import profile_data
from ondevice_sora.provenance import provenance
from ondevice_sora.records.agreement import PlanRow
from ondevice_sora.records.trace import write_trace
from ondevice_sora.runtime.capture.host import KINDS, capture_trial, profile_of_trials
from ondevice_sora.runtime.capture.measured_run import Trial, in_process, read_trial
from ondevice_sora.runtime.capture.plans import PROBE
from ondevice_sora.runtime.capture.subjects import SmallModel, StandIn, Subject, remove_stores, store_for, write_subject
from ondevice_sora.runtime.executor.store import Store
from ondevice_sora.runtime.host import this_host
from ondevice_sora.runtime.networks.stdit3 import LatentSize, STDiT3Config
from ondevice_sora.runtime.small.shipped import shipped_weights
from ondevice_sora.simulator.prepare import load_inputs
from ondevice_sora.simulator.search.budget import budget_for
from ondevice_sora.simulator.search.comparison import Goal, find_plan_for
from ondevice_sora.simulator.simulate import simulate
from ondevice_sora.studies.host_plans import FAMILIES, SubjectName, grouped, host_plans, policies, store_folder

STANDIN_TEXT_TOKENS = 16
LATENT_SIZES = {"stand-in": (4, 4, 8), "few tokens": (2, 4, 4)}
"""64 and 16 tokens, both guidance branches counted."""
WRITTEN = "Written by `validate host`."


@dataclass(frozen=True)
class Settings:
    """What is validated: how many plans, how often, and the stand-in's size. `weights` are of the small model.

    Traces say that they come from `command`.
    """

    out: Path
    command: str
    num_plans: int = 24
    rounds: int = 11
    threads: int = 1
    width: int = 1152
    depth: int = 4
    weights: Path | None = None
    search_s: float = 30.0


class Validation:
    """Step by step; what is found done in the folder is not done again."""

    def __init__(self, settings: Settings) -> None:
        self.out = settings.out
        self.settings = settings
        self.threads = settings.threads
        self.plans = host_plans(settings.num_plans)
        self.machine = _machine(self.threads)
        self.opened: dict[Path, Store] = {}
        try:
            for folder in ("stores", "plans", "trials", "traces"):
                beneath(self.out, folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot be made: {reason(error)}", str(self.out), "Choose another with -o.") from None

    def rows(self) -> list[PlanRow]:
        """One row per plan, in order. Raises UserError if a run fails."""
        subjects = list(dict.fromkeys(plan.subject for plan in self.plans))
        stores = {key: self._store(*key) for key in grouped(self.plans)}
        units = {subject: self._store(subject, 1) for subject in subjects}
        known = {subject: self._profile(subject, units[subject], rounds=1) for subject in subjects}
        files = [self._plan_file(plan.key, plan.plan(self._store(plan.subject, plan.blocks))) for plan in self.plans]
        wholes = []
        for plan, file in zip(self.plans, files, strict=True):
            asked = repr((plan.subject, plan.steps, plan.leap_step, plan.tdtm))
            wholes.append(self._whole(stores[(plan.subject, plan.blocks)], file, asked))
        runs: list[list[Trial]] = [[] for _ in self.plans]
        for number in range(self.settings.rounds):
            for subject in subjects:
                self._captured(subject, units[subject], number)
            for index, plan in enumerate(self.plans):
                self._say(f"round {number + 1} of {self.settings.rounds}, plan {index + 1} of {len(self.plans)}")
                store, profile = stores[(plan.subject, plan.blocks)], known[plan.subject]
                runs[index].append(self._trial(store, files[index], f"run {number}", profile=profile))
        captured = {subject: self._profile(subject, units[subject], self.settings.rounds) for subject in subjects}
        return [self._row(files[i], runs[i], wholes[i], captured[plan.subject]) for i, plan in enumerate(self.plans)]

    def search_rows(self) -> list[PlanRow]:
        """The default, the paper's policy and a plan found for this machine, as captured, all in one budget."""
        store = self._store("few tokens", 1)
        profile = self._profile("few tokens", store, rounds=1)
        plans = policies(store)
        files = [self._plan_file(f"search-{name}", plan) for name, plan in plans.items()]
        files.append(self._search(files[0], profile, int(plans["default"].memory.budget or 0)))
        whole = self._whole(store, files[0], "search")
        stores = [store_for(store, load_plan(file).plan) for file in files]
        runs: list[list[Trial]] = [[] for _ in files]
        for number in range(self.settings.rounds):
            self._captured("few tokens", store, number)
            for index, file in enumerate(files):
                self._say(f"round {number + 1} of {self.settings.rounds}, {file.stem}")
                runs[index].append(self._trial(stores[index], file, f"run {number}", profile=profile))
        captured = self._profile("few tokens", store, self.settings.rounds)
        return [self._row(files[i], runs[i], whole, captured) for i in range(len(files))]

    def _search(self, base: Path, profile: Path, budget: int) -> Path:
        """The file of what `plan search` finds for this machine. Raises UserError if it finds nothing."""
        path = beneath(self.out, "plans", f"{self.machine}-search-found.yaml")
        if not path.is_file():
            self._say("plan search")
            loaded, setting = load_inputs(base, str(profile))
            given = budget_for([setting], budget, None)
            _, found = find_plan_for(loaded, [setting], given, Goal(seconds=self.settings.search_s))
            write_yaml(path, plan_data(LoadedPlan(found, loaded.document).moved_to(path.parent)), WRITTEN)
        return path

    def _store(self, subject: SubjectName, blocks: int) -> Store:
        folder = beneath(self.out, "stores", store_folder(self.out, subject, blocks).name)
        if folder not in self.opened and Store.is_there(folder):
            self.opened[folder] = Store.open(folder)
        if folder not in self.opened:
            self._say(f"writing {folder}")
            cut = ComponentPlan(blocks=UnitsPerBlock(blocks))
            components = dict.fromkeys(FAMILIES[subject], cut)
            self.opened[folder] = write_subject(folder, self._subject(subject), components)
        return self.opened[folder]

    def _subject(self, name: SubjectName) -> Subject:
        if name == "small":
            return SmallModel(self.settings.weights or shipped_weights())
        config = STDiT3Config(depth=self.settings.depth, hidden_size=self.settings.width)
        return StandIn(config, LatentSize(*LATENT_SIZES[name]), STANDIN_TEXT_TOKENS)

    def _captured(self, subject: SubjectName, store: Store, number: int) -> dict[str, Trial]:
        """The trials of one round of a subject's capture, by name."""
        trials = {}
        for name in KINDS:
            file = beneath(self.out, "trials", f"{self.machine}-capture-{self._hash(store)}-{name}-{number}.json")
            if not os.path.lexists(file):
                self._say(f"capture of the {subject}, round {number + 1} of {self.settings.rounds}: {name}")
                folder = self.out / "plans"
                capture_trial(store, name, folder, self.threads)
                os.replace(folder / f"{name}.json", file)
            trials[name] = read_trial(file, PROBE if name == PROBE else "")
        return trials

    def _profile(self, subject: SubjectName, store: Store, rounds: int) -> Path:
        """The file of the profile captured in so many rounds."""
        found = [self._captured(subject, store, number) for number in range(rounds)]
        trials = {name: [trial[name] for trial in found] for name in found[0]}
        path = self.out / f"host-{subject}{'-first' if rounds < self.settings.rounds else ''}.yaml"
        write_yaml(path, profile_data(profile_of_trials(store, trials, self.threads)), WRITTEN)
        return path

    def _plan_file(self, key: str, plan: Plan) -> Path:
        path = beneath(self.out, "plans", f"{key}.yaml")
        write_yaml(path, plan_data(plan), WRITTEN)
        return path

    def _whole(self, store: Store, plan: Path, asked: str) -> str:
        """Digest of the unpartitioned model's result: the same for all plans that ask for the same video."""
        short = hashlib.sha256(asked.encode()).hexdigest()[:12]
        return self._trial(store, plan, f"whole {short}", mode="whole").digest

    def _trial(self, store: Store, plan: Path, name: str, *, mode: str = "", profile: Path | None = None) -> Trial:
        of = self._hash(store, "" if mode else read_text(plan, MAX_BYTES))
        file = beneath(self.out, "trials", f"{self.machine}-{of}-{name.replace(' ', '-')}.json")
        if os.path.lexists(file):
            return read_trial(file, mode)
        if mode:
            self._say(f"{mode}, as {plan.stem}")
        command = None if mode else self.settings.command
        return in_process(
            store.directory, plan, file, threads=self.threads, profile=profile, mode=mode, command=command
        )

    def _hash(self, store: Store, what: str = "") -> str:
        """Of what is run: the weights, the partition unless nothing is partitioned, and the plan."""
        blocks = (
            "".join(block.checksum for block in store.manifest.blocks) if what else json.dumps(store.manifest.origin)
        )
        return hashlib.sha256(f"{blocks}{what}".encode()).hexdigest()[:12]

    def _row(self, plan: Path, runs: list[Trial], whole: str, profile: Path) -> PlanRow:
        loaded = load_plan(plan)
        predicted = simulate(loaded, str(profile))
        made = provenance(self.settings.command, loaded, predicted.prepared.setting.profile)
        traces = [trial.trace for trial in runs if trial.trace is not None]
        write_trace(replace(predicted.trace, provenance=made), self.out / "traces" / f"{plan.stem}.simulated.json")
        middle = sorted(traces, key=lambda trace: trace.total_s)[len(traces) // 2]
        write_trace(middle, self.out / "traces" / f"{plan.stem}.measured.json")
        added = [trial.added_bytes for trial in runs if trial.added_bytes is not None]
        prepared = predicted.prepared
        budget = prepared.plan.memory.budget
        return PlanRow(
            plan=prepared.plan.name,
            model=prepared.model.name,
            predicted_s=predicted.trace.total_s,
            measured_s=tuple(trace.total_s for trace in traces),
            predicted_bytes=prepared.schedule.needed_bytes,
            measured_bytes=max(added) if added else None,
            budget_bytes=None if budget is None else int(budget),
            is_equal=all(trial.digest == whole for trial in runs),
            interval_s=predicted.result.interval_s,
        )

    def _say(self, what: str) -> None:
        """Tell what is done next; an interruption that has come is raised before it."""
        check()
        print(what, file=sys.stderr, flush=True)

    def remove_stores(self) -> None:
        """Remove the stores that were used, and the folder that they lay in unless something else is there."""
        for store in self.opened.values():
            remove_stores(store)
        with suppress(OSError):
            (self.out / "stores").rmdir()


def _machine(threads: int) -> str:
    """A short name for this machine as it runs now: results of another are not taken for its own."""
    host = this_host()
    facts = (host.processor, host.cores, host.release, host.torch, threads)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
