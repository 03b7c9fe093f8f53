"""ondevice-sora: every verb under one command. `ondevice-sora VERB --help` has the details and examples."""

from __future__ import annotations

import shutil
import sys
import textwrap
from importlib import import_module
from typing import Any

from ondevice_sora import __version__
from ondevice_sora.base.errors import nearest
from ondevice_sora.base.interrupts import check
from ondevice_sora.commands.common import EXIT_FITS, EXIT_UNUSABLE, guarded
from ondevice_sora.commands.completion import answer, is_asked
from ondevice_sora.commands.parser import Parser

VERBS = {
    "simulate": "predict how a plan runs on a device",
    "plan": "search for the fastest plan, explain one; list and show plans; print their JSON Schema",
    "steps": "plan which network evaluations of a model are worth making; show the grids of a file",
    "profile": "list and show device profiles; fit one to published figures, or capture one here",
    "describe": "describe a diffusers or transformers model from its config: what its units cost, without weights",
    "model": "write a model and a plan to start from, from the sizes of its packages",
    "run": "play an export and make its video; or run a plan from a block store, and measure it",
    "weights": "fetch a published model's weights, and see whether a folder of them is whole",
    "generate": "make a video from a prompt, here, with the small model or Open-Sora",
    "evaluate": "measure what fewer evaluations, LPL and TDTM do to the small model's videos",
    "export": "make Core ML packages of a plan's blocks",
    "schedule": "write the schedule of an export for a device, as `simulate` plays it",
    "validate": "compare the simulator with published figures, and our networks with references and exports",
    "report": "one HTML page from one or more traces",
    "completion": "print what makes bash, zsh or fish complete these commands",
}

ABOUT = "Predict how a block-partitioned Core ML model runs on an iPhone: time, memory, and whether iOS ends it."
EXAMPLE = "example: ondevice-sora simulate app-256-all --device iphone15pro --report"


def main(arguments: list[str] | None = None) -> int:
    if arguments is None and is_asked():
        answer(whole_parser())
    return guarded(lambda: _run(sys.argv[1:] if arguments is None else arguments), is_program=arguments is None)


def _run(arguments: list[str]) -> int:
    """Raises UserError."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return EXIT_FITS
    if arguments[0] == "--version":
        print(f"ondevice-sora {__version__}")
        return EXIT_FITS
    verb = arguments[0]
    if verb not in VERBS:
        where = [f"`ondevice-sora {each} {verb}`" for each in VERBS if verb in verb_parser(each).choices]
        mend = f"Did you mean {' or '.join(where)}?" if where else nearest(verb, list(VERBS))
        print(f"error: unknown verb '{verb}'\n{mend}", file=sys.stderr)
        return EXIT_UNUSABLE
    options = verb_parser(verb).parse_args(arguments[1:])
    check()
    return int(_module(verb).run(options))


def _module(verb: str) -> Any:
    return import_module(f"ondevice_sora.commands.{verb}")


def whole_parser() -> Parser:
    """What `ondevice-sora` accepts, all verbs together."""
    parser = Parser(prog="ondevice-sora")
    parser.add_argument("--version", action="store_true")
    verbs = parser.add_subparsers(dest="verb")
    for verb, purpose in VERBS.items():
        _module(verb).add_arguments(verbs.add_parser(verb, help=purpose))
    return parser


def verb_parser(verb: str) -> Parser:
    """What `ondevice-sora VERB` accepts."""
    module = _module(verb)
    parser = Parser(prog=f"ondevice-sora {verb}", description=module.__doc__, epilog=module.EXAMPLES)
    module.add_arguments(parser)
    return parser


def usage() -> str:
    width = shutil.get_terminal_size().columns
    lines = [ABOUT, *(f"  {verb:11}{purpose}" for verb, purpose in VERBS.items()), EXAMPLE]
    folded = (textwrap.fill(line, width, subsequent_indent=" " * 13 * line.startswith(" ")) for line in lines)
    about, *verbs, example = folded
    return "\n".join(["usage: ondevice-sora VERB ...", "", about, "", *verbs, "", example])


if __name__ == "__main__":
    sys.exit(main())
