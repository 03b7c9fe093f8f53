"""The device catalogue and profiles as text: every figure with its mark and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.base.units import format_bytes, format_seconds
from ondevice_sora.profiles.blocks import span_name
from ondevice_sora.profiles.costs import figures
from ondevice_sora.profiles.devices import Device
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.profile import FitRecord, Profile
from ondevice_sora.reports.terminal.console import Console, plain_table, table_console


def print_catalogue(devices: Sequence[Device]) -> None:
    """One line a device: key, name, chip, memory and what one app may use of it."""
    table = plain_table(("key", "name", "chip"), ("RAM", "limit of one app", "with the entitlement"))
    for device in devices:
        limits = {row.entitlement: row.limit_bytes for row in reversed(device.memory_limits)}
        table.add_row(
            device.key, device.name, device.chip, format_bytes(device.hardware.ram_bytes.value),
            _limit(limits.get(False)), _limit(limits.get(True)),
        )  # fmt: skip
    table_console().print(table)


def _limit(figure: Figure | None) -> str:
    return "unknown" if figure is None else f"{format_bytes(figure.value)} {figure.mark}"


def print_profile(profile: Profile, device: Device) -> None:
    """Hardware, memory limits and costs of a device, each figure with its mark, spread and source."""
    console = table_console()
    console.print(f"{device.name}, {device.chip}, {device.system}")
    for note in device.notes:
        console.print(f"note: {note}")
    console.print("\nHardware")
    hardware = {name: getattr(device.hardware, name) for name in device.hardware.__struct_fields__}
    _print_figures(console, {name: figure for name, figure in hardware.items() if figure is not None})
    console.print("\nMemory limits")
    for row in device.memory_limits:
        versions = " to ".join(filter(None, (row.os_from, row.os_until))) or "any version"
        entitlement = "with the entitlement" if row.entitlement else "default"
        limit = row.limit_bytes
        console.print(f"  {format_bytes(limit.value)}  {entitlement}, {versions}  ({limit.mark}: {limit.source})")
    console.print(f"\nCosts (profile: {profile.name})")
    _print_figures(console, figures(profile.costs))
    if profile.fit is not None:
        print_fit(profile.fit)


def print_measurements(profile: Profile) -> None:
    """One line a measured block: medians; what was not measured stays empty."""
    table = plain_table(
        ("block", "on"),
        ("first load", "later loads", "first run", "later runs", "resident", "working"),
        "Measured blocks",
    )
    for row in profile.measurements:
        units = span_name(row.first_unit, row.last_unit)
        variant = "" if row.variant == "plain" else f" ({row.variant})"
        seconds = (row.load_cold_s, row.load_warm_s, row.first_run_s, row.run_s)
        sizes = (row.resident_bytes, row.working_bytes)
        table.add_row(
            f"{row.component} {units}{variant}",
            row.compute_units,
            *("" if figure is None else format_seconds(figure.value) for figure in seconds),
            *("" if figure is None else format_bytes(figure.value) for figure in sizes),
        )
    table_console().print(table)


def _print_figures(console: Console, named: dict[str, Figure]) -> None:
    table = plain_table(("figure",), ("value", "spread"))
    table.columns[0].no_wrap = True
    table.add_column("mark", no_wrap=True)
    table.add_column("source", overflow="fold")
    for name, figure in named.items():
        spread = f"{figure.spread * 100:.0f} %" if figure.spread else ""
        table.add_row(f"  {name}", show_value(name, figure.value), spread, figure.mark, figure.source)
    console.print(table)


def show_value(name: str, value: float) -> str:
    """A figure with its unit, which its name carries: '1.45 GB/s' for read_bytes_per_s."""
    if name.endswith("bytes_per_s"):
        return f"{format_bytes(value)}/s"
    if name.endswith(("flops_per_s", "ops_per_s")):
        return f"{value / 1e12:.3g} T/s"
    if name.endswith("held_bytes"):
        return f"{value:g} B"
    if name.endswith("_bytes"):
        return format_bytes(value)
    return format_seconds(value) if name.endswith("_s") else f"{value:.3g}"


def print_fit(record: FitRecord) -> None:
    """What a fit used, what it left over, what it learned and what contradicts what."""
    console = table_console()
    cells = plain_table(("case", "quantity", "place"), ("published", "fitted", "residual"), "\nFigures fitted to")
    for cell in record.cells:
        residual = f"{(cell.simulated / cell.published - 1) * 100:+.2f} %"
        cells.add_row(
            cell.case, cell.quantity, cell.place, f"{cell.published:.2f} s", f"{cell.simulated:.2f} s", residual
        )
    console.print(cells)
    parameters = plain_table(("parameter",), ("prior", "spread", "fitted", "spread", "learned"), "\nParameters")
    for p in record.parameters:
        parameters.add_row(
            p.name, show_value(p.name, p.prior), f"{p.prior_spread * 100:.0f} %", show_value(p.name, p.fitted),
            f"{p.fitted_spread * 100:.0f} %", f"{p.learned * 100:.0f} %",
        )  # fmt: skip
    console.print(parameters)
    console.print(
        "learned: the share of its prior spread that the published figures removed. Below 50 % a figure keeps"
    )
    console.print("its prior's mark.")
    for text in record.contradictions:
        console.print(f"\ncontradiction: {text}")
