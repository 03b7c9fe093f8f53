"""What the system says of memory: read from files of the kernel's form, and refused before it ends the process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from worlds.partitioned import empty_like, inputs, network_of, plan_of, scheduled, stored

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.footprint import available_bytes
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.networks.stdit3 import STDiT3

MEMINFO = "MemTotal:       24684096 kB\nMemFree:          100 kB\nMemAvailable:    4000 kB\nSwapFree:         500 kB\n"
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def group(
    folder: str, limit: str, used: int, files: tuple[str, str], inactive: int = 0, active: int = 0
) -> dict[str, str]:
    most, taken = files
    stat = f"anon 1\ninactive_file {inactive}\nactive_file {active}\n"
    return {f"{folder}/{most}": f"{limit}\n", f"{folder}/{taken}": f"{used}\n", f"{folder}/memory.stat": stat}


V1, V2 = ("memory.limit_in_bytes", "memory.usage_in_bytes"), ("memory.max", "memory.current")


@linux
def test_memory_that_is_taken_shows_and_the_peak_stays() -> None:
    before = footprint.resident_bytes()
    assert before is not None
    taken = bytearray(64 << 20)
    assert (footprint.resident_bytes() or 0) >= before + (60 << 20)
    del taken
    assert (footprint.peak_bytes() or 0) >= before + (60 << 20)


@linux
def test_a_peak_is_measured_anew_after_a_reset() -> None:
    taken = bytearray(64 << 20)
    del taken
    footprint.trim_heap()
    if not footprint.reset_peak():
        pytest.skip("the system does not let one")
    peak, now = footprint.peak_bytes(), footprint.resident_bytes()
    assert peak is not None and now is not None
    assert peak <= now + (32 << 20)


def test_where_the_system_says_nothing_nothing_is_guessed(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None


def test_what_is_left_is_the_machines_memory_and_its_swap(tmp_path: Path) -> None:
    assert available_bytes(write(tmp_path, {"proc/meminfo": MEMINFO})) == 4_500 * 1024


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [
        ("0::/jobs/one", "sys/fs/cgroup/jobs/one", V2),
        ("0::/", "sys/fs/cgroup", V2),
        ("4:cpu,memory:/jobs/one", "sys/fs/cgroup/memory/jobs/one", V1),
    ],
)
def test_a_control_group_leaves_less_and_its_files_count_as_free(
    tmp_path: Path, line: str, folder: str, names: tuple[str, str]
) -> None:
    files = group(folder, "1000000", 900_000, names, inactive=20_000, active=3_000)
    write(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": f"{line}\n", **files})
    assert available_bytes(tmp_path) == 123_000


def test_the_tightest_group_counts_whichever_it_is(tmp_path: Path) -> None:
    outer = group("sys/fs/cgroup/jobs", "500000", 400_000, V2)
    inner = group("sys/fs/cgroup/jobs/one", "max", 300_000, V2)
    write(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": "1:cpu:/x\n0::/jobs/one\n", **outer, **inner})
    assert available_bytes(tmp_path) == 100_000
    write(tmp_path, group("sys/fs/cgroup/jobs", "500000", 600_000, V2))
    assert available_bytes(tmp_path) == 0, "a group over its limit has nothing left, not less"


def test_a_run_that_does_not_fit_is_refused_before_it_begins(
    denoiser: STDiT3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By exactly what its buffers and one block's working memory take."""
    plan, network = plan_of(2), network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan, network)
    store = stored(tmp_path, plan, network_of(denoiser))
    run = Executor(schedule, costs, TorchBlocks(schedule, [network], store))
    needed = sum(run._assigned.buffer_bytes) + max(costs.working_bytes)
    monkeypatch.setattr(footprint, "available_bytes", lambda: needed - 1)
    with pytest.raises(UserError, match=r"this run needs .* of memory; .* are free here\nGive the plan a smaller"):
        run.__enter__()
    assert not run.backend.buffers
    monkeypatch.setattr(footprint, "available_bytes", lambda: needed)
    with Executor(schedule, costs, TorchBlocks(schedule, [network], store)) as run:
        run.play("denoiser", inputs(denoiser, 0))


def test_within_a_budget_that_gives_pages_back_the_budget_is_what_is_needed(
    denoiser: STDiT3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, network = plan_of(budget=112_000), network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan, network)
    run = Executor(schedule, costs, TorchBlocks(schedule, [network], stored(tmp_path, plan, network_of(denoiser))))
    assert sum(run._assigned.buffer_bytes) + max(costs.working_bytes) > 112_000
    monkeypatch.setattr(footprint, "available_bytes", lambda: 111_000)
    with pytest.raises(UserError, match="this run needs 112 kB of memory; 111 kB are free here"):
        run.__enter__()
