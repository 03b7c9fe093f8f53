"""Pages in headless Chromium: shown at a width and in a colour scheme, looked at, printed, and asked what is wrong."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.page.report import render

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
WIDE, NARROW = 1440, 390
PATIENCE_S = 60
"""How long a busy machine may take to draw; nothing is timed against it."""
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars",
)  # fmt: skip

DRAWN = "return [...document.querySelectorAll('.plot')].every(p => !p.clientWidth || p.classList.contains('drawn'))"
COLLISIONS = """
return [...document.querySelectorAll('.plot')].flatMap(plot => {
  const saving = plot.nextElementSibling?.matches('.saving') ? plot.nextElementSibling.children : [];
  const isSeen = t => t.textContent.trim() && t.getBoundingClientRect().width;
  const texts = [...plot.querySelectorAll('text'), ...saving].filter(isSeen);
  const boxes = texts.map(t => [t.textContent, t.getBoundingClientRect()]), found = [];
  boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
    const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (across > 1 && down > 3) found.push(a + ' | ' + b);
  }));
  return found;
});
"""

OUT_OF_SIGHT = """
return [...document.querySelectorAll('.plot')].flatMap(plot => {
  const whole = plot.getBoundingClientRect();
  const isOut = box => box.width && (box.bottom > whole.bottom + 1 || box.top < whole.top - 1
    || box.right > whole.right + 1 || box.left < whole.left - 1);
  const texts = plot.querySelectorAll('.xtick text, .x2tick text, .ytick text, .y2tick text, .annotation-text');
  return [...texts].filter(text => isOut(text.getBoundingClientRect())).map(text => text.textContent);
});
"""
BROKEN_WORDS = """
const found = [], range = document.createRange();
const texts = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const text = texts.currentNode, within = text.parentElement;
  if (within.closest('svg, pre') || !within.checkVisibility()) continue;
  for (const {0: word, index} of text.data.matchAll(/[^ \\n\\/-]+/g)) {
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    const lines = new Set([...range.getClientRects()].filter(box => box.width).map(box => Math.round(box.top)));
    if (lines.size > 1) found.push(word);
  }
}
return found;
"""
"""Words, and parts of identifiers between <wbr>, that lie on more than one line; one may end at a hyphen or slash."""
UNFOLDED = """
document.querySelectorAll('details').forEach(each => { each.open = true; });
document.querySelectorAll('tbody.members').forEach(each => { each.hidden = false; });
"""


class Page:
    """One browser; `open` shows a page at a width and in a colour scheme."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver = driver
        self.folder = folder
        self.count = 0
        self.shown = ""

    def open(self, page: list[Trace] | str, width: int = WIDE, scheme: str = "light") -> None:
        """Show a page, or the report of traces, from its start; one that is open already is only set back."""
        self.width(width)
        self.scheme(scheme)
        text = page if isinstance(page, str) else render(page)
        if text == self.shown and not isinstance(page, str):
            self.js("document.querySelector('[data-from]').click()")
            self.settle()
            return
        path = self.folder / f"page{self.count}.html"
        self.shown, self.count = text, self.count + 1
        path.write_text(text, encoding="utf-8")
        self.problems()
        self.driver.get(path.as_uri())
        self.wait()

    def wait(self) -> None:
        self.wait_for(lambda: self.driver.execute_script(DRAWN))

    def settle(self) -> None:
        """Let what was just changed be drawn."""
        self.js("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def wait_for(self, holds: Callable[[], bool], by: Callable[[], None] = lambda: None) -> None:
        """Wait until something holds, doing `by` again before each look: a loaded machine may miss a double click."""

        def look(_: object) -> bool:
            by()
            return holds()

        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, PATIENCE_S, poll_frequency=0.05).until(look)

    def double_click(self, element: Any) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver, duration=50).move_to_element(element).double_click().perform()

    def width(self, width: int) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, scheme: str) -> None:
        """light, dark, or forced: the colours of the system, on a dark ground."""
        forced = scheme == "forced"
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if forced else scheme},
            {"name": "forced-colors", "value": "active" if forced else "none"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def printed(self) -> bytes:
        """The page as a PDF, without the backgrounds, which browsers leave out unless told."""
        return base64.b64decode(self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])

    def violations(self) -> list[str]:
        """What axe finds that people with a disability could not use: the rule, and where it is broken.

        Figures count as the images that they are; what is drawn in them is left out.
        """
        from axe_core_python.selenium import Axe

        asked = {
            "resultTypes": ["violations"]
        }  # of what is well it then looks for no name, which takes most of its time
        found = Axe().run(self.driver, context={"exclude": [[".plot svg"]]}, options=asked)["violations"]
        return [f"{rule['id']}: {node['target']}" for rule in found for node in rule["nodes"]]

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def plots(self, figure: str) -> list[Any]:
        found: list[Any] = self.driver.find_elements("css selector", f'[data-figure="{figure}"]')
        return found

    def problems(self) -> list[str]:
        """Console messages and network requests since last asked. The page itself is no request."""
        found = [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(("data:", "blob:", self.folder.as_uri())):
                    found.append(url)
        return found


@contextmanager
def browsing(profile: Path, folder: Path) -> Iterator[Page]:
    """A browser with a profile of its own; pages are written into `folder`."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(PATIENCE_S)
    try:
        yield Page(driver, folder)
    finally:
        driver.quit()
