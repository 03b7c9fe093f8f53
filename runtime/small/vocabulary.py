"""Prompts of the small model: a closed list of words, each a token."""

import difflib
from collections.abc import Sequence

import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.complaints import shorten
from ondevice_sora.runtime.small.dataset import VOCABULARY

PADDING, END = 0, 1
WORDS = tuple(sorted(VOCABULARY))
VOCABULARY_SIZE = 2 + len(WORDS)
MAX_TOKENS = 24
EXAMPLE = "a red circle moving left"

_TOKEN_OF = {word: index + 2 for index, word in enumerate(WORDS)}


def tokenize(prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Token ids and mask of prompts, both int64 [prompts, 24]; each prompt ends with the end token, then padding.

    Letter case and commas do not count. Raises UserError for an empty prompt, one too long, or a word outside the list.
    """
    ids = torch.full((len(prompts), MAX_TOKENS), PADDING, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        tokens = [*_tokens_of(prompt), END]
        ids[row, : len(tokens)] = torch.tensor(tokens)
    return ids, (ids != PADDING).to(torch.int64)


def _tokens_of(prompt: str) -> list[int]:
    words = prompt.lower().replace(",", " ").replace(".", " ").split()
    if not words:
        raise UserError("the prompt is empty", mend=f"Write one, such as: {EXAMPLE}")
    if len(words) > MAX_TOKENS - 1:
        raise UserError(
            f"the prompt has {len(words)} words, the small model reads {MAX_TOKENS - 1}", mend="Write a shorter one."
        )
    unknown = [word for word in words if word not in _TOKEN_OF]
    if unknown:
        near = difflib.get_close_matches(unknown[0], WORDS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UserError(
            f"the small model does not know {', '.join(map(shorten, dict.fromkeys(unknown)))}",
            mend=f"{hint}It knows: {', '.join(WORDS)}.",
        )
    return [_TOKEN_OF[word] for word in words]
