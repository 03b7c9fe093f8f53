"""The manifest of an exported plan: all that a runtime needs beside the packages, on any platform.

    manifest.json
    tokenizer.json                 how prompts become token ids (runtime/tokenizers/document.py), where it is known
    no_caption.bin                 the caption that stands for none: float32, row by row
    denoiser.003.mlpackage

`components` are walked in order: a component's passes over its blocks, each reading the tensors it names from what was
written before. `functions` says how to call a block: which function of which package, and which tensor is which of its
inputs and outputs. docs/coreml.md walks through it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.opening import FILE_NAME, open_regular
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.base.quantities import Count
from ondevice_sora.base.text import END, Checksum, Line, Title
from ondevice_sora.plans.schedule_file import PackageName
from ondevice_sora.plans.step_plan import Solver
from ondevice_sora.profiles.blocks import ComputeUnits, span_name
from ondevice_sora.profiles.models.model import Name, Precision
from ondevice_sora.runtime.coreml.export.folder import files_of

MANIFEST = "manifest.json"
TokenizerFile = Literal["tokenizer.json"]
TOKENIZER: TokenizerFile = "tokenizer.json"
FORMAT = "ondevice-sora-export-2"
OLD_FORMATS = ("ondevice-sora-export-1",)
MAX_MANIFEST_BYTES = 100_000_000
HASH_BYTES = 1 << 24
EXPORT_AGAIN = "Export the plan again."

ConstantName = Annotated[
    str,
    msgspec.Meta(pattern=FILE_NAME + r"\.bin" + END, max_length=200, description="the name of a .bin file beside it"),
]
Size = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Shape = Annotated[tuple[Annotated[int, msgspec.Meta(ge=1, le=10**9)], ...], msgspec.Meta(max_length=8)]
Tensors = Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=100)]
FunctionKind = Literal["plain", "tdtm", "tail"]
"""`tail` is for what is left at the end of a video: a shorter chunk of latent frames, or a smaller batch of frames."""
FeatureType = Literal["float32", "float16", "int32"]


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input or output: its name in the package, and the tensor that it is."""

    feature: Line
    tensor: Name
    dtype: FeatureType
    shape: Shape


Features = Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1, max_length=100)]


class ExportedFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one kind of a block is called: a function of a package, named `main` where the package has one only."""

    kind: FunctionKind
    package: PackageName
    function: Line
    inputs: Features
    outputs: Features


class ExportedPackage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An .mlpackage beside the manifest. `checksum` is over the names, sizes and contents of its files (SHA-256)."""

    file: PackageName
    num_bytes: Count
    checksum: Checksum


class ExportedBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One block. `source` is a hash of all that it was made from: with an equal one it is not made again."""

    component: Name
    number: Count
    first_unit: Name
    last_unit: Name
    precision: Precision
    compute_units: ComputeUnits
    source: Checksum
    packages: Annotated[tuple[ExportedPackage, ...], msgspec.Meta(min_length=1, max_length=3)]
    functions: Annotated[tuple[ExportedFunction, ...], msgspec.Meta(min_length=1, max_length=3)]

    @property
    def name(self) -> str:
        """The block's name, as in traces."""
        return span_name(self.first_unit, self.last_unit)

    def function(self, kind: str) -> ExportedFunction | None:
        return next((each for each in self.functions if each.kind == kind), None)


class ExportedComponent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A component: how often it is walked, what its caller provides and what it provides."""

    name: Name
    passes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | Literal["steps"]
    reads: Tensors
    writes: Tensors


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps along a rectified flow: z += d * h, h = (t[i] - t[i + 1]) / time_scale, t being 0 after the last.

    By the solver `euler` d = v; by `ab2`, after the first step, d = v + (v - v_before) * h / (2 * h_before). A leap
    goes along v by either.

    v = v_uncond + guidance * (v_cond - v_uncond), from the first `latent_channels` channels of `velocity`. `batch` has
    the samples that a block computes at a time: 2, the conditional one first. Where it is 1, each block runs for the
    conditional branch and then, before the next block, for the other; at a guidance of 1.0 there is no other. Noise
    starts from N(0, 1) of shape [1, *latent_shape].
    """

    timesteps: Annotated[tuple[Annotated[float, msgspec.Meta(ge=0, le=1e6)], ...], msgspec.Meta(min_length=1)]
    time_scale: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    guidance: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    batch: Literal[1, 2]
    fps: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    latent_channels: Size
    latent_shape: tuple[Size, Size, Size, Size]
    solver: Solver


class Decoding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How latents become frames: chunks of latent frames by decoder.temporal, batches of frames by decoder.spatial.

    `chunk_frames` has the frames that each chunk decodes to; a last chunk or batch that is shorter is the function
    `tail`'s.
    """

    num_frames: Size
    height: Size
    width: Size
    chunk_latent_frames: Size
    chunk_frames: Annotated[tuple[Size, ...], msgspec.Meta(min_length=1)]
    batch_frames: Size


class StoredConstant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Float32 values in a file beside the manifest, little-endian, row by row."""

    file: ConstantName
    shape: Shape
    checksum: Checksum


class StoredTokenizer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tokenizer document beside the manifest. `checksum` is over its bytes (SHA-256)."""

    file: TokenizerFile
    checksum: Checksum


class ExportedWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the weights came from: the name of their folder, without where it lay, or the seed they were drawn from."""

    description: Line
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None


class ExportManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An export. `complete` is false while blocks are being made. `origin` says how to build the networks again.

    `model` is the plan's, `model_name` by what captures of its blocks are matched with plans (`profile import`).
    Prompts are padded to `encoder_tokens`; at most `text_tokens` of them count, the rest must be masked.
    """

    format: str
    complete: bool
    model: Title
    model_name: Title
    plan: dict[str, Any]
    plan_sha256: Checksum
    weights: ExportedWeights
    made_with: Line
    text_tokens: Size
    encoder_tokens: Size
    sampling: Sampling
    decoding: Decoding
    no_caption: StoredConstant
    tokenizer: StoredTokenizer | None
    components: tuple[ExportedComponent, ...]
    blocks: tuple[ExportedBlock, ...]
    origin: dict[str, Any]

    def block(self, component: str, first_unit: str, last_unit: str) -> ExportedBlock:
        """Raises UserError if the export was cut otherwise."""
        for block in self.blocks:
            if (block.component, block.first_unit, block.last_unit) == (component, first_unit, last_unit):
                return block
        raise UserError(f"the export has no block '{first_unit}..{last_unit}' of {component}", mend=EXPORT_AGAIN)


def read_manifest(directory: Path) -> ExportManifest:
    """Raises UserError if there is no manifest, or none of this format."""
    path = directory / MANIFEST
    if not os.path.lexists(path):
        raise UserError("no export: there is no manifest.json", str(directory), "Export a plan to this folder first.")
    document = read_json(path, max_bytes=MAX_MANIFEST_BYTES, mend=EXPORT_AGAIN, follows_links=False)
    if document.data.get("format") in OLD_FORMATS:
        what = f"an export of an earlier version, {document.data['format']}; this one reads {FORMAT}"
        raise document.error("$", what, "Export the plan again, to another folder or with --force.")
    document.check_format("an export's manifest", FORMAT)
    manifest = document.convert(ExportManifest)
    _check(manifest, document)
    return manifest


def _check(manifest: ExportManifest, document: Document) -> None:
    """What a schema cannot say: each block and package once, and functions of the block's own packages."""
    components = {component.name for component in manifest.components}
    seen: set[object] = set()
    for index, block in enumerate(manifest.blocks):
        pointer = f"$.blocks[{index}]"
        if block.component not in components:
            raise document.error(f"{pointer}.component", f"'{block.component}' is none of the components")
        files = [package.file for package in block.packages]
        for same in ((block.component, block.number), (block.component, block.first_unit), *files):
            if same in seen:
                raise document.error(pointer, f"block '{block.name}' of {block.component}, or a package, stands twice")
            seen.add(same)
        kinds = [function.kind for function in block.functions]
        if "plain" not in kinds or len(set(kinds)) < len(kinds):
            raise document.error(f"{pointer}.functions", "one function of each kind is needed, and a plain one")
        for row, function in enumerate(block.functions):
            if function.package not in files:
                what = f"'{function.package}' is none of the block's packages"
                raise document.error(f"{pointer}.functions[{row}].package", what)


def give_way(directory: Path) -> None:
    """Remove a manifest.json that is not an export's: a file or a link, and nothing else. Raises UserError."""
    path = directory / MANIFEST
    try:
        read_manifest(directory)
    except UserError as error:
        if os.path.lexists(path):
            if stat.S_ISDIR(os.lstat(path).st_mode):
                raise UserError("this is a folder", str(path), "Move it away, or choose another folder.") from error
            path.unlink()


def write_manifest(directory: Path, manifest: ExportManifest) -> None:
    write_text(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1).decode() + "\n")


def packaged(directory: Path, file: str) -> ExportedPackage:
    """Size and checksum of a package as it is on disk. Raises OSError if it cannot be read, or holds links."""
    digest, total = hashlib.sha256(), 0
    root = directory / file
    for path in files_of(directory, file):
        with open_regular(path, follows_links=False) as stream:
            size = os.fstat(stream.fileno()).st_size
            digest.update(f"{path.relative_to(root).as_posix()}\0{size}\0".encode())
            while chunk := stream.read(HASH_BYTES):
                digest.update(chunk)
        total += size
    return ExportedPackage(file, total, digest.hexdigest())
