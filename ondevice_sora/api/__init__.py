"""The front door for code: what the commands do, as functions that give results to look at, to plot and to save.

Commands and functions call the same drivers in simulator/, with the same names of options and the same defaults. Heavy
packages load when they are first needed: plotly for figures and pages, pandas for data frames, coremltools' message
classes for estimates of packages, PyTorch for descriptions of models.
"""

from __future__ import annotations

from ondevice_sora.api.catalogue import DeviceProfile, devices, import_capture, profile
from ondevice_sora.api.comparing import Comparison, compare, report
from ondevice_sora.api.estimating import PackageEstimate, estimate
from ondevice_sora.api.explaining import Explained, explain
from ondevice_sora.api.given import PlanLike, Size, loaded_plan, ready_plans
from ondevice_sora.api.models import ModelDescription, describe
from ondevice_sora.api.phones import Phones, ladder
from ondevice_sora.api.running import Run, load_trace, simulate
from ondevice_sora.api.searching import Search, Variants, search, variants
from ondevice_sora.api.sweeping import Sweep, sweep
from ondevice_sora.plans.own_policy import Policy, PolicyVisit

__all__ = [
    "Comparison",
    "DeviceProfile",
    "Explained",
    "ModelDescription",
    "PackageEstimate",
    "Phones",
    "PlanLike",
    "Policy",
    "PolicyVisit",
    "Run",
    "Search",
    "Size",
    "Sweep",
    "Variants",
    "compare",
    "describe",
    "devices",
    "estimate",
    "explain",
    "import_capture",
    "ladder",
    "load_trace",
    "loaded_plan",
    "profile",
    "ready_plans",
    "report",
    "search",
    "simulate",
    "sweep",
    "variants",
]
