"""Each change with what it brings, and what to write or run."""

from msgspec.structs import replace

from ondevice_sora.reports.advice import advice_rows


def rows(trace, **changes):
    one = replace(trace.result.advice[0], **changes)
    return advice_rows(replace(trace, result=replace(trace.result, advice=[one])))


def test_a_change_is_told_with_its_saving_and_peak(trace):
    (row,) = advice_rows(trace)
    assert (row.title, row.effect) == (
        "Keep block a", "1.00 s (3.7 %) faster: 26.0 s, peak 710 MB, risk 1.0 %",
    )  # fmt: skip
    assert (row.lines, row.is_command, row.notes) == (["components: {denoiser: {keep: 1}}"], False, ["it is there"])


def test_what_costs_time_says_so_and_what_costs_none_too(trace):
    assert rows(trace, saved_s=-2.7, total_s=29.7)[0].effect.startswith("2.70 s (10 %) slower: 29.7 s, ")
    assert rows(trace, saved_s=0.0, total_s=27.0)[0].effect.startswith("as fast: 27.0 s, ")


def test_a_command_stands_for_keys(trace):
    (row,) = rows(trace, keys=[], command="ondevice-sora plan search", quality="not measured")
    assert (row.lines, row.is_command, row.notes) == (
        ["ondevice-sora plan search"],
        True,
        ["it is there", "not measured"],
    )


def test_a_measurement_advises_nothing(measured):
    assert advice_rows(measured) == []
