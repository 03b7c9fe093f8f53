"""The device catalogue and profiles as text: every figure with its mark and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.base.hashing import hash_of
from ondevice_sora.base.units import format_bytes, format_seconds
from ondevice_sora.profiles.blocks import span_name
from ondevice_sora.profiles.costs import figures
from ondevice_sora.profiles.devices import Device, MemoryLimit
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.profile import FitRecord, Profile, profile_data
from ondevice_sora.reports.rows import UNITS
from ondevice_sora.reports.terminal.console import Console, table_console
from ondevice_sora.reports.terminal.table import numbers, print_facts, print_table, text

UNBOUNDED = 1e17
"""Bytes a second from which on a rate stands for work that takes no time."""


def print_catalogue(devices: Sequence[Device]) -> None:
    """One line per device: key, name, chip, memory and what one app may use of it."""
    rows = []
    for device in devices:
        limits = {row.entitlement: row.limit_bytes for row in reversed(device.memory_limits)}
        ram = format_bytes(device.hardware.ram_bytes.value)
        rows.append([device.key, device.name, device.chip, ram, _limit(limits.get(False)), _limit(limits.get(True))])
    columns = [*text("key", "name", "chip"), *numbers("RAM", "limit of one app", "with the entitlement")]
    print_table(table_console(), columns, rows)


def _limit(figure: Figure | None) -> str:
    return "unknown" if figure is None else f"{format_bytes(figure.value)} {figure.mark}"


def print_profile(profile: Profile, device: Device) -> None:
    """Hardware, memory limits and costs of a device, each figure with its mark, spread and source."""
    console = table_console()
    console.print(f"{device.name}, {device.chip}, {device.system}")
    if device.machines:
        console.print(f"machines: {' '.join(device.machines)}")
    for note in device.notes:
        console.print(f"note: {note}")
    console.print("\nHardware")
    hardware = {name: getattr(device.hardware, name) for name in device.hardware.__struct_fields__}
    _print_figures(console, {name: figure for name, figure in hardware.items() if figure is not None})
    console.print("\nMemory limits")
    print_facts(console, [_limit_fact(row) for row in device.memory_limits])
    console.print(f"\nCosts (profile: {profile.name}, SHA-256 {hash_of(profile_data(profile))})")
    _print_figures(console, figures(profile.costs))
    if profile.noise is not None:
        console.print(f"\nWhole runs differ by {profile.noise.spread:.1%} ({profile.noise.source})")
    if profile.kills:
        console.print("\nWhere the app was ended")
        print_facts(console, [("", kill.sentence) for kill in profile.kills])
    if profile.fit is not None:
        print_fit(profile.fit)


def _limit_fact(row: MemoryLimit) -> tuple[str, str]:
    versions = " to ".join(filter(None, (row.os_from, row.os_until))) or "any version"
    entitlement = "with the entitlement" if row.entitlement else "default"
    limit = row.limit_bytes
    return f"  {format_bytes(limit.value)}", f"{entitlement}, {versions} ({limit.mark}: {limit.source})"


def print_measurements(profile: Profile) -> None:
    """One line per measured block: medians; what was not measured stays empty."""
    rows = []
    for row in profile.measurements:
        units = span_name(row.first_unit, row.last_unit)
        variant = "" if row.variant == "plain" else f" ({row.variant})"
        seconds = (row.load_cold_s, row.load_warm_s, row.first_run_s, row.run_s)
        sizes = (row.resident_bytes, row.working_bytes)
        rows.append(
            [
                f"{row.component} {units}{variant}",
                UNITS[row.compute_units],
                *("" if figure is None else format_seconds(figure.value) for figure in seconds),
                *("" if figure is None else format_bytes(figure.value) for figure in sizes),
            ]
        )
    heads = numbers("first load", "later loads", "first run", "later runs", "resident", "working")
    print_table(table_console(), [*text("block", "on"), *heads], rows, "Measured blocks")


def _print_figures(console: Console, named: dict[str, Figure]) -> None:
    rows = [
        [f"  {name}", show_value(name, figure.value), _spread(figure), figure.mark, figure.source]
        for name, figure in named.items()
    ]
    print_table(console, [*text("figure"), *numbers("value", "spread"), *text("mark", "source")], rows)


def _spread(figure: Figure) -> str:
    return f"{figure.spread * 100:.0f} %" if figure.spread else ""


def show_value(name: str, value: float) -> str:
    """A figure with its unit, which its name carries: '1.45 GB/s' for read_bytes_per_s."""
    if name.endswith("bytes_per_s"):
        return "no limit" if value >= UNBOUNDED else f"{format_bytes(value)}/s"
    if name.endswith("flops_per_s"):
        return f"{value / 1e12:.3g} TFLOP/s"
    if name.endswith("ops_per_s"):
        return f"{value / 1e12:.3g} TOP/s"
    if name.endswith("held_bytes"):
        return f"{value:g} B"
    if name.endswith("_bytes"):
        return format_bytes(value)
    return format_seconds(value) if name.endswith("_s") else f"{value:.3g}"


def print_fit(record: FitRecord) -> None:
    """The figures a fit used and its residuals, what it learned of each parameter, and what contradicts what."""
    console = table_console()
    rows = [
        [
            cell.case,
            cell.quantity,
            cell.place,
            f"{cell.published:.2f} s",
            f"{cell.simulated:.2f} s",
            f"{(cell.simulated / cell.published - 1) * 100:+.2f} %",
        ]
        for cell in record.cells
    ]
    columns = [*text("case", "quantity", "place"), *numbers("published", "fitted", "residual")]
    print_table(console, columns, rows, "\nFigures fitted to")
    rows = [
        [
            each.name,
            show_value(each.name, each.prior),
            f"{each.prior_spread * 100:.0f} %",
            show_value(each.name, each.fitted),
            f"{each.fitted_spread * 100:.0f} %",
            f"{each.learned * 100:.0f} %",
        ]
        for each in record.parameters
    ]
    columns = [*text("parameter"), *numbers("prior", "spread", "fitted", "spread", "learned")]
    print_table(console, columns, rows, "\nParameters")
    console.print(
        "learned: the share of its prior spread that the published figures removed. Below 50 % a figure keeps its "
        "prior's mark."
    )
    for contradiction in record.contradictions:
        console.print(f"\ncontradiction: {contradiction}")
