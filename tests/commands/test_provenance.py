"""What is written says where it comes from: enough to make the same again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from worlds.pages import words

from ondevice_sora import __version__
from ondevice_sora.commands import main as umbrella
from ondevice_sora.commands import simulate
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.records.trace import read_trace

PLAN = "# mine\nextends: small\nname: 'my <plan>'\nmemory: {budget: 200 MB}\n"
COMMAND = "--plan plan.yaml --trace trace.json --report page.html --perfetto perfetto.json"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1796000000")
    Path("plan.yaml").write_text(PLAN)


@pytest.fixture
def made() -> Provenance:
    """Of the trace that COMMAND writes."""
    assert simulate.main(shlex.split(COMMAND)) == 0
    found = read_trace("trace.json").provenance
    assert found is not None
    return found


def test_a_trace_says_by_which_command_version_and_when(made: Provenance) -> None:
    assert made.command == f"simulate {COMMAND}"
    assert made.version == __version__
    assert made.made_at == "2026-11-30T00:53:20Z"


@pytest.mark.parametrize("given", ["soon", "9" * 20, "9" * 5000, "1.5", "\N{SUPERSCRIPT TWO}"])
def test_a_time_that_is_none_is_told(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
    assert simulate.main(shlex.split(COMMAND)) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: SOURCE_DATE_EPOCH=") and "is no time\nGive whole seconds since 1970" in said
    assert len(said) < 200
    assert [path.name for path in Path().iterdir()] == ["plan.yaml"]


def test_the_plan_in_a_trace_needs_no_other_file(made: Provenance, tmp_path: Path) -> None:
    assert made.plan_file == PLAN
    assert made.plan is not None
    Path("whole.yaml").write_text(made.plan)
    assert "extends" not in made.plan
    assert simulate.main(["--plan", "whole.yaml", "--trace", "again.json"]) == 0
    assert read_trace("again.json").spans == read_trace("trace.json").spans


def test_the_profile_s_hash_is_the_one_that_profile_show_prints(
    made: Provenance, capsys: pytest.CaptureFixture[str]
) -> None:
    umbrella.main(["profile", "show", "iphone15pro"])
    assert f"profile: iphone15pro, SHA-256 {made.profile_sha256}" in " ".join(capsys.readouterr().out.split())


def test_the_page_has_the_command_the_plan_to_copy_and_the_profile_s_hash(made: Provenance) -> None:
    page = Path("page.html").read_text()
    said = words(page)
    for part in (
        f"command simulate {COMMAND}", "30 Nov 2026, 00:53 UTC", f"ondevice-sora {__version__}", made.profile_sha256,
        "The plan as written", "# mine extends: small name: 'my <plan>'", "The whole plan", "model: small",
    ):  # fmt: skip
        assert str(part) in said, part
    assert (
        f'<pre id="planA-0" tabindex="0">{PLAN}</pre>'.replace("<plan>", "&lt;plan&gt;").replace("'", "&#39;") in page
    )


def test_a_perfetto_trace_has_it_as_metadata(made: Provenance) -> None:
    other = json.loads(Path("perfetto.json").read_text())["otherData"]["runs"][0]["made"]
    assert (other["command"], other["plan_file"]) == (made.command, PLAN)
    assert other["profile_sha256"] == made.profile_sha256


def test_a_command_stays_one_line_whatever_was_typed(tmp_path: Path) -> None:
    name = "a\nb.json"
    assert simulate.main(["--plan", "small", "--trace", name]) == 0
    found = read_trace(name).provenance
    assert found is not None
    assert found.command == r"simulate --plan small --trace 'a\nb.json'"
