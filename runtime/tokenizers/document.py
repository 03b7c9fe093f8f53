"""The tokenizer document, `tokenizer.json`: all that a runtime on any platform needs to make token ids of a prompt.

Two kinds: `words`, a closed list, and `unigram`, the pieces of a sentencepiece model such as T5's. docs/coreml.md says
step by step what is done with them; nothing else decides which ids a prompt becomes.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import chain
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.complaints import shorten
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.text import END, Line
from ondevice_sora.runtime.tokenizers.charsmap import MAX_CHARSMAP_BYTES, check_charsmap

FORMAT = "ondevice-sora-tokenizer-1"
MAX_TOKENIZER_BYTES = 50_000_000
MAX_PIECES = 1_000_000

Id = Annotated[int, msgspec.Meta(ge=0, lt=MAX_PIECES)]
Length = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Letters = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Word = Annotated[str, msgspec.Meta(pattern=r"^\S+" + END, max_length=200, description="a word without spaces")]


class Phrase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words that follow one another. One that is a key of Sentences.choices stands for any of its choices."""

    words: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1, max_length=100)]
    optional: bool


Form = Annotated[tuple[Phrase, ...], msgspec.Meta(min_length=1, max_length=100)]


class Refused(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another form, whose videos are known to be bad, and what to say of it."""

    form: Form
    why: Line


class Sentences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sentences that a model was taught: phrases in order (runtime/tokenizers/sentences.py)."""

    form: Form
    choices: Annotated[
        dict[Word, Annotated[tuple[Word, ...], msgspec.Meta(min_length=1)]], msgspec.Meta(max_length=100)
    ]
    refused: Annotated[tuple[Refused, ...], msgspec.Meta(max_length=100)]


class WordsDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="words"):
    """A closed list of words, each an id; `separators` are the characters that part them. Other words are refused.

    So are other sentences than `sentences`, where there are any.
    """

    length: Length
    pad: Id
    end: Id
    suffix: Line
    lower_case: bool
    example: Line
    separators: Letters
    words: Annotated[dict[Word, Id], msgspec.Meta(min_length=1, max_length=MAX_PIECES)]
    sentences: Sentences | None = None
    format: str = FORMAT


class Piece(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A piece of text, spaces written as U+2581, and its score: a natural logarithm, exactly a float32."""

    text: Letters
    score: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]


class UnigramDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="unigram"):
    """Pieces in the order of their ids. Of those in `controls`, and of `unknown`, no text is made.

    `charsmap` is sentencepiece's precompiled normalisation (runtime/tokenizers/charsmap.py), empty for none.
    """

    length: Length
    pad: Id
    end: Id
    unknown: Id
    suffix: Line
    lower_case: bool
    example: Line
    controls: Annotated[tuple[Id, ...], msgspec.Meta(max_length=10_000)]
    charsmap: Annotated[bytes, msgspec.Meta(max_length=MAX_CHARSMAP_BYTES)]
    pieces: Annotated[tuple[Piece, ...], msgspec.Meta(min_length=3, max_length=MAX_PIECES)]
    format: str = FORMAT


TokenizerDocument = WordsDocument | UnigramDocument
KINDS: dict[str, type[TokenizerDocument]] = {"words": WordsDocument, "unigram": UnigramDocument}


def num_ids(document: TokenizerDocument) -> int:
    """One more than the largest id: what a text encoder's vocabulary must have."""
    if isinstance(document, UnigramDocument):
        return len(document.pieces)
    return 1 + max(document.pad, document.end, *document.words.values())


def check_vocabulary(document: TokenizerDocument, vocabulary: int, where: str | None, mend: str | None = None) -> None:
    """Raises UserError if the tokenizer has ids beyond a text encoder's vocabulary: it is another model's."""
    if num_ids(document) > vocabulary:
        what = f"the tokenizer has ids up to {num_ids(document) - 1}, the text encoder {vocabulary} tokens"
        raise UserError(what, where, mend)


def encoded(document: TokenizerDocument) -> bytes:
    """The document as a file has it: the same bytes for the same document."""
    return msgspec.json.encode(document) + b"\n"


def read_tokenizer(path: Path, mend: str | None = None) -> TokenizerDocument:
    """Raises UserError unless the file is a tokenizer document whose parts agree."""
    document = read_json(path, max_bytes=MAX_TOKENIZER_BYTES, mend=mend, follows_links=False)
    document.check_format("a tokenizer", FORMAT)
    return converted(document)


def converted(document: Document) -> TokenizerDocument:
    """The document as its kind says. Raises UserError unless its parts agree."""
    kind = document.data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise document.error("$.kind", f"{shorten(kind)} is no kind of tokenizer: {', '.join(KINDS)}")
    found = document.convert(KINDS[kind])
    check_tokenizer(found, document)
    return found


def check_tokenizer(found: TokenizerDocument, document: Document) -> None:
    """What a schema cannot say. `document` is where complaints are located. Raises UserError."""
    if found.pad == found.end:
        raise document.error("$.end", f"{found.end} is the id of padding as well")
    if isinstance(found, WordsDocument):
        _check_words(found, document)
    else:
        _check_pieces(found, document)


def _check_words(found: WordsDocument, document: Document) -> None:
    taken = {found.pad: "padding", found.end: "the end"}
    for word, number in found.words.items():
        if set(word) & set(found.separators):
            raise document.error("$.words", f"{shorten(word)} has a separator in it")
        if number in taken:
            raise document.error("$.words", f"{shorten(word)} and {taken[number]} have the same id, {number}")
        taken[number] = shorten(word)
    if found.sentences is not None:
        _check_sentences(found.sentences, found.words, document)


def _check_sentences(found: Sentences, words: Container[str], document: Document) -> None:
    """Every word of a sentence is one of the document's, and no name of choices is."""
    for name, choices in found.choices.items():
        if name in words:
            raise document.error("$.sentences.choices", f"{shorten(name)} is a word, and a name of choices as well")
        if unknown := [choice for choice in choices if choice not in words]:
            raise document.error(f"$.sentences.choices.{name}", f"{shorten(unknown[0])} is none of the words")
    for phrase in chain(found.form, *(refused.form for refused in found.refused)):
        if unknown := [word for word in phrase.words if word not in words and word not in found.choices]:
            raise document.error("$.sentences", f"{shorten(unknown[0])} is none of the words, and no name of choices")


def _check_pieces(found: UnigramDocument, document: Document) -> None:
    for key, number in (("pad", found.pad), ("end", found.end), ("unknown", found.unknown)):
        if number >= len(found.pieces):
            raise document.error(f"$.{key}", f"{number} is no id of {len(found.pieces)} pieces")
        if (number in found.controls) == (key == "unknown"):
            raise document.error("$.controls", f"padding and end are controls, the unknown piece is not: {number}")
    if outside := [number for number in found.controls if number >= len(found.pieces)]:
        raise document.error("$.controls", f"{outside[0]} is no id of {len(found.pieces)} pieces")
    seen: set[str] = set()
    for number, piece in enumerate(found.pieces):
        if piece.text in seen:
            raise document.error(f"$.pieces[{number}]", f"the piece {shorten(piece.text)} stands twice")
        if float(np.float32(piece.score)) != piece.score:
            raise document.error(f"$.pieces[{number}]", f"the score {piece.score} is not a float32")
        seen.add(piece.text)
    try:
        check_charsmap(found.charsmap)
    except UserError as error:
        raise document.error("$.charsmap", error.what) from None
