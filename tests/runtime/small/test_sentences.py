"""Which prompts the small model was taught, and that every other is answered with one that it was."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.small.dataset import VOCABULARY, describe, held_out_scenes, training_scene
from ondevice_sora.runtime.small.sentences import SENTENCES
from ondevice_sora.runtime.small.vocabulary import EXAMPLE, TOKENIZER
from ondevice_sora.runtime.tokenizers.sentences import nearest_sentence

check_sentence = TOKENIZER.check_sentence


def test_every_caption_of_one_object_is_a_sentence_with_or_without_what_it_may_leave_out() -> None:
    rng = np.random.default_rng(0)
    for scene in held_out_scenes():
        check_sentence(describe(scene))
        check_sentence(describe(scene, rng))
    check_sentence(EXAMPLE)


@pytest.mark.parametrize(
    "prompt", ["A red circle, moving left.", "large cyan triangle moving up quickly", "a triangle moving down"]
)
def test_case_commas_full_stops_the_article_and_the_colour_may_be_left_out(prompt: str) -> None:
    check_sentence(prompt)


@pytest.mark.parametrize(
    ("prompt", "nearest"),
    [
        ("red", "a red circle moving left"),
        ("a small yellow square", "a small yellow square moving left"),
        ("cyan large triangle moving quickly up", "a large cyan triangle moving up quickly"),
        ("a red circle and a blue square", "a red circle moving left"),
        ("a circle on a white background moving down", "a circle moving down on a white background"),
    ],
)
def test_another_sentence_is_refused_with_the_nearest(prompt: str, nearest: str) -> None:
    with pytest.raises(
        UserError, match=rf"'{prompt}': .*not taught.*\nDid you mean '{nearest}'\? It knows: \[a\] \[SIZE\]"
    ):
        check_sentence(prompt)


def test_two_objects_are_refused_for_what_they_are() -> None:
    scenes = (training_scene(3, index)[0] for index in range(1000))
    for scene in (scene for scene in scenes if len(scene.objects) == 2):
        with pytest.raises(UserError, match="two objects are more than the model learnt to draw"):
            check_sentence(describe(scene))


def test_the_nearest_sentence_is_always_one() -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        words = [str(word) for word in rng.choice(VOCABULARY, rng.integers(0, 12))]
        sentence = nearest_sentence(SENTENCES, words)
        check_sentence(sentence)
        kept = set(re.findall(r"\w+", sentence)) - {"a", "moving", "on", "background", "circle", "left"}
        assert kept <= set(words)
