"""Token ids and mask of a prompt, by whatever a tokenizer document says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.tokenizers.document import TokenizerDocument, WordsDocument
from ondevice_sora.runtime.tokenizers.sentences import check_sentence
from ondevice_sora.runtime.tokenizers.unigram import piece_ids
from ondevice_sora.runtime.tokenizers.words import word_ids


@dataclass(frozen=True)
class Tokenizer:
    """A document, and how text becomes ids by it, without case, suffix, end or padding."""

    document: TokenizerDocument
    ids_of: Callable[[str], list[int]]

    @classmethod
    def of(cls, document: TokenizerDocument) -> Tokenizer:
        """Raises UserError if the document's kind needs a library that is not installed."""
        return cls(document, word_ids(document) if isinstance(document, WordsDocument) else piece_ids(document))

    @property
    def kind(self) -> Literal["words", "unigram"]:
        return "words" if isinstance(self.document, WordsDocument) else "unigram"

    @property
    def length(self) -> int:
        return self.document.length

    def encode(self, prompt: str) -> tuple[Tensor, Tensor]:
        """Token ids and mask, both int64 [1, length]: the prompt and its suffix, the end, then padding.

        Raises UserError for an empty prompt, one that is too long, or one that has what the tokenizer cannot read.
        """
        tokens, length = self.tokens(prompt), self.length
        if len(tokens) > length:
            suffix = f"its suffix {self.document.suffix!r} and " if self.document.suffix else ""
            what = f"the prompt has {len(tokens)} tokens, {suffix}its end counted; the model reads {length}"
            raise UserError(what, mend="Write a shorter one.")
        ids = torch.full((1, length), self.document.pad, dtype=torch.int64)
        ids[0, : len(tokens)] = torch.tensor(tokens)
        return ids, (torch.arange(length) < len(tokens)).to(torch.int64)[None]

    def tokens(self, prompt: str) -> list[int]:
        """The ids of a prompt, its suffix and the end, however many. Raises UserError as encode, but for the length."""
        return [*self.ids_of(self._text(prompt) + self.document.suffix), self.document.end]

    def check_sentence(self, prompt: str) -> None:
        """Raises UserError as tokens, and for a sentence that the model was not taught, where the document says."""
        ids, document = self.ids_of(self._text(prompt)), self.document
        if isinstance(document, WordsDocument) and document.sentences is not None:
            words = {number: word for word, number in document.words.items()}
            check_sentence(document.sentences, [words[number] for number in ids])

    def _text(self, prompt: str) -> str:
        """What ids are made of. Raises UserError if none are."""
        text = lower_cased(prompt) if self.document.lower_case else prompt
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError("the prompt is not text: half a character, \\ud800 to \\udfff alone", mend="Write UTF-8.")
        if not self.ids_of(text):
            raise UserError("the prompt is empty", mend=f"Write one, such as: {self.document.example}")
        return text


def lower_cased(text: str) -> str:
    """Each character by its own lower-case mapping of Unicode, whatever stands beside it.

    Python's lower() of a whole text makes a sigma at the end of a word another letter; other languages do not.
    """
    return "".join(map(str.lower, text))
