"""Quantities at the edges: read '3.3 GB' from files, write bytes, seconds and shares for people.

Inside the code there are only bytes and seconds; every conversion is here. MB is 10^6 bytes, MiB is 2^20.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

MINUS = "\N{MINUS SIGN}"
"""As wide as a plus."""
MICRO = "\N{MICRO SIGN}"
_BYTES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
LARGEST = 1e18
"""Bytes: beyond any device, and still exact enough to add up."""
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)\s*([A-Za-z]*)\s*$")


def parse_bytes(text: str | int | float) -> int:
    """'3.3 GB', '512 MiB' or a plain number of bytes, as bytes. Raises ValueError with the way to write it."""
    match = None if isinstance(text, (int, float)) else _QUANTITY.match(text)
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        count = float(text)
    elif match and match[2].lower() in _BYTES:
        count = float(match[1]) * _BYTES[match[2].lower()]
    else:
        count = -1.0
    if 0 <= count <= LARGEST and count != round(count) and not (match and match[2]):
        raise ValueError(f"{text!r} has no unit, and bytes are whole. Write '{text} GB' or '{text} MB'.")
    if not 0 <= count <= LARGEST:
        shown = repr(text) if len(repr(text)) <= 60 else f"{repr(text)[:59]}…"
        raise ValueError(f"{shown} is not a size. Write a number of bytes, or a size such as '3.3 GB' or '512 MiB'.")
    return round(count)


class SizeUnit(NamedTuple):
    """One unit for all sizes of an axis; `name` stands in its title."""

    name: str
    bytes: int


def size_unit(most: float) -> SizeUnit:
    """The unit in which so many bytes are read best: GB, MB, kB or B."""
    for unit in (SizeUnit("GB", 10**9), SizeUnit("MB", 10**6), SizeUnit("kB", 10**3)):
        if abs(most) >= unit.bytes * 0.9995:
            return unit
    return SizeUnit("B", 1)


def format_bytes(count: float) -> str:
    """Bytes for people, three figures: 3.30 GB, 170 MB, 12.0 kB."""
    unit = size_unit(count)
    return f"{count:.0f} B" if unit.bytes == 1 else f"{_three_figures(count / unit.bytes)} {unit.name}"


def format_seconds(seconds: float) -> str:
    """Seconds for people: 18 min 44 s, 35.4 s, 12.3 ms, 84.5 \N{MICRO SIGN}s."""
    if seconds >= 119.5:
        whole = round(seconds)
        hours, minutes = divmod(whole // 60, 60)
        return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {whole % 60:02d} s"
    if seconds >= 0.9995 or seconds == 0:
        return f"{_three_figures(seconds)} s"
    if seconds >= 0.9995e-3:
        return f"{_three_figures(seconds * 1e3)} ms"
    return f"{_three_figures(seconds * 1e6)} {MICRO}s"


class TimeUnit(NamedTuple):
    """One unit for all times of a column, an axis or a chart; `name` stands in its head or title.

    `write` gives the number alone, `moment` a point in time, finer and with its unit where the number does not show it.
    """

    name: str
    write: Callable[[float], str]
    moment: Callable[[float], str]

    def told(self, seconds: float) -> str:
        """The number with its unit where the number does not show it: 2:03.4, 78.8 s."""
        return self.write(seconds) if ":" in self.name else f"{self.write(seconds)} {self.name}"


def time_unit(longest_s: float) -> TimeUnit:
    """The unit in which times up to this one are read best: min:s, s, ms or \N{MICRO SIGN}s."""
    if longest_s >= 119.5:
        name = "h:min:s" if longest_s >= 3600 else "min:s"
        return TimeUnit(name, lambda seconds: _clock(seconds, 1), lambda seconds: _clock(seconds, 2))
    for name, per_second in (("s", 1.0), ("ms", 1e3)):
        if longest_s * per_second >= 0.9995 or longest_s == 0:
            return _decimal(name, per_second)
    return _decimal(f"{MICRO}s", 1e6)


def _decimal(name: str, per_second: float) -> TimeUnit:
    return TimeUnit(
        name,
        lambda seconds: _in_column(seconds * per_second),
        lambda seconds: f"{seconds * per_second:.3f} {name}",
    )


def _in_column(value: float) -> str:
    """Three figures, or three digits after the point: 116, 44.7, 1.05, 0.340, 0.013."""
    return "0" if value == 0 else _three_figures(value) if abs(value) >= 0.9995 else f"{value:.3f}"


def _clock(seconds: float, digits: int) -> str:
    """2:03.42, 1:02:03.4."""
    if seconds < 0:
        return f"{MINUS}{_clock(-seconds, digits)}"
    minutes, rest = divmod(round(seconds, digits), 60)
    hours, minutes = divmod(int(minutes), 60)
    told = f"{rest:0{digits + 3}.{digits}f}"
    return f"{hours}:{minutes:02d}:{told}" if hours else f"{minutes}:{told}"


def format_change(change: float, write: Callable[[float], str]) -> str:
    """A difference with its sign: +2.70 s, \N{MINUS SIGN}170 MB. What would be written as zero has no sign."""
    size = write(abs(change))
    return f"{'+' if change > 0 else MINUS}{size}" if re.search("[1-9]", size) else write(0.0)


def format_percent(share: float) -> str:
    """A share of one as a percentage with the figures that mean something: 4.2 %, 87 %."""
    return f"{share * 100:.1f} %" if abs(share) < 0.1 else f"{share * 100:.0f} %"


def format_probability(share: float) -> str:
    """The same of a probability: one that is neither impossible nor certain is not called so."""
    if 0.0 < share < 0.001:
        return "under 0.1 %"
    if 0.995 <= share < 1.0:
        return "over 99.9 %" if share > 0.999 else f"{share * 100:.1f} %"
    return format_percent(share)


def format_count(count: int, noun: str) -> str:
    """A number of things: 1 block, 4,286 plans."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _three_figures(value: float) -> str:
    magnitude = abs(value)
    if magnitude >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if magnitude >= 9.995 else f"{value:.2f}"
