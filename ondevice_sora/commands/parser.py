"""The parser of every verb: argparse with our exit status and help, and pointers for what is misnamed or misplaced."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from ondevice_sora.base.text import in_one_line, printable
from ondevice_sora.commands.common import EXIT_UNUSABLE

RENAMED = {
    "--memory": ("--budget", "--memory-limit", "--memory-capture"),
    "--limit": ("--memory-limit",),
    "--model": ("--plan",),
    "--devices": ("--device",),
    "--out": ("--output",),
    "--ios": ("--os",),
    "--increased-memory": ("--entitlement",),
    "--html": ("--report",),
    "--csv": ("--output",),
}
"""What an option was once called, or is called elsewhere, and the names here."""
ELSEWHERE = {
    "--budget": "A plan's own budget is its `memory.budget`; --memory-limit is what iOS allows.",
    "-o": "What is written has options of its own: see the help.",
}
"""Options of other verbs, and what stands for them where they are not."""
LIKE = 0.75
"""Of difflib's measure, from which on an option is taken for another one misspelt: dashes make all of them alike."""
MAX_WIDTH = 100
MANY = 8
"""Options from which on the usage does not list them: they follow beneath, and it would be half a page."""


class Parser(argparse.ArgumentParser):
    """Options are written out, and given once; a stray word or an unknown option is told what it could be."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", _Help)
        settings.setdefault("allow_abbrev", False)
        super().__init__(**settings)
        self._negative_number_matcher = re.compile(r"-\.?[0-9]")  # '-2GB' is a value, and refused as one
        self.given: set[str] = set()
        self.register("action", None, _StoreOnce)
        self.register("action", "store", _StoreOnce)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """The options; `command` among them is the whole command line. Exits with status 2 for what is not usable."""
        given = sys.argv[1:] if args is None else list(args)
        for each in given:
            if any("\ud800" <= char <= "\udfff" for char in each):  # a byte that is not UTF-8, as Python has it
                self.error(
                    f"'{printable(each)}' is not UTF-8, and pages and traces could not name it. Rename the file."
                )
        options, left = self.parse_known_args(given, namespace)
        if left:
            self._chosen(options)._refuse(left)
        options.command = command_line(self.prog, given)
        return options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.given = set()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            close = get_close_matches(found[1], found[2].replace("'", "").split(", "), n=1)
            message += f". Did you mean '{close[0]}'?" if close else ""
        message = re.sub(r"^argument (\S+): expected one argument$", r"\1 is not followed by a value.", message)
        self.exit(EXIT_UNUSABLE, f"error: {message}\nSee `{self.prog} --help`.\n")

    @property
    def choices(self) -> dict[str, Parser]:
        """The actions of a verb that has some."""
        return next((dict(each.choices) for each in self._actions if isinstance(each, argparse._SubParsersAction)), {})

    @property
    def option_names(self) -> list[str]:
        return [name for name in self._option_string_actions if name.startswith("--")]

    def _chosen(self, options: argparse.Namespace) -> Parser:
        """The parser of the action that was named, which knows its options."""
        chosen = self.choices.get(getattr(options, "action", None) or "")
        return self if chosen is None else chosen._chosen(argparse.Namespace())

    def _places(self) -> str:
        """How plans and devices are named here, if they are."""
        plans = next((action.nargs for action in self._actions if action.dest == "named_plan"), None)
        if plans == "?":
            return " One plan is taken here."
        if plans == "*" and "--device" in self.option_names:
            return " Plans stand before the options; several devices are joined by commas: --device iphone15,iphone16."
        return " A plan is named with --plan." if "--plan" in self.option_names else ""

    def _refuse(self, left: list[str]) -> NoReturn:
        """Say what is the matter with the first word that is left over, and what it could have been."""
        name = next((each.partition("=")[0] for each in left if each.startswith("-")), None)
        if name is None or not left[0].startswith("-"):
            words = " ".join(each for each in left if not each.startswith("-"))
            if any(action.dest == "prompt" for action in self._actions):
                self.error(f'there is no place for "{words}". Put the prompt in quotes: "a red circle".')
            self.error(f"there is no place for '{words}'.{self._places()}")
        if name in ELSEWHERE:
            self.error(f"there is no option {name} here. {ELSEWHERE[name]}")
        here = [each for each in RENAMED.get(name, ()) if each in self.option_names]
        close = here or get_close_matches(name, self.option_names, n=1, cutoff=LIKE)
        self.error(f"there is no option {name} here." + (f" Did you mean {' or '.join(close)}?" if close else ""))


def command_line(program: str, arguments: Sequence[str]) -> str:
    """As it can be pasted into a shell; in one line whatever the arguments hold."""
    return in_one_line(shlex.join([*program.split(), *arguments]))


class _StoreOnce(argparse.Action):
    """Stores a value, and refuses an option that is given twice: the first value would be lost without a word."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        assert isinstance(parser, Parser)
        if option_string is not None and self.dest in parser.given:
            parser.error(f"{option_string} is given twice. Give it once.")
        parser.given.add(self.dest)
        setattr(namespace, self.dest, values)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Sentences fold at the width of the terminal; lines that are set in, such as examples, stay as they are."""

    def __init__(self, prog: str, **settings: Any) -> None:
        width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
        super().__init__(prog, **{"width": width, "max_help_position": 26, **settings})

    def add_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None = None) -> None:
        options = [action for action in actions if action.option_strings]
        if len(options) > MANY:
            words = [action for action in actions if not action.option_strings]
            actions, groups = [argparse.Action([], "options", metavar="[options]"), *words], ()
        super().add_usage(usage, actions, groups, prefix)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = []
        for block in text.strip("\n").split("\n\n"):
            is_set_in = any(line.startswith(" ") for line in block.splitlines())
            blocks.append(block if is_set_in else textwrap.fill(block, width))
        return "\n\n".join(blocks)
