"""Somebody who does not know the project finds answers by the search, in a page that was opened from a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="chromium or chromedriver is not installed")

PATIENCE_S = 30  # how long a busy machine may take; nothing is timed against it
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900")
QUESTIONS = {
    "app killed": "killed",                                  # Why is my app killed?
    "what does CI-DL mean": "glossary",
    "simulate my own model": "own-model",
    "measure my iphone": "own-phone",
    "which blocks stay in memory": "how-it-works",
    "python dataframe": "python",                            # How do I get results into pandas?
    "frames per second": "glossary",                           # How many frames are a video of four seconds?
    "memory limit iphone 13": "killed",
    "find the fastest plan": "plan",
    "exit status 3": "commands",
    "sign and install the app": "iphone",
    "convert from diffusers config": "models",
    "jetsam": "killed",
    "app crashed out of memory": "killed",
    "iPad": "killed",                                        # How much memory may an app use on one?
    "how many seconds of video": "glossary",
    "quantize weights": "plan",
    "int4": "plan",
    "neural engine": "plan",
    "Wan 2.1 on iPhone": "models",
    "stable diffusion on iphone": "models",
    "LoRA": "models",
    "load model slowly first time": "profile",
    "compare two plans": "tutorial",
    "video too slow": "tutorial",
    "pytorch weights": "generate",                           # Where do I get them?
    "LLM": "questions",
    "how accurate": "evidence",
    "overheating": "how-it-works",
    "battery": "how-it-works",
    "android": "how-it-works",
    "license": "index",
}  # fmt: skip
RESULTS = """
return [...document.querySelectorAll('.md-search-result__item')].map(item =>
  item.querySelector('a.md-search-result__link').href.split('/').pop().split('.html')[0]);
"""


@pytest.fixture(scope="module")
def found(site: Path):
    """Words -> the pages that the search lists for them, best first."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:

        def search(words: str) -> list[str]:
            driver.get(f"{(site / 'index.html').as_uri()}?{urlencode({'q': words})}")
            return WebDriverWait(driver, PATIENCE_S).until(lambda _: driver.execute_script(RESULTS))

        search.driver = driver
        yield search
    finally:
        driver.quit()


@pytest.mark.parametrize(("words", "page"), QUESTIONS.items())
def test_the_page_with_the_answer_is_among_the_first_three(found: Callable[[str], list[str]], words, page):
    assert page in found(words)[:3]


def test_nothing_is_asked_of_anybody_and_nothing_goes_wrong(found):
    found("budget")
    logs = found.driver.get_log("performance")
    events = [json.loads(entry["message"])["message"] for entry in logs]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert [entry["message"] for entry in found.driver.get_log("browser")] == []
