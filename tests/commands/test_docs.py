"""The reference pages name every key, and what they show can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from worlds.paths import ROOT

from ondevice_sora.base.files.reading import extend, parse_yaml
from ondevice_sora.commands.main import main
from ondevice_sora.plans.plan_file import read_plan
from ondevice_sora.plans.schedule_file import ScheduleFile
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.costs import Costs
from ondevice_sora.profiles.devices import Device
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.profiles.profile import Profile, load_profile
from ondevice_sora.records.result import Result
from ondevice_sora.simulator.calibration.published import CasesFile, read_cases
from ondevice_sora.simulator.sweep.grid import read_grid

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def examples(page: Path) -> list[tuple[str, str]]:
    """(kind, text) of every YAML block: ```yaml plan, ```yaml cases, ..."""
    return re.findall(r"^```yaml *(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


BLOCKS = [(page.name, kind, text) for page in PAGES for kind, text in examples(page)]


@pytest.mark.parametrize(("page", "kind", "text"), BLOCKS, ids=lambda value: value if len(value) < 20 else "")
def test_every_example_is_read_and_simulated(page, kind, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"{kind}.yaml"
    path.write_text(text, encoding="utf-8")
    if kind == "plan":
        assert main(["simulate", "--plan", "plan.yaml"]) in (0, 3)
    elif kind == "cases":
        read_cases(path)
        assert main(["validate", "published", "--cases", "cases.yaml"]) == 0
    elif kind == "corpus":
        assert main(["validate", "published", "--cases", "corpus.yaml"]) == 0
    elif kind == "profile":
        load_profile("profile.yaml")
        (tmp_path / "plan.yaml").write_text("name: x\nmodel: opensora\n")
        assert main(["simulate", "--plan", "plan.yaml", "--device", "profile.yaml"]) in (0, 3)
    elif kind == "model":
        (tmp_path / "plan.yaml").write_text("name: x\nmodel: model.yaml\ntdtm: {steps: all}\n")
        assert main(["simulate", "--plan", "plan.yaml"]) in (0, 3)
    elif kind == "grid":
        assert {cell.technique for cell in read_grid("grid.yaml")} == {"as planned", "all steps"}
    else:
        pytest.fail(f"{page}: a YAML block needs a kind, as in ```yaml plan")
    assert capsys.readouterr().err == ""


def test_each_page_about_a_file_that_people_write_has_an_example():
    assert {page for page, _, _ in BLOCKS} >= {"plan.md", "models.md", "cases.md", "profile.md", "generate.md"}


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md", "README.md"])
def test_every_file_that_is_named_is_there(page):
    """Pages follow what moves: modules by the end of their path, links as they are."""
    text = (ROOT / page).read_text(encoding="utf-8")
    modules = re.findall(r"`([\w/.-]+\.py)`", text)
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    files = [f"/{path.relative_to(ROOT).as_posix()}" for folder in folders for path in folder.rglob("*.py")]
    assert [name for name in modules if not any(file.endswith(f"/{name}") for file in files)] == []
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
    assert modules or links


def test_the_walks_name_modules_where_they_are():
    """A path starts at the top or in ondevice_sora/; a bare name lies in a folder of a path beside it."""
    walks = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("## Four walks")[2]
    named = 0
    for item in re.split(r"\n\n|\n(?=\d\. )", walks):
        modules = re.findall(r"`([\w/.-]+\.py)`", item)
        paths = [ROOT / at / name for name in modules for at in ("", "ondevice_sora") if "/" in name]
        folders = {path.parent for path in paths if path.is_file()}
        for name in modules:
            named += 1
            around = (ROOT, ROOT / "ondevice_sora") if "/" in name else folders
            assert any((folder / name).is_file() for folder in around), f"{name} in: {item}"
    assert named > 40


def keys(kind: type) -> Iterator[str]:
    """Every key that a file of this kind may have, at any depth, but for what a figure consists of."""
    if kind is Figure:
        return
    for field in msgspec.structs.fields(kind):
        yield field.encode_name
        for inner in structs(msgspec.inspect.type_info(field.type)):
            yield from keys(inner)


def structs(info: msgspec.inspect.Type) -> Iterator[type]:
    if isinstance(info, msgspec.inspect.StructType):
        yield info.cls
    for name in ("item_type", "value_type", "key_type"):
        if hasattr(info, name):
            yield from structs(getattr(info, name))
    for name in ("types", "item_types"):
        for option in getattr(info, name, ()):
            yield from structs(option)


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("plan.md", Plan),
        ("plan.md", Model),
        ("cases.md", CasesFile),
        ("profile.md", Profile),
        ("profile.md", Costs),
        ("profile.md", Device),
        ("profile.md", Figure),
        ("schedule.md", ScheduleFile),
    ],
)
def test_every_key_is_described(page, kind):
    text = (DOCS / page).read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z0-9_]+", "\n".join(re.findall(r"`[^`\n]+`", text))))
    wanted = {field.encode_name for field in msgspec.structs.fields(Figure)} if kind is Figure else set(keys(kind))
    assert wanted - words - {"key"} == set()


def test_every_key_of_the_json_document_is_described():
    text = (DOCS / "plan.md").read_text(encoding="utf-8")
    missing = {field.encode_name for field in msgspec.structs.fields(Result)} - set(re.findall(r"`(\w+)`", text))
    assert missing == set()


def test_the_plan_page_names_every_precision_that_an_export_stores():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from ondevice_sora.runtime.coreml.export.export import EXPORTED

    page = (DOCS / "plan.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"An export can store (.*?)\.", page, re.DOTALL)
    assert tuple(re.findall(r"`(\w+)`", told)) == EXPORTED


def test_the_defaults_that_the_plan_page_gives_are_the_defaults():
    """Each default is taken from the table and written out: the plan must not change by it."""
    bare = read_plan(parse_yaml("name: x\nmodel: opensora\n", Path("x.yaml"))).plan
    text = (
        "name: x\nmodel: opensora\nsampler: {steps: 30, guidance: 7.0}\nlpl: {mode: off}\n"
        "tdtm: {steps: none, packages: shared}\nmemory: {entitlement: false}\n"
    )
    told = read_plan(extend(parse_yaml(text, Path("x.yaml")))).plan
    assert bare == told
    settings = bare.component("denoiser")
    text = (DOCS / "plan.md").read_text(encoding="utf-8")
    for name in msgspec.structs.fields(type(settings)):
        (shown,) = re.findall(rf"^\| `{name.name}` \| `?([^|`]+?)`? \|", text, re.MULTILINE)
        default = getattr(settings, name.name)
        assert shown == ("none" if default is None else str(default))
