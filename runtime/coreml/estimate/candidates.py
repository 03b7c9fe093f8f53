"""Where packages lie that a user names, and which component each belongs to, by folders and by names. Nothing is read.

A folder with packages is a component named after it; its packages come in the order of their names with numbers counted
(part2 before part10). Folders one level below are components too. Packages given by themselves are components of their
own, the chunks or parts of one together. What some converters write into one folder, Apple's of Stable Diffusion first,
is told apart by the names that they give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.files import Archive, ZipFiles
from ondevice_sora.runtime.coreml.package.reading import (
    BARE,
    COMPILED,
    MANIFEST,
    PACKAGE,
    PROGRAM_TEXT,
    Stage,
    read_stages,
    stages_in,
)

ZIP = ".zip"
SUFFIXES = (PACKAGE, COMPILED, BARE)
"""Of two forms of one model in a folder the first of these is taken."""
MAX_PACKAGES = 5_000
MAX_COMPONENTS = 50
MAX_FOLDERS = 2_000
DEPTH = 4
"""How far below a folder without packages they are looked for, to say where they are."""


@dataclass(frozen=True)
class Layout:
    """How a converter names the packages of one model in one folder, in chunks or whole.

    components   in the order in which they run, with the names of their packages in order; '' is called as the folder
    walked       the components that run in every step
    left_out     what is also written and has no part in a plain run, and why
    beginning    what may stand before a name
    ending       what may stand behind it, before a chunk's number
    """

    components: Mapping[str, tuple[str, ...]]
    walked: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    beginning: str = "(?:.*_)?"
    ending: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        names = [*self.left_out, *(name for names in self.components.values() for name in names)]
        known = "|".join(sorted(names, key=len, reverse=True))
        chunk = "(?:_?[cC]hunk_?([0-9]{1,3})(?:of[0-9]{1,3})?)?"
        return re.compile(f"^{self.beginning}({known}){self.ending}{chunk}$")


APPLE = Layout(
    {
        "text_encoder": ("text_encoder", "TextEncoder"),
        "text_encoder_2": ("text_encoder_2", "TextEncoder2"),
        "text_encoder_t5": ("text_encoder_t5", "TextEncoderT5"),
        "unet": ("unet", "Unet", "UNet"),
        "mmdit": ("mmdit", "MultiModalDiffusionTransformer"),
        "vae_decoder": ("vae_decoder", "VAEDecoder"),
        "safety_checker": ("safety_checker", "SafetyChecker"),
    },
    walked=("unet", "mmdit"),
    left_out={
        "vae_encoder": "it runs only where a picture is given",
        "VAEEncoder": "it runs only where a picture is given",
        "control-unet": "it runs in place of the plain one where a ControlNet does",
        "ControlledUnet": "it runs in place of the plain one where a ControlNet does",
        "refiner": "it takes over the last steps where it is used",
        "UnetRefiner": "it takes over the last steps where it is used",
    },
)
"""Stable Diffusion, as packages and compiled."""
WHISPERKIT = Layout(
    {"mel": ("MelSpectrogram",), "audio_encoder": ("AudioEncoder",), "text_decoder": ("TextDecoder",)},
    left_out={"TextDecoderContextPrefill": "it stands for the first tokens of the decoder where it is used"},
)
ANEMLL = Layout({"": ("embeddings", "FFN_PF", "FFN", "lm_head")}, ending="(?:_lut[0-9]+)?")
"""A language model whose packages all run for each token."""
SAM = Layout(
    {"image_encoder": ("ImageEncoder",), "prompt_encoder": ("PromptEncoder",), "mask_decoder": ("MaskDecoder",)},
    beginning=".*",
    ending="(?:FLOAT[0-9]+)?",
)
LAYOUTS = (APPLE, WHISPERKIT, ANEMLL, SAM)


@dataclass(frozen=True)
class Candidate:
    """What may be a package: `name` is what it is called without its ending; `read` gives its models."""

    path: Path
    name: str
    read: Callable[[], list[Stage]] = field(compare=False)


@dataclass(frozen=True)
class Candidates:
    """By component, in order; which components their names say are walked every step; what was left out, and why."""

    components: dict[str, list[Candidate]]
    walked: list[str]
    notes: list[str]


def candidates_in(paths: Sequence[Path], given: Mapping[str, Sequence[Path]]) -> Candidates:
    """All below `paths`, and those that `given` puts into components. Raises UserError if a path has none."""
    components: dict[str, list[Candidate]] = {}
    notes: list[str] = []
    walked: list[str] = []
    for component, listed in _together([found for path in paths for found in _listed(path, notes)]):
        told, every_step = _by_layout(listed, notes)
        walked += every_step
        placed = told or _by_themselves(listed) if component is None else told or {component: listed}
        for name, each in placed.items():
            components.setdefault(name or component or each[0].name, []).extend(each)
    for component, own in given.items():
        for path in own:
            for _, listed in _listed(path, notes):
                components.setdefault(component, []).extend(listed)
    if len(components) > MAX_COMPONENTS or sum(map(len, components.values())) > MAX_PACKAGES:
        raise UserError(f"more than {MAX_COMPONENTS} components or {MAX_PACKAGES} packages", str(paths[0]))
    return Candidates(components, walked, notes)


def _together(found: Sequence[tuple[str | None, list[Candidate]]]) -> list[tuple[str | None, list[Candidate]]]:
    """Those that were given by themselves in one list, where the first of them stood."""
    loose = [each for component, listed in found if component is None for each in listed]
    first = next((at for at, (component, _) in enumerate(found) if component is None), None)
    return [
        (component, loose if at == first else listed)
        for at, (component, listed) in enumerate(found)
        if component is not None or at == first
    ]


CHUNK = re.compile(r"(.+?)[_ -]?(?:chunk|part)[_ -]?[0-9]{1,3}(?:of[0-9]{1,3})?", re.IGNORECASE)


def _by_themselves(listed: Sequence[Candidate]) -> dict[str, list[Candidate]]:
    """A component for each, named after it; chunks of one are one."""
    components: dict[str, list[Candidate]] = {}
    for each in listed:
        chunk = CHUNK.fullmatch(each.name)
        components.setdefault(component_name(chunk[1] if chunk else each.name), []).append(each)
    return {name: sorted(several, key=lambda each: _natural(Path(each.name))) for name, several in components.items()}


def _listed(path: Path, notes: list[str]) -> list[tuple[str | None, list[Candidate]]]:
    """(component, candidates) of one path; no component of a package that is given by itself."""
    if not path.exists() and not path.is_symlink():
        raise UserError("there is no such folder or package", str(path), f"Give folders that hold {PACKAGE} folders.")
    if path.name.endswith(ZIP):
        archived = _archived(path)
        return [(None if len(archived) == 1 else component_name(path.name.removesuffix(ZIP)), archived)]
    if path.name.endswith(SUFFIXES):
        return [(None, [_single(path)])]
    if not path.is_dir():
        told = f"Give a folder, or what ends in {', '.join(SUFFIXES)} or {PACKAGE}{ZIP}."
        raise UserError("this is no Core ML model", str(path), told)
    path = _snapshot(path)
    found: list[tuple[str | None, list[Candidate]]] = []
    for folder in (path, *sorted(child for child in path.iterdir() if child.is_dir() and not child.is_symlink())):
        if folder.name.endswith(SUFFIXES):
            continue
        packages = _in_folder(folder, notes)
        if packages:
            found.append((component_name(_named(folder)), packages))
    if not found:
        raise UserError(f"there is no {PACKAGE} in this folder", str(path), _deeper(path))
    return found


def _in_folder(folder: Path, notes: list[str]) -> list[Candidate]:
    """Those directly in a folder, each model once."""
    by_name: dict[str, Path] = {}
    endings = (*SUFFIXES, *(suffix + ZIP for suffix in SUFFIXES))
    for ending in endings:
        for child in sorted(child for child in folder.iterdir() if child.name.endswith(ending)):
            name = child.name.removesuffix(ending)
            if name in by_name:
                notes.append(f"{child.name} is left out: {by_name[name].name} beside it is taken for the same model")
            else:
                by_name[name] = child
    found: list[Candidate] = []
    for child in sorted(by_name.values(), key=_natural):
        found += _archived(child) if child.name.endswith(ZIP) else [_single(child)]
    return found


def _single(path: Path) -> Candidate:
    ending = next(suffix for suffix in SUFFIXES if path.name.endswith(suffix))
    return Candidate(path, path.name.removesuffix(ending), lambda: read_stages(path))


def _archived(path: Path) -> list[Candidate]:
    """The packages in an archive; one that cannot be opened says so when it is read."""
    try:
        archive = Archive(path)
    except PackageError as error:
        return [Candidate(path, path.name.removesuffix(ZIP), _failing(error))]
    markers = {f"/{MANIFEST}": PACKAGE, f"/{PROGRAM_TEXT}": COMPILED}
    prefixes = []
    for entry in archive.entries:
        for marker, suffix in markers.items():
            folder = f"/{entry}".removesuffix(marker)
            if folder != f"/{entry}" and (folder.endswith(suffix) or not folder) and "__MACOSX" not in folder:
                prefixes.append(f"{folder[1:]}/" if folder else "")
    if not prefixes:
        return [Candidate(path, path.name, _failing(PackageError(f"there is no {PACKAGE} in this archive", str(path))))]
    return [_in_archive(archive, prefix) for prefix in sorted(dict.fromkeys(prefixes), key=lambda p: _natural(Path(p)))]


def _in_archive(archive: Archive, prefix: str) -> Candidate:
    files = ZipFiles(archive, prefix)
    name = Path(prefix).name if prefix else archive.path.name.removesuffix(ZIP)
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return Candidate(files.path, name, lambda: stages_in(files))


def _failing(error: PackageError) -> Callable[[], list[Stage]]:
    def read() -> list[Stage]:
        raise error

    return read


def _by_layout(listed: Sequence[Candidate], notes: list[str]) -> tuple[dict[str, list[Candidate]], list[str]]:
    """Components of one folder in order, and which run every step, if all its names are those of a known layout."""
    layout = next((layout for layout in LAYOUTS if _has(layout, listed)), None)
    if layout is None:
        return {}, []
    places = _places(layout)
    placed: dict[str, list[_Placed]] = {}
    dropped = []
    for each in listed:
        found = layout.pattern.match(each.name)
        assert found is not None, "see _has"
        if found[1] in layout.left_out:
            why = layout.left_out[found[1]]
            dropped.append(f"{each.path.name} is left out: {why}; --component NAME=PATH takes it in")
        else:
            component, at = places[found[1]]
            placed.setdefault(component, []).append(_Placed(at, int(found[2] or 0), each))
    for component, several in placed.items():
        chunked = {place.at for place in several if place.chunk}
        whole = [place for place in several if place.at in chunked and not place.chunk]
        notes += [f"{place.candidate.path.name} is left out: it is beside its own chunks" for place in whole]
        placed[component] = [place for place in several if place not in whole]
    notes += dropped
    ordered = {name: sorted(placed[name], key=lambda place: place[:2]) for name in layout.components if name in placed}
    components = {name: [place.candidate for place in several] for name, several in ordered.items()}
    return components, [name for name in components if name in layout.walked]


class _Placed(NamedTuple):
    """A package of a component: the place of its name in the layout, its number among chunks (0 for a whole one)."""

    at: int
    chunk: int
    candidate: Candidate


def _has(layout: Layout, listed: Sequence[Candidate]) -> bool:
    """Whether all names of a folder are of the layout, and two or more of its packages are there."""
    found = [layout.pattern.match(each.name) for each in listed]
    return all(found) and len({each[1] for each in found if each is not None} & _places(layout).keys()) >= 2


def _places(layout: Layout) -> dict[str, tuple[str, int]]:
    """By name of a package, its component and its place in it."""
    return {name: (component, at) for component, names in layout.components.items() for at, name in enumerate(names)}


def _snapshot(path: Path) -> Path:
    """Of a model's folder in the hub's cache the snapshot, if there is one only; any other folder is itself."""
    snapshots = path / "snapshots"
    if not (path / "blobs").is_dir() or not snapshots.is_dir():
        return path
    found = sorted(child for child in snapshots.iterdir() if child.is_dir())
    if len(found) != 1:
        raise UserError(f"the cache has {len(found)} snapshots of this model", str(path), f"Give one of {snapshots}.")
    return found[0]


def _named(folder: Path) -> str:
    """A folder's own name; a snapshot of the hub's cache, whose name is a checksum, has its model's."""
    folder = folder.resolve()
    return folder.parents[1].name.rpartition("--")[2] if folder.parent.name == "snapshots" else folder.name


def _deeper(path: Path) -> str | None:
    """Where packages are, if further below."""
    found: list[str] = []
    level = [path]
    for _ in range(DEPTH):
        below = [child for folder in level for child in sorted(folder.iterdir()) if child.is_dir()][:MAX_FOLDERS]
        level = [child for child in below if not child.name.endswith(SUFFIXES) and not child.is_symlink()]
        found += dict.fromkeys(str(child.parent.relative_to(path)) for child in below if child.name.endswith(SUFFIXES))
    return f"There are some in {', '.join(dict.fromkeys(found))}." if found else None


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"([0-9]{1,18})", path.name)]


def component_name(text: str) -> str:
    """As names in a model are allowed to be."""
    return re.sub(r"[^A-Za-z0-9_.\- ]", "_", text)[:70] or "unnamed"


def fresh_name(text: str, taken: set[str]) -> str:
    """A name that is not among `taken`, to which it is added."""
    base = component_name(text).replace("..", "_")
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name
