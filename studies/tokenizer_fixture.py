"""Ids of a few hundred strings by sentencepiece, with T5's own vocabulary: facts to hold tokenizers to without it.

    python -m ondevice_sora.studies.tokenizer_fixture spiece.model tests/runtime/tokenizers/data/t5.json

makes the ids of the fixture's strings anew. `spiece.model` is T5 v1.1's, or a `tokenizer.json` of it. Each row has a
string as `text`, the `ids` of its pieces as it stands, and the ids of the `prompt`: in lower case, with Open-Sora's
suffix, and ended; null where nothing is left of the text, so that it is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.models.catalogue import architecture
from ondevice_sora.runtime.tokenizers.document import UnigramDocument
from ondevice_sora.runtime.tokenizers.published import read_published
from ondevice_sora.runtime.tokenizers.tokenizer import Tokenizer


def t5_of(vocabulary: Path) -> UnigramDocument:
    """T5's document, as Open-Sora reads prompts. Raises UserError if the file is no vocabulary of T5."""
    described = architecture("opensora")
    assert described is not None
    assert described.prompt is not None
    document = read_published(vocabulary, described.config.text_encoder.tokens, described.prompt)
    if not isinstance(document, UnigramDocument):
        raise UserError("has words, not pieces", str(vocabulary))
    return document


def rows_of(texts: Sequence[str], vocabulary: Path) -> list[dict[str, Any]]:
    tokenizer = Tokenizer.of(t5_of(vocabulary))
    rows = []
    for text in texts:
        ids = tokenizer.ids_of(text)
        rows.append({"text": text, "ids": ids, "prompt": tokenizer.tokens(text) if ids else None})
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabulary", type=Path, metavar="VOCABULARY")
    parser.add_argument("fixture", type=Path, metavar="FIXTURE")
    options = parser.parse_args(arguments)
    texts = [row["text"] for row in json.loads(options.fixture.read_text(encoding="utf-8"))["rows"]]
    rows = ",\n  ".join(json.dumps(row) for row in rows_of(texts, options.vocabulary))
    made_by = f"sentencepiece {version('sentencepiece')}, the vocabulary of T5 v1.1"
    options.fixture.write_text(f'{{"made_by": "{made_by}",\n "rows": [\n  {rows}\n ]}}\n', encoding="utf-8")
    print(f"{len(texts)} strings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
