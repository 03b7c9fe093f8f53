"""Under what conditions this machine was captured, and what of them no longer holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from ondevice_sora.base.units import format_percent
from ondevice_sora.runtime.capture.plans import ALONE, BESIDE, KEPT, STEPS
from ondevice_sora.runtime.capture.samples import Samples, Trials
from ondevice_sora.runtime.executor.reading import FileReader
from ondevice_sora.runtime.executor.store import Store
from ondevice_sora.runtime.host import this_host

BUSY_SHARE = 0.9
"""Runs that got less of a processor than this share of their time ran beside other programs."""
THREADS, LOADS, BUSY = "threads", "loads", "busy"


def conditions_of(store: Store, found: Samples, trials: Trials, threads: int) -> dict[str, str]:
    """What a capture's profile says of how it was measured."""
    host = this_host()
    timed = [trial for name in (ALONE, BESIDE, KEPT) for trial in trials[name]]
    loads = [trial.load_average for trial in timed if trial.load_average is not None]
    shares = [trial.cpu_share for trial in timed if trial.cpu_share is not None]
    told = {
        "os": host.os,
        "processor": f"{host.processor}, {host.cores} cores",
        THREADS: str(threads),
        "torch": host.torch,
        "file system": _file_system(store.directory),
        LOADS: "direct" if FileReader(store).direct else "buffered, pages dropped after each",
        "repeats": f"{len(trials[ALONE])} processes each of {STEPS} steps; spread: how far off their mean may be",
        "model": store.manifest.model,
        "load average": f"{min(loads):.1f} to {max(loads):.1f}" if loads else "",
        "processor time of runs": f"{format_percent(median(shares))} of their time" if shares else "",
        BUSY: _busy(shares, loads, host.cores, found.impossible_rates()),
    }
    return {name: text for name, text in told.items() if text}


def mismatches(captured: Mapping[str, str], *, threads: int, is_direct: bool) -> list[str]:
    """What is otherwise in a run than it was when the profile used for it was captured, in words."""
    found = []
    if captured.get(THREADS, str(threads)) != str(threads):
        found.append(f"was captured with threads: {captured[THREADS]}, and {threads} run a block here")
    if captured.get(LOADS, "").startswith("direct") and not is_direct:
        found.append("was captured with direct reads, and these go through the page cache")
    return found


def _busy(shares: Sequence[float], loads: Sequence[float], cores: int, impossible: Mapping[str, float]) -> str:
    """What says that other programs ran meanwhile; nothing if nothing does."""
    found = []
    if shares and median(shares) < BUSY_SHARE:
        found.append(f"runs had a processor {format_percent(median(shares))} of their time")
    if loads and median(loads) > cores:
        found.append(f"{median(loads):.1f} programs wanted to run on {cores} cores")
    found += [f"{name} came out at {rate:.2f} of their speed alone" for name, rate in impossible.items()]
    return f"This machine was busy: {' and '.join(found)}." if found else ""


def _file_system(directory: Path) -> str:
    """Type of the file system a folder lies on, as the system names it; 'unknown' where it does not say."""
    best = ("", "unknown")
    try:
        with open("/proc/mounts") as stream:
            for line in stream:
                _, mount, kind, *_ = line.split()
                if str(directory.resolve()).startswith(mount) and len(mount) > len(best[0]):
                    best = (mount, kind)
    except OSError:
        pass
    return best[1]
