"""coremltools' protobuf classes, without importing coremltools: that takes seconds and prints a page.

Its `proto` folder is loaded as a package of another name. Both share one registry of messages, so coremltools may be
imported before or after.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

ALIAS = "_coremltools_proto"


@cache
def model_class() -> Any:
    """The message `CoreML.Specification.Model`. Raises ModuleNotFoundError if coremltools is not installed."""
    spec = find_spec("coremltools")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'coremltools'", name="coremltools")
    package = ModuleType(ALIAS)
    package.__path__ = [os.path.join(spec.submodule_search_locations[0], "proto")]
    sys.modules[ALIAS] = package
    return import_module(f"{ALIAS}.Model_pb2").Model
