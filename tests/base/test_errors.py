"""A complaint about a setting names its line where the document is known, and the setting in plain words elsewhere."""

from pathlib import Path

import pytest

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.reading import parse_yaml
from ondevice_sora.plans.plan_file import LoadedPlan, read_plan
from ondevice_sora.plans.schema import Plan

DOCUMENT = parse_yaml("name: p\nmodel: m\nmemory:\n  budget: 1 MB\n", Path("plan.yaml"))
TOO_SMALL = UserError("is too small", mend="Allow more.", field="$.memory.budget")


def raised_within(locating, error):
    with pytest.raises(UserError) as caught, locating:
        raise error
    return str(caught.value)


def test_without_a_document_the_setting_is_named_in_plain_words() -> None:
    assert str(TOO_SMALL) == "memory.budget: is too small\nAllow more."
    assert str(UserError("is unusable", field="$")) == "is unusable"


def test_who_holds_the_document_names_the_line() -> None:
    assert raised_within(DOCUMENT.locating(), TOO_SMALL) == "plan.yaml:4: memory.budget: is too small\nAllow more."


def test_a_complaint_that_has_a_place_keeps_it() -> None:
    error = UserError("no such file", "model.yaml", field="$.memory.budget")
    assert raised_within(DOCUMENT.locating("$.model"), error) == "model.yaml: no such file"


def test_a_complaint_about_nothing_named_is_about_what_was_being_read() -> None:
    assert raised_within(DOCUMENT.locating("$.model"), UserError("is unknown")) == "plan.yaml:2: model: is unknown"
    assert raised_within(DOCUMENT.locating(), UserError("is unknown")) == "is unknown"


def test_a_loaded_plan_names_its_lines_also_after_a_change() -> None:
    loaded = read_plan(DOCUMENT).changed(name="another")
    assert loaded.plan.name == "another"
    assert raised_within(loaded.locating(), TOO_SMALL).startswith("plan.yaml:4: memory.budget: ")


def test_a_plan_made_in_a_program_has_no_lines() -> None:
    loaded = LoadedPlan(Plan("p", "m"))
    assert raised_within(loaded.locating(), TOO_SMALL) == "memory.budget: is too small\nAllow more."
    assert not loaded.says("$.sampler.guidance")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ours-265", "Did you mean 'ours-256'? Known: "),
        ("wan", "Did you mean 'wan2.1-480' or 'wan2.2-832'? Known: "),
        ("WAN2", "Did you mean 'wan2.1-480' or 'wan2.2-832'? Known: "),
        ("wa", "Known: "),
        ("zebra", "Known: "),
    ],
)
def test_a_name_that_is_not_known_gets_those_that_look_or_begin_like_it(name: str, told: str) -> None:
    known = ["ours-256", "wan2.1-480", "wan2.2-832"]
    assert nearest(name, known) == f"{told}ours-256, wan2.1-480, wan2.2-832."
