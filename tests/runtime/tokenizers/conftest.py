"""A unigram model of our own, trained once, with the normalisation that T5 has."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sentencepiece")

from ondevice_sora.profiles.models.catalogue import PromptForm
from ondevice_sora.runtime.tokenizers.document import UnigramDocument
from ondevice_sora.runtime.tokenizers.published import read_published
from ondevice_sora.studies.toy_tokenizer import sentences, train

FORM = PromptForm(" aesthetic score: 6.5.", True, "as Open-Sora's")
LENGTH = 300


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spiece.model."""
    path = tmp_path_factory.mktemp("toy") / "spiece.model"
    train(path, sentences(), vocab_size=300, character_coverage=1.0, normalization_rule_name="nmt_nfkc")
    return path


@pytest.fixture(scope="session")
def toy_document(toy_model: Path) -> UnigramDocument:
    document = read_published(toy_model, LENGTH, FORM)
    assert isinstance(document, UnigramDocument)
    return document
