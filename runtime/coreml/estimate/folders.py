"""Find packages and say which component and unit of a model each is.

A folder that `export` wrote says so itself, in its manifest. Of other packages candidates.py says where they lie; each
ML Program among them is a unit, and of a pipeline each that it holds. What cannot be read is told, and the rest stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.interrupts import check
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.profiles.models.model import Variant
from ondevice_sora.runtime.coreml.estimate.candidates import Candidate, candidates_in, component_name, fresh_name
from ondevice_sora.runtime.coreml.estimate.shapes import fixed
from ondevice_sora.runtime.coreml.export.manifest import (
    EXPORT_AGAIN,
    MANIFEST,
    ExportedBlock,
    ExportManifest,
    read_manifest,
)
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Function, Package
from ondevice_sora.runtime.coreml.package.reading import PACKAGE, not_a_program, read_package

ALL = "all"
Passes = int | Literal["steps"]


@dataclass(frozen=True)
class Choices:
    """What a user chose of packages that leave a choice.

    function   by name, in packages that have several, or `all`: each function is then a component of its own
    shapes     of inputs, by name
    """

    function: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundBlock:
    """A unit of a component: a package, or two where the variants do not share one.

    `functions` are its variants; `tail` is what runs instead in the last pass, where that one is shorter.
    """

    component: str
    unit: str
    packages: tuple[Package, ...]
    functions: dict[Variant, Function]
    tail: Function | None = None
    compute_units: ComputeUnits | None = None
    notes: tuple[str, ...] = ()
    is_first: bool = True
    """Whether no block before it is another function of the same package, with the same weights on disk."""
    runs: int = 1
    """How often it runs in a visit, for one branch of guidance after the other."""

    @property
    def path(self) -> Path:
        return self.packages[0].path


@dataclass(frozen=True)
class Found:
    """Blocks in order, component by component; of an export also its passes and its plan.

    `refused` is what could not be read, `notes` what was left out and why.
    """

    blocks: list[FoundBlock]
    passes: dict[str, Passes] = field(default_factory=dict)
    plan: Plan | None = None
    refused: list[UserError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def complete(self) -> Found:
        """Itself. Raises the first complaint if something could not be read."""
        if self.refused:
            raise self.refused[0]
        return self


def find_packages(
    paths: Sequence[Path], components: Mapping[str, Sequence[Path]] | None = None, choices: Choices | None = None
) -> Found:
    """All packages below `paths`, and those that `components` puts together. Raises UserError if there is none."""
    if len(paths) == 1 and not components and (paths[0] / MANIFEST).is_file() and paths[0].suffix != PACKAGE:
        if choices is not None and (choices.function or choices.shapes):
            raise UserError("an export says its functions and shapes itself", str(paths[0]), "Leave the choice out.")
        return _exported(paths[0], read_manifest(paths[0]))
    choices = choices or Choices()
    candidates = candidates_in(paths, components or {})
    blocks: list[FoundBlock] = []
    refused: list[UserError] = []
    is_alone = choices.function == ALL and [len(each) for each in candidates.components.values()] == [1]
    for component, listed in candidates.components.items():
        names: set[str] = set()
        for candidate in listed:
            try:
                blocks += _blocks("" if is_alone else component, candidate, names, choices)
            except PackageError as error:
                refused.append(error)
    if not blocks:
        raise none_left(refused)
    _check_choices(choices, blocks)
    passes: dict[str, Passes] = dict.fromkeys(candidates.walked, "steps")
    return Found(blocks, passes, None, refused, candidates.notes)


def none_left(refused: Sequence[UserError]) -> UserError:
    """What is said where nothing remains."""
    first = refused[0]
    if len(refused) == 1:
        return first
    return UserError(
        f"none of {len(refused)} packages can be counted; of this one: {first.what}", first.where, first.mend
    )


def _check_choices(choices: Choices, blocks: Sequence[FoundBlock]) -> None:
    """Raises UserError for a choice that is about nothing here."""
    inputs = {value.name for block in blocks for function in block.functions.values() for value in function.inputs}
    for name in choices.shapes:
        if name not in inputs:
            raise UserError(f"no package has an input '{name}'", "--shape", nearest(name, sorted(inputs)))
    if choices.function and all(len(block.packages[0].functions) == 1 for block in blocks):
        raise UserError("no package has more than one function", "--function", "Leave it out.")


def _blocks(component: str, candidate: Candidate, names: set[str], choices: Choices) -> list[FoundBlock]:
    """Each ML Program of a package; functions of one without a component name their own. Raises PackageError."""
    check()
    stages = candidate.read()
    if all(stage.package is None for stage in stages):
        raise not_a_program(stages, str(candidate.path))
    left = [
        f"of its pipeline, {stage.name} is not counted: it is {stage.kind}" for stage in stages if not stage.package
    ]
    blocks: list[FoundBlock] = []
    for stage in stages:
        if stage.package is None:
            continue
        name = fresh_name("_".join(filter(None, (candidate.name, stage.name))), names)
        for function, variants in _chosen(stage.package, choices.function):
            own = " ".join(filter(None, (component, function))) or candidate.name
            fixed_variants, notes = _fixed(stage.package, variants, choices.shapes)
            if others := [
                name
                for name in stage.package.functions
                if choices.function != ALL and name not in {f.name for f in variants.values()}
            ]:
                notes.append(f"functions that are left out: {', '.join(others)}")
            blocks.append(
                FoundBlock(
                    component_name(own),
                    name,
                    (stage.package,),
                    fixed_variants,
                    notes=(*left, *notes),
                    is_first=not any(stage.package is block.packages[0] for block in blocks),
                )
            )
            left = []
    return blocks


def _chosen(package: Package, chosen: str | None) -> list[tuple[str, dict[Variant, Function]]]:
    """The functions that are described, and after which their components are named. Raises PackageError."""
    if chosen is None or len(package.functions) == 1:
        return [("", _variants(package))]
    if chosen != ALL:
        return [("", {"plain": package.function(chosen)})]
    default = package.default_function
    names = (default, *(name for name in package.functions if name != default))
    return [(name, {"plain": package.functions[name]}) for name in names]


def _fixed(
    package: Package, variants: Mapping[Variant, Function], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[Variant, Function], list[str]]:
    """The functions with fixed shapes, and what is to be said of those. Raises PackageError."""
    made: dict[Variant, Function] = {}
    notes: dict[str, None] = {}
    for variant, function in variants.items():
        own = {name: shape for name, shape in shapes.items() if name in {value.name for value in function.inputs}}
        made[variant], given = fixed(package, function, own)
        for name, shape in given.items():
            allowed = package.shapes.get(function.name, {}).get(name)
            by = "as chosen" if name in shapes else "the model's default"
            notes[f"shape of {name}: {','.join(map(str, shape))}, {by}; it takes {allowed}"] = None
    return made, list(notes)


def _exported(directory: Path, manifest: ExportManifest) -> Found:
    """Each block is a unit named after its first one, so that a plan's lists of blocks to keep stay true."""
    if not manifest.blocks:
        raise UserError("the export has no blocks yet", str(directory), EXPORT_AGAIN)
    passes = {component.name: component.passes for component in manifest.components}
    plan = Document(manifest.plan, {}, directory / MANIFEST).convert(Plan)
    runs = {name: plan.sampler.branch_runs if each == "steps" else 1 for name, each in passes.items()}
    blocks = [_exported_block(directory, block, runs[block.component]) for block in manifest.blocks]
    return Found(blocks, passes, plan)


def _exported_block(directory: Path, block: ExportedBlock, runs: int) -> FoundBlock:
    packages = {each.file: read_package(directory / each.file) for each in block.packages}
    variants: dict[Variant, Function] = {}
    tail = None
    for each in block.functions:
        if each.package not in packages:
            raise UserError(f"{block.name}: '{each.package}' is none of its packages", str(directory / MANIFEST))
        function = packages[each.package].function(each.function)
        if each.kind == "tail":
            tail = function
        else:
            variants[each.kind] = function
    if "plain" not in variants:
        raise UserError(f"{block.name} has no function 'plain'", str(directory / MANIFEST), EXPORT_AGAIN)
    return FoundBlock(
        block.component, block.first_unit, tuple(packages.values()), variants, tail, block.compute_units, runs=runs
    )


def _variants(package: Package) -> dict[Variant, Function]:
    """The plain variant and, if there is a function of that name, the one that merges tokens."""
    plain = package.functions.get("plain") or package.function()
    tdtm = package.functions.get("tdtm")
    return {"plain": plain} if tdtm is None or tdtm is plain else {"plain": plain, "tdtm": tdtm}
