"""Keep what Markdown files show of commands as the commands print it.

A file says by comments, which readers do not see, where something comes from. What stands between a mark and its end is
written by `scripts/refresh-docs`, never by hand:

    <!-- shown: simulate --plan ours-256 -->        the command and all that it prints, as blocks of code
    <!-- /shown -->

    <!-- printed: python -m scripts.docs.tables Plan -->     what the command prints, as it is: a table in Markdown
    <!-- /printed -->

    It takes <!-- figure: total_s of simulate --plan ours-256 --json -->10 min 08 s<!-- / -->.
    It saves <!-- figure: /saves (\\S+ s)/ of ondevice-sora plan explain plan.yaml -->1.2 s<!-- / -->.

A figure is a value of the JSON document that the command prints, by its path (`components.denoiser.total_s`,
`results[1].peak_bytes`), written as its unit wants it: `_s`, `_bytes` and `_share` at the end of its name say which. Or
it is what a regular expression between slashes finds in what the command prints, its group if it has one.

`slowly` before the colon (`<!-- shown slowly: ... -->`) marks what takes more than a second or two: it is made anew and
compared only when asked for (`--slow`). `varying` marks what is slow and comes out a little different each time, such
as a search of 20 seconds: it is made anew when asked for, and never compared.

A page's commands run from top to bottom in one folder, which is empty at first. A file that they read stands in the
page too, as a block of code with the file's name as its title: ```yaml title="fit.yaml"```. Commands of a page with
`<!-- in: checkout -->` run in the checkout instead.
"""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ondevice_sora.base.units import format_bytes, format_percent, format_probability, format_seconds
from ondevice_sora.commands.main import main as run_verb

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 108
"""Columns of what is shown: as wide as a page of the site."""

MARK = re.compile(
    r"(?P<start><!-- (?P<kind>shown|printed)(?P<slow> slowly| varying)?: (?P<command>.*?) -->)"
    r"(?P<body>.*?)<!-- /(?P=kind) -->"
    r"|(?P<opening><!-- figure(?P<slow_figure> slowly)?: (?P<what>/.*?/|[\w.\[\]]+) of (?P<of>.*?) -->)"
    r"(?P<value>[^<]*)<!-- / -->"
    r"|^```\w+ title=\"(?P<name>[\w.-]+)\"\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
UNITS = {
    "_bytes": format_bytes, "kill_share": format_probability, "_share": format_percent, "_s": format_seconds,
}  # fmt: skip
"""How a value is written, by the end of its name; the first that fits."""
LEFT_OPEN = re.compile(r"<!-- (?:shown|printed|figure)(?: slowly| varying)?:")
PROGRESS = re.compile(r"^.*[;,] \d[^;,\n]* passed\b.*\n", re.MULTILINE)
"""What a busy machine tells while it works: no page shows it."""
IN_CHECKOUT = "<!-- in: checkout -->"


class StaleError(Exception):
    """What a page cannot show: a command that fails, or a value that it does not print."""


@dataclass
class Commands:
    """Runs commands in one folder, each once: what it printed is known from then on."""

    folder: Path
    printed: dict[str, str] = field(default_factory=dict)

    def run(self, command: str) -> str:
        """All that the command prints, errors included. Raises StaleError if it ends as no command of a page should."""
        if command not in self.printed:
            self.printed[command] = self._run(shlex.split(command))
        return self.printed[command]

    def _run(self, words: list[str]) -> str:
        program, *arguments = words
        if program == "python":
            return self._run_module(arguments)
        if program not in ("simulate", "ondevice-sora"):
            raise StaleError(f"{program}: pages show simulate, ondevice-sora and python alone")
        with self._as_shown(), io.StringIO() as output, redirect_stdout(output), redirect_stderr(output):
            status = run_verb([program, *arguments] if program == "simulate" else arguments)
            text = PROGRESS.sub("", output.getvalue())
        if status not in (0, 1, 3):  # 1: done, and something that was checked is not as it should be
            raise StaleError(f"{shlex.join(words)}: exit status {status}\n{text}")
        return text

    def _run_module(self, arguments: list[str]) -> str:
        """Of `python -m MODULE ...`, run here: what it imports is there already. A module may be a file of the page."""
        if arguments[:1] != ["-m"]:
            raise StaleError(f"python {shlex.join(arguments)}: write python -m MODULE")
        before, path = sys.argv, sys.path
        sys.argv, sys.path = arguments[1:], [str(self.folder), *path]
        try:
            with self._as_shown(), io.StringIO() as output, redirect_stdout(output), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # that the module is imported already
                runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
                return output.getvalue()
        except (Exception, SystemExit) as error:
            raise StaleError(f"python {shlex.join(arguments)}: {error!r}") from error
        finally:
            sys.argv, sys.path = before, path

    @contextmanager
    def _as_shown(self) -> Iterator[None]:
        """In the page's folder, on a terminal of a page's width without colours."""
        before, folder = dict(os.environ), Path.cwd()
        os.environ.update(COLUMNS=str(WIDTH), NO_COLOR="1")
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)


def refreshed(path: Path, with_slow: bool, is_check: bool) -> str:
    """The file's text as it should be. Raises StaleError where a command of it fails or a mark has no end.

    `is_check`: what varies stays as it is; its commands run all the same if slow ones do.
    """
    text = path.read_text(encoding="utf-8")
    opened = len(LEFT_OPEN.findall(text))
    closed = sum(match["name"] is None for match in MARK.finditer(text))
    if opened != closed:
        raise StaleError(f"{opened} marks begin and {closed} end")
    if not closed:
        return text
    with TemporaryDirectory() as scratch:
        commands = Commands(ROOT if IN_CHECKOUT in text else Path(scratch))
        return MARK.sub(lambda match: _written(match, commands, with_slow, is_check), text)


def _written(match: re.Match[str], commands: Commands, with_slow: bool, is_check: bool) -> str:
    if match["name"] is not None:
        (commands.folder / match["name"]).write_text(match["text"], encoding="utf-8")
        return match[0]
    if (match["slow"] or match["slow_figure"]) and not with_slow:
        return match[0]
    if match["what"] is not None:
        return f"{match['opening']}{figure(match['what'], commands.run(match['of']))}<!-- / -->"
    output = tidy(commands.run(match["command"]))
    if match["slow"] == " varying" and is_check:
        return match[0]
    if match["kind"] == "shown":
        output = f"```sh\n{match['command']}\n```\n\n```text\n{output}```\n"
    return f"{match['start']}\n{output}<!-- /{match['kind']} -->"


def tidy(output: str) -> str:
    """Without blanks at the ends of lines, without empty lines at the end, and with the home folder unnamed."""
    lines = [line.rstrip() for line in output.replace(str(ROOT), ".").splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def figure(what: str, output: str) -> str:
    """One value of what a command printed, as text. Raises StaleError if it is not there."""
    if what.startswith("/"):
        found = re.search(what[1:-1], output)
        if found is None:
            raise StaleError(f"{what} finds nothing in:\n{output}")
        return found[found.re.groups and 1]
    value: Any = json.loads(output)
    for name in re.findall(r"[^.\[\]]+", what):
        try:
            value = value[int(name) if isinstance(value, list) else name]
        except (KeyError, IndexError, TypeError, ValueError):
            raise StaleError(f"{what}: the document has no '{name}'") from None
    last = re.findall(r"[A-Za-z]\w*", what)[-1]
    for ending, write in UNITS.items():
        if last.endswith(ending) and value is not None:
            return write(value)
    return f"{value:,}" if isinstance(value, int | float) else str(value)
