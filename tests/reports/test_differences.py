"""What differs between the plans of a comparison."""

from __future__ import annotations

from msgspec.structs import replace

from ondevice_sora.records.provenance import Provenance
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.differences import differences

PLAN = """\
name: one
memory: {budget: 2600000000, entitlement: false}
components:
  denoiser: {keep: optimal, blocks: [a..b, c]}
"""
OTHER = """\
name: two
memory: {entitlement: true}
components:
  denoiser: {keep: optimal, blocks: [a, b..c]}
"""


def of(trace: Trace, plan: str | None, version: str = "1", sha256: str = "a" * 64) -> Trace:
    made = Provenance("simulate", version, "", plan=plan, profile="phone", profile_sha256=sha256)
    return replace(trace, provenance=made)


def test_keys_whose_values_differ_are_told_without_the_plans_names(trace: Trace) -> None:
    assert [tuple(row) for row in differences([of(trace, PLAN), of(trace, OTHER)])] == [
        ("memory.budget", ("2.60 GB", "not set")),
        ("memory.entitlement", ("no", "yes")),
        ("components.denoiser.blocks", ("a..b, c", "a, b..c")),
    ]


def test_what_is_not_switched_on_is_off(trace: Trace) -> None:
    assert differences([of(trace, "memory: {entitlement: false}"), of(trace, "name: two")]) == []


def test_plans_that_are_alike_differ_in_nothing(trace: Trace) -> None:
    assert differences([of(trace, PLAN), of(trace, PLAN)]) == []


def test_versions_and_profiles_that_differ_are_told(trace: Trace) -> None:
    found = differences([of(trace, PLAN), of(trace, PLAN, version="2", sha256="b" * 64)])
    assert [row.key for row in found] == ["version of ondevice-sora", "profile's SHA-256"]


def test_a_trace_that_does_not_say_its_plan_has_dashes(trace: Trace) -> None:
    found = differences([of(trace, PLAN), trace])
    assert {row.values[1] for row in found} == {"\N{EN DASH}"}
    assert differences([trace, trace]) == []


def test_a_plan_that_cannot_be_read_is_as_one_that_is_not_told(trace: Trace) -> None:
    assert {row.values[1] for row in differences([of(trace, PLAN), of(trace, "a: &b [*b, *b]")])} == {"\N{EN DASH}"}


def test_a_long_list_is_counted(trace: Trace) -> None:
    names = ", ".join(f"unit_{index}" for index in range(30))
    (row,) = differences([of(trace, f"units: [{names}]"), of(trace, "units: [unit_0]")])
    assert row.values[0].startswith("30 listed: unit_0, unit_1")
    assert row.values[1] == "unit_0"
