"""A browser for the tests of pages, where the machine has one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

FLAGS = (
    *('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'),
    *('--disable-background-networking', '--disable-component-update', '--disable-sync'),
)
CHROMIUM = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)
PATIENCE = 120_000  # milliseconds: the machine may be busy

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium or Chrome on the PATH')


@contextmanager
def open_page(address: str, asked: list[str], errors: list[object]) -> Iterator[object]:
    """A page in Chromium, with the addresses it asks for and the errors of its scripts."""
    playwright = pytest.importorskip('playwright.sync_api')
    playwright.expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.on('request', lambda request: asked.append(request.url))
        page.on('pageerror', lambda error: errors.append(error))
        page.goto(address)
        yield page
        browser.close()
