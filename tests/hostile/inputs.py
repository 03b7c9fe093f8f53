"""One hostile input: the files that a command finds, the command, and what must come of it."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Content = str | bytes | Callable[[Path], object]
"""Of a file; or what makes something of another kind at its path."""
Expected = Literal["refused", "fine", "either"]


@dataclass(frozen=True)
class Input:
    """A command, run in a folder `work` that has an `outside` beside it.

    made      materials (made.py) that are copied into the folder first, by name
    files     then written, by path in the folder
    arrange   then called with the folder, for what files cannot say
    expected  what is to come of it; `either` for what is altered at random: refused, or a result
    statuses  of a result
    writes    paths in the folder, as patterns, that may be written or removed; a refused command writes only `kept`
    shows     what a result's output contains
    shell     how a shell runs it, with COMMAND in it: redirections, limits; such commands get a process of their own
    """

    name: str
    command: str | Sequence[str]
    files: dict[str, Content] = field(default_factory=dict)
    made: tuple[str, ...] = ()
    arrange: Callable[[Path], object] | None = None
    expected: Expected = "refused"
    statuses: tuple[int, ...] = (0, 3)
    writes: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    shell: str = ""
    env: dict[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    is_quick: bool = True

    @property
    def arguments(self) -> list[str]:
        return self.command.split() if isinstance(self.command, str) else list(self.command)


ODD: list[Any] = [
    None, True, -1, 0, 1, 2**70, 10**400, 0.5, -0.5, 1e17, 1e300, "", "x", "..", "../outside", "/etc/passwd", "a\0b",
    "\x1b[31m", "a\n", "\u2028", "\u202e", "[/b]", "=1+1", "x" * 5000, [], {}, [1], [None], {"a": 1}, {"": {}},
]  # fmt: skip
"""What stands where something else belongs."""


def link(target: str) -> Content:
    return lambda path: path.symlink_to(target)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def dumped(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside, the first and the last of each list standing for all of it."""
    steps = (
        list(data) if isinstance(data, dict) else sorted({0, len(data) - 1}) if isinstance(data, list) and data else []
    )
    for step in steps:
        yield (*path, step)
        yield from places(data[step], (*path, step))


def replaced(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(data)
    inside = changed
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    return changed


def removed(data: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(data)
    inside = changed
    for step in path[:-1]:
        inside = inside[step]
    del inside[path[-1]]
    return changed


def altered(data: Any, count: int, seed: int) -> Iterator[tuple[str, Any]]:
    """`count` copies of the data with a value replaced by an odd one or taken away, each once, and a name for each."""
    ways = list(places(data))
    options = [(way, odd) for way in ways for odd in (*range(len(ODD)), None)]
    for way, odd in random.Random(seed).sample(options, min(count, len(options))):
        place = ".".join(map(str, way))
        if odd is None:
            yield f"{place} taken away", removed(data, way)
        else:
            yield f"{place} is {str(ODD[odd])[:20]!r} ({odd})", replaced(data, way, ODD[odd])


def broken(text: str, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` copies of a text with bytes replaced, and a name for each."""
    pieces = [b"\t", b"\x00", b"\xff", b": ", b"*a", b"&a ", b"{", b"]", b"'", b"\n", b"..", b"NaN", b"9" * 50, b"\x1b"]
    for number in range(count):
        chance = random.Random(seed * 1000 + number)
        content = bytearray(text.encode())
        for _ in range(chance.randint(1, 3)):
            start = chance.randrange(len(content))
            content[start : start + chance.randint(0, 8)] = chance.choice(pieces)
        yield f"bytes {seed}.{number}", bytes(content)


NOT_FILES: dict[str, Content] = {
    "a pipe": pipe,
    "a folder": folder,
    "a link to /dev/zero": link("/dev/zero"),
    "a link to /dev/full": link("/dev/full"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a dangling link": link("nowhere"),
}
"""What may stand where a file is expected."""
NOT_JSON: dict[str, Content] = {
    "empty": "",
    "a list": "[]",
    "null": "null",
    "a number": "3",
    "broken off": '{"a": [1, 2',
    "NaN": '{"a": NaN}',
    "1e400": '{"a": 1e400}',
    "a number of 5000 digits": '{"a": ' + "9" * 5000 + "}",
    "nested without end": "[" * 100_000,
    "nested deeply in a key": '{"a": ' + "[" * 500 + "]" * 500 + "}",
    "a key twice": '{"a": 1, "a": 2}',
    "half a character": '{"a": "\\ud800"}',
    "binary": b"\x7fELF\x02\x01\xff\xfe\x00\x80",
    "UTF-16": "{}".encode("utf-16"),
    "YAML": "a: 1\n",
}
"""Content of a file that is to be JSON."""
