"""T5's vocabulary as it comes: a model of sentencepiece's, or a file of the tokenizers library's."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from worlds.strings import odd_strings
from worlds.tiny import save_tiny_model

from benchmarks.published_weights import write_tokenizer
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.installation import how_to_install
from ondevice_sora.profiles.models.catalogue import PromptForm
from ondevice_sora.runtime.small.vocabulary import EXAMPLE, tokenize
from ondevice_sora.runtime.tokenizers.document import UnigramDocument, encoded
from ondevice_sora.runtime.tokenizers.finding import document_of, no_tokenizer
from ondevice_sora.runtime.tokenizers.published import read_published
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer
from ondevice_sora.studies.toy_tokenizer import sentences, train

FORM = PromptForm(" aesthetic score: 6.5.", True, "as Open-Sora's")
SPACES: list[dict[str, Any]] = [{"type": "Strip", "strip_left": False, "strip_right": True},
          {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}]  # fmt: skip


def tokenizers_file(document: UnigramDocument, *more_rules: dict[str, Any]) -> dict[str, Any]:
    """What the tokenizers library writes of T5's: a hundred marks more at the end, of which it knows all."""
    extra = [f"<extra_id_{number}>" for number in reversed(range(100))]
    vocabulary = [[piece.text, piece.score] for piece in document.pieces] + [[mark, 0.0] for mark in extra]
    marks = [*document.controls, document.unknown, *range(len(document.pieces), len(vocabulary))]
    charsmap = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(document.charsmap).decode()}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": vocabulary[number][0], **flags} for number in marks],
        "normalizer": {"type": "Sequence", "normalizers": [charsmap, *more_rules]} if more_rules else charsmap,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": document.unknown, "vocab": vocabulary, "byte_fallback": False},
    }


@pytest.mark.parametrize("rules", [[], SPACES])
def test_both_files_give_the_same_document(
    toy_document: UnigramDocument, tmp_path: Path, rules: list[dict[str, Any]]
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizers_file(toy_document, *rules)))
    assert encoded(read_published(path, 300, FORM)) == encoded(toy_document)


def test_a_document_of_ours_is_taken_as_it_is(toy_document: UnigramDocument, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(encoded(replace(toy_document, length=7, suffix="!")))
    assert read_published(tmp_path / "tokenizer.json", 300, FORM) == replace(toy_document, length=7, suffix="!")


def test_the_tokenizers_library_agrees_on_ordinary_texts(toy_document: UnigramDocument) -> None:
    """Where texts are odd it does not: it normalises a grapheme at a time, and takes marks out of the text."""
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer.from_str(json.dumps(tokenizers_file(toy_document, *SPACES)))
    ours = Tokenizer.of(toy_document)
    texts = [*sentences(), *(" ".join(text.split()) for text in ORDINARY)]
    for text in texts:
        assert theirs.encode(text, add_special_tokens=False).ids == ours.ids_of(text), text


ORDINARY = [text for text in odd_strings(2000, 4) if text.isascii() and text.isprintable() and "<" not in text]


def tokenizer_of(folder: Path, model: str) -> Tokenizer:
    document = document_of(folder, model)
    assert document is not None
    return Tokenizer.of(document)


def test_the_weights_folder_is_asked_for_either_file(toy_model: Path, tmp_path: Path) -> None:
    assert document_of(tmp_path, "opensora") is None
    folder = tmp_path / "text_encoder"
    folder.mkdir()
    shutil.copy(toy_model, folder / "spiece.model")
    tokenizer = tokenizer_of(tmp_path, "opensora")
    assert (tokenizer.kind, tokenizer.length) == ("unigram", 300)
    assert tokenizer.document.suffix == " aesthetic score: 6.5." and tokenizer.document.lower_case
    (folder / "tokenizer.json").write_text("not read where both are")
    assert tokenizer_of(tmp_path, "opensora").document == tokenizer.document


def test_random_weights_in_the_published_layout_read_prompts(tmp_path: Path) -> None:
    (tmp_path / "text_encoder").mkdir()
    write_tokenizer(tmp_path / "text_encoder", 160, 0)
    ids, mask = tokenizer_of(tmp_path, "opensora").encode("A red circle!")
    assert int(mask.sum()) > 20 and int(ids.max()) < 160
    assert 2 not in ids, "every printable character is a piece"


def test_the_small_model_has_its_words_wherever_its_weights_lie(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(save_tiny_model(tmp_path), "small")
    assert (tokenizer.kind, tokenizer.length) == ("words", 24)
    ids, mask = tokenizer.encode(EXAMPLE)
    expected, expected_mask = tokenize([EXAMPLE])
    assert (ids.tolist(), mask.tolist()) == (expected.tolist(), expected_mask.tolist())


def test_without_a_file_it_is_said_which_to_put_where(tmp_path: Path) -> None:
    assert document_of(tmp_path, "opensora") is None
    assert str(no_tokenizer(tmp_path, "opensora")) == (
        f"{tmp_path}/text_encoder: no tokenizer: there is no spiece.model and no tokenizer.json\n"
        "Put spiece.model of T5 v1.1 there (all its sizes have the same one), or fetch it with "
        "`ondevice-sora weights get`."
    )
    assert document_of(None, "opensora") is None
    assert "no tokenizer of the model 'opensora' without its weights" in str(no_tokenizer(None, "opensora"))


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"not a model", b"\x0a\xff\xff\xff\xff\x7f"])
def test_what_is_no_model_is_one_message(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "spiece.model").write_bytes(data)
    with pytest.raises(UserError, match=r"spiece\.model: not a unigram model of sentencepiece's\nDownload it again"):
        read_published(tmp_path / "spiece.model", 300, FORM)


def test_a_piece_that_is_no_text_is_refused(toy_model: Path, tmp_path: Path) -> None:
    data = toy_model.read_bytes()
    assert "\u2581".encode() in data
    (tmp_path / "spiece.model").write_bytes(data.replace("\u2581".encode(), b"\xe2\xff\x81"))
    with pytest.raises(UserError, match=r"spiece\.model: .*expected text|not a unigram model"):
        read_published(tmp_path / "spiece.model", 300, FORM)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"model_type": "bpe"}, "not a unigram model of sentencepiece's"),
        ({"remove_extra_whitespaces": False}, "spaces are not treated as T5 does"),
        ({"treat_whitespace_as_suffix": True}, "spaces are not treated as T5 does"),
        ({"byte_fallback": True, "vocab_size": 600}, "the piece '<0x00>' is of a kind that T5 has not"),
        ({"user_defined_symbols": ["<more>"]}, "the piece '<more>' is of a kind that T5 has not"),
        ({"pad_piece": "[pad]"}, "not the vocabulary of T5: pieces, <pad>, </s>"),
    ],
)
def test_models_of_other_kinds_are_refused(tmp_path: Path, options: dict[str, Any], complaint: str) -> None:
    path = tmp_path / "spiece.model"
    train(path, sentences(), **{"vocab_size": 300, "character_coverage": 1.0} | options)
    with pytest.raises(UserError, match=complaint):
        read_published(path, 300, FORM)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t["model"].update(type="BPE"), "model.type: 'BPE' is not 'Unigram', which T5's is"),
        (lambda t: t.pop("model"), "the key 'model' is missing"),
        (lambda t: t.update(model=3), "model: expected keys with values, found 3"),
        (lambda t: t["model"].update(vocab={"a": 1}), "model.vocab: expected a list, found keys"),
        (lambda t: t["model"].update(unk_id=9999), "unknown: 9999 is no id of"),
        (lambda t: t["model"]["vocab"].__delitem__(slice(0, 2)), "not the vocabulary of T5"),
        (lambda t: t.update(normalizer={"type": "NFKC"}), "normalizer: not the normalisation of T5"),
        (lambda t: t.update(normalizer=None), "normalizer: expected keys with values, found nothing"),
        (lambda t: t["normalizer"].update(precompiled_charsmap="AAAA"), "charsmap: not a normalisation"),
    ],
)
def test_files_of_other_tokenizers_are_refused(
    toy_document: UnigramDocument, tmp_path: Path, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    told = tokenizers_file(toy_document)
    change(told)
    (tmp_path / "tokenizer.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match=complaint):
        read_published(tmp_path / "tokenizer.json", 300, FORM)


def test_without_sentencepiece_the_extra_is_named(
    toy_document: UnigramDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentencepiece", None)
    with pytest.raises(UserError) as refused:
        Tokenizer.of(toy_document)
    assert refused.value.what == "this tokenizer needs sentencepiece, which is not installed"
    assert refused.value.mend == how_to_install("weights")
