"""The manifest of an exported plan: all that a runtime needs beside the packages, on any platform.

    manifest.json
    no_caption.bin                 the caption that stands for none: float32, row by row
    denoiser.003.mlpackage

`components` are walked in order: a component's passes over its blocks, each reading the tensors it names from what was
written before. `functions` says how to call a block: which function of which package, and which tensor is which of its
inputs and outputs. docs/coreml.md walks through it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.plans.schema import Plan, plan_data
from ondevice_sora.profiles.blocks import ComputeUnits, span_name
from ondevice_sora.profiles.models.model import Precision

MANIFEST = "manifest.json"
FORMAT = "ondevice-sora-export-1"
MAX_MANIFEST_BYTES = 100_000_000
HASH_BYTES = 1 << 24
EXPORT_AGAIN = "Export the plan again."

Count = Annotated[int, msgspec.Meta(ge=0, le=10**13)]
FunctionKind = Literal["plain", "tdtm", "tail"]
"""`tail` is for what is left at the end of a video: a shorter chunk of latent frames, or a smaller batch of frames."""
FeatureType = Literal["float32", "float16", "int32"]


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input or output: its name in the package, and the tensor that it is."""

    feature: str
    tensor: str
    dtype: FeatureType
    shape: tuple[Count, ...]


class ExportedFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one kind of a block is called: a function of a package, named `main` where the package has one only."""

    kind: FunctionKind
    package: str
    function: str
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]


class ExportedPackage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An .mlpackage beside the manifest. `checksum` is over the names, sizes and contents of its files (SHA-256)."""

    file: str
    num_bytes: Count
    checksum: str


class ExportedBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One block. `source` is a hash of all that it was made from: with an equal one it is not made again."""

    component: str
    number: Count
    first_unit: str
    last_unit: str
    precision: Precision
    compute_units: ComputeUnits
    source: str
    packages: tuple[ExportedPackage, ...]
    functions: tuple[ExportedFunction, ...]

    @property
    def name(self) -> str:
        """The block's name, as in traces."""
        return span_name(self.first_unit, self.last_unit)

    def function(self, kind: str) -> ExportedFunction | None:
        return next((each for each in self.functions if each.kind == kind), None)


class ExportedComponent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A component: how often it is walked, what its caller provides and what it provides."""

    name: str
    passes: int | Literal["steps"]
    reads: tuple[str, ...]
    writes: tuple[str, ...]


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Euler steps along a rectified flow: z += v * (t[i] - t[i + 1]) / time_scale, t being 0 after the last.

    v = v_uncond + guidance * (v_cond - v_uncond), from the first `latent_channels` channels of `velocity`; both are in
    one batch, the conditional one first. Noise starts from N(0, 1) of shape [1, *latent_shape].
    """

    timesteps: tuple[float, ...]
    time_scale: float
    guidance: float
    fps: float
    latent_channels: int
    latent_shape: tuple[int, ...]


class Decoding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How latents become frames: chunks of latent frames by decoder.temporal, batches of frames by decoder.spatial.

    `chunk_frames` has the frames that each chunk decodes to; a last chunk or batch that is shorter is the function
    `tail`'s.
    """

    num_frames: int
    height: int
    width: int
    chunk_latent_frames: int
    chunk_frames: tuple[int, ...]
    batch_frames: int


class StoredConstant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Float32 values in a file beside the manifest, little-endian, row by row."""

    file: str
    shape: tuple[Count, ...]
    checksum: str


class ExportedWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the weights came from: a folder, or the seed that they were drawn from."""

    description: str
    seed: int | None


class ExportManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An export. `complete` is false while blocks are being made. `origin` says how to build the networks again.

    Prompts are padded to `encoder_tokens`; at most `text_tokens` of them count, the rest must be masked.
    """

    format: str
    complete: bool
    model: str
    plan: dict[str, Any]
    plan_sha256: str
    weights: ExportedWeights
    made_with: str
    text_tokens: int
    encoder_tokens: int
    sampling: Sampling
    decoding: Decoding
    no_caption: StoredConstant
    components: tuple[ExportedComponent, ...]
    blocks: tuple[ExportedBlock, ...]
    origin: dict[str, Any]

    def block(self, component: str, first_unit: str, last_unit: str) -> ExportedBlock:
        """Raises UserError if the export was cut otherwise."""
        for block in self.blocks:
            if (block.component, block.first_unit, block.last_unit) == (component, first_unit, last_unit):
                return block
        raise UserError(f"the export has no block '{first_unit}..{last_unit}' of {component}", mend=EXPORT_AGAIN)


def plan_hash(plan: Plan) -> str:
    """SHA-256 of the plan as data, the same however its file is written."""
    return hashlib.sha256(msgspec.json.encode(plan_data(plan), order="sorted")).hexdigest()


def read_manifest(directory: Path) -> ExportManifest:
    """Raises UserError if there is no manifest, or none of this format."""
    path = directory / MANIFEST
    if not path.is_file():
        raise UserError("no export: there is no manifest.json", str(directory), "Export a plan to this folder first.")
    document = read_json(path, max_bytes=MAX_MANIFEST_BYTES, mend=EXPORT_AGAIN, follows_links=False)
    document.check_format("an export's manifest", FORMAT)
    manifest = document.convert(ExportManifest)
    named = [manifest.no_caption.file, *(package.file for block in manifest.blocks for package in block.packages)]
    for file in named:
        if Path(file).name != file or file in ("", ".", ".."):
            raise UserError(f"file {file!r} is not beside the manifest", str(path), EXPORT_AGAIN)
    return manifest


def write_manifest(directory: Path, manifest: ExportManifest) -> None:
    write_text(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1).decode() + "\n")


def packaged(directory: Path, file: str) -> ExportedPackage:
    """Size and checksum of a package as it is on disk. Raises OSError if it cannot be read."""
    digest, total = hashlib.sha256(), 0
    root = directory / file
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        size = os.path.getsize(path)
        digest.update(f"{path.relative_to(root).as_posix()}\0{size}\0".encode())
        with path.open("rb", buffering=0) as stream:
            while chunk := stream.read(HASH_BYTES):
                digest.update(chunk)
        total += size
    return ExportedPackage(file, total, digest.hexdigest())
