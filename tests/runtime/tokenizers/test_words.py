"""The small model's words, by the document alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.tokenizer_port import Port, RefusedError

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.small.dataset import describe, held_out_scenes
from ondevice_sora.runtime.small.vocabulary import TOKENIZER
from ondevice_sora.runtime.tokenizers.document import encoded

PROMPTS = ["A RED Circle, moving left.", " a\u00a0small\tblue\u3000square\n", "..a,.", "red " * 23]
REFUSED = ["", " ,. ", "a rde circle", "red " * 24, "a\u0000red", "re\u0301d"]


@pytest.fixture
def port(tmp_path: Path) -> Port:
    (tmp_path / "tokenizer.json").write_bytes(encoded(TOKENIZER.document))
    return Port(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("prompt", [*PROMPTS, *map(describe, held_out_scenes()[::12])])
def test_a_reader_of_the_document_alone_has_the_same_ids(port: Port, prompt: str) -> None:
    ids, mask = TOKENIZER.encode(prompt)
    assert (ids[0].tolist(), mask[0].tolist()) == port.encode(prompt)


@pytest.mark.parametrize("prompt", REFUSED)
def test_a_reader_of_the_document_alone_refuses_the_same(port: Port, prompt: str) -> None:
    with pytest.raises(UserError):
        TOKENIZER.encode(prompt)
    with pytest.raises(RefusedError):
        port.encode(prompt)
