"""The page as a file: self-contained, escaped, the same bytes for the same traces. What it draws: test_browser.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.page.html import render, write_report
from ondevice_sora.reports.page.markup import el, json_for_script, text

PLAIN = str.maketrans({"\u00a0": " "})


class Reader(HTMLParser):
    """Collects elements, and the text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif not self._inside:
            self.words.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def words(page: str) -> str:
    return " ".join(" ".join(read(page).words).split()).translate(PLAIN)


def test_the_answer_comes_first(trace: Trace, killed: Trace) -> None:
    said = words(render([trace]))
    head = said.partition("Total time")[0]
    assert head.endswith(
        "Simulated Toy phone toy Fits toy plan The generation takes 27.0 s; the footprint peaks at 610 MB, 390 MB "
        "below the limit of 1.00 GB. "
    )
    assert "Would be killed" in words(render([killed])).partition("Killed after")[0]


def test_everything_asked_of_the_page_is_there(trace: Trace) -> None:
    said = words(render([trace]))
    for part in (
        "What to change next", "Keep block a resident: 1.00 s less.",
        "What if", "With the entitlement", "limit 2.00 GB", "25.0 s −7.4 %", "610 MB of 500 MB killed",  # noqa: RUF001
        "Timeline", "Memory charged to the app", "limit 1.00 GB", "budget 800 MB", "peak 610 MB at 8.00 s",
        "One steady denoiser step", "Step 2, the median of the steps",
        "Where the time goes", "86 % of all loading passes while a block runs.",
        "Bounds", "86 % of what overlapping loads with runs can save",
        "What the total rests on", "50 % fitted",
        "Blocks", "a … b ×2",  # noqa: RUF001
        "Conditions and notes", "toyOS 1", "Made by hand.",
    ):  # fmt: skip
        assert part in said, part


def test_traces_are_compared_side_by_side(trace: Trace, measured: Trace) -> None:
    page = render([trace, measured])
    said = words(page)
    assert "2 runs compared" in said
    assert "total 27.0 s 29.7 s +2.70 s (+10 %)" in said
    figures = [attrs["data-figure"] for _, attrs in read(page).tags if "data-figure" in attrs]
    assert figures == ["lanes", "lanes", "memory", "step", "step"]


def test_same_traces_same_bytes(trace: Trace, killed: Trace, tmp_path: Path) -> None:
    write_report([trace, killed], tmp_path / "a.html")
    write_report([trace, killed], tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_bytes_do_not_depend_on_the_hash_seed(trace: Trace, tmp_path: Path) -> None:
    from ondevice_sora.records.trace import write_trace

    write_trace(trace, tmp_path / "trace.json")
    code = (
        "import sys, hashlib; from ondevice_sora.records.trace import read_trace;"
        "from ondevice_sora.reports.page.html import render;"
        "print(hashlib.sha256(render([read_trace(sys.argv[1])]).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "trace.json")],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_the_page_refers_to_nothing_outside_itself(trace: Trace, measured: Trace) -> None:
    page = render([trace, measured])
    for tag, attributes in read(page).tags:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            value = attributes.get(name)
            assert value is None or value == "data:,", (tag, name, value)
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style is not None
    assert "url(" not in style[1] and "@import" not in style[1]
    assert "default-src 'none'" in page


def test_what_users_write_cannot_become_markup(hostile: Trace) -> None:
    for page in (render([hostile]), render([hostile, hostile])):
        reader = read(page)
        tags = [tag for tag, _ in reader.tags]
        assert tags.count("script") == 3
        assert "img" not in tags
        assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
        data = json.loads(reader.scripts[0])
        assert data["traces"][0]["name"].startswith('</script><script>alert("x")</script>')


def test_a_report_needs_a_trace() -> None:
    with pytest.raises(UserError, match="at least one trace"):
        render([])


def test_an_empty_trace_still_makes_a_page() -> None:
    empty = Trace("measured", "nothing", "Toy phone", "toy", [], [], 1000)
    assert "Completed" in words(render([empty]))


def test_text_is_escaped_unless_made_by_el() -> None:
    assert el("p", "a < b", el("b", "&"), class_="x", data_y='"', hidden=True, title=None) == (
        '<p class="x" data-y="&quot;" hidden>a &lt; b<b>&amp;</b></p>'
    )


def test_numbers_keep_their_units() -> None:
    joined = text("10 min 05 s to 22 min, 3.30 GB of 12 %")
    assert joined == "10~min~05~s to 22~min, 3.30~GB of 12~%".replace("~", "\u00a0")
    assert text("3 blocks of 2 minds") == "3 blocks of 2 minds"


def test_json_in_a_script_cannot_end_it() -> None:
    written = json_for_script({"a": "</script><!--\u2028&"})
    assert not set("<>&\u2028") & set(written)
    assert json.loads(written) == {"a": "</script><!--\u2028&"}
