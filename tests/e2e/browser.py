"""A real browser: Debian's Chromium, driven by Playwright, that reaches this machine only."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    # Tests may run as root, in containers too.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
LOOPBACK = ("127.0.0.1", "localhost")
DESKTOP, PHONE = (1280, 900), (390, 844)


def program() -> str:
    """The browser's program; without one the test fails."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    pytest.fail("This test needs a browser: install Chromium (Debian: apt-get install chromium).")


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """Run the browser.

    Args:
        *more: options of its command line.
    """
    path = program()
    # The first look at a page waits for imports, on machines that do other things as well.
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*OPTIONS, *more])
        yield browser
        browser.close()


@contextmanager
def visit(
    browser: Browser,
    address: str,
    folder: Path,
    size: tuple[int, int] = DESKTOP,
    web: Collection[str] = (),
    **options: Any,
) -> Iterator[Page]:
    """Open a page in a session of its own; its last look is kept in `folder`.

    A request to another machine, and an error in the page's own scripts, fail the test.

    Args:
        browser: that runs.
        address: of the page.
        folder: for the screenshot.
        size: width and height of the window.
        web: hosts that the test answers for.
        options: of Playwright's context, such as `color_scheme`.
    """
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(60_000)
    page = context.new_page()
    foreign: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: foreign.append(request.url) if _is_foreign(request.url, web) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(address)
        yield page
    finally:
        page.screenshot(path=folder / "page.png")
        context.close()
    assert foreign == []
    assert errors == []


def _is_foreign(url: str, web: Collection[str]) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in (*LOOPBACK, *web)
