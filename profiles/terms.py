"""Sums of amounts times coefficients: the linear terms that costs in seconds are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ondevice_sora.profiles.costs import Array, MarkShares, Sample
from ondevice_sora.profiles.figures import Mark


def seconds_per(sample: Sample, name: str) -> Array:
    """The coefficient [sample] of a figure: a rate per second is turned over, a time stays."""
    return 1.0 / sample[name] if name.endswith("_per_s") else sample[name]


def summed(amounts: Array, seconds: Array) -> Array:
    """Amounts [block, term] times seconds of one [term, sample]: seconds [block, sample].

    Term by term, so that a block costs the same to the last digit whichever blocks are priced beside it: the product of
    matrices depends on their shapes, and a search resumed would not end where the whole one does.
    """
    total = np.zeros((amounts.shape[0], seconds.shape[1]))
    for term in range(amounts.shape[1]):
        total += amounts[:, term, None] * seconds[term]
    return total


def weighed(parts: Sequence[tuple[MarkShares, float]]) -> MarkShares:
    """The shares of several parts together, each with its seconds."""
    total = sum(seconds for _, seconds in parts)
    shares: MarkShares = {}
    for marks, seconds in parts:
        weight = seconds / total if total > 0 else 1.0 / len(parts)
        for mark, share in marks.items():
            if share * weight > 0:
                shares[mark] = shares.get(mark, 0.0) + share * weight
    return shares


def mark_shares(parts: Array, marks: Sequence[Mark]) -> list[MarkShares]:
    """For each block, the share of its seconds, given as [block, term], that rests on each mark."""
    totals = parts.sum(axis=1)
    shares: list[MarkShares] = []
    for row, total in zip(parts.tolist(), totals.tolist(), strict=True):
        share: MarkShares = {}
        for mark, part in zip(marks, row, strict=True):
            if part > 0:
                share[mark] = share.get(mark, 0.0) + part / total
        shares.append(share or {"estimated": 1.0})
    return shares
