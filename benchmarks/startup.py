"""Wall time of a text-only `simulate`, interpreter start included, against importing numpy, simpy and yaml.

    python benchmarks/startup.py

The imports are the physical bound: no simulation in this stack can start without them. Whole processes, in turn,
medians.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

REPEATS = 11
COMMANDS = {
    "import numpy, simpy, yaml": [sys.executable, "-c", "import numpy, simpy, yaml"],
    "simulate --plan ours-256": [sys.executable, "-P", "-m", "ondevice_sora.commands.simulate", "--plan", "ours-256"],
    "simulate --plan app-256": [sys.executable, "-P", "-m", "ondevice_sora.commands.simulate", "--plan", "app-256"],
}


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(REPEATS):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            times[name].append(time.perf_counter() - start)
    bound = median(times["import numpy, simpy, yaml"])
    for name, seconds in times.items():
        print(f"{name:28} {median(seconds) * 1e3:7.0f} ms   {median(seconds) / bound:5.2f} x the imports")


if __name__ == "__main__":
    main()
