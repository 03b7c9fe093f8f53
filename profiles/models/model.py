"""What a model is made of: components, their units, and what each unit costs in operations and memory.

A description is either worked out from an architecture (opensora.py) for a given video shape and text length, or read
from a YAML file that lists units. Costs in seconds are not here: they need a device (profiles/costs.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ondevice_sora.base.files.keys import means
from ondevice_sora.base.text import END, Line, Title

WeightFormat = Literal["float32", "float16", "int8", "int6", "int4", "int3", "int2"]
ActivationFormat = Literal["float32", "float16"]
Branches = Literal["batch", "in_turn"]
"""Of guidance: both in one batch, or every block runs for one and then, still loaded, for the other."""
Precision = Literal[
    "float32", "float16", "mixed",
    "int8", "int6", "int4", "int3", "int2",
    "int8_float32", "int6_float32", "int4_float32", "int3_float32", "int2_float32",
]  # fmt: skip
"""How weights are stored and what the arithmetic is in. A format of weights alone stands for its usual arithmetic:
float32 for float32, else float16. `mixed` has weights and products in float16 and the rest of the arithmetic in
float32; `int8_float32` has weights of 8 bits and all arithmetic in float32."""
Variant = Literal["plain", "tdtm"]
WEIGHT_BYTES: dict[WeightFormat, float] = {
    "float32": 4, "float16": 2, "int8": 1, "int6": 0.755, "int4": 0.505, "int3": 0.38, "int2": 0.255,
}  # fmt: skip
"""Bytes of a stored weight. Below 8 bits stand palettes with their tables, which take 0.04 bits a weight: Apple's SDXL
comes to 4.04 bits. int8 is linear; its scales are not counted."""


def precision_of(weights: WeightFormat, activations: ActivationFormat) -> Precision | None:
    """The precision with these two formats; None for float32 weights beside float16, which Core ML does not store."""
    if activations == "float16":
        return None if weights == "float32" else weights
    if weights == "float16":
        return "mixed"
    return "float32" if weights == "float32" else _FLOAT32_BESIDE[weights]


_FLOAT32_BESIDE: dict[WeightFormat, Precision] = {
    "int8": "int8_float32", "int6": "int6_float32", "int4": "int4_float32", "int3": "int3_float32",
    "int2": "int2_float32",
}  # fmt: skip
_WEIGHTS: dict[Precision, WeightFormat] = {
    **{name: name for name in WEIGHT_BYTES},
    **{precision: name for name, precision in _FLOAT32_BESIDE.items()},
    "mixed": "float16",
}


def weight_format(precision: Precision) -> WeightFormat:
    """How the weights are stored."""
    return _WEIGHTS[precision]


def is_compressed(precision: Precision) -> bool:
    """Whether weights are stored in fewer bits than the arithmetic takes."""
    return weight_format(precision) in _FLOAT32_BESIDE


def weight_bytes(precision: Precision) -> float:
    """Bytes of a stored weight."""
    return WEIGHT_BYTES[weight_format(precision)]


def activation_bytes(precision: Precision) -> int:
    """Bytes of one element of an activation."""
    return 4 if precision in ("float32", "mixed") or precision.endswith("_float32") else 2


def multiplies_in_float16(precision: Precision) -> bool:
    """Whether matrix products and convolutions are in float16."""
    return precision == "mixed" or activation_bytes(precision) == 2


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


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one run of a unit does. Operations are floating-point operations, two for each multiply-add."""

    matmul_flops: Annotated[Operations, means("Products with weights.")] = 0.0
    attention_flops: Annotated[Operations, means("Products of two activations.")] = 0.0
    convolution_flops: Annotated[Operations, means("Convolutions.")] = 0.0
    moved_elements: Annotated[
        Elements,
        means("Elements that memory-bound operators read and write: normalisations, activations, softmax, additions."),
    ] = 0.0
    working_elements: Annotated[
        LiveElements,
        means("The most activation elements that are alive at one time, inputs and outputs included."),
    ] = 0.0
    token_merges: Annotated[
        int, msgspec.Meta(ge=0, le=10**9), means("How many times tokens are merged or taken apart again (TDTM).")
    ] = 0
    runs: Annotated[
        int,
        msgspec.Meta(ge=1, le=2),
        means(
            "How often the unit runs, one run after the other. The operations above are those of all runs together; "
            "`working_elements` includes what the other runs start from or leave."
        ),
    ] = 1

    def in_turn(self, runs: int, waiting: float) -> Work:
        """So many runs, one after the other; `waiting` elements of each of the others are alive beside one."""
        scaled = {name: getattr(self, name) * runs for name in self.__struct_fields__}
        scaled["working_elements"] = self.working_elements + (runs - 1) * waiting
        return msgspec.structs.replace(self, **scaled)


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The smallest piece a model can be cut at."""

    name: Annotated[Name, means("The name that plans use.")]
    parameters: Annotated[
        int,
        msgspec.Meta(ge=0, le=10**11),
        means(
            "How many numbers it has learned, such as `215M` or `1.3B`. Write `bytes: 430 MB` instead if you know "
            "their size in float16."
        ),
    ]
    plain: Annotated[Work, means("What one run does.")]
    tdtm: Annotated[Work | None, means("The same with token merging, if that changes it.")] = None
    tables: Annotated[
        int,
        msgspec.Meta(ge=-(10**11), le=10**11),
        means(
            "Numbers that its package stores in addition, such as position embeddings, less the parameters that they "
            "replace."
        ),
    ] = 0

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

    name: Annotated[Name, means("Such as `text_encoder`, `denoiser`, `decoder`.")]
    passes: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=10_000)] | Literal["steps"],
        means("How often its units are walked in a generation. `steps`: once for each network evaluation."),
    ]
    units: Annotated[
        tuple[Unit, ...], msgspec.Meta(min_length=1, max_length=5_000), means("In the order in which they run.")
    ]

    @property
    def family(self) -> str:
        return family(self.name)


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model at one video shape and text length. LPL needs a rectified flow to leap along."""

    name: Annotated[Title, means("What it is called.")]
    source: Annotated[Line, means("Where its numbers come from.")]
    components: Annotated[
        tuple[Component, ...],
        msgspec.Meta(min_length=1, max_length=50),
        means("In the order in which they run."),
    ]
    is_rectified_flow: Annotated[bool, means("Whether LPL may be used.")] = False

    @property
    def merges_tokens(self) -> bool:
        """Whether any unit has a variant for TDTM."""
        return any(unit.tdtm is not None for component in self.components for unit in component.units)
