"""Tokenizer documents: what they say is kept to the bit, and what cannot be true is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.small.vocabulary import TOKENIZER
from ondevice_sora.runtime.tokenizers.document import UnigramDocument, encoded, read_tokenizer
from ondevice_sora.runtime.tokenizers.messages import model_class
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer
from ondevice_sora.runtime.tokenizers.unigram import model_file


def altered(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    told = json.loads(path.read_text(encoding="utf-8"))
    change(told)
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(encoded(TOKENIZER.document))
    return path


@pytest.fixture
def pieces(tmp_path: Path, toy_document: UnigramDocument) -> Path:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(encoded(toy_document))
    return path


def test_a_document_is_read_back_as_it_was(words: Path, toy_document: UnigramDocument, tmp_path: Path) -> None:
    assert read_tokenizer(words) == TOKENIZER.document
    (tmp_path / "other.json").write_bytes(encoded(toy_document))
    assert read_tokenizer(tmp_path / "other.json") == toy_document


def test_scores_are_float32_to_the_bit(toy_document: UnigramDocument, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(encoded(toy_document))
    again = read_tokenizer(tmp_path / "tokenizer.json")
    assert isinstance(again, UnigramDocument)
    scores = [piece.score for piece in toy_document.pieces]
    assert len({score for score in scores if score}) > 50
    assert [piece.score for piece in model_class().FromString(model_file(again)).pieces] == scores


def set_charsmap(told: dict[str, Any], data: bytes) -> None:
    told["charsmap"] = base64.b64encode(data).decode()


def leading_away(told: dict[str, Any], place: int, unit: int) -> None:
    data = bytearray(base64.b64decode(told["charsmap"]))
    data[4 + 4 * place : 8 + 4 * place] = unit.to_bytes(4, "little")
    set_charsmap(told, bytes(data))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.update(format="ondevice-sora-tokenizer-9"), "format 'ondevice-sora-tokenizer-9' is not"),
        (lambda t: t.update(kind="bpe"), "kind: 'bpe' is no kind of tokenizer: words, unigram"),
        (lambda t: t.pop("kind"), "kind: None is no kind of tokenizer"),
        (lambda t: t.update(more=1), "more: this key is not known"),
        (lambda t: t.pop("length"), "the key 'length' is missing"),
        (lambda t: t.update(length=0), "length: expected a whole number >= 1, found 0"),
        (lambda t: t.update(end=0), "end: 0 is the id of padding as well"),
        (lambda t: t["words"].update(red=1), "'red' and the end have the same id, 1"),
        (lambda t: t["words"].update(red=t["words"]["blue"]), "'red' and 'blue' have the same id|'blue' and 'red'"),
        (lambda t: t["words"].update({"a.b": 99}), "'a.b' has a separator in it"),
        (lambda t: t["words"].update({"a b": 99}), "expected a word without spaces"),
        (lambda t: t["words"].update({"x": -1}), "expected a whole number >= 0, found -1"),
        (lambda t: t["sentences"]["choices"].update(red=["blue"]), "'red' is a word, and a name of choices as well"),
        (lambda t: t["sentences"]["choices"].update(SIZE=["tiny"]), "choices.SIZE: 'tiny' is none of the words"),
        (lambda t: t["sentences"]["choices"].update(SIZE=[]), "choices.SIZE: expected a list of length >= 1"),
        (
            lambda t: t["sentences"]["form"][0].update(words=["WAY"]),
            "'WAY' is none of the words, and no name of choices",
        ),
        (lambda t: t["sentences"]["refused"][0]["form"][0].update(words=["an"]), "'an' is none of the words"),
        (lambda t: t["sentences"].update(form=[]), "sentences.form: expected a list of length >= 1"),
        (lambda t: t.update(suffix="\x1b[31m"), "suffix: expected one line without control characters"),
    ],
)
def test_words_that_cannot_be(words: Path, change: Callable[[dict[str, Any]], object], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_tokenizer(altered(words, change))


@pytest.mark.parametrize("change", [lambda t: t.pop("sentences"), lambda t: t.update(sentences=None)])
def test_without_sentences_every_one_is_taken(words: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Such as exports have that were made before sentences stood in them."""
    with pytest.raises(UserError, match="not taught"):
        Tokenizer.of(read_tokenizer(words)).check_sentence("red and blue")
    Tokenizer.of(read_tokenizer(altered(words, change))).check_sentence("red and blue")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.update(unknown=5000), "unknown: 5000 is no id of"),
        (lambda t: t.update(pad=5000), "pad: 5000 is no id of"),
        (lambda t: t.update(controls=[0]), "controls: padding and end are controls, the unknown piece is not: 1"),
        (lambda t: t["controls"].append(2), "controls: padding and end are controls, the unknown piece is not: 2"),
        (lambda t: t["controls"].append(5000), "controls: 5000 is no id of"),
        (lambda t: t["pieces"].append(t["pieces"][5]), "stands twice"),
        (lambda t: t["pieces"][5].append(1), "pieces.5.: expected a list of at most length 2"),
        (lambda t: t["pieces"][5].__setitem__(0, ""), "expected text of length >= 1"),
        (lambda t: t["pieces"][5].__setitem__(1, -0.1), "the score -0.1 is not a float32"),
        (lambda t: t["pieces"][5].__setitem__(1, 1e300), "expected a number <= 1000000.0"),
        (lambda t: t.update(charsmap="?"), "charsmap: Invalid base64"),
        (lambda t: set_charsmap(t, b"abc"), "charsmap: not a normalisation of sentencepiece's: its sizes do not agree"),
        (lambda t: set_charsmap(t, base64.b64decode(t["charsmap"])[:-1]), "its sizes do not agree"),
        (lambda t: set_charsmap(t, b"\0\0\0\x7f" + base64.b64decode(t["charsmap"])[4:]), "its sizes do not agree"),
        (lambda t: leading_away(t, 0, 0x3FFFFE00), "it leads out of its trie"),
        (lambda t: set_charsmap(t, base64.b64decode(t["charsmap"])[:-1] + b"\xff\0"), "its replacements are not UTF-8"),
    ],
)
def test_pieces_that_cannot_be(pieces: Path, change: Callable[[dict[str, Any]], object], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_tokenizer(altered(pieces, change))


def test_a_replacement_beyond_the_text_is_refused(pieces: Path) -> None:
    def cut(told: dict[str, Any]) -> None:
        data = base64.b64decode(told["charsmap"])
        size = int.from_bytes(data[:4], "little")
        set_charsmap(told, data[: 4 + size] + b"\0")

    with pytest.raises(UserError, match="it leads out of its replacements"):
        read_tokenizer(altered(pieces, cut))


@pytest.mark.parametrize("text", ["", "{}", "[", '{"format": "ondevice-sora-tokenizer-1"}', "\xff"])
def test_what_is_no_tokenizer(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        read_tokenizer(tmp_path / "tokenizer.json")
