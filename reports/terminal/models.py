"""What a described model consists of, on a terminal: one line a component."""

from __future__ import annotations

from ondevice_sora.base.units import format_bytes
from ondevice_sora.profiles.models.model import Component, Model
from ondevice_sora.profiles.networks import flops
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_model(model: Model) -> None:
    """Print parameters, operations and activations of each component, as float16 where bytes are meant."""
    console = table_console()
    heads = numbers("walks", "units", "parameters", "tables", "TFLOP a walk", "moved", "held at most")
    print_table(console, [*text("component"), *heads], [_cells(each) for each in model.components], model.name)
    console.print()
    console.print("Moved and held: activations in float16, in one walk over the units.")
    console.print(f"Source: {model.source.removesuffix('.')}.")


def _cells(component: Component) -> list[str]:
    works = [unit.plain for unit in component.units]
    return [
        component.name,
        "each step" if component.passes == "steps" else f"{component.passes}",
        f"{len(component.units)}",
        f"{sum(unit.parameters for unit in component.units):,}",
        f"{sum(unit.tables for unit in component.units):,}",
        f"{sum(map(flops, works)) / 1e12:.4g}",
        format_bytes(2 * sum(work.moved_elements for work in works)),
        format_bytes(2 * max(work.working_elements for work in works)),
    ]
