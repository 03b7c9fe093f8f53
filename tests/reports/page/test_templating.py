"""What all pages share: numbers keep their units, text stays text, and only the page's own scripts may run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds.answers import quality_row, results
from worlds.pages import inflated, outside_references, read

from ondevice_sora.records.quality import Evaluation
from ondevice_sora.records.search import SearchReport
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.page.quality import render_quality
from ondevice_sora.reports.page.report import render
from ondevice_sora.reports.page.search import render_search
from ondevice_sora.reports.page.templating import breakable, digest, known, packed, unbroken

KINDS = ["report", "search", "quality"]


@pytest.fixture(params=KINDS)
def drawn(
    request: pytest.FixtureRequest, trace: Trace, search_report: SearchReport, evaluation: Evaluation, tmp_path: Path
) -> Callable[[], str]:
    """A way to make each kind of page."""
    ways: dict[str, Callable[[], str]] = {
        "report": lambda: render([trace]),
        "search": lambda: render_search(search_report),
        "quality": lambda: render_quality(evaluation, tmp_path),
    }
    return ways[request.param]


@pytest.mark.parametrize("kind", KINDS)
def test_what_users_write_cannot_become_markup(
    kind: str, hostile: Trace, hostile_report: SearchReport, hostile_evaluation: Evaluation, tmp_path: Path
) -> None:
    if kind == "report":
        pages = [render([hostile]), render([hostile, hostile])]
    elif kind == "search":
        pages = [render_search(hostile_report)]
    else:
        pages = [render_quality(hostile_evaluation, tmp_path)]
    for page in pages:
        reader = read(page)
        assert [tag for tag, _ in reader.tags].count("script") == 3
        assert [attributes["src"] for tag, attributes in reader.tags if tag in ("img", "video")] == [
            "data:video/mp4;base64,TVA0"
        ] * (kind == "quality")
        assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
        assert "alert" in " ".join(reader.words)


def test_a_page_refers_to_nothing_outside_itself(drawn: Callable[[], str]) -> None:
    page = drawn()
    assert outside_references(page) == []
    assert "default-src 'none'" in page


def test_a_page_is_the_same_for_the_same_data(drawn: Callable[[], str]) -> None:
    assert drawn() == drawn()


def test_the_policy_admits_the_page_s_script_and_plotly_by_their_digests(drawn: Callable[[], str]) -> None:
    page = drawn()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    _, plotly, script = read(page).scripts
    source = inflated(plotly)
    assert f"script-src '{digest(script)}' '{digest(source)}';" in policy[1]
    assert "Plotly" in source


def test_a_number_stays_on_one_line_with_its_unit() -> None:
    joined = unbroken("10 min 05 s to 22 min, 3.30 GB of 12 %, 84.5 \N{MICRO SIGN}s")
    assert joined == "10~min~05~s to 22~min, 3.30~GB of 12~%, 84.5~\N{MICRO SIGN}s".replace("~", "\N{NO-BREAK SPACE}")
    assert unbroken("3 blocks of 2 minds") == "3 blocks of 2 minds"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("spatial_1..temporal_3", ["spatial_1..", "temporal_3"]),
        ("text_encoder.layer_0", ["text_encoder.", "layer_0"]),
        ("processors.gpu.convolution_flops", ["processors.", "gpu.", "convolution_", "flops"]),
        ("https://example.com/docs/plan.md", ["https://", "example.", "com/", "docs/", "plan.", "md"]),
        ("0123456789abcdef0123456789", ["0123456789abcdef", "0123456789"]),
        (
            "the 2.2 % of v0.2.0, e.g. 1.6 GB/s, stay as they are",
            ["the 2.2 % of v0.2.0, e.g. 1.6 GB/s, stay as they are"],
        ),
    ],
)
def test_an_identifier_may_be_broken_after_its_parts_only(text: str, lines: list[str]) -> None:
    assert str(breakable(text)).replace("\N{NO-BREAK SPACE}", " ").split("<wbr>") == lines


def test_a_line_may_not_end_within_an_option_of_a_command() -> None:
    found = breakable("simulate --memory-limit 2GB -o out.html")
    option = '<span class="option">%s</span>'
    assert found == f"simulate {option % '--memory-limit'} 2GB {option % '-o'} out.<wbr>html"


def test_what_may_be_broken_is_text_and_no_markup() -> None:
    assert breakable("<b>in.out &") == "&lt;b&gt;in.<wbr>out &amp;"


def test_what_is_not_known_is_a_dash() -> None:
    assert known(None, "seconds") == "\N{EN DASH}"
    assert known(2.0, "seconds") == "2.00 s"


def test_what_is_packed_cannot_end_its_element() -> None:
    for text in ("</script><!--\u2028&", "".join(map(chr, range(5000)))):
        assert "<" not in packed(text)
        assert inflated(str(packed(text))) == text


def test_digests_are_those_of_content_security_policy() -> None:
    """The example of the CSP specification, level 2, section 7.17."""
    assert digest("alert('Hello, world.');") == "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="


def test_a_page_is_small(drawn: Callable[[], str]) -> None:
    assert len(drawn().encode()) < 2_000_000


def test_a_page_without_figures_has_no_plotly(tmp_path: Path) -> None:
    page = render_quality(results(quality_row("full")), tmp_path)
    policy = re.search(r"script-src ([^;]*);", page)
    assert policy is not None
    (script,) = read(page).scripts
    assert policy[1] == f"'{digest(script)}'"
    assert len(page.encode()) < 60_000
