"""What stays in memory and what the peak is made of, in words and three figures."""

import pytest
from msgspec.structs import replace

from ondevice_sora.records.memory import Residents
from ondevice_sora.reports.memory import in_short, peak_moment, peak_rows, resident_rows
from ondevice_sora.simulator.simulate import simulate


def test_residents_are_counted_by_component(trace):
    encoder, denoiser, _ = resident_rows(trace)
    assert encoder == ("text_encoder", 1, "none of 1 block", "", "", "")
    assert denoiser == ("denoiser", 4, "1 of 2 blocks", "100 MB", "a", "1 for some runs (100 MB)")
    whole = replace(trace.result, residents=[Residents("denoiser", 2, 4, ["a", "b"], 200, [], 0)])
    assert resident_rows(replace(trace, result=whole))[0][2:5] == ("all 2 blocks", "200 B", "a..b (2 blocks)")


def test_the_peak_is_told_by_what_holds_it(trace):
    rows = peak_rows(trace)
    assert [row[:3] for row in rows] == [
        ("the app itself", "", "200 MB"),
        ("blocks that stay", "denoiser", "200 MB"),
        ("extra while loading", "denoiser", "100 MB"),
        ("working memory", "denoiser", "100 MB"),
        ("left by unloaded blocks", "", "10.0 MB"),
    ]
    assert sum(row.bytes for row in rows) == trace.result.needed_bytes
    assert peak_moment(trace.result.peak) == "after 8.00 s (denoiser, step 0)"


def test_neighbours_are_named_together():
    order = ["input", "s0..t0", "s1..t1", "s2..t2", "output"]
    assert in_short(["input", "s1..t1", "s2..t2"], order) == "input, s1..t2 (2 blocks)"
    assert in_short(["output", "input"], order) == "output, input"
    assert in_short([], order) == ""


def test_variants_in_packages_of_their_own_are_told_apart():
    order = ["s0..t0", "s1..t1", "s2..t2"]
    assert in_short(["s0..t0", "s1..t1 (tdtm)", "s2..t2 (tdtm)"], order) == "s0..t0, s1..t2 (2 blocks, tdtm)"


def test_a_measurement_knows_neither(measured):
    assert resident_rows(measured) == peak_rows(measured) == []


@pytest.mark.parametrize("name", ["ours-256", "app-256-all", "sd1.5-512"])
def test_the_blocks_of_a_part_add_up_to_it(name):
    trace = simulate(name, with_advice=False).trace
    several = [row for row in peak_rows(trace) if row.members]
    for row in several:
        assert sum(size for _, size in row.members) == row.bytes, row.holder
    assert several or name != "ours-256"
