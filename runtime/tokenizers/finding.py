"""The tokenizer that belongs to a model and a folder of its weights."""

from __future__ import annotations

import os
from pathlib import Path

from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.models.catalogue import architecture
from ondevice_sora.runtime.networks.components import TEXT_ENCODER
from ondevice_sora.runtime.published.catalogue import TOKENIZER_FILES
from ondevice_sora.runtime.small.shipped import SMALL
from ondevice_sora.runtime.small.vocabulary import TOKENIZER
from ondevice_sora.runtime.tokenizers.document import TokenizerDocument
from ondevice_sora.runtime.tokenizers.published import read_published


def document_of(folder: Path | None, model: str) -> TokenizerDocument | None:
    """The tokenizer's document, None if there is none. Raises UserError if there is one that cannot be used."""
    if model == SMALL:
        return TOKENIZER.document
    described = architecture(model)
    if folder is None or described is None or described.prompt is None:
        return None
    for name in TOKENIZER_FILES:
        path = folder / TEXT_ENCODER / name
        if os.path.lexists(path):
            return read_published(path, described.config.text_encoder.tokens, described.prompt)
    return None


def no_tokenizer(folder: Path | None, model: str) -> UserError:
    """What to say where there is none."""
    if folder is None:
        return UserError(f"there is no tokenizer of the model '{model}' without its weights", mend="Give their folder.")
    return UserError(
        f"no tokenizer: there is no {' and no '.join(TOKENIZER_FILES)}",
        str(folder / TEXT_ENCODER),
        f"Put {TOKENIZER_FILES[0]} of T5 v1.1 there (all its sizes have the same one), or fetch it with "
        "`ondevice-sora weights get`.",
    )
