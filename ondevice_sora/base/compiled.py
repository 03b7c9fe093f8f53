"""Columns of numbers, for functions that run as they are on lists and, where numba is installed, compiled on arrays.

One source, two speeds: a single simulation is done before a compiler would have started, a search of thousands of plans
is not. Such a function is given its columns, makes new ones with `ints` and `floats`, and uses nothing but numbers and
named tuples.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

N = TypeVar("N", bound=tuple[Any, ...])


@cache
def has_compiler() -> bool:
    """Whether numba is here and works, found out by importing it. What keeps an installed one from it is said, once."""
    if find_spec("numba") is None:
        return False
    try:
        import numba  # noqa: F401
    except Exception as error:  # it names its reasons with many types, such as a NumPy that is too new for it
        logger.warning(
            "numba is installed but cannot be imported (%s): the search runs uncompiled, a hundred times slower", error
        )
        return False
    return True


STARTING_S = 3.0
"""What it takes to start the compiler and to read its cache, about."""


def pays(uncompiled_s: float) -> bool:
    """Whether to compile for work of so many seconds: where the compiler is running already, or is soon made up for."""
    return ("numba" in sys.modules or uncompiled_s > STARTING_S) and has_compiler()


def arrays(columns: N) -> N:
    """A named tuple's columns as compiled functions take them, those of named tuples in it too; numbers as they are."""
    import numpy as np

    def taken(each: Any) -> Any:
        if hasattr(each, "_fields"):
            return arrays(each)
        return np.array(each) if isinstance(each, Sequence) else each

    return type(columns)(*map(taken, columns))


def lists(columns: N) -> N:
    """A named tuple's columns as functions take them that run as they are; numbers as they are."""
    return type(columns)(*(each.tolist() if hasattr(each, "tolist") else each for each in columns))


def ints(count: int, value: int) -> list[int]:
    """A column of one whole number."""
    return [value] * count


def floats(count: int) -> list[float]:
    """A new column of zeros."""
    return [0.0] * count


def compiled(function: Callable[..., Any], *helpers: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled for arrays of int64 and float64, with the helpers it calls; as it is without a compiler."""
    if not has_compiler():
        return function
    import numba
    from numba.extending import register_jitable

    _teach_columns()
    for helper in (*helpers, function):
        register_jitable(helper)

    def call(*arguments: Any) -> Any:
        return function(*arguments)

    # numba's cache on disk goes by a function's name and not by what it calls, and reads all that is kept by that name.
    call.__qualname__ = f"{function.__name__}_{_digest(function, *helpers)}"
    try:
        fast: Callable[..., Any] = numba.njit(cache=True)(call)
    except RuntimeError:  # no folder that a cache could be written to
        fast = numba.njit(call)
    return fast


def _digest(*functions: Callable[..., Any]) -> str:
    """Of the modules that the functions stand in: another one for any other name or source."""
    files = sorted({(function.__module__, inspect.getfile(function)) for function in functions})
    told = b"".join(name.encode() + Path(file).read_bytes() for name, file in files)
    return hashlib.sha256(told).hexdigest()[:16]


@cache
def _teach_columns() -> None:
    """Tell numba that a column is an array."""
    import numpy as np
    from numba.extending import overload

    # numba compares signatures, annotations included
    overload(ints)(lambda count, value: lambda count, value: np.full(count, value, np.int64))
    overload(floats)(lambda count: lambda count: np.zeros(count, np.float64))
