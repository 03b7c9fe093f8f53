"""A corpus of published figures: one row a figure of one model on one device, as its source words it.

    what: what the rows are
    fitted: [c001, ...]          # rows that the shipped figures were set by; all others check
    figures:
      - id: c001
        model: ResNet-50 float16
        description: {params: 25.5e6, weight_bytes: 51e6, flops: 8.18e9, get: where the model is}
        device: iPhone 14 Pro
        chip: A16
        os: iOS 17
        compute_units: cpu_and_ne
        quantity: predict
        value: 1.52
        unit: ms
        source: https://...
        place: results table
        confidence: A

A description has what is known of the model: `params`, `weight_bytes` and `flops` of one run, the last also by operator
class, as numbers, as words that hold one, or by input size. Keys that are not known here are left alone, and so are
rows of what cannot be described (corpus_rows.py says which and why).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.base.text import LINE, Line

Number = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
Words = Annotated[str, LINE, msgspec.Meta(max_length=2000)]


class CorpusFigure(msgspec.Struct, frozen=True):
    id: Annotated[str, LINE, msgspec.Meta(min_length=1, max_length=80)]
    model: Annotated[str, LINE, msgspec.Meta(min_length=1, max_length=300)]
    device: Words
    quantity: Words
    value: Number | Words | None
    unit: Words
    description: dict[str, Any] | None = None
    chip: Words | None = None
    os: Words | Number | None = None
    compute_units: Words | None = None
    source: Words | None = None
    place: Words | None = None
    confidence: Words | None = None


class CorpusFile(msgspec.Struct, frozen=True):
    figures: Annotated[tuple[CorpusFigure, ...], msgspec.Meta(min_length=1, max_length=10_000)]
    what: Line | None = None
    fitted: tuple[Line, ...] = ()


def is_corpus(path: Path) -> bool:
    """Whether a file of cases is of this form rather than of plans and figures. Raises UserError."""
    document = read_yaml(path)
    return isinstance(document.data, dict) and "figures" in document.data and "cases" not in document.data


def read_corpus(path: Path) -> CorpusFile:
    """Raises UserError naming the line of what is unusable."""
    document = read_yaml(path)
    corpus = document.convert(CorpusFile)
    seen: set[str] = set()
    for row, figure in enumerate(corpus.figures):
        if figure.id in seen:
            raise document.error(
                f"$.figures[{row}].id", f"'{figure.id}' stands twice", "Give each row an id of its own."
            )
        seen.add(figure.id)
    unknown = next((name for name in corpus.fitted if name not in seen), None)
    if unknown is not None:
        raise document.error("$.fitted", f"no row has the id '{unknown}'", "List ids of rows below.")
    return corpus
