"""One search of one plan, with its progress, its saved state and what an interrupt leaves."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ondevice_sora.base import interrupts
from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.options import conditions_of
from ondevice_sora.commands.progress import status_line

if TYPE_CHECKING:
    from ondevice_sora.simulator.search.asked import Searched, Wanted
    from ondevice_sora.simulator.search.problem import Scored
    from ondevice_sora.simulator.search.state import Known

SMALLER_BUDGETS = 8
SAVED_EVERY_S, SHOWN_EVERY_S = 5.0, 0.2


def search_one(
    model: str, devices: list[str], options: argparse.Namespace, entitlement: bool | None = None
) -> Searched:
    """With or without the entitlement, or as the plan says. Raises UserError, and Interrupted if there is no plan."""
    from msgspec.structs import replace

    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.simulator.search.asked import search_plan
    from ondevice_sora.simulator.search.state import fingerprint, load_state, save_state

    conditions = conditions_of(options)
    loaded = conditions.applied(load_plan(model))
    if entitlement is not None:
        loaded = loaded.changed(memory=replace(loaded.plan.memory, entitlement=entitlement))
    settings = [conditions.setting(name, loaded.plan) for name in devices]
    wanted = wanted_of(options)
    known: Known = {}
    about = fingerprint(loaded.plan, settings)
    if options.state:
        known = load_state(Path(options.state), about)
    with (
        interrupts.keeping(f"no plan was found yet{going_on(options)}"),
        status_line() as say,
        Progress(say, lambda: save_state(Path(options.state), about, known) if options.state else None) as progress,
    ):
        return search_plan(loaded, settings, wanted, progress, known)


def wanted_of(options: argparse.Namespace) -> Wanted:
    """Raises UserError."""
    from ondevice_sora.simulator.search.asked import Wanted

    is_front_asked = any(asked is not None for asked in (options.pareto, options.front, options.report))
    return Wanted(
        options.budget,
        options.risk,
        options.max_kill_share,
        options.seconds,
        options.keep_cuts,
        SMALLER_BUDGETS if is_front_asked else 0,
    )


def going_on(options: argparse.Namespace, how: str = "") -> str:
    return f"; the same command {how}goes on from {options.state}" if options.state else ""


class Progress:
    """Tells `say` how far the search is, a few times a second, and calls `save` now and then.

    Ctrl-C and SIGTERM are raised from here, once there is a plan.
    """

    def __init__(self, say: Callable[[str], None], save: Callable[[], None]) -> None:
        self.say = say
        self.save = save
        self.shown_at = 0.0
        self.saved_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.save()

    def __call__(self, phase: str, best: Scored | None, num_evaluated: int) -> None:
        if best is None:
            return
        interrupts.check()
        now = time.monotonic()
        if now - self.shown_at > SHOWN_EVERY_S:
            self.shown_at = now
            totals = ", ".join(f"{total:.2f} s" for total in best.totals_s)
            self.say(f"{phase}: {num_evaluated:,} plans, best {totals}")
        if now - self.saved_at > SAVED_EVERY_S:
            self.save()
            self.saved_at = time.monotonic()


def plans_folder(options: argparse.Namespace, models: list[str]) -> Path | None:
    """Where the plans of a front go: a new or an empty folder, unless --force is given. Raises UserError."""
    if options.front is None:
        return None
    if len(models) > 1:
        raise UserError("several plans are searched, and one folder is named", "--front", "Name one plan.")
    folder = Path(options.front)
    if folder.exists() and not folder.is_dir():
        raise UserError("this is not a folder", options.front, "Name another one.")
    if folder.is_dir() and any(folder.iterdir()) and not options.force:
        raise UserError("the folder is not empty", options.front, "Name another one, or write into it with --force.")
    if not folder.parent.is_dir():
        raise UserError(f"there is no folder {folder.parent}", options.front, "Make the folder first.")
    return folder
