"""Read the JSON that programs write: traces, manifests, journals, states. Nothing of it is trusted.

JSON itself leaves open what a key means that stands twice, how long a number may be and how deep a value; Python's
reader also takes NaN. All of these are refused here, and then a schema says what may stand where.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.complaints import shorten, shown
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.limits import MAX_BYTES, MAX_DEPTH, MAX_DIGITS, TOO_DEEP
from ondevice_sora.base.files.opening import read_bytes, read_text

T = TypeVar("T")


def read_record(
    path: str | Path, kind: type[T], *, max_bytes: int = MAX_BYTES, mend: str | None = None, follows_links: bool = True
) -> T:
    """A JSON file as `kind`, a msgspec Struct. Raises UserError with file and place; `mend` where nothing better is."""
    return read_json(path, max_bytes=max_bytes, mend=mend, follows_links=follows_links).convert(kind)


def read_json(
    path: str | Path, *, max_bytes: int = MAX_BYTES, mend: str | None = None, follows_links: bool = True
) -> Document:
    """A JSON file as plain data: a mapping, without line numbers. Raises UserError on anything unusable."""
    path = Path(path)
    try:
        data = parse_json(read_text(path, max_bytes, follows_links=follows_links), str(path))
        if not isinstance(data, dict):
            raise UserError(f"expected keys with values, found {shown(data)}", str(path))
    except UserError as error:
        raise UserError(error.what, error.where, error.mend or mend) from None
    return Document(data, {}, path, mend)


def read_rows(path: Path, *, max_bytes: int, mend: str | None = None) -> Iterator[tuple[Document, int]]:
    """Each whole line of a file of JSON lines, as a document of its own, and where the line ends in the file, in bytes.

    A last line without its end was cut short, and is left out. Raises UserError, naming the line.
    """
    end = 0
    for number, line in enumerate(read_bytes(path, max_bytes, follows_links=False).splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            return
        where = f"{path}:{number}"
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"not UTF-8 text (byte {error.start})", where, mend) from None
        end += len(line)
        yield Document(parse_json(text, where), {"$": (path, number)}, path, mend), end


def parse_json(text: str, where: str) -> Any:
    """JSON text as plain data. Raises UserError."""

    def number_error(text: str, what: str) -> UserError:
        key = text if len(text) <= 60 else f"{text[:59]}…"
        return UserError(f"{key} {what}", where, "Leave the key out where nothing is known.")

    def refused(text: str) -> None:
        raise number_error(text, "is not a number")

    def whole(text: str) -> int:
        if len(text) > MAX_DIGITS:
            raise number_error(text, "is too long for a number")
        return int(text)

    def real(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise number_error(text, "is not a finite number")
        return value

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            key = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
            raise UserError(f"the key {shorten(key)} stands twice", where, "Keep one of the two.")
        return found

    try:
        data = json.loads(text, parse_constant=refused, parse_int=whole, parse_float=real, object_pairs_hook=mapping)
        if "\\u" in text:
            json.dumps(data, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        place = where if error.lineno == 1 else f"{where}:{error.lineno}"
        raise UserError(f"not valid JSON: {error.msg}", place) from None
    except UnicodeEncodeError:
        raise UserError("not valid JSON: half a character, \\ud800 to \\udfff alone", where) from None
    except RecursionError:
        raise UserError(TOO_DEEP, where) from None
    _refuse_depth([data], where)
    return data


def _refuse_depth(data: Any, where: str) -> None:
    """Raises UserError for lists and mappings inside each other beyond MAX_DEPTH; looked at level by level."""
    level = [data]
    for _ in range(MAX_DEPTH + 1):
        inside = [each.values() if isinstance(each, dict) else each for each in level]
        level = [child for children in inside for child in children if isinstance(child, (dict, list))]
        if not level:
            return
    raise UserError(TOO_DEEP, where)
