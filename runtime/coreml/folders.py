"""Find packages in folders, and say which component and unit of a model each is.

A folder with packages is a component named after it; its packages are the component's units, in the order of their
names with numbers counted (part2 before part10). Folders one level below are components too. A package given by itself
belongs to the component `model`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from profiles.errors import UserError
from profiles.models import Variant
from runtime.coreml.package import Function, Package, read_package

SUFFIX = ".mlpackage"
LOOSE = "model"
MAX_PACKAGES = 5_000
MAX_COMPONENTS = 50


@dataclass(frozen=True)
class FoundPackage:
    """A package and the unit it is. `functions` are its variants: the default one, and one named `tdtm`."""

    component: str
    unit: str
    path: Path
    package: Package
    functions: dict[Variant, Function]

    @property
    def others(self) -> list[str]:
        """Functions that are no variant of the unit."""
        described = {function.name for function in self.functions.values()}
        return [name for name in self.package.functions if name not in described]


def find_packages(paths: Sequence[Path]) -> list[FoundPackage]:
    """All packages below `paths`, component by component. Raises UserError."""
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
            found.append(FoundPackage(component, name, path, package, _variants(package)))
    return found


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
