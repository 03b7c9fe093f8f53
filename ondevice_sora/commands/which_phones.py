"""`--device all`, or several: which phones hold a plan, with and without the entitlement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ondevice_sora.commands.common import EXIT_FITS, EXIT_KILLED, json_text, shown
from ondevice_sora.profiles.devices import ALL

if TYPE_CHECKING:
    from ondevice_sora.profiles.devices import Device
    from ondevice_sora.records.ladder import Ladder, Rung


def names_several(names: Sequence[str]) -> bool:
    """Whether not just one device is meant."""
    return list(names) == [ALL] or len(names) != 1


def show_ladder(plan: str, devices: Sequence[Device], attempt: Callable[[Device, Rung], Rung], *, as_json: bool) -> int:
    """Try each, print the ladder, and say whether any fits. Raises UserError."""
    from ondevice_sora.simulator.ladder import ladder

    return show_ladders([ladder(plan, devices, attempt)], as_json=as_json)


def show_ladders(found: Sequence[Ladder], *, as_json: bool) -> int:
    """Print them one below the other, and say whether any device holds any of their plans."""
    shown(lambda: _print(found, as_json))
    return EXIT_FITS if any(rung.verdict == "fits" for each in found for rung in each.rungs) else EXIT_KILLED


def _print(found: Sequence[Ladder], as_json: bool) -> None:
    if as_json:
        print(json_text(found[0] if len(found) == 1 else {"results": list(found)}))
    else:
        from ondevice_sora.reports.terminal.ladder import print_ladder

        for number, each in enumerate(found):
            if number:
                print()
            print_ladder(each)
