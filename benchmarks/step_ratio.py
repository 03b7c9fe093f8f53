"""Whether a skipped evaluation skips a whole pass: 8 planned evaluations against all 30 steps, from blocks on disk.

    python -m benchmarks.step_ratio --dir /var/tmp/blocks

Blocks of STDiT3 (random weights) are written once; each round plays one generation of either plan in a budget that
holds a part of them, so that every pass loads. Plans take turns, so that other work on the machine meets both. 8 of 30
passes are 0.267; what is above that is what a generation takes besides.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.schema import ComponentPlan, Memory, Plan, Sampler
from ondevice_sora.plans.step_file import read_steps, shipped_steps
from ondevice_sora.plans.step_plan import Grid
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.runtime.capture.subjects import StandIn, executor_for, write_subject
from ondevice_sora.runtime.executor.store import Store
from ondevice_sora.runtime.networks.stdit3 import LatentSize, STDiT3Config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True, help="where the blocks are, or are to be written")
    parser.add_argument("--width", type=int, default=1152)
    parser.add_argument("--depth", type=int, default=4, help="of spatial and temporal blocks each")
    parser.add_argument("--evaluations", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not Store.is_there(options.dir):
        config = STDiT3Config(depth=options.depth, hidden_size=options.width)
        write_subject(options.dir, StandIn(config, LatentSize(4, 8, 8), 16), {})
    store = Store.open(options.dir)
    path = shipped_steps("small")
    assert path is not None, "in a checkout"
    grid = Grid(indices=read_steps(path).front[options.evaluations - 1].indices)
    largest = max(block.data_bytes for block in store.manifest.blocks)
    component = ComponentPlan(blocks="unit", compute_units="cpu_only", prefetch=1, keep="none")
    plan = Plan(
        "all 30 steps", str(options.dir / "model.yaml"), components={"denoiser": component},
        memory=Memory(budget=ByteCount(3 * largest)),
    )  # fmt: skip
    plans = [plan, replace(plan, name=f"{options.evaluations} planned", sampler=Sampler(grid=grid))]
    seconds: dict[str, list[float]] = {each.name: [] for each in plans}
    for number in range(options.rounds + 1):
        for each in plans:
            executor, playable = executor_for(store, LoadedPlan(each))
            with executor:
                playable.generate(executor)
            if number:  # the first round warms up
                seconds[each.name].append(executor.trace().total_s)
    whole, fewer = seconds.values()
    for name, taken in seconds.items():
        print(f"{name:16} {median(taken):8.2f} s (median of {len(taken)}, {min(taken):.2f} to {max(taken):.2f})")
    ratios = [few / all_of for few, all_of in zip(fewer, whole, strict=True)]
    print(f"ratio            {median(ratios):8.3f}   (medians: {median(fewer) / median(whole):.3f}; "
          f"{options.evaluations} of 30 passes: {options.evaluations / 30:.3f})")  # fmt: skip


if __name__ == "__main__":
    main()
