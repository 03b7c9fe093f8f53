"""Documents that somebody has altered: values of other kinds and sizes, and text that JSON readers read differently."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

Place = tuple[Any, Any]
"""An object or a list, and the key or index in it."""

NUMBERS = [
    0, -1, 1, 2, 7, 255, 10**6, 10**9, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 10**15, 10**16, 2**62, 2**63 - 1, 2**63,
    2**64, 10**30, -(2**63), 0.0, -0.0, 0.5, 1.0, 3.0, 1e-7, 1e-320, 1e3, 1e15, 1e16, 1e300, 0.1 + 0.2,
]  # fmt: skip
TEXTS = [
    "", " ", "a", "plain", "gpu", "none", "é", "e\u0301", "a\u0000b", "a\nb", "a\u2028b", "a\u202eb", "a\ufeffb",
    "\uffff", "\U0001f600", "a\u0085b", "x" * 80, "x" * 81, "x" * 120, "x" * 121, "é" * 120, "x" * 2000, "x" * 2001,
    "..", "../a.mlpackage", "a/b.mlpackage", "a.mlpackage", "A B.mlpackage", ".a.mlpackage", "_a.mlpackage",
    "a.MLPACKAGE", "é.mlpackage", "a.mlpackage\n", "0" * 64, "A" * 64, "0" * 63, "whole", "max", "1", "true",
]  # fmt: skip
OTHERS: list[Any] = [None, True, False, [], {}, [0], {"a": 1}]


def some_place(data: Any, draw: random.Random) -> Place:
    """A value somewhere inside. Those of long lists are not likelier than others."""
    while True:
        key = draw.choice(list(data) if isinstance(data, dict) else range(len(data)))
        if not isinstance(data[key], dict | list) or not data[key] or draw.random() < 0.1:
            return data, key
        data = data[key]


def altered(data: Any, draw: random.Random) -> Any:
    """A copy of which one to three values are others, missing, or one too many."""
    made = copy.deepcopy(data)
    for _ in range(draw.choice([1, 1, 1, 2])):
        inside, key = some_place(made, draw)
        kind = draw.randrange(10)
        if kind < 8:
            like: list[Any] = NUMBERS if isinstance(inside[key], int | float) else TEXTS
            inside[key] = draw.choice(draw.choice([like, like, like, like, like, like, NUMBERS, TEXTS, OTHERS]))
        elif kind == 8:
            del inside[key]
        elif isinstance(inside, dict):
            inside[draw.choice(["extra", "", "Format", "pl\u00e1n"])] = draw.choice([1, "a", None])
        else:
            inside.insert(key, copy.deepcopy(inside[key]))
    return made


def _between(text: str, draw: random.Random, marks: str, inserted: str) -> str:
    at = draw.choice([index for index, letter in enumerate(text) if letter in marks])
    return text[:at] + inserted + text[at:]


def _renamed(text: str, _: random.Random) -> str:
    return text.replace('"plan"', '"pl\\u0061n"', 1)


REWRITTEN: list[Callable[[str, random.Random], str]] = [
    lambda text, _: "\ufeff" + text,
    lambda text, _: text + "\n\n \t\r\n",
    lambda text, _: text + "x",
    lambda text, _: text + "\x00",
    lambda text, _: text[:-1],
    lambda text, draw: _between(
        text, draw, ",:", draw.choice(["\r\n", "\t", "\x0b", "\x0c", "\u00a0", "\u2028", "/**/"])
    ),
    lambda text, draw: _between(text, draw, "]}", ","),
    lambda text, _: text.replace('"plan":', '"plan": "a", "plan":', 1),
    lambda text, _: text.replace('"plan":', '"pl\\u0061n": "a", "plan":', 1),
    _renamed,
    lambda text, draw: text.replace(" 0,", draw.choice([" 00,", " -0,", " 0.0,", " 0e0,", " +0,", " .0,", " 0.,"]), 1),
    lambda text, draw: text.replace(
        " 0,", draw.choice([" NaN,", " Infinity,", " -Infinity,", " 1e400,", " 1e-400,"]), 1
    ),
    lambda text, draw: text.replace(" 0,", draw.choice([" " + "9" * 41 + ",", " 0." + "3" * 60 + ",", " 1E5,"]), 1),
    lambda text, draw: text.replace('"plain"', draw.choice(['"pl\\u0061in"', '"\\ud800"', '"\\ud83d\\ude00"']), 1),
    lambda text, draw: text.replace('"plain"', draw.choice(['"plain\\/"', '"pl\tain"', '"\\x41"', "'plain'"]), 1),
    lambda text, _: text.replace("true", "True", 1),
    lambda text, _: "[" * 60 + text + "]" * 60,
]


def rewritten(data: Any, draw: random.Random) -> str:
    """The document as text that is altered in one place, where JSON readers differ."""
    return draw.choice(REWRITTEN)(json.dumps(data, ensure_ascii=draw.random() < 0.5), draw)


def spoilt(data: Any, draw: random.Random) -> bytes:
    if draw.random() < 0.3:
        return rewritten(data, draw).encode("utf-8", "surrogatepass")
    return json.dumps(altered(data, draw), ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
