"""Options have one name and one meaning in all verbs; conditions are the same wherever something is simulated."""

from __future__ import annotations

import argparse
import json
import os

import pytest
from worlds.toy_files import TOY_MODEL, TOY_PLAN

from ondevice_sora.commands import simulate
from ondevice_sora.commands.main import VERBS, main, verb_parser
from ondevice_sora.commands.options import CONDITIONS
from ondevice_sora.commands.parser import RENAMED, Parser

NO_RESULT = {"report", "plan schema", "completion"}
"""What these print or write is a page, or has a format of its own."""


def leaves() -> dict[str, Parser]:
    """'plan search' -> what it accepts."""
    found: dict[str, Parser] = {}
    for verb in VERBS:
        parser = verb_parser(verb)
        found |= {f"{verb} {name}": each for name, each in parser.choices.items()} or {verb: parser}
    return found


LEAVES = leaves()


def options_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {name: action for action in parser._actions for name in action.option_strings}


@pytest.mark.parametrize("verb", LEAVES)
def test_no_verb_has_an_option_by_another_name(verb: str) -> None:
    options = options_of(LEAVES[verb])
    of_one_verb = {"--model", "--csv"}  # where a model is no plan, and where a table is not all that is written
    assert set(options) & (set(RENAMED) - of_one_verb) == set()
    assert options.get("--output") is options.get("-o")


def test_a_model_is_named_only_where_no_plan_is_asked_for() -> None:
    assert {verb for verb, parser in LEAVES.items() if "--model" in options_of(parser)} == {"simulate", "weights check"}


@pytest.mark.parametrize("verb", sorted(set(LEAVES) - NO_RESULT))
def test_every_verb_that_prints_a_result_prints_it_as_json(verb: str) -> None:
    assert "--json" in options_of(LEAVES[verb])


@pytest.mark.parametrize("verb", ["simulate", "plan explain", "plan search", "plan sweep"])
def test_conditions_are_the_same_wherever_something_is_simulated(verb: str) -> None:
    reference = options_of(LEAVES["simulate"])
    for name in CONDITIONS:
        flag = f"--{name.replace('_', '-')}"
        own = options_of(LEAVES[verb])[flag]
        assert (own.help, own.metavar, own.type) == (
            reference[flag].help,
            reference[flag].metavar,
            reference[flag].type,
        )


@pytest.mark.parametrize("verb", LEAVES)
def test_one_option_means_the_same_in_every_verb(verb: str) -> None:
    """By their metavars."""
    kinds = {"--device": {"DEVICE", "YAML", "KEY"}, "--memory-limit": {"SIZE"}, "--budget": {"SIZE"}}
    kinds |= {"--plan": {"PLAN"}, "--weights": {"DIR"}, "--store": {"DIR"}, "--os": {"VERSION"}, "--seed": {"N"}}
    for name, action in options_of(LEAVES[verb]).items():
        assert name not in kinds or action.metavar in kinds[name], (verb, name, action.metavar)


@pytest.fixture
def answered(capsys):
    def answered(*arguments):
        assert main([*arguments, "--json"]) in (0, 3)
        return json.loads(capsys.readouterr().out)

    return answered


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Two plans of a toy model, in the folder that commands run in: what is asked of them takes no time."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.yaml").write_text(TOY_MODEL)
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(TOY_PLAN.replace("name: toy", f"name: {name}"))


@pytest.mark.parametrize("verb", [["simulate"], ["plan", "explain"], ["plan", "show"]])
def test_a_plan_is_named_with_or_without_the_option(answered, toys, verb: list[str]) -> None:
    assert answered(*verb, "a.yaml") == answered(*verb, "--plan", "a.yaml")


def test_plans_and_devices_may_be_repeated_or_separated_by_commas(answered, toys) -> None:
    two = answered("simulate", "--plan", "a.yaml", "--plan", "b.yaml")
    assert two == answered("simulate", "a.yaml", "b.yaml") == answered("simulate", "a.yaml,b.yaml")
    phones = answered("simulate", "a.yaml", "--device", "iphone15pro", "--device", "iphone16pro")
    assert phones == answered("simulate", "a.yaml", "--device", "iphone15pro,iphone16pro")
    assert phones == answered("simulate", "a.yaml", "--device", "iPhone16,2,iPhone17,1")
    assert {rung["key"] for rung in phones["rungs"]} == {"iphone15pro", "iphone16pro"}


def test_explain_and_search_take_the_conditions_of_simulate(answered, capsys) -> None:
    entitled = answered("plan", "explain", "app-192", "--entitlement")
    assert entitled["budget_bytes"] > answered("plan", "explain", "app-192")["budget_bytes"]
    with_limit = answered("plan", "search", "ours-192", "--memory-limit", "3.1 GB", "--seconds", "1")
    assert with_limit["budget_bytes"] <= 3_100_000_000
    assert main(["plan", "search", "ours-192", "--memory-limit", "2 GB", "--budget", "2.5 GB"]) == 2
    assert "above the limit of 2.00 GB" in capsys.readouterr().err


def test_a_sweep_is_under_the_conditions_asked_for(answered, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text("models: [app-192]\n")
    limits = [
        answered("plan", "sweep", "grid.yaml", "--force", "--processes", "1", *condition)["rows"][0]["limit_bytes"]
        for condition in ([], ["--entitlement"], ["--memory-limit", "3 GB"])
    ]
    assert limits[1] > limits[0] and limits[2] == 3_000_000_000


@pytest.mark.parametrize("program", [main, simulate.main])
def test_both_commands_say_their_version(program, capsys) -> None:
    from ondevice_sora import __version__

    try:
        assert program(["--version"]) == 0
    except SystemExit as stop:
        assert stop.code == 0
    assert capsys.readouterr().out.split()[1] == __version__


@pytest.mark.parametrize("verb", LEAVES)
def test_help_is_readable_at_80_columns(verb: str, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = LEAVES[verb].format_help().splitlines()
    assert max(len(line) for line in lines if not line.startswith(("  ondevice-sora ", "  simulate "))) <= 80


def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_done(tmp_path, monkeypatch, capsys) -> None:
    """It could stand in no page and no trace, which say what they were made of."""
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"pl\xe9.yaml")
    (tmp_path / name).write_text("extends: small\n")
    with pytest.raises(SystemExit) as stop:
        main(["simulate", name, "--report", "page.html"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        r"error: 'pl\udce9.yaml' is not UTF-8, and pages and traces could not name it. Rename the file."
        "\nSee `ondevice-sora simulate --help`.\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == [name]
