"""Prompts of the small model: a closed list of words, each a token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ondevice_sora.runtime.small.dataset import VOCABULARY
from ondevice_sora.runtime.small.sentences import SENTENCES
from ondevice_sora.runtime.tokenizers.document import WordsDocument
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer
from ondevice_sora.runtime.tokenizers.words import SPACES

PADDING, END = 0, 1
WORDS = tuple(sorted(VOCABULARY))
VOCABULARY_SIZE = 2 + len(WORDS)
MAX_TOKENS = 24
EXAMPLE = "a red circle moving left"

TOKENIZER = Tokenizer.of(
    WordsDocument(
        length=MAX_TOKENS,
        pad=PADDING,
        end=END,
        suffix="",
        lower_case=True,
        example=EXAMPLE,
        separators=f",.{SPACES}",
        words={word: index + 2 for index, word in enumerate(WORDS)},
        sentences=SENTENCES,
    )
)
"""Letter case, commas and full stops do not count."""


def tokenize(prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Token ids and mask of prompts, both int64 [prompts, 24]. Raises UserError as Tokenizer.encode."""
    rows = [TOKENIZER.encode(prompt) for prompt in prompts]
    return torch.cat([ids for ids, _ in rows]), torch.cat([mask for _, mask in rows])
