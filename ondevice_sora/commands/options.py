"""Options that several verbs share, each with one name and one meaning: plan, device, conditions of a simulation."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.common import DEFAULT_DEVICE, size_argument

if TYPE_CHECKING:
    from ondevice_sora.simulator.conditions import Conditions

DEVICE_HELP = f"a device of the catalogue or a profile file (default {DEFAULT_DEVICE})"
SEVERAL_HELP = "; several, or `all` iPhones and iPads, are told one below the other"
CONDITIONS = ("memory_limit", "entitlement", "os", "thermal")


def add_plan(parser: argparse.ArgumentParser, about: str, *, several: bool = False) -> None:
    """`--plan PLAN`, and the same without the option's name."""
    parser.add_argument("named_plan", nargs="*" if several else "?", metavar="PLAN", help=about)
    if several:
        parser.add_argument("--plan", action="append", metavar="PLAN", help="the same; may be repeated")
    else:
        parser.add_argument("--plan", metavar="PLAN", help="the same")


def plan_of(options: argparse.Namespace, default: str | None = None) -> str:
    """The plan that is named in either way. Raises UserError if there is none, or two."""
    if options.named_plan is not None and options.plan is not None:
        what = f"two plans are named, '{options.named_plan}' and '{options.plan}'"
        raise UserError(what, "--plan", "Name one.")
    named = options.named_plan or options.plan or default
    if named is None:
        raise UserError(
            "no plan is named", mend="Give a plan file or a ready plan; `ondevice-sora plan list` has them."
        )
    _refuse_devices([named])
    return str(named)


def plans_of(options: argparse.Namespace) -> list[str]:
    """The plans that are named in either way; several of one option may be separated by commas."""
    named = list(_apart([*options.named_plan, *(options.plan or ())]))
    _refuse_devices(named)
    return named


def _refuse_devices(plans: Iterable[str]) -> None:
    """Raises UserError where a device stands in a plan's place."""
    from ondevice_sora.profiles.devices import device_keys

    for name in plans:
        if name in device_keys() and not os.path.exists(name):
            raise UserError(f"'{name}' is a device, not a plan", mend=f"Give it as --device {name}.")


def add_device(parser: argparse.ArgumentParser, about: str = DEVICE_HELP, *, several: bool = False) -> None:
    """`--device DEVICE`; with `several` it may be repeated, or name several separated by commas."""
    if several:
        parser.add_argument("--device", action="append", metavar="DEVICE", help=f"{about}{SEVERAL_HELP}")
    else:
        parser.add_argument("--device", metavar="DEVICE", help=about)


def devices_named(options: argparse.Namespace) -> list[str]:
    """The devices that are named, the default if none is."""
    named = list(dict.fromkeys(_apart(options.device or [DEFAULT_DEVICE])))
    if named != [DEFAULT_DEVICE]:
        from ondevice_sora.plans.plan_file import ready_plans

        for name in named:
            if name in ready_plans() and not os.path.exists(name):
                raise UserError(f"'{name}' is a plan, not a device", mend=f"Give it as --plan {name}.")
    return named


def _apart(names: Iterable[str]) -> Iterator[str]:
    """Names apart that are separated by commas; files and machines (iPhone16,2) may have commas in their names."""
    for name in names:
        if "," in name and not os.path.exists(name):
            yield from filter(None, map(str.strip, re.split(r",(?!\d+ *(?:,|$))", name)))
        else:
            yield name


def add_memory_limit(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--memory-limit", type=size_argument, metavar="SIZE", help="what iOS allows, instead of the device's: '3.3 GB'"
    )


def add_conditions(parser: argparse.ArgumentParser) -> None:
    """What is simulated besides plan and device."""
    group = parser.add_argument_group("conditions")
    add_memory_limit(group)
    group.add_argument("--entitlement", action="store_true", help="the app has the increased-memory entitlement")
    group.add_argument("--os", metavar="VERSION", help="version of the system whose memory limit is meant, e.g. 18.1")
    group.add_argument("--thermal", action="store_true", help="apply the device's thermal derating")


def conditions_of(options: argparse.Namespace) -> Conditions:
    """Raises UserError for a version that is none, and for what a limit that is given makes void."""
    from ondevice_sora.simulator.conditions import Conditions

    return Conditions(options.memory_limit, options.entitlement, options.os, options.thermal)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")
