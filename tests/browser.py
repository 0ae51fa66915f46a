"""A real browser for the page tests: Chromium by name, or a loud skip."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A running Chromium. Skips the test, saying so, where there is none."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("BROWSER SKIPPED: no Chromium here (apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


AXE = Path(__file__).parent.parent / "build" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """() => axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(
  each => each.id + ': ' + each.nodes.map(node => node.html.slice(0, 120)).join(' | ')))"""


async def axe_violations(page: Page) -> list[str]:
    """What axe finds on this page, every rule it has on. Skips the test, saying so, where axe-core is not there."""
    if not AXE.exists():
        pytest.skip("AXE SKIPPED: no axe-core here (make browser fetches it with npm)")
    await page.evaluate(AXE.read_text())
    return list(await page.evaluate(_RUN))
