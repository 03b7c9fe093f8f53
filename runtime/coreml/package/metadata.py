"""metadata.json of a compiled package: what the program's text leaves out.

Its form is not documented. Read is what Xcode's compiler was seen to write; what has another form is taken as not
there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.json_files import parse_json
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.files import PackageFiles

METADATA = "metadata.json"
MAX_BYTES = 1 << 24
PREFIX = "MLModelType_"
MAX_NESTING = 8


@dataclass(frozen=True)
class Metadata:
    """Of one model: its default function, the name of its kind as in Core ML's format, and a pipeline's models."""

    default_function: str | None = None
    kind: str = ""
    stages: tuple[Metadata, ...] = ()


def read_metadata(files: PackageFiles) -> Metadata:
    """What a compiled package says of itself; nothing if it has no such file. Raises PackageError if it is no JSON."""
    if not files.has(METADATA):
        return Metadata()
    place = str(files.path / METADATA)
    data = files.file(METADATA, place).whole(MAX_BYTES)
    try:
        found = parse_json(data.decode("utf-8"), place)
    except (UnicodeDecodeError, UserError) as error:
        told = error.what if isinstance(error, UserError) else f"not UTF-8 text (byte {error.start})"
        mend = "Without this file the program is read too, with a default function that is guessed."
        raise PackageError(f"not a compiled model's description: {told}", place, mend) from None
    first = found[0] if isinstance(found, list) and found else found
    if not isinstance(first, dict):
        return Metadata()
    default = first.get("defaultFunctionName")
    kind = _kind(first.get("modelType"), MAX_NESTING)
    return Metadata(default if isinstance(default, str) and default else None, kind.kind, kind.stages)


def _kind(data: Any, nesting: int) -> Metadata:
    if not isinstance(data, dict) or not nesting:
        return Metadata()
    name, structure = data.get("name"), data.get("structure")
    stages = tuple(_kind(each, nesting - 1) for each in structure) if isinstance(structure, list) else ()
    return Metadata(None, name.removeprefix(PREFIX) if isinstance(name, str) else "", stages)
