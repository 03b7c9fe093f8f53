"""What all tests share: Hypothesis settings, the toy world, exports, and the reference vectors where there are any."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from worlds.paths import SHARED
from worlds.toys import Toy

if TYPE_CHECKING:
    from worlds.exports import Exported

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""No clock decides: on a busy machine drawing takes as long as it takes."""
settings.register_profile("default", UNTIMED, derandomize=True, max_examples=60)
settings.register_profile("random", UNTIMED, derandomize=False, max_examples=1000, print_blob=True)


def pytest_configure(config: pytest.Config) -> None:
    """At the desk the same draws every time; with `-m exhaustive` a thousand others, and how to draw them again."""
    settings.load_profile("random" if config.option.markexpr == "exhaustive" else "default")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Laws are part of the exhaustive run, since there they are drawn anew."""
    if config.option.markexpr == "exhaustive":
        for item in items:
            if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
                item.add_marker("exhaustive")


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    """Golden vectors of the reference implementation, which a clone elsewhere does not have."""
    folder = SHARED / "reference"
    if not folder.is_dir():
        pytest.skip(f"the reference vectors are not beside this checkout ({os.path.relpath(folder)})")
    return folder


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Sends this process a real SIGINT, which does what it does at a terminal.

    A process that is started in the background has it ignored, so that the tests would not notice it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An export in float32, with a TDTM variant, and a shorter chunk at the end."""
    from worlds.exports import export, save_weights

    weights = save_weights(tmp_path_factory.mktemp("weights"))
    return export(weights, tmp_path_factory.mktemp("export"), "float32", "float32", "[1]")


@pytest.fixture(scope="session")
def exported_small(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An int8 text encoder and a float16 denoiser without TDTM; the decoder's blocks are there already."""
    from worlds.exports import export

    folder = tmp_path_factory.mktemp("export")
    shutil.copytree(exported.directory, folder / "out")
    return export(exported.weights, folder, "int8_float32", "float16", "none")
