"""What the system charges this process while a run goes on, sampled by a thread of its own.

A sample takes less than 0.1 ms. Where the system does not tell (footprint.py), there are none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from ondevice_sora.records.trace import FootprintSample
from ondevice_sora.runtime.executor import footprint

INTERVAL_S = 0.02
MOST_SAMPLES = 20_000
"""Of a run; 400 seconds of them."""


class Meter:
    """One run's. When there are `most` samples, of any two neighbours the larger stays and the interval doubles."""

    def __init__(
        self,
        *,
        most: int = MOST_SAMPLES,
        read: Callable[[], int | None] = footprint.resident_bytes,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.interval_s, self._most, self._read, self._clock = INTERVAL_S, most, read, clock
        self._samples: list[FootprintSample] = []
        self._before_bytes = 0
        self._start_s = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="footprint", daemon=True)

    def start(self, before_bytes: int | None) -> None:
        """The run begins now; what the process had before does not count. None if the system does not tell."""
        if before_bytes is not None:
            self._before_bytes, self._start_s = before_bytes, self._clock()
            self.sample()
            self._thread.start()

    def stop(self) -> None:
        """The run is over: a last sample, and the thread ends. Safe to repeat, and without a start."""
        if self._thread.is_alive():
            self._is_over.set()
            self._thread.join()
            self.sample()

    @property
    def samples(self) -> list[FootprintSample] | msgspec.UnsetType:
        """As a trace has them: seconds since the start, and bytes above what the process had before."""
        return list(self._samples) or msgspec.UNSET

    def sample(self) -> None:
        """Take one now."""
        held = self._read()
        if held is None:
            return
        self._samples.append(FootprintSample(self._clock() - self._start_s, max(0, held - self._before_bytes)))
        if len(self._samples) >= self._most:
            pairs = zip(self._samples[::2], self._samples[1::2], strict=False)
            self._samples = [max(pair, key=lambda each: each.bytes) for pair in pairs]
            self.interval_s *= 2

    def _follow(self) -> None:
        while not self._is_over.wait(self.interval_s):
            self.sample()
