"""The documentation as a site: whole, made from the code, and readable without a network."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from worlds.paths import ROOT

from ondevice_sora import api
from ondevice_sora.commands.main import VERBS, main

PAGES = sorted((ROOT / "docs").glob("*.md"))


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def test_every_page_is_there_and_in_the_menu(site):
    menu = (site / "index.html").read_text(encoding="utf-8")
    for page in PAGES:
        assert (site / f"{page.stem}.html").is_file()
        assert f'href="{page.stem}.html"' in menu.replace('href="."', 'href="index.html"')


def test_no_page_asks_anybody_for_anything(site):
    """Only links that a reader clicks lead outside: no font, script, style or picture does."""
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]*)\"", text)
        fetched += re.findall(
            r"<link\b[^>]*\brel=\"(?:stylesheet|preconnect|icon|preload)\"[^>]*\bhref=\"([^\"]*)\"", text
        )
        fetched += re.findall(
            r"<link\b[^>]*\bhref=\"([^\"]*)\"[^>]*\brel=\"(?:stylesheet|preconnect|icon|preload)\"", text
        )
        assert [address for address in fetched if re.match(r"(https?:)?//", address)] == []
        assert "mermaid" not in text  # which Material fetches from a server


def options_of(verb: str, capsys) -> set[str]:
    with pytest.raises(SystemExit):
        main([*verb.split(), "--help"])
    return set(re.findall(r"^ +(?:-\w, |-\w \S+, )?(--[\w-]+)", capsys.readouterr().out, re.MULTILINE)) - {"--help"}


def test_the_command_reference_has_every_option_of_every_command(site, capsys):
    page = (site / "commands.html").read_text(encoding="utf-8")
    sections = {
        text_of(part.partition("</h")[0]).strip().rstrip("¶"): set(re.findall(r"--[\w-]+", text_of(part)))
        for part in re.split(r"<h[23][^>]*>", page)
    }
    for verb in VERBS:
        assert ("simulate" if verb == "simulate" else f"ondevice-sora {verb}") in sections
    for name, found in sections.items():
        if name.split()[0] in ("simulate", "ondevice-sora"):
            assert options_of(name.removeprefix("ondevice-sora "), capsys) <= found, name


def test_the_python_page_has_everything_that_is_exported(site):
    page = text_of((site / "python.html").read_text(encoding="utf-8"))
    for name in [name for name in vars(api.Run) if not name.startswith("_") and name != "trace"]:
        assert name in page
    for name in ("simulate", "search", "estimate", "load_trace", "report", "devices", "plans", "UserError"):
        assert f"{name}¶" in page


def test_the_python_page_runs(tmp_path, monkeypatch):
    """All but the search, which takes its time, and the packages, which nobody has."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "search(" not in block]
    names: dict[str, Any] = {}
    for block in blocks[:-1]:
        exec(block, names)
    assert len(names["swept"].rows) == 6 and len(names["both"].to_frame()) == 4
    assert (tmp_path / "report.html").is_file()


def test_the_index_of_the_search_is_there_for_pages_opened_from_a_folder(site):
    script = (site / "search/search_index.js").read_text(encoding="utf-8")
    index = json.loads(script.removeprefix("var __index = "))
    assert {entry["location"].partition("#")[0] for entry in index["docs"]} >= {
        f"{page.stem}.html" for page in PAGES
    } - {"index.html"}
