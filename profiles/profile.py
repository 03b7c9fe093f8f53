"""The profile: what a device costs, with the record of how those costs were found.

A profile belongs to one device. Where a device has none of its own, the one of the device it is most like is scaled by
the ratio of their published peak rates, and every figure so scaled is marked estimated.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from profiles.costs import Costs, Measurement, figures, replace_figures
from profiles.devices import DATA, Device, device_keys, load_device
from profiles.documents import read_yaml
from profiles.errors import UserError, nearest
from profiles.figures import Figure

PROFILES = DATA / "profiles"
SCALED_FROM = "iphone15pro"


class FittedCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published figure beside what the fitted parameters give for it, in seconds."""

    case: str
    quantity: str
    place: str
    published: float
    simulated: float


class FittedParameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One parameter before and after the fit. `learned` is the share of its prior spread that the figures removed."""

    name: str
    prior: float
    prior_spread: float
    fitted: float
    fitted_spread: float
    learned: float


class FitRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a fitted profile came about: rerun it with `ondevice-sora profile fit`.

    correlation   of the fitted parameters' logarithms, in the order of `parameters`, lower triangle row by row
    noise         the relative spread that a published figure is taken to have
    """

    command: str
    cells: tuple[FittedCell, ...]
    parameters: tuple[FittedParameter, ...]
    correlation: tuple[tuple[float, ...], ...]
    noise: float
    contradictions: tuple[str, ...] = ()


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Costs and measurements of one device, under stated conditions."""

    device: str
    costs: Costs
    conditions: dict[str, str] = {}
    measurements: tuple[Measurement, ...] = ()
    fit: FitRecord | None = None
    name: str = ""
    """Where it came from; set when it is read."""


def profile_data(profile: Profile) -> dict[str, Any]:
    """The profile as plain data, to be written as YAML."""
    data: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(profile, name=""))
    return {key: value for key, value in data.items() if value not in ("", (), {}, None)}


def load_profile(name: str) -> tuple[Profile, Device]:
    """A profile by device key or by path of a profile file, and its device. Raises UserError."""
    if name.endswith((".yaml", ".yml", ".json")) or "/" in name:
        document = read_yaml(name)
        profile = msgspec.structs.replace(document.convert(Profile), name=name)
        if profile.device not in device_keys():
            known = nearest(profile.device, device_keys())
            raise document.error("$.device", f"unknown device '{profile.device}'", known)
        return profile, load_device(profile.device)
    device = load_device(name)
    path = PROFILES / f"{device.key}.yaml"
    if path.is_file():
        return _shipped(path), device
    return scale_profile(_shipped(PROFILES / f"{SCALED_FROM}.yaml"), load_device(SCALED_FROM), device), device


@cache
def _shipped(path: Path) -> Profile:
    if not path.is_file():
        raise UserError("the shipped profile is missing", str(path), "Write it with `ondevice-sora profile fit`.")
    return msgspec.structs.replace(read_yaml(path).convert(Profile), name=path.stem)


def scale_profile(profile: Profile, source: Device, target: Device) -> Profile:
    """The source device's profile with rates scaled by the ratio of published peaks.

    Operations scale with the GPU's peak (the CPU's and the ANE's too, for want of better), bytes moved and prepared
    with memory bandwidth, bytes read with storage bandwidth where the target's is known. Fixed times and byte figures
    stay. The figures' spread grows by 0.15, an assumption: peaks are not what programs reach.
    """
    compute = target.hardware.gpu_flops_per_s.value / source.hardware.gpu_flops_per_s.value
    memory = target.hardware.dram_bytes_per_s.value / source.hardware.dram_bytes_per_s.value
    storage = 1.0
    if target.hardware.storage_read_bytes_per_s and source.hardware.storage_read_bytes_per_s:
        storage = target.hardware.storage_read_bytes_per_s.value / source.hardware.storage_read_bytes_per_s.value
    changes = {}
    for name, figure in figures(profile.costs).items():
        field = name.rpartition(".")[2]
        factor = 1.0
        if field.endswith("_flops_per_s"):
            factor = compute
        elif field == "read_bytes_per_s":
            factor = storage
        elif field.endswith("bytes_per_s"):
            factor = memory
        changes[name] = Figure(
            value=figure.value * factor,
            mark="estimated",
            source=f"{source.name}'s figure times {factor:.3g}, the ratio of published peaks",
            spread=(figure.spread**2 + 0.15**2) ** 0.5 if figure.spread else figure.spread,
        )
    return Profile(
        device=target.key,
        costs=replace_figures(profile.costs, changes),
        conditions={"scaled from": source.name},
        fit=profile.fit,
        name=f"{profile.name} scaled to {target.name}",
    )
