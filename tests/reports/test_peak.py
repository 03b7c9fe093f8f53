"""What the peak is made of, as rows, and what stays in memory."""

from __future__ import annotations

from ondevice_sora.records.memory import Residents
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.peak import peak_rows, residents_text
from ondevice_sora.simulator.simulate import simulate

MB = 10**6


def test_each_part_has_its_share_and_the_bytes_of_its_blocks(trace: Trace) -> None:
    assert trace.result is not None
    rows = peak_rows(trace.result)
    assert sum(row.bytes for row in rows) == trace.result.peak_bytes
    assert rows[1][1:] == (
        "blocks that stay for later runs", "denoiser", 200 * MB, 200 / 610, [("a", 100 * MB), ("b", 100 * MB)],
    )  # fmt: skip
    assert [row.blocks for row in rows[2:]] == [[("a", 100 * MB)], [("b", 100 * MB)], []]


def test_the_blocks_of_a_part_add_up_to_it_in_a_plan_with_variants_of_their_own() -> None:
    for name in ("ours-256", "app-256-all", "sd1.5-512"):
        result = simulate(name, with_advice=False).result
        for row in peak_rows(result):
            assert not row.blocks or sum(size for _, size in row.blocks) == row.bytes, (name, row.what)


def test_what_stays_is_told_with_its_bytes() -> None:
    assert residents_text(Residents("d", 30, 16, ["a", "b"], 500 * MB, ["c"], 100 * MB)) == (
        "2 of 30 blocks stay, 500 MB; 1 of 30 blocks for some of their runs, 100 MB"
    )
    assert residents_text(Residents("d", 1, 1, [], 0, [], 0)) == "none of 1 block stays in memory"
