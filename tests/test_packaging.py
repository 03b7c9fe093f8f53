"""What is installed: one import name, small, the same out of a source distribution, and deaf to the working folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest
from worlds.paths import ROOT

import ondevice_sora

FOLDERS = ("plans", "profiles", "records", "reports", "runtime", "simulator", "studies")
SMALL_PLAN = "name: small\nmodel: opensora\nvideo: {width: 64, height: 64, frames: 5}\nsampler: {steps: 2}\n"


def built(what: str, source: Path, into: Path) -> Path:
    """A wheel or an sdist of a folder, by its build backend, without a network."""
    into.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; print(build_meta.build_{what}({str(into)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return into / done.stdout.splitlines()[-1]


def names_in(wheel: Path) -> set[str]:
    return set(ZipFile(wheel).namelist())


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, links and all, because building leaves its traces in a folder."""
    leavings = (
        ".git", ".venv", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", ".build", "build", "dist", "out",
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("source") / "checkout"
    copied = Path(shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*leavings)))
    built_by_swift = copied / "runtime" / "ios" / ".build" / "debug"
    built_by_swift.mkdir(parents=True)
    (built_by_swift / "__init__.py").write_text("raise SystemExit\n")
    return copied


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    archive = built("sdist", source, tmp_path_factory.mktemp("sdist"))
    with tarfile.open(archive) as files:
        files.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4 on
        files.extractall(archive.parent)
    return archive.parent / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the wheel installed, its commands in `bin`.

    The checkout that these tests run in may be installed as well; its finder would supply what the wheel lacks.
    """
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*pip, str(wheel)], check=True)
    kept = "[finder for finder in sys.meta_path if getattr(finder, '__name__', '') != '_EditableFinder']"
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.meta_path[:] = {kept}\n")
    return folder


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose files have the names of modules: importing one of them ends the program."""
    for name in (*FOLDERS, "ondevice_sora", "msgspec", "numpy", "simpy", "yaml", "rich"):
        trap = tmp_path / (f"{name}/__init__.py" if name in ("profiles", "reports", "ondevice_sora") else f"{name}.py")
        trap.parent.mkdir(exist_ok=True)
        trap.write_text(f"raise SystemExit('{name} was imported from the working folder')\n")
    (tmp_path / "small.yaml").write_text(SMALL_PLAN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(installed: Path, command: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """A command of the installed wheel in the working folder; modules in `paths` go before those that are installed."""
    verb, *rest = command.split()
    search = os.pathsep.join(map(str, [*paths, installed]))
    environment = {**os.environ, "PYTHONPATH": search, "PYTHONWARNINGS": "default"}
    called = [str(installed / "bin" / verb), *rest]
    return subprocess.run(called, env=environment, capture_output=True, text=True, check=False)


def hidden(folder: Path, *names: str) -> Path:
    """A folder for PYTHONPATH in which these packages are missing."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError(name={name!r})\n")
    return folder


# What is in it


def test_the_wheel_has_one_import_name_and_no_studies_training_weights_or_swift(wheel: Path) -> None:
    names = names_in(wheel)
    info = f"ondevice_sora-{ondevice_sora.__version__}.dist-info"
    assert {PurePosixPath(name).parts[0] for name in names} == {"ondevice_sora", info}
    assert ZipFile(wheel).read(f"{info}/top_level.txt").split() == [b"ondevice_sora"]
    parts = {part for name in names for part in PurePosixPath(name).parts}
    assert not parts & {"studies", "training", "weights", "tests", "distribution", "ios"}
    assert {PurePosixPath(name).suffix for name in names if not name.startswith(info)} == {
        ".py", ".yaml", ".json", ".css", ".js", ".html", ".typed",
    }  # fmt: skip


def test_the_wheel_has_every_module_and_data_file_of_the_checkout_but_those(wheel: Path) -> None:
    """The links in ondevice_sora/ are followed when it is built."""
    for folder in ("plans", "profiles", "records", "reports", "runtime", "simulator"):
        assert (ROOT / "ondevice_sora" / folder).is_symlink()
        data = (".yaml", ".json", ".css", ".js", ".html")
        files = {path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", *data)}
        ours = {f"ondevice_sora/{path.relative_to(ROOT).as_posix()}" for path in files}
        others = ("/small/training/", "/small/distribution/", "/small/weights/", "/runtime/ios/")
        left_out = {name for name in ours if any(each in name for each in others)}
        assert {name for name in names_in(wheel) if name.startswith(f"ondevice_sora/{folder}/")} == ours - left_out


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 1_050_000


def test_the_source_distribution_makes_the_same_wheel_and_has_what_checks_it(
    source: Path, sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    assert names_in(built("wheel", sdist, tmp_path)) == names_in(wheel)
    kept = (
        "docs/plan.md",
        "ondevice_sora/runtime/ios/numbers/noise.json",
        "tests/test_packaging.py",
        "scripts/check",
        "constraints.txt",
        "CHANGELOG.md",
        "LICENSE",
    )
    assert [name for name in kept if not (sdist / name).is_file()] == []
    tests = {path.relative_to(source) for path in source.glob("tests/**/*") if path.is_file()}
    assert {name for name in tests if not (sdist / name).is_file()} == set()
    assert not list(sdist.rglob("*.safetensors"))
    swift = sdist / "ondevice_sora" / "runtime" / "ios"
    assert (swift / "Package.swift").is_file() and not (swift / ".build").exists()


def test_the_weights_are_a_distribution_of_their_own(source: Path, tmp_path: Path) -> None:
    small = built("wheel", source / "runtime/small/distribution", tmp_path)
    names = {name for name in names_in(small) if name.startswith("ondevice_sora_small/")}
    components = ("text_encoder", "denoiser", "decoder")
    weights = {f"ondevice_sora_small/weights/{name}/{file}" for name in components for file in
               ("config.json", "model.safetensors")}  # fmt: skip
    assert names == {"ondevice_sora_small/__init__.py", *weights}


# How it behaves, installed


def test_no_folder_of_the_checkout_is_a_module_of_its_own(installed: Path, tmp_path: Path) -> None:
    code = f"from importlib.util import find_spec; print([name for name in {FOLDERS} if find_spec(name)])"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("command", "wrote"),
    [
        ("simulate --plan small.yaml --report page.html", "page.html"),
        ("ondevice-sora plan search --plan small.yaml --seconds 1 -o best.yaml", "best.yaml"),
        ("ondevice-sora plan sweep grid.yaml --processes 1 -o runs.csv", "runs.csv"),
    ],
)
def test_files_of_the_working_folder_are_not_taken_for_modules(
    installed: Path, trapped: Path, command: str, wrote: str
) -> None:
    (trapped / "grid.yaml").write_text("models: [small.yaml]\ndevices: [iphone15pro]\n")
    done = ran(installed, command, hidden(trapped / "hidden", "numba"))  # which would compile for ten seconds
    assert done.returncode == 0, done.stderr
    assert (trapped / wrote).is_file()


def test_an_estimate_of_packages_takes_no_module_of_the_working_folder(installed: Path, trapped: Path) -> None:
    pytest.importorskip("coremltools")
    from worlds.coreml_packages import linear_package

    linear_package(trapped / "unet.mlpackage")
    done = ran(installed, "ondevice-sora profile estimate unet.mlpackage -o estimated")
    assert done.returncode == 0, done.stderr
    assert (trapped / "estimated").is_dir()


def test_a_capture_and_its_processes_take_no_module_of_the_working_folder(installed: Path, trapped: Path) -> None:
    pytest.importorskip("torch")
    stand_in = "--store blocks --width 64 --depth 1 --repeats 1 -o host.yaml"
    done = ran(installed, f"ondevice-sora profile capture --device host {stand_in}")
    assert done.returncode == 0, done.stderr
    assert (trapped / "host.yaml").is_file()


@pytest.mark.parametrize("command", ["validate reference vectors", "validate host -o agreement"])
def test_what_only_a_checkout_has_is_refused_in_one_message(installed: Path, trapped: Path, command: str) -> None:
    pytest.importorskip("torch")
    done = ran(installed, f"ondevice-sora {command}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: this needs ondevice_sora.studies, which only a checkout has\nRun it in one.\n"
    assert not (trapped / "agreement").exists()


def test_without_weights_the_small_model_says_how_to_get_them(installed: Path, trapped: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("imageio_ffmpeg")
    done = ran(installed, "ondevice-sora generate circle,moving,left")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: this installation has no weights of the small model\nInstall them from a checkout "
        "(pip install CHECKOUT/runtime/small/distribution), or give a folder of them with --weights.\n"
    )


def test_the_weights_are_those_of_their_distribution_unless_they_lie_beside_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from ondevice_sora.runtime.small import shipped

    assert shipped.shipped_weights() == ROOT / "ondevice_sora/runtime/small/weights"
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "nowhere")
    assert shipped.shipped_weights() is None
    monkeypatch.syspath_prepend(ROOT / "runtime/small/distribution")
    assert shipped.shipped_weights() == ROOT / "runtime/small/distribution/ondevice_sora_small/weights"


# What it says of what is not installed


def test_an_installed_wheel_names_what_an_extra_asks_for(installed: Path, trapped: Path, tmp_path: Path) -> None:
    """Not 'ondevice-sora[generate]': nobody owns that name on an index."""
    done = ran(installed, "ondevice-sora generate circle", hidden(tmp_path / "hidden", "imageio_ffmpeg"))
    said = "error: this needs imageio_ffmpeg, which is not installed\npip install "
    assert (done.returncode, done.stderr.startswith(said)) == (2, True)
    asked = done.stderr.removeprefix(said).split()
    assert [re.split("[=<>]", each.strip("'"))[0] for each in asked] == [
        "torch", "safetensors", "imageio", "imageio-ffmpeg", "pillow",
    ]  # fmt: skip


def test_a_checkout_is_installed_again_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ondevice_sora.base.installation import how_to_install

    monkeypatch.chdir(ROOT)
    assert how_to_install("generate") == "pip install -c constraints.txt -e '.[generate]'"
    monkeypatch.chdir(tmp_path)
    elsewhere = how_to_install("generate")
    assert elsewhere is not None
    assert f"-c {ROOT}/constraints.txt" in elsewhere
    assert f"{ROOT}[generate]" in elsewhere


def test_no_message_or_page_sends_anybody_to_a_name_that_nobody_owns() -> None:
    files = [
        ROOT / "README.md",
        *ROOT.glob("docs/*.md"),
        *(path for name in FOLDERS for path in ROOT.glob(f"{name}/**/*.py")),
    ]
    files += ROOT.glob("ondevice_sora/[bc]*/**/*.py")
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    found = [path for path, text in texts.items() if re.search(r"pip install '?ondevice-sora", text)]
    assert [path.name for path in found] == ["installation.py"], "its docstring says why not"
