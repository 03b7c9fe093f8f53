"""Compare an export with the networks it was made from, block by block, in the reference executor.

Every block gets the inputs that it has in a generation: what the torch blocks before it make of a prompt, noise and a
time. So errors do not add up, and a block that is wrong stands out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.opening import reason
from ondevice_sora.profiles.models.model import Precision, family
from ondevice_sora.records.checks import ParityRow
from ondevice_sora.runtime.coreml.export.export import block_in, manifest_of, source_of, workshop_of
from ondevice_sora.runtime.coreml.export.exported import constant_of, planned, tokenizer_in
from ondevice_sora.runtime.coreml.export.manifest import (
    EXPORT_AGAIN,
    MANIFEST,
    ExportedBlock,
    ExportedFunction,
    ExportManifest,
    FunctionKind,
    packaged,
    read_manifest,
)
from ondevice_sora.runtime.coreml.export.workshop import Commission, Workshop
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.program.program import Program
from ondevice_sora.runtime.models import SHIPPED
from ondevice_sora.runtime.networks.components import DENOISER, TEXT_ENCODER
from ondevice_sora.runtime.networks.network import bound
from ondevice_sora.runtime.networks.units import State, run_units
from ondevice_sora.runtime.sampling.video import SPATIAL, TEMPORAL

TOLERANCES: dict[Precision, float] = {
    "float32": 1e-4,
    "float16": 2e-2,
    "mixed": 2e-2,
    "int8": 5e-2,
    "int8_float32": 5e-2,
    "int4": 4e-1,
    "int4_float32": 4e-1,
}
"""Largest accepted error of a block's output, relative to the output's largest magnitude. From int8 on it includes what
storing weights in fewer bits changes."""
DESCRIBED = (
    "model", "model_name", "plan", "plan_sha256", "text_tokens", "encoder_tokens", "sampling", "decoding", "no_caption",
    "tokenizer", "components", "origin",
)  # fmt: skip
"""What a manifest says of the whole; the rest is about who made it, out of what."""
MASKED = -6e4
"""Below this a bias hides what it is added to: in float16 such values are minus infinity."""
TIMESTEP = 700.0


def validate_export(
    directory: Path, weights: Path | None = None, on_block: Callable[[int], object] | None = None
) -> list[ParityRow]:
    """Check every block of an export. `on_block` is called with 1 after each.

    `weights` is the folder it was exported from; none is needed for weights out of a seed, or those that ship.
    Raises UserError if they are needed, or if the export is not whole, was made from other weights, or if its manifest
    or a package does not say what the plan and these weights give.
    """
    manifest = read_manifest(directory)
    loaded = planned(manifest, directory / MANIFEST)
    seed = manifest.weights.seed
    if seed is None and weights is None and manifest.weights.description != SHIPPED:
        what = f"made from the weights '{manifest.weights.description}', which it is compared with"
        raise UserError(what, str(directory / MANIFEST), "Give their folder with --weights.")
    with loaded.locating():
        workshop = workshop_of(Commission(loaded.plan, weights, seed if weights is None else None))
    _check_description(directory, workshop, manifest)
    exported = {
        component: [_checked(directory, workshop, manifest, component, number) for number in range(len(blocks))]
        for component, blocks in workshop.cuts.items()
    }
    made: dict[str, State] = {}
    rows: list[ParityRow] = []
    for component, blocks in exported.items():
        states = first_states(workshop, component, made)
        for block in blocks:
            rows += compare_block(directory, workshop, block, states)
            if on_block is not None:
                on_block(1)
        made[component] = states["plain"]
    return rows


def _check_description(directory: Path, workshop: Workshop, manifest: ExportManifest) -> None:
    """Raises UserError unless the manifest says of the whole what it would say if it were written now."""
    where = directory / MANIFEST
    expected, files = manifest_of(workshop)
    expected = msgspec.convert(msgspec.json.decode(msgspec.json.encode(expected)), ExportManifest)  # as it is read back
    for name in DESCRIBED:
        if getattr(manifest, name) != getattr(expected, name):
            raise UserError(f"{name} is not what the plan and these weights give", str(where), EXPORT_AGAIN)
    if constant_of(directory, manifest.no_caption) != files[manifest.no_caption.file]:
        raise UserError("is not the caption of these weights", str(directory / manifest.no_caption.file), EXPORT_AGAIN)
    tokenizer_in(directory, manifest, workshop.video.model.text_encoder.config.vocab_size)
    if len(manifest.blocks) != sum(len(blocks) for blocks in workshop.cuts.values()):
        raise UserError(f"{len(manifest.blocks)} blocks are not those of the plan", str(where), EXPORT_AGAIN)


def _checked(
    directory: Path, workshop: Workshop, manifest: ExportManifest, component: str, number: int
) -> ExportedBlock:
    """A block of an export. Raises UserError unless its packages are as written, of these weights, and truly told."""
    units = workshop.cuts[component][number].units
    exported = manifest.block(component, units[0].name, units[-1].name)
    if exported.source != source_of(workshop, component, number):
        what = f"block '{exported.name}' of {component} was made from other weights or sizes than these"
        raise UserError(what, str(directory / MANIFEST), "Give the folder of its weights with --weights.")
    for package in exported.packages:
        path = directory / package.file
        try:
            is_whole = packaged(directory, package.file) == package
        except OSError as refused:
            raise UserError(f"cannot be read: {reason(refused)}", str(path), EXPORT_AGAIN) from None
        if not is_whole:
            raise UserError("is not as it was written (checksum)", str(path), EXPORT_AGAIN)
    try:
        expected = block_in(directory, workshop, component, number)
    except OSError as refused:
        raise UserError(f"cannot be read: {reason(refused)}", str(directory), EXPORT_AGAIN) from None
    for name in exported.__struct_fields__:
        if getattr(exported, name) != getattr(expected, name):
            what = f"block '{exported.name}' of {component}: {name} is not what the plan and its packages give"
            raise UserError(what, str(directory / MANIFEST), EXPORT_AGAIN)
    return exported


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest magnitude expected; what is masked must be so in both, else infinite."""
    found, expected = found.float(), expected.float()
    masked = expected < MASKED
    if not torch.equal(masked, found < MASKED):
        return float("inf")
    scale = expected.masked_fill(masked, 0.0).abs().max()
    difference = (found - expected).masked_fill(masked, 0.0).abs().max()
    return float(difference / scale) if scale else float(difference)


def first_states(workshop: Workshop, component: str, made: Mapping[str, State]) -> dict[FunctionKind, State]:
    """What a component's first block reads, for each kind of walk; `made` has what other components wrote."""
    generator = torch.Generator().manual_seed(0)
    shapes = {kind: walk.state for kind, walk in workshop.walks[component].items()}

    def noise(name: str, kind: FunctionKind) -> Tensor:
        return torch.randn(shapes[kind][name].shape, generator=generator)

    length = workshop.encoder_tokens
    mask = (torch.arange(length) < max(1, 2 * workshop.text_tokens // 3)).to(torch.int64)[None]
    model = workshop.video.model
    if component == TEXT_ENCODER:
        ids = torch.randint(model.text_encoder.config.vocab_size, (1, length), generator=generator)
        return {"plain": model.text_encoder.initial_state(ids, mask)}
    if component == DENOISER:
        captions = workshop.video.captions(made[TEXT_ENCODER]["caption"])[: workshop.request.batch]
        state = model.denoiser.initial_state(
            noise("latent", "plain"),
            torch.full((len(captions),), TIMESTEP),
            captions,
            fps=torch.tensor([workshop.request.fps]),
            text_mask=mask,
        )
        return dict.fromkeys(shapes, state)
    if component == TEMPORAL:
        return {kind: {"latent_chunk": noise("latent_chunk", kind)} for kind in shapes}
    assert component == SPATIAL
    frames = made[TEMPORAL]["latent_frames"].transpose(1, 2).flatten(0, 1)
    return {kind: {"latent_frames": frames[: len(state["latent_frames"])]} for kind, state in shapes.items()}


def compare_block(
    directory: Path, workshop: Workshop, exported: ExportedBlock, states: dict[FunctionKind, State]
) -> list[ParityRow]:
    """The rows of one block; moves `states` past it."""
    rows = []
    component, span = exported.component, workshop.span(exported.component, exported.number)
    slots = workshop.slots(component, exported.number)
    weights = workshop.source.read(family(component), {name: tuple(slot.get().shape) for name, slot in slots.items()})
    for kind, walk in workshop.walks[component].items():
        with bound(slots, weights), torch.no_grad():
            after = run_units(walk.units[span], states[kind])
        function = exported.function(kind)
        if function is not None:
            for name, tensor in run_function(directory, function, states[kind]).items():
                error = relative_error(tensor, after[name])
                tolerance = TOLERANCES.get(exported.precision, 0.0)
                rows.append(ParityRow(component, exported.name, kind, name, error, tolerance))
        states[kind] = after
    return rows


def run_function(directory: Path, function: ExportedFunction, state: State) -> dict[str, Tensor]:
    """What a block writes, by the reference executor. Raises UserError for a package that cannot be run."""
    path = directory / function.package
    program = Program(read_package(path).function(function.function), path)
    program.load()
    outputs = program.run({each.feature: state[each.tensor] for each in function.inputs})
    return {each.tensor: outputs[each.feature] for each in function.outputs}
