"""Predict how a block-partitioned Core ML model runs on an iPhone: how long, how much memory, and whether iOS ends it.

    import ondevice_sora as sora

    run = sora.simulate("ours-256", device="iphone15pro")
    run.verdict, run.total_s, run.peak_bytes
    run.figure()
    run.report("report.html")

| simulate(plan, device)   | predict one generation               | Run             |
| search(plan, device)     | the fastest plan within a footprint  | Search          |
| estimate(paths, device)  | what Core ML packages would cost     | PackageEstimate |
| load_trace(path)         | a run that was saved or measured     | Run             |
| report(runs, path)       | one HTML page, runs side by side     |                 |
| devices(), plans()       | the catalogue, and the ready plans   |                 |

Each is described in ondevice_sora.api; input that cannot be used raises UserError. The same is done by the commands
`simulate` and `ondevice-sora`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ondevice_sora.api import (
        PackageEstimate,
        Run,
        Search,
        devices,
        estimate,
        load_trace,
        plans,
        report,
        search,
        simulate,
    )
    from ondevice_sora.base.errors import UserError

__version__ = "0.2.0"

__all__ = [
    "PackageEstimate",
    "Run",
    "Search",
    "UserError",
    "devices",
    "estimate",
    "load_trace",
    "plans",
    "report",
    "search",
    "simulate",
]


def __getattr__(name: str) -> Any:
    """Load the front door when it is first used: the commands start faster without."""
    if name == "UserError":
        from ondevice_sora.base.errors import UserError

        return UserError
    if name in __all__:
        from ondevice_sora import api

        return getattr(api, name)
    raise AttributeError(f"module 'ondevice_sora' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
