"""T5's vocabulary as it is published: `spiece.model` of sentencepiece, or `tokenizer.json` of the tokenizers library.

Either gives the same document. Marks at the end of the list (`<extra_id_0>`), which the second has and the first has
not, are left out: they are no text, and a prompt that spells one means its letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ondevice_sora.base.files.complaints import shorten
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.opening import read_bytes
from ondevice_sora.profiles.models.catalogue import PromptForm
from ondevice_sora.runtime.tokenizers.document import (
    FORMAT,
    MAX_PIECES,
    MAX_TOKENIZER_BYTES,
    Piece,
    TokenizerDocument,
    UnigramDocument,
    check_tokenizer,
    converted,
)
from ondevice_sora.runtime.tokenizers.messages import CONTROL, NORMAL, UNIGRAM, UNKNOWN, model_of

PAD, END = "<pad>", "</s>"
EXAMPLE = "a red circle moving left"
DOWNLOAD_AGAIN = "Download it again, with all files of T5 v1.1."
SPACE_RULES = ("Strip", "Replace")
"""Of the tokenizers library: what sentencepiece does to runs of spaces and to spaces at the ends, told as steps."""


def read_published(path: Path, length: int, form: PromptForm) -> TokenizerDocument:
    """The document of a vocabulary file, or the file itself if it is one. Raises UserError for anything but T5's kind.

    A `tokenizer.json` may be of the tokenizers library, or a tokenizer document; the latter is taken as it is.
    """
    if path.suffix == ".model":
        return _of_model(path, length, form)
    document = read_json(path, max_bytes=MAX_TOKENIZER_BYTES, mend=DOWNLOAD_AGAIN)
    if document.data.get("format") == FORMAT:
        return converted(document)
    return _of_json(document, length, form)


def _of_model(path: Path, length: int, form: PromptForm) -> UnigramDocument:
    """Out of sentencepiece's own file."""
    document = Document({}, {}, path, DOWNLOAD_AGAIN)
    model = model_of(read_bytes(path, MAX_TOKENIZER_BYTES))
    if model is None or model.trainer_spec.model_type != UNIGRAM or not model.pieces:
        raise document.error("$", "not a unigram model of sentencepiece's")
    normalizer, trainer = model.normalizer_spec, model.trainer_spec
    flags = ("add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces")
    if not all(getattr(normalizer, flag) for flag in flags) or trainer.treat_whitespace_as_suffix:
        raise document.error("$", "spaces are not treated as T5 does")
    for piece in model.pieces:
        if piece.type not in (NORMAL, UNKNOWN, CONTROL):
            raise document.error("$", f"the piece {shorten(piece.piece)} is of a kind that T5 has not")
    marks = {number for number, piece in enumerate(model.pieces) if piece.type == CONTROL}
    pieces = [Piece(piece.piece, piece.score) for piece in model.pieces]
    unknown = [number for number, piece in enumerate(model.pieces) if piece.type == UNKNOWN]
    return _made(document, pieces, marks, unknown, normalizer.precompiled_charsmap, length, form)


class _Normalizer(msgspec.Struct):
    type: str
    precompiled_charsmap: bytes = b""
    normalizers: tuple[_Normalizer, ...] = ()

    @property
    def steps(self) -> list[_Normalizer]:
        inner = [step for normalizer in self.normalizers for step in normalizer.steps]
        return inner if self.type == "Sequence" else [self]


class _Vocabulary(msgspec.Struct):
    vocab: tuple[Piece, ...]
    unk_id: int


class _Added(msgspec.Struct):
    id: int


class _TokenizersFile(msgspec.Struct):
    """What is read of the tokenizers library's file."""

    normalizer: _Normalizer
    model: _Vocabulary
    added_tokens: tuple[_Added, ...] = ()


def _of_json(document: Document, length: int, form: PromptForm) -> UnigramDocument:
    model = document.data.get("model")
    if isinstance(model, dict) and model.get("type", "Unigram") != "Unigram":
        raise document.error("$.model.type", f"{shorten(model['type'])} is not 'Unigram', which T5's is")
    found = document.convert(_TokenizersFile)
    steps = found.normalizer.steps
    strange = [step.type for step in steps if step.type not in ("Precompiled", *SPACE_RULES)]
    maps = [step.precompiled_charsmap for step in steps if step.type == "Precompiled"]
    if strange or len(maps) != 1:
        raise document.error("$.normalizer", "not the normalisation of T5: 'Precompiled', and rules for spaces")
    marks = {added.id for added in found.added_tokens} - {found.model.unk_id}
    return _made(document, found.model.vocab, marks, [found.model.unk_id], maps[0], length, form)


def _made(
    document: Document,
    pieces: Sequence[Piece],
    marks: set[int],
    unknown: list[int],
    charsmap: bytes,
    length: int,
    form: PromptForm,
) -> UnigramDocument:
    """Without the marks at the end of the list. Raises UserError where `document` stands."""
    texts = [piece.text for piece in pieces]
    last = next((number for number in reversed(range(len(texts))) if number not in marks), -1)
    if len(texts) > MAX_PIECES or last < 2 or len(unknown) != 1 or not {PAD, END} <= set(texts[: last + 1]):
        what = f"not the vocabulary of T5: pieces, {PAD}, {END}, and one that stands for what is unknown"
        raise document.error("$", what)
    made: dict[str, Any] = {
        "kind": "unigram",
        "length": length,
        "pad": texts.index(PAD),
        "end": texts.index(END),
        "unknown": unknown[0],
        "suffix": form.suffix,
        "lower_case": form.lower_case,
        "example": EXAMPLE,
        "controls": sorted(number for number in marks if number <= last),
        "charsmap": charsmap,
        "pieces": [[piece.text, float(np.float32(piece.score))] for piece in pieces[: last + 1]],
    }
    found = Document(made, {}, document.path, document.mend).convert(UnigramDocument)
    check_tokenizer(found, document)
    return found
