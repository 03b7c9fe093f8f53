"""What a generation takes at least if some blocks are kept from pass to pass, whatever the windows and the budget.

What is not kept has to be loaded again, and a load is hidden at a price: while a load and a run overlap, they do
load_rate + run_rate - 1 seconds of work more than one of them alone would. There is no more of that than runs to
overlap with, nor than loads; an eviction slows no load.
"""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.plans import loading
from ondevice_sora.plans.loading import DROP, NEW, STAY
from ondevice_sora.plans.optimal.question import Question


class Least:
    """What a generation, or one part of it, takes at least with a set of blocks kept, whatever windows and budget."""

    def __init__(self, question: Question, part: int | None = None) -> None:
        self.part = part
        walk, package, blocks = question.walk, question.package, question.blocks
        seconds = blocks.seconds
        own = [package[block] for block in walk.block]
        _, previous = loading.links(own, len(package))
        num_slots = max(question.slot, default=-1) + 1
        self.load_s, self.shown_s, self.run_s, self.unload_s = ([0.0] * (num_slots + 1) for _ in range(4))
        self.loaded = [0] * (num_slots + 1)
        """by slot: what its reloads come to; the last one what comes in any case"""
        gains = [load_rate + run_rate - 1.0 for load_rate, run_rate in zip(*seconds[5:], strict=True)]
        self.gain = max([max(0.0, gain) / rate for gain, rate in zip(gains, seconds.load_rate, strict=True)], default=0)
        first_load, visit = 0.0, 0
        for length, weight in zip(walk.pass_length, question.weight, strict=True):
            for _ in range(length):
                block, slot, before = walk.block[visit], question.slot[visit], previous[visit]
                if part is not None and question.part[visit] != part:
                    visit += 1
                    continue
                # A window that reaches from one visit to the next may hold the block, and so may any policy but none.
                is_free = before >= 0 and (
                    walk.window[visit] >= visit - before or (slot < 0 and walk.keep[before] != DROP)
                )
                at = slot if slot >= 0 and before >= 0 else num_slots
                shown = 1.0 - max(0.0, gains[block]) / seconds.run_rate[block]
                run = min(seconds.run[block], seconds.first[block])
                self.run_s[-1] += weight * run
                self.shown_s[-1] += weight * run * shown
                if not is_free and (before >= 0 or walk.keep[visit] != STAY):
                    is_cold = before < 0 and walk.start == NEW
                    load = seconds.cold[block] if is_cold else seconds.warm[block]
                    first_load = first_load or load
                    self.load_s[at] += weight * load
                    self.unload_s[at] += weight * seconds.unload[block]
                    self.loaded[at] += weight * question.stored[block]
                    self.run_s[at] += weight * (seconds.first[block] - run)
                    self.shown_s[at] += weight * (seconds.first[block] - run) * shown
                visit += 1
        self.first_load_s = first_load

    def of(self, flags: Sequence[int]) -> tuple[float, int]:
        """Seconds, and bytes loaded, at least."""
        rows = [slot for slot, flag in enumerate(flags) if flag == DROP] + [len(flags)]
        load, run = sum([self.load_s[row] for row in rows]), sum([self.run_s[row] for row in rows])
        unload = sum([self.unload_s[row] for row in rows])
        hidden = load - self.first_load_s
        beside_runs = load + sum([self.shown_s[row] for row in rows])
        beside_loads = run + unload + load - min(hidden, unload) - max(0.0, hidden - unload) * self.gain
        return max(beside_runs, beside_loads), sum([self.loaded[row] for row in rows])
