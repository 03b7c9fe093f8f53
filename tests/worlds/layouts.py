"""Packages as users have them: in archives, in a cache of the Hugging Face hub, as Git leaves them without LFS."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 430000000\n"


def zipped(package: Path, archive: Path, compression: int = zipfile.ZIP_DEFLATED, inside: str | None = None) -> Path:
    """An archive of a package's folder, in it under its own name or below `inside`."""
    with zipfile.ZipFile(archive, "w", compression) as stream:
        for file in sorted(package.rglob("*")):
            if file.is_file():
                name = file.relative_to(package).as_posix()
                stream.write(file, f"{package.name if inside is None else inside}/{name}".lstrip("/"))
    return archive


def in_hub_cache(package: Path, cache: Path) -> Path:
    """The package as `snapshot_download` leaves it: each file a link into `blobs`. Returns the snapshot."""
    snapshot, blobs = cache / "snapshots/0123abcd", cache / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(sorted(package.rglob("*"))):
        link = snapshot / package.name / file.relative_to(package)
        if file.is_dir():
            link.mkdir(parents=True)
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, blobs / f"blob{number}")
        up = "../" * len(link.relative_to(cache).parent.parts)
        link.symlink_to(f"{up}blobs/blob{number}")
    return snapshot
