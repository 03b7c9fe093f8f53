"""Figures in Markdown are those that commands print: written by the script, stale ones found."""

from __future__ import annotations

import subprocess
import sys

import pytest
from worlds.paths import ROOT

from scripts.docs.marks import PROGRESS, StaleError, figure, refreshed

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def written(tmp_path, text: str, with_slow: bool = False, is_check: bool = False) -> str:
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    return refreshed(path, with_slow, is_check)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_page_shows_what_the_commands_no_longer_print(page):
    """Stale? `scripts/refresh-docs`. What takes long is compared by `scripts/refresh-docs --check --slow`."""
    assert refreshed(page, with_slow=False, is_check=True) == page.read_text(encoding="utf-8")


def test_a_shown_command_stands_above_all_that_it_prints(tmp_path):
    mark = "<!-- shown: ondevice-sora --version -->"
    text = written(tmp_path, f"# Page\n\n{mark}\nsomething old\n<!-- /shown -->\n\nmore\n")
    before, after = text.split("```sh\nondevice-sora --version\n```\n\n```text\nondevice-sora ")
    assert before == f"# Page\n\n{mark}\n"
    assert after.endswith("```\n<!-- /shown -->\n\nmore\n")
    assert written(tmp_path, text) == text


def test_what_a_busy_machine_tells_while_it_works_is_not_shown():
    told = "polish: 8,502 plans, best 599.77 s; 10.1 s passed\nrow: 3 of 7, 2 min 04 s passed, about 3 s left\n"
    assert PROGRESS.sub("", f"{told}Fits in 10.1 s\n{told}") == "Fits in 10.1 s\n"


def test_a_command_reads_the_files_that_the_page_shows_above_it(tmp_path):
    page = """
```yaml title="x.yaml"
extends: ours-256
name: a plan of this page
```
<!-- shown: simulate --plan x.yaml -->
<!-- /shown -->
"""
    assert "a plan of this page" in written(tmp_path, page).split("<!-- shown")[1]


def test_a_module_may_be_a_file_of_the_page(tmp_path):
    page = '```python title="greeting.py"\nprint("hello")\n```\n<!-- shown: python -m greeting -->\n<!-- /shown -->'
    before = list(sys.path)
    assert "```text\nhello\n```" in written(tmp_path, page)
    assert sys.path == before


def test_what_a_module_prints_is_put_in_as_markdown(tmp_path):
    mark = "<!-- printed: python -m scripts.docs.tables Memory -->"
    lines = written(tmp_path, f"{mark}<!-- /printed -->").splitlines()
    assert lines[0] == mark
    assert lines[1] == "| key | default | values | |"
    assert lines[-1] == "<!-- /printed -->"


def test_figures_stand_within_a_line_with_their_unit(tmp_path):
    page = (
        "It takes <!-- figure: total_s of simulate --json -->1 s<!-- / --> and is "
        "<!-- figure: verdict of simulate --json -->?<!-- / -->, "
        "<!-- figure: /^\\w+ on (.*?) ·/ of simulate -->?<!-- / -->."
    )
    text = written(tmp_path, page)
    assert "<!-- figure: verdict of simulate --json -->fits<!-- / -->" in text
    assert " -->iPhone 15 Pro<!-- / -->." in text
    assert " min " in text.split("-->")[1]


def test_a_value_is_written_by_the_end_of_its_name():
    document = '{"a": [{"total_s": 75.0, "peak_bytes": 2.5e9, "busy_share": 0.5, "kill_share": 0.0001, "loads": 1234}]}'
    written = [
        figure(f"a[0].{name}", document) for name in ("total_s", "peak_bytes", "busy_share", "kill_share", "loads")
    ]
    assert written == ["75.0 s", "2.50 GB", "50 %", "under 0.1 %", "1,234"]


SLOW = "<!-- shown slowly: ondevice-sora --version -->\nold\n<!-- /shown -->"
VARYING = SLOW.replace("slowly", "varying")


def test_what_is_slow_is_left_alone_unless_asked_for(tmp_path):
    assert written(tmp_path, SLOW) == SLOW
    assert "old" not in written(tmp_path, SLOW, with_slow=True)


def test_what_varies_is_made_anew_when_asked_for_and_never_compared(tmp_path):
    assert written(tmp_path, VARYING, with_slow=True, is_check=True) == VARYING
    assert "old" not in written(tmp_path, VARYING, with_slow=True)


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("<!-- shown: simulate --plan no-such-plan -->\n<!-- /shown -->", "exit status 2"),
        ("<!-- shown: rm -rf . -->\n<!-- /shown -->", "rm: pages show simulate"),
        ("<!-- printed: python -m scripts.docs.tables Nothing -->\n<!-- /printed -->", "KeyError"),
        ("<!-- figure: nothing of simulate --json -->1<!-- / -->", "the document has no 'nothing'"),
        ("<!-- figure: /no such text/ of simulate -->1<!-- / -->", "finds nothing"),
        ("<!-- shown: simulate -->\nno end", "1 marks begin and 0 end"),
    ],
)
def test_a_page_that_cannot_be_made_says_why(tmp_path, page, complaint):
    with pytest.raises(StaleError, match=complaint):
        written(tmp_path, page)


def test_the_script_finds_and_mends_what_is_stale(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("<!-- shown: ondevice-sora --version -->\nold\n<!-- /shown -->\n")

    def script(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts/refresh-docs"), *options, str(path)]
        return subprocess.run(command, capture_output=True, text=True)

    stale = script("--check")
    assert stale.returncode == 1
    assert "-old" in stale.stdout
    assert path.read_text().count("old") == 1
    assert script().returncode == 0
    assert script("--check").returncode == 0
