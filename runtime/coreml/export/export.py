"""Export a plan: every block of its partition becomes a Core ML package, and a manifest says how they fit together.

Blocks are converted one at a time in each process, with the weights of one block in memory, inside a scratch folder of
the export's, which is emptied after each. The manifest is written after each: whatever interrupts an export, what is
finished stays, and the next one makes only blocks whose source has changed or whose package is not as it was written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from msgspec.structs import replace
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked, scratch_in
from ondevice_sora.base.files.writing import replaced
from ondevice_sora.base.interrupts import check, noted
from ondevice_sora.base.workers import WorkerDiedError, Workers
from ondevice_sora.plans.checks import refuse_core_ai
from ondevice_sora.plans.schema import plan_data, plan_hash
from ondevice_sora.plans.step_plan import TIME_SCALE
from ondevice_sora.profiles.models.catalogue import name_in_captures
from ondevice_sora.profiles.models.model import Precision, family
from ondevice_sora.runtime.coreml.export.conversion import (
    OUTPUT_SUFFIX,
    compute_constant_outputs,
    convert_block,
    merge_functions,
    temporary_files_in,
)
from ondevice_sora.runtime.coreml.export.folder import put_package, remove_package
from ondevice_sora.runtime.coreml.export.manifest import (
    FORMAT,
    MANIFEST,
    TOKENIZER,
    Decoding,
    ExportedBlock,
    ExportedComponent,
    ExportedFunction,
    ExportedPackage,
    ExportedWeights,
    ExportManifest,
    Feature,
    FeatureType,
    FunctionKind,
    Sampling,
    StoredConstant,
    StoredTokenizer,
    packaged,
    read_manifest,
    write_manifest,
)
from ondevice_sora.runtime.coreml.export.workshop import Commission, Workshop
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Function
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.package.types import TensorType
from ondevice_sora.runtime.coreml.quiet import quietly
from ondevice_sora.runtime.networks.network import bound
from ondevice_sora.runtime.networks.units import BlockModule, tensors_read
from ondevice_sora.runtime.tokenizers.document import encoded, read_tokenizer

EXPORTED: tuple[Precision, ...] = (
    "float32", "float16", "mixed", "int8", "int4", "int8_float32", "int4_float32",
)  # fmt: skip
NO_CAPTION = "no_caption.bin"
CONVERSION = "2"
"""Part of every block's source: to be raised when the same block would convert to something else."""
FEATURE_TYPES: dict[str, FeatureType] = {"fp32": "float32", "fp16": "float16", "int32": "int32"}

OnBlock = Callable[[ExportedBlock, bool], None]


@dataclass(frozen=True)
class Job:
    """One block to make, in a folder of its own beneath `scratch`."""

    commission: Commission
    directory: Path
    scratch: Path
    component: str
    number: int


def export_plan(
    commission: Commission, directory: Path, *, jobs: int = 1, on_block: OnBlock | None = None
) -> ExportManifest:
    """Export to a folder, made if it is not there. Returns the manifest.

    `on_block` is told of every block as it is there, and whether it had to be made. Raises UserError for what the user
    can mend, and Interrupted; the folder then holds what was finished.
    """
    refuse_core_ai(commission.plan)
    workshop = workshop_of(commission)
    for component in workshop.cuts:
        settings = commission.plan.component(component)
        if settings.stored not in EXPORTED:
            where = f"$.components.{commission.plan.entry(component)}.{'weights' if settings.weights else 'precision'}"
            what = f"'{settings.weights or settings.stored}' is not exported here"
            raise UserError(what, mend="Write int8, int4, float16 or float32.", field=where)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with noted(), locked(directory), scratch_in(directory, "export") as scratch:
            return _export(workshop, commission, directory, scratch, jobs, on_block)
    except OSError as error:
        raise UserError(f"the export cannot be written: {error.strerror or error}", str(directory)) from None


def _export(
    workshop: Workshop, commission: Commission, directory: Path, scratch: Path, jobs: int, on_block: OnBlock | None
) -> ExportManifest:
    wanted = [(component, number) for component, blocks in workshop.cuts.items() for number in range(len(blocks))]
    earlier = _manifest_before(directory)
    before = {(block.component, block.number): block for block in earlier.blocks} if earlier else {}
    manifest = _empty_manifest(workshop, directory, earlier)
    finished: dict[tuple[str, int], ExportedBlock] = {}

    def finish(block: ExportedBlock, was_made: bool) -> None:
        nonlocal manifest
        finished[block.component, block.number] = block
        manifest = replace(manifest, blocks=tuple(finished[key] for key in wanted if key in finished))
        write_manifest(directory, manifest)
        if on_block is not None:
            on_block(block, was_made)

    todo = []
    for component, number in wanted:
        check()
        known = before.get((component, number))
        if known is not None and known.source == source_of(workshop, component, number) and _is_whole(directory, known):
            finish(known, False)
        else:
            todo.append(Job(commission, directory, scratch, component, number))
    with closing(_made(todo, jobs)) as made:
        for block in made:
            finish(block, True)
    manifest = replace(manifest, complete=True)
    write_manifest(directory, manifest)
    _remove_strangers(directory, manifest, before)
    return manifest


def feature_types(function: Function) -> dict[str, tuple[FeatureType, tuple[int, ...]]]:
    """Type and shape of every input and output of a function, as it is in its package. Raises PackageError."""
    found = {}
    for value in (*function.inputs, *function.outputs):
        if not isinstance(value.type, TensorType) or value.type.dtype not in FEATURE_TYPES:
            raise PackageError(f"{value.name!r} is {value.type}; blocks pass on tensors of float32, float16 or int32")
        found[value.name] = FEATURE_TYPES[value.type.dtype], tuple(size or 0 for size in value.type.shape or ())
    return found


def _made(todo: list[Job], jobs: int) -> Generator[ExportedBlock]:
    """The blocks, in whatever order they get finished."""
    if jobs == 1:
        for job in todo:
            check()
            yield make_block(job)
        return
    with Workers(make_block, min(jobs, len(todo)), prepare=_start_worker) as workers:
        try:
            for _, block in workers.results(todo):
                yield block
        except WorkerDiedError as died:
            name = workshop_of(died.job.commission).cuts[died.job.component][died.job.number].name
            what = f"the process that made block '{name}' of {died.job.component} {died.how}"
            mend = "What is finished is kept; take fewer --jobs if memory is short."
            raise UserError(what, mend=mend) from None


def _start_worker() -> None:
    """One thread a process."""
    torch.set_num_threads(1)


_latest: list[tuple[Commission, Workshop]] = []


def workshop_of(commission: Commission) -> Workshop:
    """The commission's workshop; the last one is kept, for a process makes many blocks of one commission."""
    if not _latest or _latest[0][0] != commission:
        _latest[:] = [(commission, Workshop(commission))]
    return _latest[0][1]


def make_block(job: Job) -> ExportedBlock:
    """Convert one block and put its packages in their places."""
    workshop = workshop_of(job.commission)
    plan, block = job.commission.plan, workshop.cuts[job.component][job.number]
    settings = plan.component(job.component)
    slots = workshop.slots(job.component, job.number)
    kinds = workshop.block_kinds(job.component, job.number)
    units = workshop.network(job.component).plain
    outer = (*tensors_read(units), *units[-1].writes)
    stem = f"{job.component}.{job.number:03}"
    scratch = job.scratch / stem
    try:
        with temporary_files_in(scratch):
            weights = workshop.source.read(
                family(job.component), {name: slot.get().shape for name, slot in slots.items()}
            )
            with bound(slots, weights):
                for kind, (module, shapes) in kinds.items():
                    check()
                    model = convert_block(
                        module, [_example(shapes[name]) for name in module.inputs], settings.stored, outer
                    )
                    with quietly():
                        model.save(str(scratch / f"{kind}.mlpackage"))
                    del model
            for suffix, held in _packages(list(kinds), plan.tdtm.packages).items():
                made = scratch / f"{held[0]}.mlpackage"
                if len(held) > 1:
                    made = scratch / "merged.mlpackage"
                    merge_functions({kind: scratch / f"{kind}.mlpackage" for kind in held}, made)
                compute_constant_outputs(made)
                put_package(made, job.directory, f"{stem}{suffix}.mlpackage")
        return block_in(job.directory, workshop, job.component, job.number)
    except Exception as error:
        error.add_note(f"while block '{block.name}' of {job.component} was made")
        raise


def block_in(directory: Path, workshop: Workshop, component: str, number: int) -> ExportedBlock:
    """What an export says of a block whose packages are in the folder. Raises PackageError, and OSError."""
    settings, block = workshop.plan.component(component), workshop.cuts[component][number]
    kinds = workshop.block_kinds(component, number)
    packages: list[ExportedPackage] = []
    functions: list[ExportedFunction] = []
    for suffix, held in _packages(list(kinds), workshop.plan.tdtm.packages).items():
        file = f"{component}.{number:03}{suffix}.mlpackage"
        functions += _described(directory / file, file, {kind: kinds[kind][0] for kind in held})
        packages.append(packaged(directory, file))
    return ExportedBlock(
        component=component,
        number=number,
        first_unit=block.units[0].name,
        last_unit=block.units[-1].name,
        precision=settings.stored,
        compute_units=block.compute_units,
        source=source_of(workshop, component, number),
        packages=tuple(packages),
        functions=tuple(functions),
    )


def _packages(kinds: list[FunctionKind], packages: str) -> dict[str, list[FunctionKind]]:
    """File suffix -> the kinds that are functions of that package."""
    if packages == "separate" and "tdtm" in kinds:
        return {"": [kind for kind in kinds if kind != "tdtm"], ".tdtm": ["tdtm"]}
    return {"": kinds}


def _described(package: Path, file: str, blocks: Mapping[FunctionKind, BlockModule]) -> Iterator[ExportedFunction]:
    program = read_package(package)
    for kind, block in blocks.items():
        name = kind if len(blocks) > 1 else program.default_function
        types = feature_types(program.function(name))
        inputs = {tensor: tensor for tensor in block.inputs}
        outputs = {tensor + OUTPUT_SUFFIX: tensor for tensor in block.outputs}
        if lacking := [feature for feature in (*inputs, *outputs) if feature not in types]:
            raise PackageError(f"function {name!r} has no input or output {lacking[0]!r}", str(package))
        yield ExportedFunction(
            kind=kind,
            package=file,
            function=name,
            inputs=tuple(Feature(feature, tensor, *types[feature]) for feature, tensor in inputs.items()),
            outputs=tuple(Feature(feature, tensor, *types[feature]) for feature, tensor in outputs.items()),
        )


def source_of(workshop: Workshop, component: str, number: int) -> str:
    """Hash of what a block is made from: its weights, its units in their shapes, and how it is converted."""
    settings = workshop.plan.component(component)
    block = workshop.cuts[component][number]
    shapes = {name: tuple(slot.get().shape) for name, slot in workshop.slots(component, number).items()}
    described = {
        "conversion": CONVERSION,
        "coremltools": _coremltools_version(),
        "torch": str(torch.__version__),
        "component": component,
        "units": [unit.name for unit in block.units],
        "compute_units": block.compute_units,
        "precision": settings.stored,
        "packages": workshop.plan.tdtm.packages,
        "origin": workshop.origin,
        "video": [workshop.request.num_frames, workshop.request.height, workshop.request.width],
        "kinds": {
            kind: [
                [(name, str(tensor.dtype), tuple(tensor.shape)) for name, tensor in tensors.items()]
                for tensors in (inputs, workshop.outputs(component, number, kind))
            ]
            for kind, (_, inputs) in workshop.block_kinds(component, number).items()
        },
        "merged": workshop.merged(component, number),
        "weights": workshop.source.digest(family(component), shapes),
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _empty_manifest(workshop: Workshop, directory: Path, earlier: ExportManifest | None) -> ExportManifest:
    """The manifest before any block is there; writes the files beside it that are no packages.

    Raises UserError if a tokenizer.json is in the way that is none of ours.
    """
    manifest, files = manifest_of(workshop)
    if os.path.lexists(directory / TOKENIZER):
        is_ours = (earlier is not None and earlier.tokenizer is not None) or _is_tokenizer(directory / TOKENIZER)
        if is_ours:
            (directory / TOKENIZER).unlink()
        elif TOKENIZER in files:
            what = "is in the way, and is no tokenizer of an export"
            raise UserError(what, str(directory / TOKENIZER), "Move it away, or choose another folder.")
    for name, data in files.items():
        with replaced(directory / name) as stream:
            stream.write(data)
    return manifest


def _is_tokenizer(path: Path) -> bool:
    try:
        read_tokenizer(path)
    except UserError:
        return False
    return True


def manifest_of(workshop: Workshop) -> tuple[ExportManifest, dict[str, bytes]]:
    """The manifest of a commission without its blocks, and by name the files that it needs beside the packages."""
    video, request, plan = workshop.video, workshop.request, workshop.plan
    config = video.model.decoder.config
    size = config.latent_size(request.num_frames, request.height, request.width)
    chunks = config.chunks(size[0], request.num_frames)
    channels = video.model.denoiser.config.in_channels
    no_caption = video.no_caption[: workshop.encoder_tokens].float().contiguous()
    files = {NO_CAPTION: no_caption.numpy().astype("<f4").tobytes()}
    if workshop.tokenizer is not None:
        files[TOKENIZER] = encoded(workshop.tokenizer)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = ExportManifest(
        format=FORMAT,
        complete=False,
        model=plan.model_name,
        model_name=name_in_captures(plan.model_name),
        plan=plan_data(plan),
        plan_sha256=plan_hash(plan),
        weights=ExportedWeights(workshop.source.description, workshop.source.seed),
        made_with=f"coremltools {_coremltools_version()}, torch {torch.__version__}",
        text_tokens=workshop.text_tokens,
        encoder_tokens=workshop.encoder_tokens,
        sampling=Sampling(
            timesteps=request.timesteps(),
            solver=request.solver,
            time_scale=float(TIME_SCALE),
            guidance=request.guidance_scale,
            batch=request.batch,
            fps=request.fps,
            latent_channels=channels,
            latent_shape=(channels, *size),
        ),
        decoding=Decoding(
            num_frames=request.num_frames,
            height=request.height,
            width=request.width,
            chunk_latent_frames=config.chunk_latent_frames,
            chunk_frames=tuple(count for _, count in chunks),
            batch_frames=config.batch_frames,
        ),
        no_caption=StoredConstant(NO_CAPTION, tuple(no_caption.shape), sums[NO_CAPTION]),
        tokenizer=StoredTokenizer(TOKENIZER, sums[TOKENIZER]) if TOKENIZER in sums else None,
        components=tuple(
            ExportedComponent(network.name, network.passes, tensors_read(network.plain), network.plain[-1].writes)
            for network in video.networks
        ),
        blocks=(),
        origin=workshop.origin,
    )
    return manifest, files


def _manifest_before(directory: Path) -> ExportManifest | None:
    """Of an earlier export to this folder. Raises UserError for a manifest.json that is not an export's."""
    if not os.path.lexists(directory / MANIFEST):
        return None
    try:
        return read_manifest(directory)
    except UserError as error:
        mend = "Choose another folder, or have this file replaced with --force."
        raise UserError(error.what, error.where, mend) from None


def _is_whole(directory: Path, block: ExportedBlock) -> bool:
    """Whether the block's packages are as they were written."""
    try:
        return all(packaged(directory, package.file) == package for package in block.packages)
    except OSError:
        return False


def _remove_strangers(
    directory: Path, manifest: ExportManifest, before: Mapping[tuple[str, int], ExportedBlock]
) -> None:
    """Remove packages that an earlier export left and this one has no use for."""
    kept = {package.file for block in manifest.blocks for package in block.packages}
    for file in {package.file for block in before.values() for package in block.packages} - kept:
        remove_package(directory, file)


def _example(shape: Tensor) -> Tensor:
    """An input to trace with: its values change nothing."""
    if shape.dtype.is_floating_point:
        return torch.zeros(shape.shape, dtype=shape.dtype)
    return torch.ones(shape.shape, dtype=shape.dtype)


def _coremltools_version() -> str:
    from importlib.metadata import version

    return version("coremltools")
