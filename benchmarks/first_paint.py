"""When a report is first painted and when its figures are drawn, beside the same page with plotly.js as it is.

    python benchmarks/first_paint.py

Both pages are opened in turn in one headless Chromium, each time as if for the first time (its caches are cleared);
medians, from the start of the navigation. Packed, plotly.js waits in the page as text until the words are painted;
plain, it stands as a script before the page's own, as plotly's `include_plotlyjs` writes it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from plotly.offline import get_plotlyjs
from worlds.browser import DRAWN, Page, browsing

from ondevice_sora.reports.page.report import render
from ondevice_sora.simulator.simulate import simulate

REPEATS = 9
PAINTED = "return performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0]"
NOW = "return performance.now()"
PACKED_SCRIPT = '<script type="application/octet-stream" id="plotly">'
LOADED_SCRIPT = "if (!window.Plotly)"


def plain(page: str) -> str:
    """The same page with plotly.js as a script, which runs before anything is painted, and nothing packed but data."""
    before, _, rest = page.partition(PACKED_SCRIPT)
    after = rest[rest.index("</script>") :]
    policy = before.index("script-src ") + len("script-src ")
    before = before[:policy] + "'unsafe-inline';" + before[before.index(";", policy) + 1 :]
    after = after.replace('unpacked("plotly")', '""').replace("script.textContent = plotly;", "")
    script = get_plotlyjs()
    head, _, body = before.partition("</title>")
    return f"{head}</title>\n<script>{script}</script>{body}<script>{after}"


def times(page: Page, path: Path) -> tuple[float, float]:
    """Seconds to the first paint, and until all figures are drawn."""
    page.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    page.driver.get(path.as_uri())
    page.wait_for(lambda: page.js(DRAWN))
    drawn = page.js("return Math.max(...performance.getEntriesByType('mark').map(mark => mark.startTime))")
    page.wait_for(lambda: page.js(PAINTED) is not None)
    return page.js(PAINTED) / 1e3, drawn / 1e3


def main() -> None:
    packed = render([simulate("ours-256", "iphone15pro", with_what_ifs=True).trace])
    pages = {"packed": packed, "plain": plain(packed)}
    with tempfile.TemporaryDirectory() as scratch, browsing(Path(scratch) / "profile", Path(scratch)) as page:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in pages}
        for name, text in pages.items():
            (Path(scratch) / f"{name}.html").write_text(text, encoding="utf-8")
        for _ in range(REPEATS):
            for name in pages:
                found[name].append(times(page, Path(scratch) / f"{name}.html"))
    print(f"{'':8} {'size':>8} {'first paint':>12} {'figures drawn':>14}")
    for name, text in pages.items():
        painted, drawn = (median(each) * 1e3 for each in zip(*found[name], strict=True))
        print(f"{name:8} {len(text.encode()) / 1e6:5.2f} MB {painted:9.0f} ms {drawn:11.0f} ms")


if __name__ == "__main__":
    main()
