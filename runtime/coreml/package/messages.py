"""coremltools' protobuf classes, without importing coremltools: that takes seconds and prints a page.

Its `proto` folder is loaded as a package of another name. Both share one registry of messages, so coremltools may be
imported before or after.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from ondevice_sora.runtime.coreml.private import proto_folder

ALIAS = "_coremltools_proto"


@cache
def model_class() -> Any:
    """The message `CoreML.Specification.Model`. Raises ModuleNotFoundError if coremltools is not installed."""
    package = ModuleType(ALIAS)
    package.__path__ = [proto_folder()]
    sys.modules[ALIAS] = package
    return import_module(f"{ALIAS}.Model_pb2").Model
