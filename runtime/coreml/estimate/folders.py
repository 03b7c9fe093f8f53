"""Find packages in folders, and say which component and unit of a model each is.

A folder that `export` wrote says so itself, in its manifest. Any other folder with packages is a component named after
it; its packages are the component's units, in the order of their names with numbers counted (part2 before part10).
Folders one level below are components too. A package given by itself belongs to the component `model`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.profiles.models.model import Variant
from ondevice_sora.runtime.coreml.export.manifest import (
    EXPORT_AGAIN,
    MANIFEST,
    ExportedBlock,
    ExportManifest,
    read_manifest,
)
from ondevice_sora.runtime.coreml.package.package import Function, Package, read_package

SUFFIX = ".mlpackage"
LOOSE = "model"
MAX_PACKAGES = 5_000
MAX_COMPONENTS = 50
Passes = int | Literal["steps"]


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

    @property
    def path(self) -> Path:
        return self.packages[0].path

    @property
    def others(self) -> list[str]:
        """Functions that are not described."""
        described = {function.name for function in (*self.functions.values(), *filter(None, [self.tail]))}
        return [name for package in self.packages for name in package.functions if name not in described]


@dataclass(frozen=True)
class Found:
    """Blocks in order, component by component; of an export also its passes and its plan."""

    blocks: list[FoundBlock]
    passes: dict[str, Passes] = field(default_factory=dict)
    plan: Plan | None = None


def find_packages(paths: Sequence[Path]) -> Found:
    """All packages below `paths`. Raises UserError."""
    if len(paths) == 1 and (paths[0] / MANIFEST).is_file():
        return _exported(paths[0], read_manifest(paths[0]))
    components: dict[str, list[Path]] = {}
    for path in paths:
        for component, listed in _listed(path):
            components.setdefault(component, []).extend(listed)
    if len(components) > MAX_COMPONENTS or sum(map(len, components.values())) > MAX_PACKAGES:
        raise UserError(f"more than {MAX_COMPONENTS} components or {MAX_PACKAGES} packages", str(paths[0]))
    found = []
    for component, packages in components.items():
        names: set[str] = set()
        for path in packages:
            name = _fresh_name(path.name.removesuffix(SUFFIX), names)
            package = read_package(path)
            found.append(FoundBlock(component, name, (package,), _variants(package)))
    return Found(found)


def _exported(directory: Path, manifest: ExportManifest) -> Found:
    """Each block is a unit named after its first one, so that a plan's lists of blocks to keep stay true."""
    if not manifest.blocks:
        raise UserError("the export has no blocks yet", str(directory), EXPORT_AGAIN)
    passes = {component.name: component.passes for component in manifest.components}
    plan = Document(manifest.plan, {}, directory / MANIFEST).convert(Plan)
    return Found([_exported_block(directory, block) for block in manifest.blocks], passes, plan)


def _exported_block(directory: Path, block: ExportedBlock) -> FoundBlock:
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
    return FoundBlock(block.component, block.first_unit, tuple(packages.values()), variants, tail, block.compute_units)


def _listed(path: Path) -> list[tuple[str, list[Path]]]:
    """(component, packages) of one path."""
    if path.name.endswith(SUFFIX):
        return [(LOOSE, [path])]
    if not path.is_dir():
        raise UserError("there is no such folder or package", str(path), f"Give folders that hold {SUFFIX} folders.")
    found = []
    for folder in (path, *sorted(child for child in path.iterdir() if child.is_dir() and not child.is_symlink())):
        if folder.name.endswith(SUFFIX):
            continue
        packages = sorted((child for child in folder.iterdir() if child.name.endswith(SUFFIX)), key=_natural)
        if packages:
            found.append((_name(folder.resolve().name), packages))
    if not found:
        raise UserError(f"there is no {SUFFIX} in this folder", str(path))
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"([0-9]{1,18})", path.name)]


def _name(text: str) -> str:
    """As names in a model are allowed to be."""
    return re.sub(r"[^A-Za-z0-9_.\- ]", "_", text)[:70] or "unnamed"


def _fresh_name(text: str, taken: set[str]) -> str:
    """A name that is not among `taken`, to which it is added."""
    base = _name(text).replace("..", "_")
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def _variants(package: Package) -> dict[Variant, Function]:
    """The plain variant and, if there is a function of that name, the one that merges tokens."""
    plain = package.functions.get("plain") or package.function()
    tdtm = package.functions.get("tdtm")
    return {"plain": plain} if tdtm is None or tdtm is plain else {"plain": plain, "tdtm": tdtm}
