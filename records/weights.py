"""What `weights get` fetches into a model's folder, and what `weights check` finds there."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

State = Literal["complete", "missing", "misshapen", "unusable"]


class Problem(msgspec.Struct, frozen=True):
    """Something that keeps weights from being used: what, where, and how to mend it."""

    what: str
    where: str
    mend: str | None = None

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}"
        return f"{head}\n{self.mend}" if self.mend else head


class FetchedPart(msgspec.Struct, frozen=True):
    """A component's folder as `weights get` leaves it, with the commit of the repository that it is of."""

    name: str
    num_files: int
    num_bytes: int
    repository: str
    commit: str


class PartReport(msgspec.Struct, frozen=True):
    """A component's weights, or the tokenizer.

    state           missing: not there, or not all of it. misshapen: of other sizes. unusable: cannot be read
    file_bytes      by the files that it is made of, configuration and what is left over included
    num_tensors     and what follows: of the network, None where there is none or it is not complete
    """

    name: str
    state: State
    file_bytes: dict[str, int]
    num_tensors: int | None = None
    num_parameters: int | None = None
    types: list[str] = []
    sizes: str = ""
    problem: Problem | None = None

    @property
    def num_bytes(self) -> int:
        return sum(self.file_bytes.values())


class WeightsReport(msgspec.Struct, frozen=True):
    """All parts of a model's folder, and what is wrong with them together."""

    directory: str
    model: str
    parts: list[PartReport]
    notes: list[str]
    together: Problem | None = None

    @property
    def problems(self) -> list[Problem]:
        found = [*(part.problem for part in self.parts), self.together]
        return [problem for problem in found if problem is not None]

    @property
    def num_bytes(self) -> int:
        return sum(part.num_bytes for part in self.parts)

    def document(self) -> dict[str, Any]:
        """As one JSON document, with the sums."""
        parts = [msgspec.to_builtins(part) | {"num_bytes": part.num_bytes} for part in self.parts]
        sums = {"is_complete": not self.problems, "num_bytes": self.num_bytes}
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document | {"parts": parts} | sums
