"""The ledger: what is charged by whom, at every change, and whether that crosses the limit."""

import pytest

from ondevice_sora.records.ledger import Ledger
from ondevice_sora.records.trace import MemorySample


def test_bytes_are_told_by_holder_at_every_change():
    ledger = Ledger(baseline_bytes=10, limit_bytes=1000)
    ledger.charge(1.0, loading=120)
    ledger.charge(2.0, loading=-120, resident=100)
    ledger.charge(2.5, working=30)
    ledger.charge(4.0, working=-30)
    ledger.charge(4.5, resident=-100, residual=5)
    assert ledger.samples == [
        MemorySample(0.0, 10, 0, 0, 0, 0),
        MemorySample(1.0, 10, 0, 120, 0, 0),
        MemorySample(2.0, 10, 100, 0, 0, 0),
        MemorySample(2.5, 10, 100, 0, 30, 0),
        MemorySample(4.0, 10, 100, 0, 0, 0),
        MemorySample(4.5, 10, 0, 0, 0, 5),
    ]
    assert ledger.total_bytes == 15
    assert ledger.peak_bytes == 140


def test_of_one_moment_the_last_word_counts_and_the_peak_counts_all():
    """A load that starts as a run ends meets the run's memory, though the sample shows only what is left."""
    ledger = Ledger(0, 1000)
    ledger.charge(1.0, working=50)
    ledger.charge(3.0, loading=100)
    ledger.charge(3.0, working=-50)
    assert ledger.samples[-1] == MemorySample(3.0, 0, 0, 100, 0, 0)
    assert ledger.peak_bytes == 150


@pytest.mark.parametrize(("held", "is_within"), [(90, True), (91, False)])
def test_the_limit_itself_is_allowed(held, is_within):
    assert Ledger(10, 100).charge(0.0, resident=held) is is_within


def test_giving_back_what_was_not_held_is_a_mistake_of_ours():
    with pytest.raises(AssertionError, match="more given back than held"):
        Ledger(0, 100).charge(0.0, resident=-1)
