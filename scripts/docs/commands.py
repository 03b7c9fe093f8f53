"""The command reference, made from the parsers that the commands use: every verb, its options, its examples."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import partial
from importlib import import_module

from ondevice_sora.commands.main import VERBS
from ondevice_sora.commands.parser import Parser

WIDTH = 100


def command_reference() -> str:
    """The reference in Markdown: a section for each verb, and one below it for each of its actions."""
    return "\n".join(line for verb, purpose in VERBS.items() for line in _section(_parser(verb), purpose, "##"))


def _parser(verb: str) -> argparse.ArgumentParser:
    module = import_module(f"ondevice_sora.commands.{verb}")
    program = "simulate" if verb == "simulate" else f"ondevice-sora {verb}"
    parser = Parser(prog=program, description=module.__doc__, epilog=module.EXAMPLES)
    module.add_arguments(parser)
    return parser


def _section(parser: argparse.ArgumentParser, purpose: str, level: str) -> Iterator[str]:
    yield from (f"{level} {parser.prog}", "")
    described = (parser.description or "").partition(": ")
    yield from (sentence(described[2] or described[0] or purpose), "")
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    choices = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    if not choices:
        yield from ("```text", usage(parser), "```", "")
    plain = [action for action in actions if action not in choices and action.help != argparse.SUPPRESS]
    if plain:
        yield from ("| | |", "|---|---|")
        yield from (f"| `{_name(action)}` | {cell(_help(action, parser))} |" for action in plain)
        yield ""
    if parser.epilog:
        yield from ("```text", parser.epilog.strip("\n"), "```", "")
    for choice in choices:
        helps = {each.dest: each.help or "" for each in choice._choices_actions}
        for name, below in choice.choices.items():
            yield from _section(below, helps.get(name, ""), level + "#")


def usage(parser: argparse.ArgumentParser) -> str:
    """How the command is written, on as many lines as it takes."""
    parser.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=WIDTH)
    text = parser.format_usage().replace("usage: ", "", 1).replace(" [-h]", "", 1).strip()
    return re.sub(r"^ {7}", "", text, flags=re.MULTILINE)


def _name(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None and action.metavar is None:
        value = "|".join(str(choice) for choice in action.choices)
    if not action.option_strings:
        return value if action.metavar else action.dest
    names = ", ".join(action.option_strings)
    if action.nargs == 0:
        return names
    shape = {"?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} ..."}.get(str(action.nargs), value)
    return f"{names} {shape}"


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    text = action.help or ""
    return sentence(text % {**vars(action), "prog": parser.prog} if "%(" in text else text.replace("%%", "%"))


def sentence(text: str) -> str:
    """With a capital and a full stop, but for what begins with the name of something."""
    text = " ".join(text.split())
    if not text:
        return ""
    first = text[0].upper() if re.match(r"[a-z]+[ ,;]", text) else text[0]
    return first + text[1:] + ("" if text[-1] in ".!?`" else ".")


def cell(text: str) -> str:
    """For a table in Markdown: nothing in it ends the cell, or is taken for markup."""
    return re.sub(r"([|<*\[\]])", r"\\\1", text)
