"""What a model is made of: components, their units, and what each unit costs in operations and memory.

A description is either worked out from an architecture (opensora.py) for a given video shape and text length, or read
from a YAML file that lists units. Costs in seconds are not here: they need a device (profiles/costs.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ondevice_sora.base.text import END, Line, Title

Precision = Literal["float32", "float16", "mixed", "int8", "int4"]
Variant = Literal["plain", "tdtm"]
STORED_BYTES: dict[Precision, float] = {"float32": 4, "float16": 2, "mixed": 2, "int8": 1, "int4": 0.505}
"""Bytes of a stored weight. `mixed` has products in float16 and the rest of the arithmetic in float32; int4 stands for
four-bit palettes with their tables: Apple's SDXL comes to 4.04 bits."""

Operations = Annotated[float, msgspec.Meta(ge=0, le=1e17)]
Elements = Annotated[float, msgspec.Meta(ge=0, le=1e14)]
LiveElements = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""What one run of a unit may do, move and hold at the most: a hundred times what any model is known to."""
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[A-Za-z0-9_.\- ]+{END}", max_length=80, description="letters, digits, spaces, and any of _ . -"
    ),
]


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one run of a unit does.

    *_flops            floating-point operations, two per multiply-add, by operator class
    moved_elements     elements read and written by memory-bound operators (normalisation, activation, softmax, adds)
    working_elements   largest number of activation elements alive at one time, inputs and outputs included
    token_merges       token merge and unmerge operators (TDTM)
    """

    matmul_flops: Operations = 0.0
    attention_flops: Operations = 0.0
    convolution_flops: Operations = 0.0
    moved_elements: Elements = 0.0
    working_elements: LiveElements = 0.0
    token_merges: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The smallest piece a model can be cut at. `tdtm` is missing where token merging changes nothing.

    parameters  as learned
    tables      numbers that a package stores besides, worked out for the shape when it is made, such as position
                embeddings, less the parameters that go into them
    """

    name: Name
    parameters: Annotated[int, msgspec.Meta(ge=0, le=10**11)]
    plain: Work
    tdtm: Work | None = None
    tables: Annotated[int, msgspec.Meta(ge=-(10**11), le=10**11)] = 0

    @property
    def stored(self) -> int:
        """How many numbers the unit's package stores."""
        return self.parameters + self.tables

    def work(self, variant: Variant) -> Work:
        return self.tdtm if variant == "tdtm" and self.tdtm is not None else self.plain


def family(component: str) -> str:
    """The component that a stage belongs to: 'decoder' for 'decoder.spatial'."""
    return component.partition(".")[0]


class Component(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network that is walked `passes` times a generation, or once per denoising step.

    A component whose work is done in stages has one entry a stage, named `decoder.temporal`, `decoder.spatial`;
    reports add the stages of `decoder` up.
    """

    name: Name
    passes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | Literal["steps"]
    units: Annotated[tuple[Unit, ...], msgspec.Meta(min_length=1, max_length=5_000)]

    @property
    def family(self) -> str:
        return family(self.name)


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model at one video shape and text length. LPL needs a rectified flow to leap along."""

    name: Title
    source: Line
    components: Annotated[tuple[Component, ...], msgspec.Meta(min_length=1, max_length=50)]
    is_rectified_flow: bool = False

    @property
    def merges_tokens(self) -> bool:
        """Whether any unit has a variant for TDTM."""
        return any(unit.tdtm is not None for component in self.components for unit in component.units)
