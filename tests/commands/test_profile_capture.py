"""`profile capture` on this machine: what it refuses before it measures anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from ondevice_sora.commands.main import main


@pytest.mark.parametrize("option", ["--width=64", "--depth=2", "--units-per-block=5"])
def test_a_stand_ins_sizes_have_no_effect_on_a_store_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("blocks").mkdir()
    Path("blocks/manifest.json").write_text("{}")
    assert main(["profile", "capture", "--store", "blocks", option]) == 2
    said = f"{option.partition('=')[0]} has no effect on a store that is there already: blocks"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--blocks=x", "--phone=x", "--team=x"])
def test_options_of_a_phone_have_no_effect_here(capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert main(["profile", "capture", "--store", "blocks", option]) == 2
    assert f"{option.partition('=')[0]} has no effect on this machine" in capsys.readouterr().err
