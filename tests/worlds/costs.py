"""Costs of round numbers, for one processor, and the profile and setting around them."""

from __future__ import annotations

from dataclasses import replace as with_fields

from msgspec.structs import replace

from ondevice_sora.profiles.costs import (
    CoreAI,
    Costs,
    LoadCosts,
    ProcessorCosts,
    ThermalCosts,
    figures,
    replace_figures,
)
from ondevice_sora.profiles.devices import Device, Hardware, MemoryLimit
from ondevice_sora.profiles.figures import Figure, Mark
from ondevice_sora.profiles.profile import FitRecord, FittedParameter, Profile
from ondevice_sora.simulator.prepare import Setting


def figure(value: float, spread: float = 0.0, mark: Mark = "estimated") -> Figure:
    return Figure(value, mark, "made up", spread)


def costs(**changes: Figure) -> Costs:
    """10 bytes a second read, 20 prepared, 5 specialised; 2 operations a second; each call costs half a second."""
    known = {
        "load_fixed_s": figure(1.0),
        "read_bytes_per_s": figure(10.0, mark="published"),
        "prepare_bytes_per_s": figure(20.0),
        "specialise_fixed_s": figure(2.0),
        "specialise_bytes_per_s": figure(5.0),
        "compressed_held_bytes": figure(2.0),
        "transient_share": figure(0.0),
        "unload_s": figure(0.25),
        "residual_share": figure(0.0),
        "matmul_flops_per_s": figure(2.0, mark="fitted"),
        "attention_flops_per_s": figure(4.0),
        "convolution_flops_per_s": figure(8.0),
        "moved_bytes_per_s": figure(16.0),
        "dispatch_s": figure(0.5),
        "first_run_s": figure(3.0),
        "token_merge_s": figure(0.125),
        "load_rate": figure(1.0),
        "run_rate": figure(1.0),
        "charged_share": figure(1.0),
        **changes,
    }
    return Costs(
        baseline_bytes=known.pop("baseline_bytes", figure(100.0)),
        loads=LoadCosts(**{name: known[name] for name in LoadCosts.__struct_fields__ if name in known}),
        processors={
            "gpu": ProcessorCosts(**{name: known[name] for name in ProcessorCosts.__struct_fields__ if name in known})
        },
        thermal=ThermalCosts(figure(1.0), figure(100.0), contained=False),
    )


def with_core_ai(known: Costs) -> Costs:
    """With Core AI: loads take half a second and the reading, first ones 7 bytes a second besides; of clean pages a
    millionth of the memory stays, and the engine charges 2 bytes for each.
    """
    return replace(known, core_ai=CoreAI(figure(0.0), figure(2.0), figure(1e-6), figure(0.5), figure(7.0)))


def with_clean_room(where: Setting, room: int) -> Setting:
    """With so many bytes of clean pages that stay in memory."""
    share = figure(room / where.device.hardware.ram_bytes.value)
    costs = replace_figures(where.profile.costs, {"core_ai.clean_share": share})
    return with_fields(where, profile=replace(where.profile, costs=costs))


def profile(spreads: dict[str, float] | None = None, correlation: float | None = None, noise: float = 0.0) -> Profile:
    """Round costs with these spreads of single figures. With a correlation, the first two were fitted together."""
    spreads = spreads or {}
    own = costs()
    known = figures(own)
    own = replace_figures(own, {name: figure(known[name].value, spread) for name, spread in spreads.items()})
    fit = None
    if correlation is not None:
        parameters = tuple(
            FittedParameter(name, known[name].value, spread, known[name].value, spread, 0.5)
            for name, spread in list(spreads.items())[:2]
        )
        fit = FitRecord("made up", (), parameters, ((), (correlation,)), noise)
    return Profile("toy", own, fit=fit, name="toy")


def setting(known: Profile, limit_bytes: int = 10**6, limit_spread: float = 0.0) -> Setting:
    hardware = Hardware(ram_bytes=figure(1e9), dram_bytes_per_s=figure(1e9), gpu_flops_per_s=figure(1e9))
    device = Device("toy", "toy", "iOS", hardware, (MemoryLimit(figure(limit_bytes)),), key="toy")
    return Setting(known, device, limit_bytes, "made up", limit_spread)
