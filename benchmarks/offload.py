"""Running a model that does not fit in memory: ours against what users would run instead.

    python benchmarks/offload.py --dir /var/tmp/offload

Three regimes: where a load takes about as long as a run (`equal`), where running takes three times as long (`run`), and
where loading takes twice as long and half the blocks may stay (`load`). How many tokens that takes differs between
machines; a few blocks are loaded and run first to find it out. What it came to, the lower bound's two figures tell.

The model is the 28 pairs of blocks of STDiT3-XL at full width (4.8 GB in float32, random weights), one pair a block.
Every contender walks all blocks `--steps` times in a fresh process, with the same files, threads and inputs, the page
cache cold: the pages of a block just used are dropped, inside the timed region, so that the cache stays a few blocks
large, as on a device that small. Contenders take turns over `--repeats` rounds. Prints medians of the steady steps (all
but the first two, for the peer that records its order in the first), ratios to the sequential one, the peak of resident
memory, and the lower bound: what loads or runs alone take, each measured in its own process.

    inmem         all weights in memory: the runs alone
    load          our reads alone
    sequential    safetensors: load_file, run, free
    ours          the executor; its prefetch and keep are options
    accelerate    disk_offload            (needs accelerate)
    diffusers     group offload to disk   (needs diffusers)
    aircanvas     StreamingEngine on cpu  (needs aircanvas; 4 resident blocks, in `load` as many as ours)

Peers come from wherever PYTHONPATH has them; one that is missing is left out with the reason.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.partition import cut
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.plans.schema import ComponentPlan, Plan, Sampler
from ondevice_sora.profiles.costs import bytes_alone
from ondevice_sora.runtime.capture.durations import line
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.reading import FileReader, drop_pages
from ondevice_sora.runtime.executor.store import Store, write_store
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.networks.description import describe_networks
from ondevice_sora.runtime.networks.network import Network
from ondevice_sora.runtime.networks.stdit3 import STDiT3Block, STDiT3Config
from ondevice_sora.runtime.networks.units import Unit

CONFIG = STDiT3Config()
BATCH, FRAMES, TEXT_TOKENS = 2, 4, 16
CONTENDERS = ("inmem", "load", "sequential", "ours", "accelerate", "diffusers", "aircanvas")
NEEDS = {"accelerate": "accelerate", "diffusers": "diffusers", "aircanvas": "aircanvas"}
WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Regime:
    """How long runs are to take, in loads, which share of the blocks may stay, and who is worth waiting for."""

    run_to_load: float
    kept_share: float = 0.0
    contenders: tuple[str, ...] = CONTENDERS


NEAREST = ("inmem", "load", "sequential", "ours", "aircanvas")
REGIMES = {
    "equal": Regime(1.0),
    "run": Regime(3.0, contenders=NEAREST),
    "load": Regime(0.5, 0.5, NEAREST),
}
PEER_RESIDENT = 4
WORKING_BYTES = 50_000_000
"""what a run is taken to need"""
TOKENS = (16, 32, 64, 128, 256, 512)
"""of which runs are timed to find out how many a regime takes"""
TIMED_BLOCKS, TIMED_STEPS, TIMINGS = 6, 4, 6
AGREEING = 1.25
"""Samples of one timing that lie farther apart than this were taken while another program ran."""


class Pair(nn.Module):
    """A spatial and a temporal block of STDiT3: 170 MB at full width."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = STDiT3Block(CONFIG, temporal=False)
        self.temporal = STDiT3Block(CONFIG, temporal=True)

    def forward(self, hidden: Tensor, caption: Tensor, bias: Tensor, t_mlp: Tensor, rotary: Tensor) -> Tensor:
        hidden = self.spatial(hidden, caption, bias, t_mlp)
        out: Tensor = self.temporal(hidden, caption, bias, t_mlp, rotary)
        return out


class Stack(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Pair() for _ in range(depth)])

    def forward(self, hidden: Tensor, caption: Tensor, bias: Tensor, t_mlp: Tensor, rotary: Tensor) -> Tensor:
        for block in self.blocks:
            hidden = block(hidden, caption, bias, t_mlp, rotary)
        return hidden


READS = ("hidden", "caption", "bias", "t_mlp", "rotary")


def empty_stack(depth: int) -> Stack:
    with torch.device("meta"):
        return Stack(depth).eval().requires_grad_(False)


def network_of(stack: Stack) -> Network:
    units = (
        Unit(f"pair_{i}", READS, ("hidden",), block, {f"blocks.{i}": block}) for i, block in enumerate(stack.blocks)
    )
    return Network("denoiser", "steps", tuple(units))


def inputs(tokens: int) -> dict[str, Tensor]:
    """`tokens` in all, over BATCH samples and FRAMES frames."""
    generator = torch.Generator().manual_seed(0)
    patches, width = max(1, tokens // (BATCH * FRAMES)), CONFIG.hidden_size

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "hidden": noise(BATCH, FRAMES, patches, width),
        "caption": noise(BATCH, TEXT_TOKENS, width),
        "bias": torch.zeros(BATCH, 1, 1, TEXT_TOKENS),
        "t_mlp": noise(BATCH, 1, 6 * width) * 0.1,
        "rotary": torch.stack([noise(FRAMES, CONFIG.head_channels).cos(), noise(FRAMES, CONFIG.head_channels).sin()]),
    }


def plan_of(options: argparse.Namespace) -> Plan:
    """Two streamed blocks at a time, with the kept ones between them: always something to run beside a load."""
    kept = num_kept(options.depth, options.regime)
    prefetch = options.depth // (options.depth - kept)
    names = tuple(f"pair_{i * options.depth // kept}" for i in range(kept))
    component = ComponentPlan(blocks="unit", compute_units="cpu_only", prefetch=prefetch, keep=names or "none")
    return Plan("offload", "stack", sampler=Sampler(options.steps), components={"denoiser": component})


def num_kept(depth: int, regime: str) -> int:
    return round(depth * REGIMES[regime].kept_share)


def prepare(directory: Path, depth: int) -> Store:
    """The store of so many blocks; written, block by block, unless it is there."""
    with suppress(UserError):  # there is none, or not a whole one
        store = Store.open(directory)
        if len(store.manifest.blocks) == depth:
            return store
    torch.manual_seed(0)
    with torch.no_grad():
        stack = Stack(depth).requires_grad_(False)
    network = network_of(stack)
    model = describe_networks("stack", [network])
    plan = Plan("offload", "stack", components={"denoiser": ComponentPlan(blocks="unit")})
    return write_store(directory, model, [network], cut(plan, model, {}))


# Contenders: each yields nothing until it is set up, then one output a step.


def run_inmem(options: argparse.Namespace, store: Store, state: dict[str, Tensor]) -> Iterator[Tensor]:
    stack = empty_stack(options.depth)
    for block in store.manifest.blocks:
        weights = {name: tensor.clone() for name, tensor in load_file(store.path(block)).items()}
        stack.load_state_dict(weights, strict=False, assign=True)
        drop_pages(store.path(block))
    yield torch.empty(0)
    for _ in range(options.steps):
        yield stack(*(state[name] for name in READS))


def run_load(options: argparse.Namespace, store: Store, state: dict[str, Tensor]) -> Iterator[Tensor]:
    from ondevice_sora.runtime.executor.buffers import Buffer

    buffer = Buffer(max(block.data_bytes for block in store.manifest.blocks))
    reader = FileReader(store)
    yield torch.empty(0)
    for _ in range(options.steps):
        for block in store.manifest.blocks:
            assert buffer.view is not None
            reader.read(block, buffer.view, lambda _: None)
        yield torch.empty(0)


def run_sequential(options: argparse.Namespace, store: Store, state: dict[str, Tensor]) -> Iterator[Tensor]:
    stack = empty_stack(options.depth)
    absent = dict(stack.state_dict())
    yield torch.empty(0)
    for _ in range(options.steps):
        hidden = state["hidden"]
        for block, stored in zip(stack.blocks, store.manifest.blocks, strict=True):
            weights = load_file(store.path(stored))
            stack.load_state_dict(weights, strict=False, assign=True)
            hidden = block(hidden, *(state[name] for name in READS[1:]))
            stack.load_state_dict({name: absent[name] for name in weights}, strict=False, assign=True)
            del weights
            drop_pages(store.path(stored))
        yield hidden


def run_ours(options: argparse.Namespace, store: Store, state: dict[str, Tensor]) -> Iterator[Tensor]:
    network = network_of(empty_stack(options.depth))
    plan = plan_of(options)
    model = describe_networks("stack", [network])
    schedule, costs = build_schedule(plan, model, {}, bytes_alone(lambda block: WORKING_BYTES))
    reader = FileReader(store, direct=not options.buffered, drop_cache=True)
    executor = Executor(schedule, costs, TorchBlocks(schedule, [network], store, reader=reader))
    yield torch.empty(0)
    with executor:
        for _ in range(options.steps):
            yield executor.play("denoiser", state)["hidden"]


def dropping(stack: Stack, paths: Callable[[int], list[Path]]) -> None:
    """Drop the pages of a block's files after it ran, for peers that read through the page cache."""

    def hook_of(index: int) -> Callable[..., None]:
        found = paths(index)

        def drop(*_: Any) -> None:
            for path in found:
                drop_pages(path)

        return drop

    for index, block in enumerate(stack.blocks):
        block.register_forward_hook(hook_of(index))


def run_accelerate(options: argparse.Namespace, store: Store, state: dict[str, Tensor]) -> Iterator[Tensor]:
    from accelerate import disk_offload
    from accelerate.utils import offload_weight, save_offload_index

    folder = options.dir / "accelerate"
    if not (folder / "index.json").is_file():
        folder.mkdir(exist_ok=True)
        index: dict[str, Any] = {}
        for block in store.manifest.blocks:
            for name, tensor in load_file(store.path(block)).items():
                index = offload_weight(tensor, name, str(folder), index=index)
        save_offload_index(index, str(folder))
        os.sync()
    stack = empty_stack(options.depth)
    disk_offload(stack, str(folder), execution_device=torch.device("cpu"))
    dropping(stack, lambda i: sorted(folder.glob(f"blocks.{i}.*.dat")))
    for path in folder.glob("*.dat"):
        drop_pages(path)
    yield torch.empty(0)
    for _ in range(options.steps):
        yield stack(*(state[name] for name in READS))


def run_diffusers(options: argparse.Namespace, store: Store, state: dict[str, Tensor]) -> Iterator[Tensor]:
    from diffusers.hooks import apply_group_offloading

    folder = options.dir / "diffusers"
    stack = empty_stack(options.depth)
    for block in store.manifest.blocks:
        stack.load_state_dict(load_file(store.path(block)), strict=False, assign=True)
    apply_group_offloading(
        stack,
        onload_device=torch.device("cpu"),
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        offload_to_disk_path=str(folder),
    )
    os.sync()
    files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
    dropping(stack, lambda i: [files[i]] if len(files) == options.depth else files)
    for path in files:
        drop_pages(path)
    for block in store.manifest.blocks:
        drop_pages(store.path(block))
    yield torch.empty(0)
    for _ in range(options.steps):
        yield stack(*(state[name] for name in READS))


def run_aircanvas(options: argparse.Namespace, store: Store, state: dict[str, Tensor]) -> Iterator[Tensor]:
    from aircanvas.sharding.manifest import BlockShard, Manifest
    from aircanvas.streaming.engine import StreamingEngine

    folder = options.dir / "aircanvas"
    folder.mkdir(exist_ok=True)
    shards = []
    for index, block in enumerate(store.manifest.blocks):
        name = f"block_{index:04}.safetensors"
        (folder / name).unlink(missing_ok=True)
        os.link(store.path(block), folder / name)
        (folder / f"{name}.done").touch()
        shards.append(BlockShard(f"blocks.{index}", name, block.data_bytes))
    save_file({}, folder / "resident.safetensors")
    (folder / "resident.safetensors.done").touch()
    manifest = Manifest("stack", None, "", "Stack", "stack", None, "source", tuple(shards))
    stack = empty_stack(options.depth)
    engine = StreamingEngine(
        stack,
        manifest,
        folder,
        device="cpu",
        resident_blocks=min(num_kept(options.depth, options.regime) or PEER_RESIDENT, options.depth),
    )
    dropping(stack, lambda i: [store.path(store.manifest.blocks[i])])
    for block in store.manifest.blocks:
        drop_pages(store.path(block))
    yield torch.empty(0)
    for _ in range(options.steps):
        yield stack(*(state[name] for name in READS))
    engine.close()


RUNS = {
    "inmem": run_inmem, "load": run_load, "sequential": run_sequential, "ours": run_ours,
    "accelerate": run_accelerate, "diffusers": run_diffusers, "aircanvas": run_aircanvas,
}  # fmt: skip


def timed(steps: Iterator[Tensor], count: int) -> tuple[list[float], Tensor]:
    """Seconds of each of the next `count` steps, and the output of the last."""
    seconds, out = [], torch.empty(0)
    for _ in range(count):
        start = time.perf_counter()
        out = next(steps)
        seconds.append(time.perf_counter() - start)
    return seconds, out


class Timed(NamedTuple):
    """Seconds that a few blocks take to load, and to run by number of tokens: one sample a step."""

    load_s: list[float]
    run_s: dict[int, list[float]]

    @property
    def agree(self) -> bool:
        """Whether the machine was left alone meanwhile: no sample lies far from the median of its kind."""
        return all(
            max(samples) <= AGREEING * median(samples) and median(samples) <= AGREEING * min(samples)
            for samples in (self.load_s, *self.run_s.values())
        )

    def tokens(self, run_to_load: float) -> int:
        """How many tokens make runs take so many loads."""
        fixed_s, token_s = line((tokens, median(samples)) for tokens, samples in self.run_s.items())
        wanted = (run_to_load * median(self.load_s) - fixed_s) / token_s
        step = BATCH * FRAMES
        return max(step, round(wanted / step) * step)


def time_blocks(options: argparse.Namespace) -> None:
    """Print how long a few blocks take, as JSON."""
    torch.set_num_threads(options.threads)
    store = Store.open(options.dir / "store")
    options.depth = min(TIMED_BLOCKS, options.depth)

    def samples(steps: Iterator[Tensor]) -> list[float]:
        next(steps)
        return timed(steps, 1 + TIMED_STEPS)[0][1:]

    few = Store(store.directory, msgspec.structs.replace(store.manifest, blocks=store.manifest.blocks[: options.depth]))
    with torch.no_grad():
        found = Timed(
            samples(run_load(options, few, {})),
            {tokens: samples(run_inmem(options, few, inputs(tokens))) for tokens in TOKENS},
        )
    print(json.dumps(found._asdict()))


def timed_blocks(options: argparse.Namespace) -> Timed:
    """How long blocks take here, as in the file in --dir; timed again while samples differ, and kept if they agree."""
    file = options.dir / f"timed-{options.threads}.json"
    command = [sys.executable, __file__, *sys.argv[1:], "--child", "time_blocks"]
    for _ in range(TIMINGS):
        if file.is_file():
            text = file.read_text()
        else:
            text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found = json.loads(text)
        blocks = Timed(found["load_s"], {int(tokens): samples for tokens, samples in found["run_s"].items()})
        if blocks.agree:
            file.write_text(text)
            return blocks
        file.unlink(missing_ok=True)
    raise SystemExit(f"the machine is busy: in {TIMINGS} tries blocks never took the same time twice. Try again later.")


def child(options: argparse.Namespace) -> None:
    """Run one contender here and print seconds of each step, bytes and a digest of the output as JSON."""
    torch.set_num_threads(options.threads)
    store = Store.open(options.dir / "store")
    state = inputs(options.tokens)
    before = footprint.resident_bytes() or 0
    with torch.no_grad():
        steps = RUNS[options.child](options, store, state)
        next(steps)
        gc.collect()
        footprint.trim_heap()
        footprint.reset_peak()
        seconds, out = timed(steps, options.steps)
        peak = footprint.peak_bytes() or 0
    digest = hashlib.sha256(out.contiguous().numpy().tobytes()).hexdigest() if out.numel() else None
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "before_bytes": before, "digest": digest}))


Found = dict[str, list[dict[str, Any]]]
"""Finished runs by contender: seconds of each step, bytes, digest."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True, help="where blocks are written (5 GB; peers 10 GB more)")
    parser.add_argument("--regimes", default=",".join(REGIMES), help="default: %(default)s")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--depth", type=int, default=28)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--buffered", action="store_true", help="ours reads through the page cache")
    parser.add_argument("--child", choices=[*CONTENDERS, "time_blocks"], help=argparse.SUPPRESS)
    parser.add_argument("--regime", choices=REGIMES, help=argparse.SUPPRESS)
    parser.add_argument("--tokens", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        time_blocks(options) if options.child == "time_blocks" else child(options)
        return
    options.dir.mkdir(parents=True, exist_ok=True)
    store = prepare(options.dir / "store", options.depth)
    gc.collect()
    for block in store.manifest.blocks:
        drop_pages(store.path(block))
    regimes = options.regimes.split(",")
    found = {regime: measure(options, regime) for regime in regimes}
    for regime in regimes:
        report(options, regime, found[regime])


def measure(options: argparse.Namespace, regime: str) -> Found:
    """Every contender's runs, those that a file in --dir has not already."""
    wanted = [name for name in REGIMES[regime].contenders if name in options.contenders.split(",")]
    way = "-buffered" if options.buffered else ""
    tokens = str(timed_blocks(options).tokens(REGIMES[regime].run_to_load))
    file = options.dir / f"{regime}-{tokens}-{options.depth}-{options.steps}-{options.threads}{way}.json"
    found: Found = json.loads(file.read_text()) if file.is_file() else {}
    given = sys.argv[1:]
    for repeat in range(options.repeats):
        for name in list(wanted):
            if len(found.get(name, [])) > repeat:
                continue
            command = [sys.executable, __file__, *given, "--child", name, "--regime", regime, "--tokens", tokens]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                reason = (run.stderr.strip().splitlines() or ["no output"])[-1]
                print(f"{name}: left out: {reason}", file=sys.stderr)
                wanted.remove(name)
                continue
            found.setdefault(name, []).append(json.loads(run.stdout.splitlines()[-1]))
            file.write_text(json.dumps(found, indent=1))
            print(f"{regime}, round {repeat + 1}: {name}: {found[name][-1]['seconds']}", file=sys.stderr)
    return {name: found[name] for name in wanted if name in found}


def report(options: argparse.Namespace, regime: str, found: Found) -> None:
    """Print medians of the steady steps, ratios, memory, the bound, and what ours is asked to reach in this regime."""
    steady = {name: [s for run in runs for s in run["seconds"][WARM_UP_STEPS:]] for name, runs in found.items()}
    middle = {name: median(seconds) for name, seconds in steady.items()}
    blocks = Store.open(options.dir / "store").manifest.blocks
    tokens, kept = timed_blocks(options).tokens(REGIMES[regime].run_to_load), num_kept(options.depth, regime)
    size = sum(block.data_bytes for block in blocks)
    print(
        f"\n{regime}: {options.depth} blocks, {size / 1e9:.2f} GB, {tokens} tokens, {options.threads} threads, "
        f"{kept} blocks kept"
    )
    print(f"steps {WARM_UP_STEPS + 1}..{options.steps} of {options.repeats} rounds; ratios of medians to sequential")
    print(f"{'contender':12} {'step s (min med max)':>24} {'ratio':>7} {'peak MB':>9} {'before MB':>9}")
    for name, seconds in steady.items():
        ratio = f"{middle[name] / middle['sequential']:7.2f}" if "sequential" in middle else "      -"
        peak = max(run["peak_bytes"] for run in found[name]) / 1e6
        before = max(run["before_bytes"] for run in found[name]) / 1e6
        spread = f"{min(seconds):7.2f} {middle[name]:7.2f} {max(seconds):7.2f}"
        print(f"{name:12} {spread:>24} {ratio} {peak:9.0f} {before:9.0f}")
    if "inmem" in middle and "load" in middle:
        print(f"alone, a step: loads {middle['load']:.2f} s, runs {middle['inmem']:.2f} s")
    print(*asked(options.depth, kept, regime, middle), sep="\n")
    if "ours" in found:
        buffers = 2 * max(block.data_bytes for block in blocks) if not kept else None
        peak = max(run["peak_bytes"] for run in found["ours"])
        before = max(run["before_bytes"] for run in found["ours"])
        if buffers is not None:
            print(f"ours: {(peak - before - buffers) / 1e6:.0f} MB beside two blocks and the interpreter")
    digests = {run["digest"] for name, runs in found.items() if name != "load" for run in runs}
    print("outputs: " + ("all equal, bit for bit" if len(digests) == 1 else f"{len(digests)} different ones"))


def asked(depth: int, kept: int, regime: str, middle: dict[str, float]) -> list[str]:
    """What ours is to reach, each with the figure; only of contenders that ran."""
    if "ours" not in middle:
        return []
    ours = middle["ours"]
    wanted = []
    if "sequential" in middle and regime != "load":
        wanted.append(("to sequential", ours / middle["sequential"], {"equal": 0.33, "run": 0.60}[regime], False))
    if "accelerate" in middle and regime == "equal":
        wanted.append(("accelerate's disk offload to ours", middle["accelerate"] / ours, 3.0, True))
    if "aircanvas" in middle and regime != "load":
        wanted.append(("aircanvas to ours", middle["aircanvas"] / ours, {"equal": 1.15, "run": 1.0}[regime], True))
    if "inmem" in middle and "load" in middle:
        bound, most = max(middle["load"] * (depth - kept) / depth, middle["inmem"]), 1.15 if kept else 1.1
        wanted.append(("to max(loads, runs)", ours / bound, most, False))
    return [
        f"{'ok' if (value >= bound if is_least else value <= bound) else 'OVER':5} ours: {name} {value:.2f}, "
        f"{'at least' if is_least else 'at most'} {bound:.2f}"
        for name, value, bound, is_least in wanted
    ]


if __name__ == "__main__":
    main()
