"""Write files whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ondevice_sora.base.errors import UserError


def write_text(path: str | Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary name beside it, then rename. Raises UserError if it cannot."""
    path = Path(path)
    temporary = None
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # a pipe, /dev/stdout or /dev/null: write into it, never put a file in its place
            path.write_text(text, encoding="utf-8")
            return
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False, encoding="utf-8", newline="\n"
        ) as stream:
            temporary = stream.name
            stream.write(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror or error}", str(path)) from None
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


@contextmanager
def written_together(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Temporary names beside `paths`, with their suffixes, to write to; renamed if the block ends well, else removed.

    So an interruption leaves the old files or none, never half of one. Raises UserError if one cannot be written.
    """
    temporary = [path.with_name(f".{path.stem}.part{path.suffix}") for path in paths]
    try:
        yield temporary
        for written, path in zip(temporary, paths, strict=True):
            os.replace(written, path)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror or error}", str(paths[0])) from None
    finally:
        for written in temporary:
            written.unlink(missing_ok=True)


def write_json(path: str | Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def write_yaml(path: str | Path, data: Any, comment: str = "") -> None:
    heading = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    write_text(path, heading + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
