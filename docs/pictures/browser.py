"""Pages in a browser, to be photographed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect, sync_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = ("--no-sandbox", "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
_PATIENCE_MS = 60_000


@contextmanager
def open_page(address: str, size: tuple[int, int]) -> Iterator[Page]:
    """Open a page in light colours.

    Args:
        address: of the page.
        size: width and height of the window.

    Raises:
        SystemExit: without a browser.
    """
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        raise SystemExit("Pictures need a browser: install Chromium (Debian: apt-get install chromium).")
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_OPTIONS))
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme="light")
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(address)
        yield page
        browser.close()
