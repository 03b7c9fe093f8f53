"""What packages cost by their programs alone: what `profile estimate` prints, or as JSON with the same numbers."""

from __future__ import annotations

import msgspec

from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.profiles.figures import Mark
from ondevice_sora.profiles.models.model import Precision, Variant


class EstimatedFunction(msgspec.Struct, frozen=True):
    """One function of one package; bytes and seconds, on the block's compute units.

    operations      number by type, weights and views included
    *_flops         two a multiply-add, by operator class
    moved_bytes     read and written by memory-bound operators
    working_bytes   largest number of activation bytes alive at one time
    *_marks         share of the seconds that rests on figures of each mark
    """

    component: str
    unit: str
    variant: Variant
    function: str
    operations: dict[str, int]
    matmul_flops: float
    attention_flops: float
    convolution_flops: float
    moved_bytes: int
    working_bytes: int
    load_cold_s: float
    load_warm_s: float
    run_s: float
    load_marks: dict[Mark, float]
    run_marks: dict[Mark, float]

    @property
    def flops(self) -> float:
        return self.matmul_flops + self.attention_flops + self.convolution_flops


class EstimatedPackage(msgspec.Struct, frozen=True):
    """One block: a package, or two where the variants do not share one (`path` is the first).

    file_bytes    of programs and weight files
    weight_bytes  of its weights on disk, each once
    filler_bytes  of those, what conversion adds: zeros for a bias, say, and paddings
    parameters    weights as counted before compression
    held_bytes    of its weights once loaded, by compute units: the GPU holds compressed ones dequantised
    notes         what stands against running it, and what could not be counted
    shares_weights   its weights on disk are those of a row before it: it is another function of the same package
    """

    path: str
    compute_units: ComputeUnits
    precision: Precision
    file_bytes: int
    weight_bytes: int
    filler_bytes: int
    parameters: int
    held_bytes: dict[ComputeUnits, int]
    functions: list[EstimatedFunction]
    notes: list[str]
    shares_weights: bool = False


class Refused(msgspec.Struct, frozen=True):
    """A package that could not be read or counted: what is wrong with it, and what to do."""

    path: str
    what: str
    mend: str


class Estimate(msgspec.Struct, frozen=True):
    device: str
    packages: list[EstimatedPackage]
    notes: list[str]
    refused: list[Refused] = []
