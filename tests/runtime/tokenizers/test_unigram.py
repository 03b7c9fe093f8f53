"""Unigram tokenizers: the ids of sentencepiece, whoever makes them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from sentencepiece import SentencePieceProcessor
from worlds.strings import odd_strings
from worlds.tokenizer_port import Port, RefusedError

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.tokenizers.document import Piece, UnigramDocument, encoded
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer, lower_cased

RUNS = [letters * count for letters in ("1", "a", ".", "ab", "ha") for count in range(1, 60)]
"""Many ways to cut them have equal sums, but for rounding: here releases of sentencepiece before 0.2.2 differ."""
VOCABULARY = "T5_VOCABULARY"
"""Environment variable: T5's spiece.model, or a tokenizer.json of it."""


def port_of(document: UnigramDocument, folder: Path) -> Port:
    (folder / "tokenizer.json").write_bytes(encoded(document))
    return Port(folder / "tokenizer.json")


def differences(document: UnigramDocument, texts: Sequence[str], folder: Path) -> list[str]:
    """The texts that the port, reading the document alone, makes other ids of than sentencepiece."""
    port, tokenizer = port_of(document, folder), Tokenizer.of(document)
    return [text for text in texts if port.ids(text) != tokenizer.ids_of(text)]


def test_the_document_has_the_ids_of_the_model_that_it_came_from(
    toy_model: Path, toy_document: UnigramDocument
) -> None:
    processor, tokenizer = SentencePieceProcessor(model_file=str(toy_model)), Tokenizer.of(toy_document)
    for text in odd_strings(300, 1):
        assert tokenizer.ids_of(text) == processor.encode(text), repr(text)


def test_a_reader_of_the_document_alone_has_the_ids_of_sentencepiece(
    toy_document: UnigramDocument, tmp_path: Path
) -> None:
    assert differences(toy_document, [*odd_strings(3000, 0), *RUNS], tmp_path) == []


def test_equal_sums_are_decided_alike(toy_document: UnigramDocument, tmp_path: Path) -> None:
    """With three different scores most texts can be cut in several ways that are equally good."""
    coarse = tuple(Piece(piece.text, -float(1 + len(piece.text) % 3)) for piece in toy_document.pieces)
    texts = odd_strings(1000, 2)
    assert differences(replace(toy_document, pieces=coarse), texts, tmp_path) == []
    tenths = tuple(Piece(piece.text, -0.25 * len(piece.text)) for piece in toy_document.pieces)
    assert differences(replace(toy_document, pieces=tenths, charsmap=b""), texts, tmp_path) == []


def test_whole_prompts_are_padded_alike(toy_document: UnigramDocument, tmp_path: Path) -> None:
    short = replace(toy_document, length=40)
    port, tokenizer = port_of(short, tmp_path), Tokenizer.of(short)
    told = {"empty": 0, "long": 0, "ids": 0}
    for text in odd_strings(400, 3):
        try:
            ids, mask = tokenizer.encode(text)
        except UserError as error:
            told["empty" if "is empty" in error.what else "long"] += 1
            with pytest.raises(RefusedError):
                port.encode(text)
        else:
            told["ids"] += 1
            assert ids.shape == mask.shape == (1, 40)
            assert (ids[0].tolist(), mask[0].tolist()) == port.encode(text)
    assert min(told.values()) > 5


def test_case_and_suffix_are_the_documents(toy_document: UnigramDocument) -> None:
    with_both = Tokenizer.of(toy_document)
    bare = Tokenizer.of(replace(toy_document, lower_case=False, suffix=""))
    assert with_both.tokens("A Red CIRCLE") == bare.tokens("a red circle aesthetic score: 6.5.")
    assert bare.tokens("A Red CIRCLE") != bare.tokens("a red circle")


def test_lower_case_looks_at_one_character_at_a_time() -> None:
    assert lower_cased("\u039f\u03a3 \u00c0\u00c9 \u0130 \u1e9e") == "\u03bf\u03c3 \u00e0\u00e9 i\u0307 \u00df"


@pytest.mark.parametrize("prompt", ["", "   ", "\t\n", "\u200b\u3000", "\x01\x1b\x7f", "\u2581"])
def test_a_prompt_of_nothing_is_refused(toy_document: UnigramDocument, prompt: str) -> None:
    with pytest.raises(UserError, match="the prompt is empty\nWrite one, such as: a red circle moving left"):
        Tokenizer.of(toy_document).encode(prompt)


def test_control_characters_are_spaces_or_nothing(toy_document: UnigramDocument) -> None:
    tokenizer = Tokenizer.of(toy_document)
    assert tokenizer.tokens("a\tred\n\rcir\x01cle\x1b") == tokenizer.tokens("a red circle")


def test_a_prompt_that_is_too_long_is_refused_with_its_length(toy_document: UnigramDocument) -> None:
    tokenizer = Tokenizer.of(replace(toy_document, length=30))
    count = len(tokenizer.tokens("a red circle " * 12))
    assert count > 30
    what = f"the prompt has {count} tokens, its suffix ' aesthetic score: 6.5.' and its end counted; the model reads 30"
    with pytest.raises(UserError) as refused:
        tokenizer.encode("a red circle " * 12)
    assert refused.value.what == what


def test_half_a_character_is_refused(toy_document: UnigramDocument) -> None:
    with pytest.raises(UserError, match="the prompt is not text: half a character"):
        Tokenizer.of(toy_document).encode("a red \udcff circle")


# T5's own vocabulary

FIXTURE = json.loads((Path(__file__).parent / "data" / "t5.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def t5() -> UnigramDocument:
    from ondevice_sora.studies.tokenizer_fixture import t5_of

    path = os.environ.get(VOCABULARY)
    if not path:
        pytest.skip(f"{VOCABULARY} names no file: T5's vocabulary is not in this repository")
    return t5_of(Path(path))


def test_the_fixture_has_what_it_should() -> None:
    texts = [row["text"] for row in FIXTURE["rows"]]
    assert len(set(texts)) == len(texts) >= 200
    for row in FIXTURE["rows"]:
        assert row["prompt"] is None if not row["ids"] else row["prompt"][-1] == 1 and 1 not in row["ids"]


def test_t5s_ids_are_those_of_the_fixture(t5: UnigramDocument, tmp_path: Path) -> None:
    tokenizer, port = Tokenizer.of(t5), port_of(t5, tmp_path)
    for row in FIXTURE["rows"]:
        assert tokenizer.ids_of(row["text"]) == port.ids(row["text"]) == row["ids"], row["text"]
        if row["prompt"] is not None:
            assert tokenizer.tokens(row["text"]) == row["prompt"], row["text"]


def test_t5s_document_read_alone_has_the_ids_of_sentencepiece(t5: UnigramDocument, tmp_path: Path) -> None:
    assert (len(t5.pieces), len(t5.charsmap)) == (32_000, 237_539)
    assert differences(t5, [*odd_strings(3000, 0), *RUNS], tmp_path) == []
