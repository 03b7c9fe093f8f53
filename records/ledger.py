"""The memory ledger: what the app is charged, by what holds it, at every change.

Memory does not queue. Crossing the limit is recorded with the moment and the block, because that is where the phone
ends the app.
"""

from __future__ import annotations

from ondevice_sora.records.trace import MemorySample

HOLDERS = ("resident", "loading", "working", "residual")


class Ledger:
    """Bytes charged now, the samples so far, the peak. `charge` answers whether the footprint is within the limit."""

    def __init__(self, baseline_bytes: int, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.baseline_bytes = baseline_bytes
        self.total_bytes = baseline_bytes
        self.peak_bytes = baseline_bytes
        self.samples = [MemorySample(0.0, baseline_bytes, 0, 0, 0, 0)]
        self.held = [0, 0, 0, 0]
        self.clean_bytes = 0

    def map(self, clean: int) -> None:
        """Map (or, negative, unmap) clean pages, which are not charged; told with the next bytes that are."""
        self.clean_bytes += clean
        assert self.clean_bytes >= 0, "more unmapped than mapped"

    def charge(self, time_s: float, resident: int = 0, loading: int = 0, working: int = 0, residual: int = 0) -> bool:
        """Add (or, negative, give back) bytes at a moment. False if that crosses the limit."""
        held = self.held
        held[0] += resident
        held[1] += loading
        held[2] += working
        held[3] += residual
        self.total_bytes += resident + loading + working + residual
        assert min(held) >= 0, f"more given back than held: {dict(zip(HOLDERS, held, strict=True))}"
        sample = MemorySample(time_s, self.baseline_bytes, held[0], held[1], held[2], held[3], self.clean_bytes)
        if self.samples[-1].time_s == time_s:
            self.samples[-1] = sample
        else:
            self.samples.append(sample)
        if self.total_bytes > self.peak_bytes:
            self.peak_bytes = self.total_bytes
        return self.total_bytes <= self.limit_bytes
