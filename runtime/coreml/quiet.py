"""coremltools, kept from printing."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any


@contextmanager
def quietly() -> Iterator[Any]:
    """coremltools, imported, and kept from printing: it reports its progress and what it lacks on every import."""
    logger = logging.getLogger("coremltools")
    level, noise = logger.level, io.StringIO()
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(noise), redirect_stdout(noise), warnings.catch_warnings(action="ignore"):
            import coremltools

            yield coremltools
    finally:
        logger.setLevel(level)
