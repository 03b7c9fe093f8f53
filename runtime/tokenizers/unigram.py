"""Prompts cut into the pieces of a unigram model by the sentencepiece library itself."""

from __future__ import annotations

from collections.abc import Callable

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.installation import how_to_install
from ondevice_sora.runtime.tokenizers.document import UnigramDocument
from ondevice_sora.runtime.tokenizers.messages import CONTROL, NORMAL, UNIGRAM, UNKNOWN, model_class


def piece_ids(document: UnigramDocument) -> Callable[[str], list[int]]:
    """A function from text to the ids of its pieces. Raises UserError if sentencepiece is not installed."""
    try:
        from sentencepiece import SentencePieceProcessor
    except ModuleNotFoundError:
        what = "this tokenizer needs sentencepiece, which is not installed"
        raise UserError(what, mend=how_to_install("weights")) from None
    processor = SentencePieceProcessor(model_proto=model_file(document))

    def ids(text: str) -> list[int]:
        found: list[int] = processor.EncodeAsIds(text)
        return found

    return ids


def model_file(document: UnigramDocument) -> bytes:
    """The document as a model file of sentencepiece's."""
    model, controls = model_class()(), set(document.controls)
    for number, piece in enumerate(document.pieces):
        kind = CONTROL if number in controls else UNKNOWN if number == document.unknown else NORMAL
        model.pieces.add(piece=piece.text, score=piece.score, type=kind)
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    trainer.model_type, trainer.vocab_size = UNIGRAM, len(document.pieces)
    trainer.pad_id, trainer.eos_id, trainer.unk_id, trainer.bos_id = document.pad, document.end, document.unknown, -1
    for key, number in (("pad_piece", document.pad), ("eos_piece", document.end), ("unk_piece", document.unknown)):
        setattr(trainer, key, document.pieces[number].text)
    normalizer.precompiled_charsmap = document.charsmap
    normalizer.add_dummy_prefix = normalizer.remove_extra_whitespaces = normalizer.escape_whitespaces = True
    made: bytes = model.SerializeToString()
    return made
