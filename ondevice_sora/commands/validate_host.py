"""`validate host`: capture this machine, then predict and run many plans on it, and say how well the two agree.

A stand-in with STDiT3-XL's block width (random weights, fewer blocks, few tokens) and the small model are stored,
captured, and run under plans that differ in partition, windows, residency, budgets, LPL and TDTM: each run in a process
of its own, the page cache without its files. The capture's rounds go between the rounds of the plans, because a machine
is not equally fast all the time; predictions rest on the capture alone.

Finished runs are kept in --out, by plan and machine: interrupted, the same command goes on. Exit status 1 says that a
figure is over its bound.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice_sora.base import children
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked
from ondevice_sora.base.files.limits import MAX_BYTES
from ondevice_sora.base.files.opening import beneath, read_text, reason
from ondevice_sora.base.interrupts import check, keeping
from ondevice_sora.commands.common import EXIT_FAILED, EXIT_FITS, needing, refuse_without_effect, shown, whole_number

if TYPE_CHECKING:
    from ondevice_sora.plans.schema import Plan
    from ondevice_sora.records.agreement import PlanRow
    from ondevice_sora.records.trace import Trace
    from ondevice_sora.runtime.capture.measured_run import Trial
    from ondevice_sora.runtime.executor.store import Store
    from ondevice_sora.simulator.prepare import Prepared

DEFAULT_PLANS, SEARCH_SECONDS = 24, 30
STANDIN_TEXT_TOKENS = 16
LATENT_SIZES = {"stand-in": (4, 4, 8), "few tokens": (2, 4, 4)}
"""64 and 16 tokens, both guidance branches counted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("host-validation"), metavar="DIR",
                        help="runs, traces, pages (default %(default)s); stores take 4 GB meanwhile")  # fmt: skip
    parser.add_argument("--plans", type=whole_number(1, 30), metavar="N",
                        help=f"how many plans to run (default {DEFAULT_PLANS}, at most 30)")  # fmt: skip
    parser.add_argument("--rounds", type=whole_number(1, 99), default=11, metavar="N",
                        help="runs of each plan, and rounds of the capture (default %(default)s)")  # fmt: skip
    parser.add_argument("--threads", type=whole_number(1, 1024), metavar="N", help="that run a block (default: cores)")
    parser.add_argument("--width", type=whole_number(16, 1152), default=1152, metavar="N",
                        help="channels of the stand-in (default %(default)s, STDiT3-XL's)")  # fmt: skip
    parser.add_argument("--depth", type=whole_number(1, 28), default=4, metavar="N",
                        help="pairs of blocks of the stand-in (default %(default)s)")  # fmt: skip
    parser.add_argument("--weights", type=Path, metavar="DIR", help="of the small model (default: shipped, or random)")
    parser.add_argument("--search", action="store_true",
                        help="instead: a plan found by `plan search` against the default and the paper's")  # fmt: skip
    parser.add_argument("--search-seconds", type=whole_number(1, 3600), metavar="N",
                        help=f"that the search may take (default {SEARCH_SECONDS})")  # fmt: skip
    parser.add_argument("--keep-stores", action="store_true", help="do not remove the stores at the end")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    with needing("torch"):
        import torch  # noqa: F401

        import ondevice_sora.studies  # noqa: F401  # an installed package, which has none, is told so before the work
    if options.width % 16:
        raise UserError(f"{options.width} channels do not divide among 16 heads", "--width", "Give a multiple of 16.")
    if options.search:
        refuse_without_effect(options, ("plans", "weights"), "with --search, which has its own", "Leave it out.")
    else:
        refuse_without_effect(options, ("search_seconds",), "without --search", "Leave it out, or add --search.")
    validation = Validation(options)
    with (
        keeping(f"finished runs are kept in {validation.out}; the same command goes on from them"),
        locked(validation.out),
    ):
        if options.search:
            return _conclude_search(validation.search_rows(), validation, options)
        return _conclude(validation.rows(), validation, options)


@dataclass(frozen=True)
class Predicted:
    """A plan made ready for this machine, and its simulation."""

    prepared: Prepared
    trace: Trace


class Validation:
    """The work of the verb, step by step; what is found done in the folder is not done again."""

    def __init__(self, options: argparse.Namespace) -> None:
        from ondevice_sora.studies.host_plans import host_plans

        self.out: Path = options.out
        self.options = options
        self.threads = options.threads or os.cpu_count() or 1
        self.plans = host_plans(options.plans or DEFAULT_PLANS)
        self.machine = _machine(self.threads)
        self.opened: dict[Path, Store] = {}
        try:
            for folder in ("stores", "plans", "trials", "traces"):
                beneath(self.out, folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot be made: {reason(error)}", str(self.out), "Choose another with --out.") from None

    def rows(self) -> list[PlanRow]:
        """One row per plan, in order. Raises UserError if a run fails."""
        from ondevice_sora.studies.host_plans import grouped

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
        for number in range(self.options.rounds):
            for subject in subjects:
                self._captured(subject, units[subject], number)
            for index, plan in enumerate(self.plans):
                self._say(f"round {number + 1} of {self.options.rounds}, plan {index + 1} of {len(self.plans)}")
                store, profile = stores[(plan.subject, plan.blocks)], known[plan.subject]
                runs[index].append(self._trial(store, files[index], f"run {number}", profile=profile))
        captured = {subject: self._profile(subject, units[subject], self.options.rounds) for subject in subjects}
        return [self._row(files[i], runs[i], wholes[i], captured[plan.subject]) for i, plan in enumerate(self.plans)]

    def search_rows(self) -> list[PlanRow]:
        """The default, the paper's policy and a plan found for this machine, as captured, all in one budget."""
        from ondevice_sora.plans.schema import load_plan
        from ondevice_sora.runtime.capture.subjects import store_for
        from ondevice_sora.studies.host_plans import policies

        store = self._store("few tokens", 1)
        profile = self._profile("few tokens", store, rounds=1)
        plans = policies(store)
        files = [self._plan_file(f"search-{name}", plan) for name, plan in plans.items()]
        files.append(self._search(files[0], profile, int(plans["default"].memory.budget or 0)))
        whole = self._whole(store, files[0], "search")
        stores = [store_for(store, load_plan(file).plan) for file in files]
        runs: list[list[Trial]] = [[] for _ in files]
        for number in range(self.options.rounds):
            self._captured("few tokens", store, number)
            for index, file in enumerate(files):
                self._say(f"round {number + 1} of {self.options.rounds}, {file.stem}")
                runs[index].append(self._trial(stores[index], file, f"run {number}", profile=profile))
        captured = self._profile("few tokens", store, self.options.rounds)
        return [self._row(files[i], runs[i], whole, captured) for i in range(len(files))]

    def _search(self, base: Path, profile: Path, budget: int) -> Path:
        """What `plan search` finds for this machine, as a user would ask it. Raises UserError if it finds nothing."""
        import subprocess

        path = beneath(self.out, "plans", f"{self.machine}-search-found.yaml")
        if not path.is_file():
            self._say("plan search")
            process = children.start(
                "ondevice_sora.commands.main", "plan", "search",
                "--device", str(profile), "--model", str(base), "--memory", str(budget), "-o", str(path),
                "--seconds", str(self.options.search_seconds or SEARCH_SECONDS),
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            said = children.finish(process).strip().splitlines()
            if process.returncode:
                reason = said[-1] if said else f"its process {children.how_it_ended(process.returncode)}"
                raise UserError(f"plan search failed: {reason}")
        return path

    def _store(self, subject: Any, blocks: int) -> Store:
        from ondevice_sora.plans.schema import ComponentPlan, UnitsPerBlock
        from ondevice_sora.runtime.capture.subjects import write_subject
        from ondevice_sora.runtime.executor.store import Store
        from ondevice_sora.studies.host_plans import FAMILIES, store_folder

        folder = beneath(self.out, "stores", store_folder(self.out, subject, blocks).name)
        if folder not in self.opened and Store.is_there(folder):
            self.opened[folder] = Store.open(folder)
        if folder not in self.opened:
            self._say(f"writing {folder}")
            cut = ComponentPlan(blocks=UnitsPerBlock(blocks))
            components = dict.fromkeys(FAMILIES[subject], cut)
            self.opened[folder] = write_subject(folder, self._subject(subject), components)
        return self.opened[folder]

    def _subject(self, name: str) -> Any:
        from ondevice_sora.runtime.capture.subjects import SmallModel, StandIn
        from ondevice_sora.runtime.networks.stdit3 import LatentSize, STDiT3Config
        from ondevice_sora.runtime.small.shipped import shipped_weights

        if name == "small":
            return SmallModel(self.options.weights or shipped_weights())
        config = STDiT3Config(depth=self.options.depth, hidden_size=self.options.width)
        return StandIn(config, LatentSize(*LATENT_SIZES[name]), STANDIN_TEXT_TOKENS)

    def _captured(self, subject: str, store: Store, number: int) -> dict[str, Trial]:
        """The trials of one round of a subject's capture, by name."""
        from ondevice_sora.runtime.capture.host import ALONE, BESIDE, PROBE, capture_trial
        from ondevice_sora.runtime.capture.measured_run import read_trial

        trials = {}
        for name in (ALONE, BESIDE, PROBE):
            file = beneath(self.out, "trials", f"{self.machine}-capture-{self._hash(store)}-{name}-{number}.json")
            if not os.path.lexists(file):
                self._say(f"capture of the {subject}, round {number + 1} of {self.options.rounds}: {name}")
                folder = self.out / "plans"
                capture_trial(store, name, folder, self.threads)
                os.replace(folder / f"{name}.json", file)
            trials[name] = read_trial(file, PROBE if name == PROBE else "")
        return trials

    def _profile(self, subject: str, store: Store, rounds: int) -> Path:
        """The file of the profile captured in so many rounds."""
        from ondevice_sora.base.files.writing import write_yaml
        from ondevice_sora.profiles.profile import profile_data
        from ondevice_sora.runtime.capture.host import profile_of

        found = [self._captured(subject, store, number) for number in range(rounds)]
        trials = {name: [trial[name] for trial in found] for name in found[0]}
        path = self.out / f"host-{subject}{'-first' if rounds < self.options.rounds else ''}.yaml"
        write_yaml(path, profile_data(profile_of(store, trials, self.threads)), "Written by `validate host`.")
        return path

    def _plan_file(self, key: str, plan: Plan) -> Path:
        from ondevice_sora.base.files.writing import write_yaml
        from ondevice_sora.plans.schema import plan_data

        path = beneath(self.out, "plans", f"{key}.yaml")
        write_yaml(path, plan_data(plan), "Written by `validate host`.")
        return path

    def _whole(self, store: Store, plan: Path, asked: str) -> str:
        """Digest of the unpartitioned model's result: the same for all plans that ask for the same video."""
        short = hashlib.sha256(asked.encode()).hexdigest()[:12]
        return self._trial(store, plan, f"whole {short}", mode="whole").digest

    def _trial(self, store: Store, plan: Path, name: str, *, mode: str = "", profile: Path | None = None) -> Trial:
        from ondevice_sora.runtime.capture.measured_run import in_process, read_trial

        of = self._hash(store, "" if mode else read_text(plan, MAX_BYTES))
        file = beneath(self.out, "trials", f"{self.machine}-{of}-{name.replace(' ', '-')}.json")
        if os.path.lexists(file):
            return read_trial(file, mode)
        if mode:
            self._say(f"{mode}, as {plan.stem}")
        return in_process(store.directory, plan, file, threads=self.threads, profile=profile, mode=mode)

    def _hash(self, store: Store, what: str = "") -> str:
        """Of what is run: the weights, the partition unless nothing is partitioned, and the plan."""
        blocks = (
            "".join(block.checksum for block in store.manifest.blocks) if what else json.dumps(store.manifest.origin)
        )
        return hashlib.sha256(f"{blocks}{what}".encode()).hexdigest()[:12]

    def _row(self, plan: Path, runs: list[Trial], whole: str, profile: Path) -> PlanRow:
        from ondevice_sora.records.agreement import PlanRow
        from ondevice_sora.records.trace import write_trace

        predicted = predict(plan, profile)
        traces = [trial.trace for trial in runs if trial.trace is not None]
        write_trace(predicted.trace, self.out / "traces" / f"{plan.stem}.simulated.json")
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
        )

    def _say(self, what: str) -> None:
        """Tell what is done next; an interruption that has come is raised before it."""
        check()
        print(what, file=sys.stderr, flush=True)

    def remove_stores(self) -> None:
        """Remove the stores that were used, and the folder that they lay in unless something else is there."""
        from ondevice_sora.runtime.capture.subjects import remove_stores

        for store in self.opened.values():
            remove_stores(store)
        with suppress(OSError):
            (self.out / "stores").rmdir()


def predict(plan: Path, profile: Path) -> Predicted:
    """Simulate a plan on the machine that a profile was captured of. Raises UserError."""
    from ondevice_sora.simulator.simulate import simulate

    found = simulate(plan, str(profile))
    return Predicted(found.prepared, found.trace)


def _machine(threads: int) -> str:
    """A short name for this machine as it runs now: results of another are not taken for its own."""
    import platform

    import torch

    from ondevice_sora.runtime.capture.host import processor_name

    facts = (processor_name(), os.cpu_count(), platform.release(), torch.__version__, threads)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]


def _conclude(rows: list[PlanRow], validation: Validation, options: argparse.Namespace) -> int:
    import msgspec

    from ondevice_sora.base.files.writing import write_json
    from ondevice_sora.records.agreement import checks

    found = checks(rows)
    document = {
        "rows": [msgspec.to_builtins(row) for row in rows],
        "checks": [{**msgspec.to_builtins(check), "ok": check.ok} for check in found],
    }
    write_json(validation.out / "agreement.json", document)
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        from ondevice_sora.reports.terminal.agreement import print_agreement

        shown(lambda: print_agreement(rows, found))
    if not options.keep_stores:
        validation.remove_stores()
    for path in (validation.out / "agreement.json", *_write_pages(rows, validation)):
        print(f"Wrote {path}", file=sys.stderr)
    return EXIT_FITS if all(check.ok for check in found) else EXIT_FAILED


def _write_pages(rows: list[PlanRow], validation: Validation) -> list[Path]:
    """Pages that set prediction and measurement side by side: of the plan with the median error and of the worst."""
    from ondevice_sora.records.trace import read_trace
    from ondevice_sora.reports.page.report import write_report

    ordered = sorted(range(len(rows)), key=lambda index: abs(rows[index].time_error))
    pages = []
    for name, index in (("median", ordered[len(ordered) // 2]), ("worst", ordered[-1])):
        stem = validation.out / "traces" / validation.plans[index].key
        pages.append(validation.out / f"{name}.html")
        write_report([read_trace(f"{stem}.simulated.json"), read_trace(f"{stem}.measured.json")], pages[-1])
    return pages


def _conclude_search(rows: list[PlanRow], validation: Validation, options: argparse.Namespace) -> int:
    import msgspec

    from ondevice_sora.base.files.writing import write_json
    from ondevice_sora.reports.terminal.agreement import print_search

    document = {"rows": [msgspec.to_builtins(row) for row in rows]}
    write_json(validation.out / "search.json", document)
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        shown(lambda: print_search(rows))
    if not options.keep_stores:
        validation.remove_stores()
    print(f"Wrote {validation.out / 'search.json'}", file=sys.stderr)
    return EXIT_FITS if all(row.is_equal and row.is_within_budget for row in rows) else EXIT_FAILED
