"""Tokenizers: the document in an export, on a run of it, and T5's files beside weights, on an export of them."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from hostile.inputs import NOT_FILES, NOT_JSON, Content, Input, altered, dumped, link
from hostile.surfaces.schedules import OWN, WRITES

FILE = "exported/tokenizer.json"
PLAN = "name: p\nmodel: opensora\ntext_tokens: 6\nencoder_tokens: 9\nvideo: {width: 64, height: 64, frames: 17}\n"
EXPORT = "export --plan opensora.yaml --weights weights -o made"
"""Of a precision that is not exported: what is wrong with the tokenizer is told before, and nothing is made after."""
FILES: dict[str, Content] = {"opensora.yaml": f"{PLAN}components: {{denoiser: {{precision: int4}}}}\n"}
T5 = "weights/text_encoder"


def tokenizers() -> Iterator[Input]:
    def document(name: str, change: Callable[[Any], object], **more: Any) -> Input:
        return Input(name, OWN, made=("export",), arrange=partial(_changed, change=change), **more)

    for kind, content in (NOT_FILES | NOT_JSON).items():
        yield Input(f"the document is {kind}", OWN, {FILE: content}, ("export",))
    yield Input("the document is a link", OWN, {FILE: link("../../outside/x.json")}, ("export",))
    yield document("pieces instead of words", _of_pieces, expected="fine", writes=WRITES)
    for seed in range(30):
        yield document(
            f"words altered {seed}", partial(_altered, seed=seed), expected="either", writes=WRITES, is_quick=False
        )
        change = partial(_pieces_altered, seed=seed)
        yield document(f"pieces altered {seed}", change, expected="either", writes=WRITES, is_quick=False)
        yield document(
            f"charsmap altered {seed}",
            partial(_charsmap_altered, seed=seed),
            expected="either",
            writes=WRITES,
            is_quick=False,
        )
    for kind, content in (NOT_FILES | NOT_JSON).items():
        yield Input(f"tokenizer.json is {kind}", EXPORT, {**FILES, f"{T5}/tokenizer.json": content}, ("weights",))
        yield Input(f"spiece.model is {kind}", EXPORT, {**FILES, f"{T5}/spiece.model": content}, ("weights",))
    for seed in range(40):
        yield Input(
            f"spiece.model altered {seed}", EXPORT, FILES, ("weights",), arrange=partial(_model_altered, seed=seed)
        )


def _changed(work: Path, change: Callable[[Any], object]) -> None:
    """A change of the document, with every checksum as if it had been written so."""
    path, manifest_path, schedule_path = (
        work / f"exported/{name}.json" for name in ("tokenizer", "manifest", "schedule")
    )
    told = json.loads(path.read_text())
    given = change(told)
    path.write_text(dumped(told if given is None else given), "utf-8", "surrogatepass")
    manifest, schedule = json.loads(manifest_path.read_text()), json.loads(schedule_path.read_text())
    manifest["tokenizer"]["checksum"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest_path.write_text(json.dumps(manifest))
    schedule["manifest_sha256"] = hashlib.sha256(manifest_path.read_bytes()).hexdigest()
    schedule_path.write_text(json.dumps(schedule))


@cache
def _model() -> bytes:
    """A model file of our own with T5's normalisation."""
    from ondevice_sora.studies.toy_tokenizer import sentences, train

    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "toy.model"
        train(path, sentences(), vocab_size=300, character_coverage=1.0, normalization_rule_name="nmt_nfkc")
        return path.read_bytes()


def _of_pieces(told: Any) -> Any:
    """The same of pieces: as many as the tiny text encoder has tokens."""
    from ondevice_sora.profiles.models.catalogue import PromptForm
    from ondevice_sora.runtime.tokenizers.published import read_published

    with TemporaryDirectory() as scratch:
        (Path(scratch) / "spiece.model").write_bytes(_model())
        document = read_published(Path(scratch) / "spiece.model", told["length"], PromptForm("", True, "none"))
    made = msgspec.to_builtins(document)
    return made | {"pieces": made["pieces"][:27]}


def _altered(told: Any, seed: int) -> Any:
    return list(altered(told, 30, 5))[seed][1]


def _pieces_altered(told: Any, seed: int) -> Any:
    return _altered(_of_pieces(told), seed)


def _charsmap_altered(told: Any, seed: int) -> Any:
    made = _of_pieces(told)
    return made | {"charsmap": base64.b64encode(_spoilt(base64.b64decode(made["charsmap"]), seed)).decode()}


def _model_altered(work: Path, seed: int) -> None:
    (work / T5 / "spiece.model").write_bytes(_spoilt(_model(), seed))


def _spoilt(data: bytes, seed: int) -> bytes:
    """Some bytes replaced, or the end cut off."""
    draw, spoilt = random.Random(seed), bytearray(data)
    for _ in range(draw.choice((1, 10, 1000))):
        spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
    return bytes(spoilt[: draw.choice((len(spoilt), draw.randrange(len(spoilt))))])


SURFACES: dict[str, Callable[[], Iterator[Input]]] = {"tokenizer": tokenizers}
