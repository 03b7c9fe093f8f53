"""Commands interrupted at random moments: how they end, what they leave, and what the same command makes of it.

Each signal goes to the command alone or, as a terminal and `timeout` do, to all its processes; SIGKILL to the command
alone. Afterwards there must be no process of it, and but for SIGKILL no file that is not a result. A few interruptions
are followed by the command to its end, with the result that it has when nothing happens. A moment lies anywhere from
where the command takes note of signals (before that it is Python that starts) to past its end.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worlds.processes import GUARD_S

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
IN_A_ROW = 4
"""At most so many interruptions before the command is let go to its end."""
ENDS_S = 180.0
"""A command that takes longer to end after a signal hangs. The longest wait is for a block's conversion: seconds."""
MARK = "ONDEVICE_SORA_INTERRUPTION"
"""In the environment of a command, and so of all its processes."""


@dataclass(frozen=True)
class Command:
    """What is run in a folder that `prepare` has filled; `again` says with which arguments from the second time on.

    `result` reads what must be the same at the end, whatever happened before.
    """

    arguments: str
    prepare: Callable[[Path], None]
    result: Callable[[Path], Any]
    again: Callable[[Path], str] | None = None


@dataclass
class Report:
    """What came of the interruptions of one command; `wrong` is empty if all is well."""

    moments: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    ended_s: list[float] = field(default_factory=list)
    num_reruns: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        def listed(counts: Counter[str]) -> str:
            return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

        ordered = sorted(self.ended_s) or [0.0]
        return (
            f"{sum(self.moments.values())} moments ({listed(self.moments)}); ended with {listed(self.statuses)}, after "
            f"{ordered[len(ordered) // 2]:.2f} s in the median and {ordered[-1]:.1f} s at most; {self.num_reruns} "
            f"reruns; {len(self.wrong)} wrong"
        )


class Scan:
    """Interrupts a command in folders beneath `base`, at `moments` moments drawn from `seed`."""

    def __init__(self, command: Command, base: Path, seed: int) -> None:
        self.command, self.base = command, base
        self.drawn = random.Random(seed)
        self.report = Report()
        self.left_by_kills: set[str] = set()
        """to be removed by the next run that comes so far, at the latest by a whole one"""
        self.temporary = base / "tmp"
        self.temporary.mkdir()
        began = time.monotonic()
        self.expected = self._whole(self._fresh("reference"), self.command.arguments)
        self.whole_s = time.monotonic() - began
        assert not self.report.wrong, self.report.wrong

    def run(self, moments: int) -> Report:
        done = 0
        while done < moments:
            folder = self._fresh("interrupted")
            arguments = self.command.arguments
            for number in range(min(self.drawn.randint(1, IN_A_ROW), moments - done)):
                sent = SIGNALS[done % len(SIGNALS)]
                is_cut_short = self._interrupt(folder, arguments, sent, self.whole_s / (number + 1))
                if self.command.again is not None:
                    arguments = self.command.again(folder)
                if not is_cut_short:
                    break
                done += 1
            if self._whole(folder, arguments) != self.expected:
                self.report.wrong.append(f"{self._last}: another result after the rerun")
        return self.report

    def _fresh(self, name: str) -> Path:
        folder = self.base / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.command.prepare(folder)
        self.inputs = {str(path.relative_to(folder)) for path in folder.rglob("*")}
        return folder

    def _whole(self, folder: Path, arguments: str) -> Any:
        """Let it go to its end; its result."""
        self.report.num_reruns += 1
        self._last = "a whole run"
        process = self._started(folder, arguments)
        if process.wait() not in (0, 1):  # 1: validate host found times off, on a busy machine
            self.report.wrong.append(f"a whole run ended with {process.returncode}: {self._said(folder)}")
            return None
        self.left_by_kills.clear()
        self._see_what_is_left(folder, self._last)
        return self.command.result(folder)

    def _interrupt(self, folder: Path, arguments: str, sent: signal.Signals, within_s: float) -> bool:
        """False if all was done when the signal came; what was done before it could be sent counts as no moment."""
        process = self._started(folder, arguments)
        self._await_handlers(process)
        began = time.monotonic()
        delay_s = self.drawn.uniform(0.0, within_s)
        to_all = sent != signal.SIGKILL and self.drawn.random() < 0.5
        self._last = f"{sent.name}{' to all' if to_all else ''} after {delay_s:.3f} s"
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, sent) if to_all else process.send_signal(sent)
        else:
            if within_s == self.whole_s:  # from the beginning, not going on
                self.whole_s = time.monotonic() - began
            return self._see_how_it_ended(folder, process.returncode, sent)
        began = time.monotonic()
        self.report.moments[sent.name] += 1
        try:
            process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            self.report.wrong.append(f"{self._last}: goes on")
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.report.ended_s.append(time.monotonic() - began)
        self.report.statuses[str(process.returncode)] += 1
        is_cut_short = self._see_how_it_ended(folder, process.returncode, sent)
        if sent != signal.SIGKILL or process.returncode != -signal.SIGKILL:
            self._see_what_is_left(folder, self._last)
        else:
            self._see_processes(self._last)
            self.left_by_kills.update(self._left(folder))
        return is_cut_short

    def _started(self, folder: Path, arguments: str) -> subprocess.Popen[bytes]:
        self.mark = uuid.uuid4().hex
        with (folder.parent / "stderr").open("wb") as stream:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "ondevice_sora", *shlex.split(arguments)],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stream, start_new_session=True,
                env={**os.environ, MARK: self.mark, "TMPDIR": str(self.temporary)},
            )  # fmt: skip

    def _await_handlers(self, process: subprocess.Popen[bytes]) -> None:
        """Until the process takes note of SIGTERM: its own handler is among those that Linux shows."""
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            caught = int(status.partition("SigCgt:")[2].split()[0], 16)
            if caught >> (signal.SIGTERM - 1) & 1:
                return
            time.sleep(0.002)

    def _said(self, folder: Path) -> str:
        return (folder.parent / "stderr").read_text(errors="replace")

    def _see_how_it_ended(self, folder: Path, status: int, sent: signal.Signals) -> bool:
        """Whether there is something left to do."""
        said = self._said(folder)
        if status not in (0, 1, -sent, 128 + sent):
            self.report.wrong.append(f"{self._last}: status {status}: {said[-500:]}")
        is_done = status in (0, 1) or (status == -sent and sent != signal.SIGKILL)
        if is_done and self.command.result(folder) != self.expected:
            self.report.wrong.append(f"{self._last}: status {status}, but another result: {said[-500:]}")
        if "Traceback" in said:
            self.report.wrong.append(f"{self._last}: {said[-2000:]}")
        if status > 1 and not said.splitlines()[-1].startswith("interrupted: "):
            self.report.wrong.append(f"{self._last}: says {said[-300:]!r}")
        return not is_done

    def _left(self, folder: Path) -> list[str]:
        left = [str(path.relative_to(folder)) for path in folder.rglob("*")]
        left = [name for name in left if is_temporary(name) and name not in self.inputs]
        return left + [str(path) for path in self.temporary.iterdir() if not path.name.startswith("torchinductor_")]

    def _see_what_is_left(self, folder: Path, after: str) -> None:
        self._see_processes(after)
        left = self._left(folder)
        left = [name for name in left if name not in self.left_by_kills]
        if left:
            self.report.wrong.append(f"{after}: left {left[:5]}")

    def _see_processes(self, after: str) -> None:
        """None of them goes on; what is on its way to its end gets the time for it."""
        began = time.monotonic()
        while marked := processes_marked(self.mark):
            if time.monotonic() - began > GUARD_S:
                self.report.wrong.append(f"{after}: goes on: {marked}")
                return
            time.sleep(0.02)


def is_temporary(name: str) -> bool:
    """Whether a file or folder is none of a command's results: those are named without a dot and without `part`."""
    return any(part.startswith((".", "tmp")) or ".part" in part for part in Path(name).parts)


def processes_marked(mark: str) -> list[str]:
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (each / "environ").read_bytes().split(b"\0"):
                found.append((each / "cmdline").read_text().replace("\0", " "))
        except OSError:  # ended, or another user's
            continue
    return found


def sweep() -> Command:
    def prepare(folder: Path) -> None:
        budgets = ", ".join(f"{budget / 10:.1f} GB" for budget in range(26, 34))
        (folder / "grid.yaml").write_text(f"models: [app-192, ours-192]\nbudgets: [{budgets}]\n")

    command = "plan sweep grid.yaml --processes 2"
    return Command(command, prepare, lambda folder: (folder / "grid.csv").read_text(), lambda _: f"{command} --force")


def search(num_units: int = 6) -> Command:
    """Of a model so small that every plan is tried: the result does not depend on where the time ran out."""

    def prepare(folder: Path) -> None:
        units = ", ".join(
            f"{{name: u{i}, parameters: {9 + 7 * i}000000, plain: {{matmul_flops: {3 + i % 3}e+10}}}}"
            for i in range(num_units)
        )
        (folder / "model.yaml").write_text(
            f"name: m\nsource: made up\ncomponents: [{{name: denoiser, passes: steps, units: [{units}]}}]\n"
        )
        (folder / "plan.yaml").write_text("name: p\nmodel: model.yaml\nsampler: {steps: 6}\n")

    command = "plan search --plan plan.yaml --budget 500MB --state state.json -o best.yaml"
    return Command(command, prepare, lambda folder: (folder / "best.yaml").read_text(), lambda _: f"{command} --force")


def generate(weights: Path) -> Command:
    components = "components: {denoiser: CPU, text_encoder: CPU, decoder: CPU}".replace(
        "CPU", "{compute_units: cpu_only}"
    )

    def prepare(folder: Path) -> None:
        from worlds.tiny import PLAN

        (folder / "plan.yaml").write_text(f"{PLAN.replace('steps: 5', 'steps: 30')}{components}\n")

    def result(folder: Path) -> Any:
        trace = json.loads((folder / "out.trace.json").read_text())
        return (folder / "out.mp4").read_bytes(), (folder / "out.png").read_bytes(), spans_of(trace)

    command = f"generate 'a red circle moving left' --plan plan.yaml --weights {weights} -o out.mp4 --trace"
    return Command(command, prepare, result, lambda _: f"{command} --force")


def spans_of(trace: dict[str, Any]) -> list[Any]:
    return sorted([span["action"], span["step"], span["block"], span["variant"]] for span in trace["spans"])


def manifest_of(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())


def capture() -> Command:
    def result(folder: Path) -> Any:
        profile = (folder / "host.yaml").read_text().splitlines()
        return manifest_of(folder / "blocks"), [line for line in profile if "_unit:" in line or "variant:" in line]

    command = "profile capture --store blocks -o host.yaml --repeats 1 --threads 1"

    def again(folder: Path) -> str:
        is_there = (folder / "blocks" / "manifest.json").exists()
        return f"{command} --force" + ("" if is_there else " --width 64 --depth 1")

    return Command(f"{command} --width 64 --depth 1", lambda folder: None, result, again)


def run(store: Path) -> Command:
    """Of a plan that cuts otherwise than the store: it is cut anew at first."""

    def prepare(folder: Path) -> None:
        shutil.copytree(store, folder / "blocks")
        (folder / "plan.yaml").write_text(
            "name: toy\nmodel: blocks/model.yaml\nsampler: {steps: 30}\n"
            "components:\n  denoiser: {blocks: {units_per_block: 2}, compute_units: cpu_only, keep: optimal}\n"
        )

    def result(folder: Path) -> Any:
        (cut,) = (folder / "blocks" / "cuts").iterdir()
        return manifest_of(cut), spans_of(json.loads((folder / "out.json").read_text()))

    command = "run --plan plan.yaml --store blocks --threads 1 --verify --trace out.json"
    return Command(command, prepare, result, lambda _: f"{command} --force")


def evaluate(weights: Path) -> Command:
    def prepare(folder: Path) -> None:
        from worlds.tiny import PLAN

        (folder / "plan.yaml").write_text(PLAN.replace("steps: 5", "steps: 20"))

    def result(folder: Path) -> Any:
        rows = json.loads((folder / "out" / "results.json").read_text())["rows"]
        kept = [{name: value for name, value in row.items() if "time_ratio" not in name} for row in rows]
        return kept, [path.read_bytes() for path in sorted((folder / "out" / "frames").rglob("*.png"))]

    command = f"evaluate --plan plan.yaml --weights {weights} -o out --prompts 2 --seeds 2 --clips 1"
    return Command(f"{command} --only fixed_16 tdtm_all", prepare, result)


def steps(weights: Path) -> Command:
    def prepare(folder: Path) -> None:
        from worlds.tiny import PLAN

        (folder / "plan.yaml").write_text(PLAN.replace("steps: 5", "steps: 20"))

    def result(folder: Path) -> Any:
        return (folder / "grids.json").read_text()

    command = f"steps plan --plan plan.yaml --weights {weights} --videos 4 -o grids.json"
    return Command(command, prepare, result, lambda _: f"{command} --force")


def export(exported: Any, jobs: int) -> Command:
    """The blocks of the text encoder and the denoiser; those of the decoder, which take longest, are there already."""

    def prepare(folder: Path) -> None:
        shutil.copytree(exported.directory, folder / "out")
        shutil.copy(exported.plan, folder / "plan.yaml")
        manifest = manifest_of(folder / "out")
        manifest["complete"] = False
        manifest["blocks"] = [block for block in manifest["blocks"] if block["component"].startswith("decoder")]
        (folder / "out" / "manifest.json").write_text(json.dumps(manifest))

    def result(folder: Path) -> Any:
        from ondevice_sora.runtime.coreml.export.manifest import packaged

        manifest = manifest_of(folder / "out")
        for block in manifest["blocks"]:
            for package in block["packages"]:
                found = packaged(folder / "out", package["file"])
                assert (found.num_bytes, found.checksum) == (package["num_bytes"], package.pop("checksum"))
        return manifest, sorted(path.name for path in (folder / "out").iterdir())

    command = f"export --plan plan.yaml --weights {exported.weights} -o out --jobs {jobs}"
    return Command(command, prepare, result)


def validate_host(weights: Path) -> Command:
    def result(folder: Path) -> Any:
        rows = json.loads((folder / "out" / "agreement.json").read_text())["rows"]
        return [(row["plan"], row["is_equal"], len(row["measured_s"])) for row in rows]

    command = f"validate host -o out --plans 1 --rounds 1 --threads 1 --width 32 --depth 1 --weights {weights}"
    return Command(command, lambda folder: None, result)


def page_of(path: Path) -> bool:
    """Whether a page is whole; its bytes tell the time."""
    return path.read_text().rstrip().endswith("</html>")


def simulate() -> Command:
    def result(folder: Path) -> Any:
        trace = json.loads((folder / "out.json").read_text())
        return trace["result"], len(json.loads((folder / "out.pftrace").read_text())), page_of(folder / "out.html")

    command = "simulate ours-256 --trace out.json --perfetto out.pftrace --report out.html"
    return Command(command, lambda folder: None, result, lambda _: f"{command} --force")


def explain() -> Command:
    command = "plan explain app-192-all --report out.html"
    return Command(
        command, lambda folder: None, lambda folder: page_of(folder / "out.html"), lambda _: f"{command} --force"
    )


def variants() -> Command:
    command = "plan search small --seconds 1 --evaluations 8..9 --front plans"

    def result(folder: Path) -> Any:
        return sorted(path.name for path in (folder / "plans").iterdir())

    return Command(command, lambda folder: None, result, lambda _: f"{command} --force")


def describe() -> Command:
    """As `simulate` does it of a model it has not met: in a process of its own, whose result is kept."""
    command = "simulate --model wan2.1-1.3b --video 480x320x49 --memory-limit 64GB --trace out.json"

    def result(folder: Path) -> Any:
        return json.loads((folder / "out.json").read_text())["result"]

    return Command(command, lambda folder: None, result, lambda _: f"{command} --force")


def estimate() -> Command:
    def prepare(folder: Path) -> None:
        from worlds.coreml_packages import described_package, looping_package

        described_package(folder / "a.mlpackage")
        looping_package(folder / "b.mlpackage")

    def result(folder: Path) -> Any:
        return [(folder / "est" / f"{name}.yaml").read_text() for name in ("model", "plan", "profile")]

    command = "profile estimate a.mlpackage b.mlpackage -o est"
    return Command(command, prepare, result, lambda _: f"{command} --force")
