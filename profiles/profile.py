"""The profile: what a device costs, with the record of how those costs were found.

A profile belongs to one device. Where a device has none of its own, the one of the device it is most like is scaled by
the ratio of their published peak rates, and every figure so scaled is marked estimated.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.base.text import Line
from ondevice_sora.profiles.costs import Array, Costs, Pricer, Sample, figure_range, figures, replace_figures
from ondevice_sora.profiles.devices import DATA, Device, MemoryLimit, device_keys, device_names, load_device
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.kills import SeenKill
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.pricing import price_blocks
from ondevice_sora.profiles.scaling import scale_costs

PROFILES = DATA / "profiles"
SCALED_FROM = "iphone15pro"


Spread = Annotated[float, msgspec.Meta(ge=0, le=3)]


class FittedCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published figure beside what the fitted parameters give for it, in seconds."""

    case: Line
    quantity: Line
    place: Line
    published: Annotated[float, msgspec.Meta(gt=0)]
    simulated: Annotated[float, msgspec.Meta(ge=0)]


class FittedParameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One parameter before and after the fit. `learned` is the share of its prior spread that the figures removed."""

    name: Line
    prior: float
    prior_spread: Spread
    fitted: float
    fitted_spread: Spread
    learned: float


class FitRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a fitted profile came about: rerun it with `ondevice-sora profile fit`.

    correlation   of the fitted parameters' logarithms, in the order of `parameters`, lower triangle row by row
    noise         the relative spread that a published figure is taken to have
    corpus        rows of the shipped corpus that the prior was set by
    """

    command: Line
    cells: tuple[FittedCell, ...]
    parameters: tuple[FittedParameter, ...]
    correlation: tuple[tuple[float, ...], ...]
    noise: Spread
    contradictions: tuple[Line, ...] = ()
    corpus: tuple[Line, ...] = ()

    def correlation_root(self) -> Array:
        """The lower Cholesky factor of the correlation matrix. Raises ValueError if there is none."""
        size = len(self.parameters)
        if [len(row) for row in self.correlation] != list(range(size)):
            raise ValueError(f"not a lower triangle for {size} parameters: rows of 0 to {size - 1} figures")
        matrix = np.eye(size)
        for row, values in enumerate(self.correlation):
            matrix[row, :row] = matrix[:row, row] = values
        try:
            # Rounding in the file may leave the matrix a hair off positive definite.
            return np.asarray(np.linalg.cholesky(matrix + 1e-3 * np.eye(size)), dtype=np.float64)
        except np.linalg.LinAlgError:
            raise ValueError("no correlation matrix: it is not positive definite") from None


class RunNoise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much whole runs differ on the device itself, one deviation relative to their time, as `num_runs` runs say.

    It is the same for everything in a run: another day's clock, heat, or programs beside it.
    """

    spread: Spread
    num_runs: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)]
    source: Line


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Costs and measurements of one device, under stated conditions.

    `hardware` describes a device that the catalogue does not have, such as the machine a profile was captured on.
    `noise` is how much its whole runs differ, where that was measured; `kills` is where the app was ended on it.
    """

    device: Line
    costs: Costs
    hardware: Device | None = None
    conditions: dict[Line, Line] = {}
    measurements: tuple[Measurement, ...] = ()
    fit: FitRecord | None = None
    noise: RunNoise | None = None
    kills: tuple[SeenKill, ...] = ()
    name: str = ""
    """Where it came from; set when it is read."""

    def pricer(self, device: Device, sample: Sample | None = None, is_cached: bool = False) -> Pricer:
        """What prices blocks on the device, at the figures' values or at samples of them.

        is_cached   all packages that the blocks are of fit in the page cache (`fits_page_cache`)
        """
        return partial(
            price_blocks,
            costs=self.costs,
            sample=sample,
            measurements=self.measurements,
            dram_bytes_per_s=device.hardware.dram_bytes_per_s.value,
            is_cached=is_cached,
            clean_room=self.clean_room(device),
        )

    def clean_room(self, device: Device) -> float:
        """Bytes of clean pages that are taken to stay in the device's memory; no end where nothing is known."""
        known = self.costs.core_ai
        return math.inf if known is None else known.clean_share.value * device.hardware.ram_bytes.value

    def fits_page_cache(self, device: Device, stored_bytes: int) -> bool:
        """Whether packages of so many bytes stay in memory once written or read, so that loads read nothing."""
        return stored_bytes <= self.costs.loads.page_cache_share.value * device.hardware.ram_bytes.value


def profile_data(profile: Profile) -> dict[str, Any]:
    """The profile as plain data, to be written as YAML."""
    data: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(profile, name=""))
    return {key: value for key, value in data.items() if value not in ("", (), {}, None)}


Place = tuple[Profile, Device]
"""A profile, and the device that it is of."""


def load_profile(name: str) -> Place:
    """A profile by device key or by path of a profile file, and its device. Raises UserError."""
    if name.endswith((".yaml", ".yml", ".json")) or "/" in name:
        if not os.path.exists(name) and (stem := Path(name).stem) in device_keys():
            raise UserError("no such file", name, f"The device of the catalogue is named without a suffix: {stem}.")
        document = read_yaml(name)
        profile = msgspec.structs.replace(document.convert(Profile), name=name)
        with document.locating():
            return profile, device_of(profile)
    device = load_device(name)
    path = PROFILES / f"{device.key}.yaml"
    if path.is_file():
        return _shipped(path), device
    return scale_profile(_shipped(PROFILES / f"{SCALED_FROM}.yaml"), load_device(SCALED_FROM), device), device


def device_of(profile: Profile) -> Device:
    """The device of a profile file, which is checked. Raises UserError."""
    if profile.hardware is not None:
        if profile.device in device_keys():
            what = f"the catalogue describes '{profile.device}'"
            raise UserError(what, mend="Remove `hardware`.", field="$.hardware")
        check_profile(profile)
        return msgspec.structs.replace(profile.hardware, key=profile.device)
    if profile.device not in device_keys():
        known = nearest(profile.device, device_keys())
        raise UserError(f"unknown device '{profile.device}'", mend=known, field="$.device")
    check_profile(profile)
    return load_device(profile.device)


def altered(
    profile: Profile, device: Device, name: str, changes: dict[str, float], limits: dict[bool, int], source: str
) -> Place:
    """Another device of that name, with other figures of the costs and other memory limits (by entitlement, in bytes).

    A figure keeps its spread and is marked estimated. Raises UserError for one that there is not, for values out of
    range, and for a name that the catalogue has.
    """
    known = figures(profile.costs)
    replaced = {}
    for key, value in changes.items():
        if key not in known:
            raise UserError(f"unknown figure '{key}'", mend=nearest(key, list(known)))
        replaced[key] = msgspec.structs.replace(known[key], value=float(value), mark="estimated", source=source)
    key = "-".join(re.findall(r"[a-z0-9]+", name.lower()))
    if not key or key in device_keys() or name in device_names():
        raise UserError(f"'{name}' cannot be the name of another device", mend="Give one that the catalogue has not.")
    rows = device.memory_limits
    for entitlement, limit in limits.items():
        own = MemoryLimit(Figure(float(limit), "estimated", source), entitlement)
        rows = (own, *(row for row in rows if row.entitlement != entitlement))
    facts = msgspec.structs.replace(device, name=name, key=key, memory_limits=rows, machines=())
    found = msgspec.structs.replace(
        profile, device=key, name=name, hardware=msgspec.structs.replace(facts, key=""), kills=(),
        costs=replace_figures(profile.costs, replaced),
    )  # fmt: skip
    check_profile(found)
    return found, facts


def check_profile(profile: Profile) -> None:
    """What a schema cannot say: figures that are physical, a fit record that agrees with itself. Raises UserError."""
    known = figures(profile.costs)
    for place, figure in _placed(profile, known):
        low, high = figure_range(place)
        if not low <= figure.value <= high:
            raise UserError(
                f"{figure.value:g} is out of range",
                mend=f"Give a number from {low:g} to {high:g}.",
                field=f"$.{place}.value",
            )
    if profile.fit is None:
        return
    for row, parameter in enumerate(profile.fit.parameters):
        if parameter.name not in known:
            raise UserError(
                f"unknown figure '{parameter.name}'",
                mend=nearest(parameter.name, list(known)),
                field=f"$.fit.parameters[{row}].name",
            )
    try:
        profile.fit.correlation_root()
    except ValueError as error:
        raise UserError(
            str(error), mend="Write the profile again with `profile fit`.", field="$.fit.correlation"
        ) from None


def _placed(profile: Profile, costs: dict[str, Figure]) -> Iterator[tuple[str, Figure]]:
    """Every figure of a profile, and where it stands."""
    yield from ((f"costs.{name}", figure) for name, figure in costs.items())
    facts: list[tuple[str, msgspec.Struct]] = [(f"measurements[{i}]", m) for i, m in enumerate(profile.measurements)]
    if profile.hardware is not None:
        limits = profile.hardware.memory_limits
        facts += [("hardware.hardware", profile.hardware.hardware)]
        facts += [(f"hardware.memory_limits[{i}]", limit) for i, limit in enumerate(limits)]
    for place, fact in facts:
        for name in fact.__struct_fields__:
            if isinstance(figure := getattr(fact, name), Figure):
                yield f"{place}.{name}", figure


@cache
def _shipped(path: Path) -> Profile:
    if not path.is_file():
        raise UserError("the shipped profile is missing", str(path), "Write it with `ondevice-sora profile fit`.")
    return msgspec.structs.replace(read_yaml(path).convert(Profile), name=path.stem)


def scale_profile(profile: Profile, source: Device, target: Device) -> Profile:
    """The source device's profile with its rates scaled to the target's (profiles/scaling.py)."""
    return Profile(
        device=target.key,
        costs=scale_costs(profile.costs, source, target),
        conditions={"scaled from": source.name},
        fit=profile.fit,
        name=f"{profile.name} scaled to {target.name}",
    )
