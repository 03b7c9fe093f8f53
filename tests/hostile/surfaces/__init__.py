"""The inputs of every surface, by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hostile.inputs import Input
from hostile.surfaces import outputs, records, schedules, settings, stores, tokenizers, weights

SURFACES: dict[str, Callable[[], Iterator[Input]]] = {
    **settings.SURFACES,
    **records.SURFACES,
    **stores.SURFACES,
    **weights.SURFACES,
    **schedules.SURFACES,
    **tokenizers.SURFACES,
    **outputs.SURFACES,
}
