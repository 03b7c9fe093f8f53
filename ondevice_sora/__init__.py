"""Predict how a block-partitioned Core ML model runs on an iPhone: how long, how much memory, and whether iOS ends it.

    import ondevice_sora as sora

    run = sora.simulate("ours-256", device="iphone15pro")
    run.verdict, run.total_s, run.peak_bytes
    run.figure()
    run.report("report.html")

    simulate(plan, device)     predict one generation                            Run
    ladder(plan, devices)      which phones a plan fits                          Phones
    compare(runs)              runs side by side                                 Comparison
    sweep(grid)                every combination of a grid                       Sweep
    search(plan, device)       the fastest plan within a footprint               Search
    variants(plan, ...)        the same for each number of evaluations, ...      Variants
    explain(plan, device)      what bounds a plan, and what would change it      Explained
    estimate(paths, device)    what Core ML packages would cost                  PackageEstimate
    describe(config, video)    a model of the hub, from its config               ModelDescription
    profile(device)            a device's costs, to look at and to change        DeviceProfile
    import_capture(path)       the same of what a phone measured                 DeviceProfile
    load_trace(path)           a run that was saved or measured                  Run
    report(runs, path)         one HTML page, runs side by side
    devices(), ready_plans()   keys of the catalogue, names of the ready plans

Every result has summary(), and what it is of to_frame(), figure(), report(path) and save(path). Input that cannot be
used raises UserError. The same is done by the commands `simulate` and `ondevice-sora`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ondevice_sora.api import (
        Comparison,
        DeviceProfile,
        Explained,
        ModelDescription,
        PackageEstimate,
        Phones,
        PolicyVisit,
        Run,
        Search,
        Sweep,
        Variants,
        compare,
        describe,
        devices,
        estimate,
        explain,
        import_capture,
        ladder,
        load_trace,
        profile,
        ready_plans,
        report,
        search,
        simulate,
        sweep,
        variants,
    )
    from ondevice_sora.base.errors import UserError

__version__ = "0.2.0"

__all__ = [
    "Comparison",
    "DeviceProfile",
    "Explained",
    "ModelDescription",
    "PackageEstimate",
    "Phones",
    "PolicyVisit",
    "Run",
    "Search",
    "Sweep",
    "UserError",
    "Variants",
    "compare",
    "describe",
    "devices",
    "estimate",
    "explain",
    "import_capture",
    "ladder",
    "load_trace",
    "profile",
    "ready_plans",
    "report",
    "search",
    "simulate",
    "sweep",
    "variants",
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
    return ["__version__", *__all__]
