"""One browser for all tests that look at pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from worlds.browser import BROWSER, DRIVER, Page, browsing


@pytest.fixture(scope="package")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (BROWSER and DRIVER):
        pytest.skip("chromium or chromedriver is not installed")
    with browsing(tmp_path_factory.mktemp("browser"), tmp_path_factory.mktemp("reports")) as shown:
        yield shown
