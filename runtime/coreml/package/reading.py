"""Read a model's programs: an .mlpackage, a compiled .mlmodelc or a bare .mlmodel. Nothing in them is trusted.

    package = read_package(Path("denoiser.mlpackage"))
    for operation in package.function("plain").operations:
        print(operation.type, [str(output.type) for output in operation.outputs])

A package's folder holds a manifest, a protobuf and a weight file; a compiled one the program as text. Paths are
followed inside the folder only, links by the rules of files.py. What is wrong raises PackageError, with file and place.
Weights are read when asked for; their sizes are known without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.json_files import parse_json
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.files import DiskFiles, PackageFiles, plain_parts
from ondevice_sora.runtime.coreml.package.kinds import MENDS, NEURAL_NETWORK, kind_of
from ondevice_sora.runtime.coreml.package.messages import model_class
from ondevice_sora.runtime.coreml.package.metadata import Metadata, read_metadata
from ondevice_sora.runtime.coreml.package.mil_text import read_text_program
from ondevice_sora.runtime.coreml.package.package import Package
from ondevice_sora.runtime.coreml.package.protobuf import read_program

PACKAGE, COMPILED, BARE = ".mlpackage", ".mlmodelc", ".mlmodel"
MANIFEST, DATA = "Manifest.json", "Data"
PROGRAM_TEXT = "model.mil"
MAX_MANIFEST_BYTES = 1 << 20
MAX_MODEL_BYTES = 1 << 30
MAX_TEXT_BYTES = 1 << 28
MAX_STAGES = 1_000
MAX_NESTING = 4
"""How deep pipelines may hold pipelines."""


@dataclass(frozen=True)
class Stage:
    """One model of a pipeline, or the only one (then without a name). Without a package it is no ML Program; `mend`
    then says what to do."""

    name: str
    kind: str
    mend: str = ""
    package: Package | None = None


def read_package(path: Path) -> Package:
    """The one ML Program of a package. Raises PackageError if anything is wrong or there are several,
    ModuleNotFoundError if coremltools is not installed.
    """
    stages = read_stages(path)
    if len(stages) > 1:
        what = f"holds a pipeline of {len(stages)} models, where one ML Program is expected"
        raise PackageError(what, str(path))
    if stages[0].package is None:
        raise not_a_program(stages, str(path))
    return stages[0].package


def read_stages(path: Path) -> list[Stage]:
    """All models of a package on disk, as `stages_in`."""
    if path.name.endswith(BARE):
        own = path.resolve() if path.is_symlink() and DiskFiles(path.parent).blobs is None else path
        return stages_in(DiskFiles(own.parent), own.name)
    if not path.is_dir():
        raise PackageError(f"not a folder, so not an {PACKAGE}", str(path))
    return stages_in(DiskFiles(path))


def not_a_program(stages: list[Stage], place: str) -> PackageError:
    """What is said of a model without any ML Program."""
    told = " and ".join(dict.fromkeys(stage.kind for stage in stages))
    mend = next(mend for mend in MENDS if mend in {stage.mend for stage in stages})
    return PackageError(f"holds {told}, not an ML Program, so its work cannot be counted", place, mend)


def stages_in(files: PackageFiles, bare: str | None = None) -> list[Stage]:
    """All models in a package: one, or those of its pipeline in order; `bare` names an .mlmodel file among `files`.

    Raises PackageError if anything is wrong, ModuleNotFoundError if coremltools is not installed.
    """
    if bare is None and files.path.name.endswith(COMPILED):
        return list(_compiled(files, "", "", MAX_NESTING, read_metadata(files)))
    name = _model_name(files) if bare is None else bare
    file = files.file(name, str(files.path))
    data = file.whole(MAX_MODEL_BYTES)
    from google.protobuf.message import DecodeError

    model = model_class()()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise PackageError(f"not a Core ML model: {error}", str(file.path)) from None
    stages = list(_stages(files, name, model, "", len(data), MAX_NESTING))
    if len(stages) > MAX_STAGES:
        raise PackageError(f"a pipeline of more than {MAX_STAGES} models", str(file.path))
    if bare is not None:
        stages = [replace(stage, package=stage.package and replace(stage.package, path=file.path)) for stage in stages]
    return stages


def _stages(
    files: PackageFiles, model_path: str, model: Any, name: str, num_bytes: int, nesting: int
) -> Iterator[Stage]:
    place = str(files.path / model_path)
    kind = model.WhichOneof("Type")
    if kind == "mlProgram":
        yield Stage(name, "an ML Program", package=read_program(files, model_path, model, num_bytes))
    elif kind is not None and kind.startswith("pipeline"):
        pipeline = model.pipeline if kind == "pipeline" else getattr(model, kind).pipeline
        if not nesting:
            raise PackageError(f"pipelines nest more than {MAX_NESTING} deep", place)
        if not pipeline.models:
            raise PackageError("holds a pipeline without models", place)
        for index, each in enumerate(pipeline.models):
            own = pipeline.names[index] if index < len(pipeline.names) else ""
            stage = "_".join(filter(None, (name, own or f"stage{index}")))
            yield from _stages(files, model_path, each, stage, each.ByteSize(), nesting - 1)
    elif kind is None:
        raise PackageError("holds no model", place)
    else:
        layers = len(getattr(model, kind).layers) if kind.startswith(NEURAL_NETWORK) else None
        yield Stage(name, *kind_of(kind, layers))


def _compiled(files: PackageFiles, folder: str, name: str, nesting: int, told: Metadata) -> Iterator[Stage]:
    """The models in a compiled package, or in a `folder/` of it: the folders model0, model1, ... are a pipeline's.

    What coremldata.bin would add, whose form is not documented, is in the program or in metadata.json too.
    """
    place = str(files.path / folder)
    if files.has(f"{folder}{PROGRAM_TEXT}"):
        file = files.file(f"{folder}{PROGRAM_TEXT}", place)
        program = read_text_program(files, f"{folder}{PROGRAM_TEXT}", file.whole(MAX_TEXT_BYTES), told.default_function)
        yield Stage(name, "an ML Program", package=program)
    elif files.has(f"{folder}model0"):
        if not nesting:
            raise PackageError(f"pipelines nest more than {MAX_NESTING} deep", place)
        for index in range(MAX_STAGES):
            if not files.has(f"{folder}model{index}"):
                break
            own = "_".join(filter(None, (name, f"model{index}")))
            inner = told.stages[index] if index < len(told.stages) else Metadata()
            yield from _compiled(files, f"{folder}model{index}/", own, nesting - 1, inner)
    elif files.has(f"{folder}model.espresso.net"):
        yield Stage(name, *kind_of(NEURAL_NETWORK))
    elif files.has(f"{folder}coremldata.bin"):
        yield Stage(name, *kind_of(told.kind))
    else:
        raise PackageError(f"has no {PROGRAM_TEXT} and nothing else of a compiled model", place)


class _Item(msgspec.Struct, frozen=True):
    path: str


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    item_info_entries: dict[str, _Item]
    root_model_identifier: str


def _model_name(files: PackageFiles) -> str:
    """The program's file, by the package's manifest."""
    place = str(files.path / MANIFEST)
    try:
        file = files.file(MANIFEST, place)
        text = file.whole(MAX_MANIFEST_BYTES).decode("utf-8")
        manifest = Document(parse_json(text, place), {}, file.path).convert(_Manifest)
    except UnicodeDecodeError as error:
        raise PackageError(f"not a package's manifest: not UTF-8 text (byte {error.start})", place) from None
    except PackageError as error:
        if error.mend:
            raise
        raise PackageError(f"not a package's manifest: {error.what}", error.where or place) from None
    except UserError as error:
        raise PackageError(f"not a package's manifest: {error.what}", error.where or place) from None
    root = manifest.item_info_entries.get(manifest.root_model_identifier)
    if root is None:
        raise PackageError(f"there is no item {manifest.root_model_identifier!r}, the root model", place)
    return "/".join((DATA, *plain_parts(root.path, place)))
