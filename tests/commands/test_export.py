"""export and validate export, as commands."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("coremltools")

from ondevice_sora.base.installation import how_to_install
from ondevice_sora.commands.main import main
from ondevice_sora.runtime.coreml.export.manifest import packaged, read_manifest
from ondevice_sora.runtime.coreml.package.messages import model_class
from ondevice_sora.runtime.coreml.package.reading import read_package

if TYPE_CHECKING:
    from worlds.exports import Exported


def test_an_export_that_is_there_is_left_as_it_is(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(exported.directory, tmp_path / "out")
    assert main(["export", "--plan", str(exported.plan), "--weights", str(exported.weights), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "0 blocks made, 6 kept from before\n" in said.out
    assert f"weights: {exported.weights}" in said.err and "Failed to load" not in said.err, "coremltools is kept quiet"


def test_that_weights_are_random_is_said_before_they_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ondevice_sora.runtime.coreml.export.export.export_plan", stopped)
    assert main(["export", "--plan", "ours-192", "-o", str(tmp_path / "out")]) == 130
    said = capsys.readouterr().err
    assert "without --weights DIR the 74 blocks have random weights" in said
    assert "what they make is noise (`ondevice-sora weights get opensora -o DIR`" in said
    assert main(["export", "--plan", "small", "-o", str(tmp_path / "out")]) == 130
    assert "noise" not in capsys.readouterr().err, "its weights ship"


def test_the_worst_block_is_named(exported: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "export", str(exported.directory), "--weights", str(exported.weights)]) == 0
    out = capsys.readouterr().out
    assert "6 blocks compared, 0 over tolerance. Worst: " in out and "of 1e-04 allowed" in out


def test_a_block_over_its_tolerance_is_exit_status_1(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(exported.directory, tmp_path / "out"))
    file = "denoiser.002.mlpackage"
    extent = next(c.extent for c in read_package(out / file).function().all_constants() if c.extent is not None)
    with extent.path.open("r+b") as stream:
        stream.seek(extent.start)
        stream.write(b"\1" * extent.num_bytes)
    text = (out / "manifest.json").read_text()
    before = next(p for b in read_manifest(out).blocks for p in b.packages if p.file == file)
    (out / "manifest.json").write_text(text.replace(before.checksum, packaged(out, file).checksum))
    assert main(["validate", "export", str(out), "--weights", str(exported.weights)]) == 1
    assert "1 over tolerance. Worst: output of denoiser" in capsys.readouterr().out


def test_without_coremltools_the_extra_is_named(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model_class.cache_clear()
    monkeypatch.setattr("ondevice_sora.runtime.coreml.private.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "coremltools", None)
    for command in (f"export --plan small -o {tmp_path / 'out'}", f"validate export {exported.directory}"):
        assert main(command.split()) == 2
        said = f"needs coremltools, which is not installed\n{how_to_install('coreml')}\n"
        assert said in capsys.readouterr().err
    monkeypatch.undo()
    model_class.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("export --plan sdxl-768 -o out", "is not exported here"),
        ("export --plan small -o plan.yaml", "this is a file; a folder is needed"),
        ("export --plan small --weights nowhere -o out", "nowhere: no such directory"),
        ("export --plan small -o out --seed 7", "--seed has no effect: the weights are those of"),
        ("export --plan small -o out --jobs 0", "'0' is not a whole number from 1 to 64"),
        ("validate export nowhere", "no export: there is no manifest.json"),
    ],
)
def test_mistakes(
    arguments: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text("name: x\n")
    status: object
    try:
        status = main(arguments.split())
    except SystemExit as ended:
        status = ended.code
    assert status == 2 and complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
