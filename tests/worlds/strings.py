"""Texts that nobody would write, the same ones every time: for tokenizers."""

# ruff: noqa: RUF001  # characters that look like others are what it is for
from __future__ import annotations

import random
import sys

ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz     ",
    'The quick brown fox, 17 % of 3.5 km: "no" -- it\'s (here)! ?;/\\<>&#',
    "éèêëàâäçñöüßœæøåăâîșțŞŢ",
    "ＦＵＬＬ　ｗｉｄｔｈ１２３",
    "ﬁﬂ½¼²³™℃ℌⅧ①ｶﾞ…¨´¸ˆ˜",
    "\u0300\u0301\u0308\u0327e\u0301a\u030a\u1100\u1161\u11a8",
    "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202e\u2028\u2029\u00a0\u3000\u2003",
    "\t\n\r\x00\x01\x08\x0b\x0c\x1b\x1f\x7f\x85\x9f",
    "日本語のテキストと中文字符한국어",
    "ΑΒΓΣσςΔабвгдЖЯאבגדهوز١٢٣हिन्दी",
    "😀👩‍👩‍👧🇩🇪👍🏽☀️",
    "▁▁ _</s><pad><extra_id_0>",
    "İIıiǅǆẞß",
)


def odd_strings(count: int, seed: int) -> list[str]:
    """Up to sixty characters out of one to three alphabets each; one in twenty is of any characters there are."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        length = draw.randint(0, 60)
        if draw.random() < 0.05:
            made.append("".join(_any(draw) for _ in range(length)))
        else:
            letters = "".join(draw.sample(ALPHABETS, draw.randint(1, 3)))
            made.append("".join(draw.choice(letters) for _ in range(length)))
    return made


def _any(draw: random.Random) -> str:
    while True:
        number = draw.randint(0, sys.maxunicode)
        if not 0xD800 <= number <= 0xDFFF:
            return chr(number)
