"""Whether a model was taught a sentence, and the nearest one that it was: by its tokenizer document alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.tokenizers.document import Phrase, Sentences
from ondevice_sora.runtime.tokenizers.words import quoted

Choices = Mapping[str, Sequence[str]]


def check_sentence(sentences: Sentences, words: Sequence[str]) -> None:
    """Raises UserError for words whose video would not show what they say."""
    if _is_of(sentences.form, words, sentences.choices):
        return
    why = "the model was not taught sentences like this one, and its video would not show it"
    why = next((each.why for each in sentences.refused if _is_of(each.form, words, sentences.choices)), why)
    choices = "; ".join(f"{name}: {', '.join(values)}" for name, values in sentences.choices.items())
    raise UserError(
        f"{quoted(' '.join(words))}: {why}",
        mend=f"Did you mean '{nearest_sentence(sentences, words)}'? It knows: {_shown(sentences.form)}. {choices}.",
    )


def nearest_sentence(sentences: Sentences, words: Sequence[str]) -> str:
    """The taught sentence that keeps what fits.

    A name becomes the first of `words` that is among its choices; in a phrase that is needed, else its first choice.
    Optional phrases are left out where `words` have none of a name's choices.
    """
    said = {name: next((word for word in words if word in known), None) for name, known in sentences.choices.items()}
    kept: list[str] = []
    for phrase in sentences.form:
        names = [word for word in phrase.words if word in sentences.choices]
        if not phrase.optional or all(said[name] for name in names):
            kept += (said.get(word, word) or sentences.choices[word][0] for word in phrase.words)
    return " ".join(kept)


def _is_of(form: Sequence[Phrase], words: Sequence[str], choices: Choices) -> bool:
    """Whether the words are a sentence of a form, whole."""
    ends = {0}
    for phrase in form:
        after = {end + len(phrase.words) for end in ends if _begins(phrase, words[end:], choices)}
        ends = ends | after if phrase.optional else after
    return len(words) in ends


def _begins(phrase: Phrase, words: Sequence[str], choices: Choices) -> bool:
    return len(words) >= len(phrase.words) and all(
        word in choices.get(wanted, (wanted,)) for wanted, word in zip(phrase.words, words, strict=False)
    )


def _shown(form: Sequence[Phrase]) -> str:
    """'[a] [COLOUR] SHAPE moving DIRECTION'."""
    return " ".join(f"[{' '.join(each.words)}]" if each.optional else " ".join(each.words) for each in form)
