"""What all tests share: Hypothesis settings, the toy world, exports, and the reference vectors where there are any."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from worlds.paths import SHARED
from worlds.toys import Toy

if TYPE_CHECKING:
    from worlds.exports import Exported

# Before PyTorch is imported, here and in what tests start: with workers beside each other on all cores, threads that
# wait for each other take more time than they save, on a busy machine twenty times as much.
os.environ.setdefault("OMP_NUM_THREADS", "1")

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""No clock decides: on a busy machine drawing takes as long as it takes."""
settings.register_profile("default", UNTIMED, derandomize=True, max_examples=60)
settings.register_profile("random", UNTIMED, derandomize=False, max_examples=1000, print_blob=True)


def pytest_configure(config: pytest.Config) -> None:
    """At the desk the same draws every time; with `-m exhaustive` a thousand others, and how to draw them again."""
    settings.load_profile("random" if config.option.markexpr == "exhaustive" else "default")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: the garbage collector need not look through it, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Laws are part of the exhaustive run, since there they are drawn anew."""
    if config.option.markexpr == "exhaustive":
        for item in items:
            if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
                item.add_marker("exhaustive")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of what `-n` starts, each worker takes tests that stand together, and when it has none left half of another's.

    So what a module makes once is seldom made twice. pytest-xdist's own way deals out the last tests in pairs.
    """
    if config.option.dist != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


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


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` has filled, once for all workers of a run: the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, whole = base / name, base / f"{name}.whole"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An export in float32, with a TDTM variant, and a shorter chunk at the end."""
    from worlds.exports import export, exported_in, save_weights

    def make(folder: Path) -> None:
        export(save_weights(folder / "weights"), folder, "float32", "float32", "[1]")

    folder = made_once(tmp_path_factory, "exported", make)
    return exported_in(folder, folder / "weights")


@pytest.fixture(scope="session")
def exported_small(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An int8 text encoder and a float16 denoiser without TDTM; the decoder's blocks are there already."""
    from worlds.exports import export, exported_in

    def make(folder: Path) -> None:
        shutil.copytree(exported.directory, folder / "out")
        export(exported.weights, folder, "int8_float32", "float16", "none")

    return exported_in(made_once(tmp_path_factory, "exported-small", make), exported.weights)
