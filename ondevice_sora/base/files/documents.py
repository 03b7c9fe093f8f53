"""Plain data as it stands in a file, with the line of every value, so that a complaint can name it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ondevice_sora.base.errors import UserError, in_words
from ondevice_sora.base.files.complaints import complaint_of, decode, shorten, value_at

T = TypeVar("T")


class Document:
    """The plain data of one file (or of several, where one `extends` another) and where each value stands.

    `mend` is what to do about a complaint that says nothing itself: of a file that no person wrote, to write it again.
    `text` is the file as it was read; of several files, the one that extends the others; None where there was none.
    """

    def __init__(
        self,
        data: Any,
        lines: dict[str, tuple[Path, int]],
        path: Path,
        mend: str | None = None,
        text: str | None = None,
    ) -> None:
        self.data = data
        self.lines = lines
        self.path = path
        self.mend = mend
        self.text = text

    def where(self, pointer: str = "$") -> str:
        """'plan.yaml:12: sampler.steps' for a pointer such as '$.sampler.steps'; the nearest parent that has a line."""
        label = in_words(pointer)
        while pointer not in self.lines and pointer != "$":
            cut = max(pointer.rfind("."), pointer.rfind("["))
            pointer = pointer[:cut] if cut > 0 else "$"
        path, line = self.lines.get(pointer, (self.path, 0))
        place = f"{path}:{line}" if line else f"{path}"
        return f"{place}: {label}" if label else place

    def file_of(self, pointer: str) -> Path:
        """The file in which a value stands: this one, or one that it extends."""
        return self.lines.get(pointer, (self.path, 0))[0]

    def error(self, pointer: str, what: str, mend: str | None = None) -> UserError:
        return UserError(what, self.where(pointer), self._for_this_file(pointer, mend or self.mend))

    def _for_this_file(self, pointer: str, mend: str | None) -> str | None:
        """A value that stands in a file that this one extends may be written anew in this one."""
        place = self.lines.get(pointer, (self.path, 0))[0]
        if place == self.path:
            return mend
        own = f"Or write '{in_words(pointer)}' anew in {self.path}, which extends that file."
        return f"{mend} {own}" if mend else own

    def check_format(self, name: str, known: str) -> None:
        """Raises UserError unless the key 'format' says `known`; `name` is what the file should be: 'a trace'."""
        found = self.data.get("format")
        if found is None:
            raise self.error("$", f"not {name}: no 'format': '{known}'")
        if found != known:
            raise self.error("$", f"format {shorten(found)} is not '{known}'")

    @contextmanager
    def locating(self, pointer: str | None = None) -> Iterator[None]:
        """Name the line of the field that a complaint from within is about, and keep those that have a place already.

        A complaint that names neither place nor field is about `pointer`, if that is given.
        """
        try:
            yield
        except UserError as error:
            field = error.field or pointer
            if error.where is not None or field is None:
                raise
            raise self.error(field, error.what, error.mend) from None

    def convert(self, kind: type[T]) -> T:
        """The data as `kind`, a msgspec Struct. Raises UserError naming the line and, for a key, the nearest known."""
        try:
            return msgspec.convert(self.data, kind, strict=True, str_keys=True, dec_hook=decode)
        except msgspec.ValidationError as error:
            pointer, what, mend = complaint_of(self.data, kind, str(error))
            is_missing = what.endswith("is missing")  # nobody adds a key to a file that a program wrote
            raise self.error(pointer, what, self.mend if is_missing and self.mend else mend) from None


def overlaid(document: Document, over: Document, pointers: dict[str, str]) -> Document:
    """`document` with parts of another laid over it: `pointers` says from where in `over` to which top-level key.

    Mappings are merged key by key, as `extends` does it; complaints name the lines of the file that a value came from.
    """
    data, lines = document.data, dict(document.lines)
    for source, key in pointers.items():
        moved = {
            f"$.{key}{pointer.removeprefix(source)}": line
            for pointer, line in over.lines.items()
            if pointer == source or pointer.startswith((f"{source}.", f"{source}["))
        }
        data = merge(data, {key: value_at(over.data, source)}, "$", lines, moved)
    return Document(data, lines, document.path, text=document.text)


def merge(base: Any, over: Any, pointer: str, lines: dict[str, Any], over_lines: dict[str, Any]) -> Any:
    """`over` laid over `base`, both standing at `pointer`: mappings key by key. `lines` becomes the result's."""
    if pointer in over_lines:
        lines[pointer] = over_lines[pointer]
    if isinstance(base, dict) and isinstance(over, dict):
        merged = dict(base)
        for key, value in over.items():
            merged[key] = merge(base.get(key), value, f"{pointer}.{key}", lines, over_lines)
        return merged
    for stale in _below(base, pointer):
        lines.pop(stale, None)
    lines.update((fresh, over_lines[fresh]) for fresh in _below(over, pointer) if fresh in over_lines)
    return over


def _below(data: Any, pointer: str) -> Iterator[str]:
    """The pointers of everything inside `data`, which itself stands at `pointer`."""
    inside: list[tuple[str, Any]] = []
    if isinstance(data, dict):
        inside = [(f"{pointer}.{key}", value) for key, value in data.items()]
    elif isinstance(data, list):
        inside = [(f"{pointer}[{index}]", value) for index, value in enumerate(data)]
    for child, value in inside:
        yield child
        yield from _below(value, child)
