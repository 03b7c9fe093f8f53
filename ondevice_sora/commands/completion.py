"""completion: print what makes a shell complete `ondevice-sora` and `simulate`: verbs, options, plans and devices.

It needs argcomplete, of the extra `completion`, which asks the command itself each time: what is offered
is what this version accepts.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from ondevice_sora.commands.common import EXIT_FITS, needing

if TYPE_CHECKING:
    from ondevice_sora.commands.parser import Parser

PROGRAMS = ["ondevice-sora", "simulate"]
ASKED = "_ARGCOMPLETE"
"""Of the environment: a shell asks what could follow."""
EXAMPLES = """
examples:
  ondevice-sora completion bash   into ~/.bashrc
  ondevice-sora completion zsh    into ~/.zshrc
  ondevice-sora completion fish   into ~/.config/fish/completions/ondevice-sora.fish
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell whose code is printed")


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    with needing("completion"):
        from argcomplete.shell_integration import shellcode
    print(shellcode(PROGRAMS, shell=options.shell))
    return EXIT_FITS


def is_asked() -> bool:
    """Whether a shell has called this program to be told what could follow."""
    return ASKED in os.environ


def answer(parser: Parser) -> None:
    """Tell the shell what could follow, and end the process."""
    import argcomplete

    _name_completers(parser)
    argcomplete.autocomplete(parser, always_complete_options="long")


def _name_completers(parser: Parser) -> None:
    from argcomplete.completers import FilesCompleter

    files = FilesCompleter()

    def plans(prefix: str, **asked: Any) -> list[str]:
        from ondevice_sora.plans.plan_file import ready_plans

        return [*ready_plans(), *files(prefix, **asked)]

    def devices(prefix: str, **asked: Any) -> list[str]:
        from ondevice_sora.profiles.devices import device_keys

        return [*device_keys(), *files(prefix, **asked)]

    completers = {"plan": plans, "named_plan": plans, "device": devices, "named_device": devices}
    for action in parser._actions:
        if action.dest in completers:
            action.completer = completers[action.dest]  # type: ignore[attr-defined]
    for below in parser.choices.values():
        _name_completers(below)
