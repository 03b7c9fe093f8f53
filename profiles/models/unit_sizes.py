"""Sizes of units as people know them: 215M parameters, or 430 MB of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ondevice_sora.base.files.documents import Document
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.model import weight_bytes

MULTIPLES = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9}
_COUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kKMBG])")


def with_sizes_in_numbers(document: Document) -> None:
    """Turn `parameters: 215M` and `bytes: 430 MB` of units, in place, into how many numbers they have.

    Raises UserError with file and line for what is no size. Whatever else is wrong, the conversion says.
    """
    for pointer, unit in _units(document.data):
        if "bytes" in unit:
            if "parameters" in unit:
                what = "a unit's size stands twice, as parameters and as bytes"
                raise document.error(f"{pointer}.bytes", what, "Leave one of the two out.")
            try:
                unit["parameters"] = round(ByteCount.parse(unit.pop("bytes")) / weight_bytes("float16"))
            except ValueError as error:
                what, _, mend = str(error).partition(". ")
                raise document.error(f"{pointer}.bytes", what, mend or "Write a size, such as 430 MB.") from None
        elif isinstance(unit.get("parameters"), str):
            read = _COUNT.fullmatch(unit["parameters"].strip())
            if read is not None:
                unit["parameters"] = round(float(read[1]) * MULTIPLES[read[2]])


def _units(data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every unit's pointer and data, as far as the document has the form of a model."""
    components = data.get("components") if isinstance(data, dict) else None
    for index, component in enumerate(components if isinstance(components, list) else []):
        units = component.get("units") if isinstance(component, dict) else None
        for row, unit in enumerate(units if isinstance(units, list) else []):
            if isinstance(unit, dict):
                yield f"$.components[{index}].units[{row}]", unit
