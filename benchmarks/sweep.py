"""Rows of a sweep a second, in one process; with --before, beside those of another checkout, in turn.

    python benchmarks/sweep.py --before ../before      # a worktree of an earlier commit, for instance

Each round is a process of its own that does a few rows first, so that imports and the compiler's start count nowhere.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROUNDS = 3
PROGRAM = """
import sys, time
from pathlib import Path
from tempfile import TemporaryDirectory
import numba
from ondevice_sora.simulator.sweep.grid import read_grid
from ondevice_sora.simulator.sweep.sweep import row_of

with TemporaryDirectory() as folder:
    path = Path(folder) / "grid.yaml"
    path.write_text(
        "models: [app-256-cidl, app-256-all, ours-256, app-192-all, ours-192]\\n"
        "devices: [iphone15pro, iphone16pro]\\nbudgets: [null, 2.6 GB, 3.0 GB]\\n"
    )
    cells = read_grid(path)
for cell in cells[:4]:
    row_of(cell)
start = time.perf_counter()
for cell in cells:
    row_of(cell)
print(len(cells) / (time.perf_counter() - start))
"""


def rows_a_second(checkout: Path) -> float:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    run = subprocess.run([sys.executable, "-P", "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, check=True)
    return float(run.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout of this project")
    options = parser.parse_args()
    checkouts = {"now": Path(__file__).parents[1]}
    if options.before is not None:
        checkouts["before"] = options.before.resolve()
    rates: dict[str, list[float]] = {name: [] for name in checkouts}
    for _ in range(ROUNDS):
        for name, checkout in checkouts.items():
            rates[name].append(rows_a_second(checkout))
    for name, found in rates.items():
        print(f"{name:8} {median(found):6.1f} rows/s   (of {', '.join(f'{rate:.1f}' for rate in found)})")
    if "before" in rates:
        print(f"ratio    {median(rates['now']) / median(rates['before']):6.2f}")


if __name__ == "__main__":
    main()
