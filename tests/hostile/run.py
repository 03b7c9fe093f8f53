"""Try every input of every surface, and print what did not hold."""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from hostile.inputs import Input
from hostile.surfaces import SURFACES
from hostile.trial import HANGS_S

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
PATIENCE_S = 3 * HANGS_S
MAKING_S = 1800


class Worker:
    """A process that tries inputs with the code of a checkout."""

    def __init__(self, checkout: Path, root: Path) -> None:
        self.checkout, self.root = checkout, root
        self.process: subprocess.Popen[str] | None = None
        self.answers: queue.Queue[str] = queue.Queue()

    def ask(self, surface: str, number: int) -> str:
        """What became of an input: '' if it held."""
        process = self._process()
        assert process.stdin is not None
        process.stdin.write(json.dumps([surface, number]) + "\n")
        process.stdin.flush()
        patience = MAKING_S
        while True:
            try:
                line = self.answers.get(timeout=patience)
            except queue.Empty:
                self.end()
                return "hang"
            if not line:
                self.end()
                return f"ended the process (status {process.returncode})"
            answer: str = json.loads(line)
            if answer != "made":
                return answer
            patience = PATIENCE_S

    def _process(self) -> subprocess.Popen[str]:
        if self.process is None:
            paths = [str(self.checkout), str(HERE.parent)]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(HERE / "worker.py"), str(self.root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                cwd=self.root,
            )
            self.answers = queue.Queue()
            threading.Thread(target=_listen, args=(self.process, self.answers)).start()
        return self.process

    def end(self) -> None:
        if self.process is not None:
            assert self.process.stdin is not None
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process = None


def _listen(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    """Put its lines into the queue, and "" when there are no more."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            answers.put(line)
    answers.put("")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=sys.modules["hostile"].__doc__, prog="python tests/hostile")
    parser.add_argument("--surface", action="append", choices=list(SURFACES), help="only this one; may be repeated")
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, help="whose code is tried (default: this)")
    parser.add_argument("--list", action="store_true", help="name the inputs, and try none")
    parser.add_argument("--json", type=Path, help="write what did not hold to this file")
    options = parser.parse_args(arguments)
    surfaces = {name: list(SURFACES[name]()) for name in options.surface or SURFACES}
    if options.list:
        for name, inputs in surfaces.items():
            for case in inputs:
                print(f"{name}: {case.name}")
        return 0
    failures: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        worker = Worker(options.checkout.resolve(), Path(folder))
        try:
            for name, inputs in surfaces.items():
                failures[name] = try_surface(worker, name, inputs)
        finally:
            worker.end()
            subprocess.run(["chmod", "-R", "u+rwx", folder], check=False)
    print_table(surfaces, failures)
    if options.json is not None:
        options.json.write_text(json.dumps(failures, indent=1))
    return 1 if any(failures.values()) else 0


def try_surface(worker: Worker, name: str, inputs: list[Input]) -> dict[str, str]:
    """Why inputs of a surface did not hold, by their names; said as they come."""
    found: dict[str, str] = {}
    began = time.monotonic()
    for number, case in enumerate(inputs):
        why = worker.ask(name, number)
        if why:
            found[case.name] = why
            print(f"  {name}: {case.name}: {why}", flush=True)
    print(f"{name}: {len(inputs)} tried, {len(found)} not held, {time.monotonic() - began:.0f} s", flush=True)
    return found


def print_table(surfaces: dict[str, list[Input]], failures: dict[str, dict[str, str]]) -> None:
    print("\n| surface | tried | not held | what |\n|---|---|---|---|")
    for name, found in failures.items():
        kinds = Counter(why.split(":")[0].split(" (")[0] for why in found.values())
        what = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
        print(f"| {name} | {len(surfaces[name])} | {len(found)} | {what} |")
    tried, held = sum(map(len, surfaces.values())), sum(map(len, failures.values()))
    print(f"| all | {tried} | {held} | |")
