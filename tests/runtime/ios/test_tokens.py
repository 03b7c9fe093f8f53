"""The phone's tokenizer gives sentencepiece's ids."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from worlds import swift
from worlds.paths import ROOT

pytest.importorskip("sentencepiece")
pytest.importorskip("torch")

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.tokenizers.document import read_tokenizer
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer
from ondevice_sora.studies.numbers import RULES, UNIGRAM, WORDS

pytestmark = swift.needs_swift
NUMBERS = ROOT / "ondevice_sora" / "runtime" / "ios" / "numbers"
NUM_PROMPTS = 3000
ENDS_OF_LINES = {"\n", "\r"}


def random_prompts() -> list[str]:
    """Words, letters that the normalisation changes, and anything else that is a character, one line each."""
    draw = random.Random(15)
    words = ["a", "red", "circle", "drone", "flies", "over", "winding", "coastal", "road", "aesthetic", "score"]
    changed = [rule for rule in RULES if not set(rule) & ENDS_OF_LINES]

    def part() -> str:
        kind = draw.randrange(6)
        if kind == 0:
            return draw.choice(changed)
        if kind == 1:
            return chr(draw.choice([draw.randrange(0x20, 0x250), draw.randrange(0x2000, 0xD800)]))
        if kind == 2:
            return chr(draw.randrange(0xE000, 0x11_0000))
        return draw.choice([*words, " ", "  ", "\u2581", "\u3000", "e\u0301", "E", "\u0130"])

    return ["".join(part() for _ in range(draw.randrange(0, 16))) for _ in range(NUM_PROMPTS)]


def told(tokenizer: Tokenizer, prompt: str) -> str:
    try:
        ids, mask = tokenizer.encode(prompt)
    except UserError:
        return "refused"
    return " ".join(str(each) for each in ids[0, : int(mask.sum())].tolist())


@pytest.mark.parametrize("name", [WORDS, UNIGRAM])
def test_random_prompts_become_the_same_ids(name: str) -> None:
    path: Path = NUMBERS / name
    tokenizer = Tokenizer.of(read_tokenizer(path))
    prompts = random_prompts()
    command: list[str | Path] = [swift.sora(), "tokens", path]
    done = subprocess.run(command, input="\n".join(prompts).encode(), capture_output=True, check=True)
    found = ["refused" if line.startswith("refused") else line for line in done.stdout.decode().split("\n")[:-1]]
    expected = [told(tokenizer, prompt) for prompt in prompts]
    different = [prompt for prompt, one, other in zip(prompts, found, expected, strict=True) if one != other]
    assert different == []
    assert sum(each != "refused" for each in expected) > (1000 if name == UNIGRAM else 10)
