"""A file of JSON lines that long work adds to as it goes, and goes on from: beside what it is about to write."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.json_files import read_rows
from ondevice_sora.base.files.opening import NotAFileError, reason


class Lines:
    """`mend` is what to do about a line that is none of ours."""

    def __init__(self, path: Path, max_bytes: int, mend: str) -> None:
        self.path, self.max_bytes, self.mend = path, max_bytes, mend

    def read(self) -> Iterator[Document]:
        """Every line; one that was cut short is none, and is cut off at the end. Raises UserError."""
        if not os.path.lexists(self.path):
            return
        end = 0
        for document, ends_at in read_rows(self.path, max_bytes=self.max_bytes, mend=self.mend):
            yield document
            end = ends_at
        with self._opened() as stream:
            stream.truncate(end)

    def add(self, value: Any) -> None:
        """Raises UserError if it cannot be written."""
        with self._opened() as stream:
            stream.write(json.dumps(value, allow_nan=False).encode() + b"\n")

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """The file, to add to. Nobody has named it, so that it is no link, and no device. Raises UserError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            with open(os.open(self.path, flags, 0o666), "ab") as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise NotAFileError(errno.EPERM, "what is there is not a file")
                yield stream
        except OSError as error:
            raise UserError(f"cannot be written: {reason(error)}", str(self.path)) from None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
