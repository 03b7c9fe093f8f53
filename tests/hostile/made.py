"""What inputs start from: things that this project itself has written, made once and copied for each input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from worlds.toy_files import TOY_MODEL, TOY_PLAN

RUNS = "from ondevice_sora.commands.main import main; import sys; sys.exit(main())"
TINY_PLAN = """\
name: tiny
model: small
video: {width: 64, height: 64, frames: 17}
sampler: {steps: 3, guidance: 4.0}
"""
RUN_PLAN = """\
name: run
model: blocks/model.yaml
sampler: {steps: 2}
components:
  denoiser: {blocks: unit, compute_units: cpu_only}
"""


class Made:
    """Folders of materials below `root`, each made when it is first asked for.

    `box` is the folder that inputs run in, one after the other: some materials know where they lie.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.box = root / "box"

    def empty_box(self) -> Path:
        """The box, empty, with a folder `work` in it."""
        if self.box.exists():
            subprocess.run(["chmod", "-R", "u+rwx", str(self.box)], check=False)
            shutil.rmtree(self.box)
        (self.box / "work").mkdir(parents=True)
        return self.box

    def folder(self, name: str) -> Path:
        path = self.root / name
        if not path.is_dir():
            unfinished = self.root / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            MAKERS[name](unfinished, self)
            unfinished.rename(path)
        return path


def ran(folder: Path, command: str) -> None:
    """Run a command of ours that must succeed."""
    command_line = [sys.executable, "-P", "-c", RUNS, *command.split()]
    ended = subprocess.run(command_line, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1, 3):
        raise RuntimeError(f"{command}: {ended.stderr[-2000:]}")


def _toy(folder: Path, made: Made) -> None:
    (folder / "model.yaml").write_text(TOY_MODEL)
    (folder / "plan.yaml").write_text(TOY_PLAN)


def _weights(folder: Path, made: Made) -> None:
    from worlds.tiny import save_tiny_model

    save_tiny_model(folder / "weights")
    (folder / "plan.yaml").write_text(TINY_PLAN)


def _store(folder: Path, made: Made) -> None:
    from ondevice_sora.runtime.capture.subjects import StandIn, write_subject
    from ondevice_sora.runtime.networks.stdit3 import LatentSize, STDiT3Config

    config = STDiT3Config(depth=1, hidden_size=32, num_heads=2, caption_channels=8, model_max_length=4)
    write_subject(folder / "blocks", StandIn(config, LatentSize(2, 4, 4), 3), {})
    (folder / "plan.yaml").write_text(RUN_PLAN)


def _export(folder: Path, made: Made) -> None:
    shutil.copytree(made.folder("weights"), folder, dirs_exist_ok=True)
    ran(folder, "export --plan plan.yaml --weights weights -o exported")


def _evaluation(folder: Path, made: Made) -> None:
    shutil.copytree(made.folder("weights"), folder, dirs_exist_ok=True)
    ran(
        folder,
        "evaluate --plan plan.yaml --weights weights -o evaluation --prompts 1 --seeds 1 --only paper --clips 1",
    )


def _host(folder: Path, made: Made) -> None:
    work = made.empty_box() / "work"
    ran(work, "validate host -o host --plans 1 --rounds 1 --threads 1 --width 32 --depth 1 --keep-stores")
    shutil.copytree(work, folder, dirs_exist_ok=True)


def _package(folder: Path, made: Made) -> None:
    from worlds.coreml_packages import linear_package

    linear_package(folder / "toy.mlpackage")


def _state(folder: Path, made: Made) -> None:
    """Of a search for the toy that had no time to end: what it scored is in the file."""
    _toy(folder, made)
    model = TOY_MODEL + "".join(
        f"      - {{name: u{n}, parameters: {1000 * n}, plain: {{matmul_flops: {n}e8}}}}\n" for n in range(1, 30)
    )
    (folder / "model.yaml").write_text(model)
    ran(folder, "plan search --plan plan.yaml --seconds 2 --state state.json")


def _sweep(folder: Path, made: Made) -> None:
    """A grid, and the journal of a sweep that was cut short at its last row but one."""
    from ondevice_sora.simulator.sweep import sweep as sweeping
    from ondevice_sora.simulator.sweep.grid import read_grid

    _toy(folder, made)
    (folder / "grid.yaml").write_text("models: [plan.yaml]\nbudgets: [null, 3.0 GB, 2.0 GB]\n")
    before = os.getcwd()
    os.chdir(folder)
    try:
        cells = read_grid("grid.yaml")
        lines = [json.dumps([cell.key, sweeping.row_of(cell)]) for cell in cells]
    finally:
        os.chdir(before)
    (folder / "table.csv.rows.jsonl").write_text("".join(f"{line}\n" for line in lines))


MAKERS: dict[str, Callable[[Path, Made], None]] = {
    "toy": _toy,
    "weights": _weights,
    "store": _store,
    "export": _export,
    "evaluation": _evaluation,
    "host": _host,
    "package": _package,
    "state": _state,
    "sweep": _sweep,
}
