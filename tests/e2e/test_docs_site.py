"""The documentation's site as people see it: every page in a real browser, on a desktop and on a phone."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.docs_blocks import ROOT, blocks
from tests.e2e.browser import DESKTOP, PHONE, chromium, visit

pytestmark = pytest.mark.slow

#: What is wider than the page, or has more in it than its width shows (code, tables), by tag and text.
TOO_WIDE = """() => [...document.querySelectorAll('.md-content *')]
    .filter(part => part.getBoundingClientRect().right > document.documentElement.clientWidth + 1
        || (getComputedStyle(part).overflowX !== 'visible' && part.scrollWidth > part.clientWidth + 1))
    .filter(part => part.getBoundingClientRect().width > 0 && (part.textContent.trim() || part.closest('img, svg')))
    .map(part => part.tagName + ': ' + part.textContent.trim().slice(0, 60))"""
#: Code of which not everything can be seen.
CUT_OFF = """() => [...document.querySelectorAll('.md-content pre > code')]
    .filter(code => code.scrollWidth > code.clientWidth + 1)
    .map(code => code.textContent.trim().slice(0, 60))"""
#: How far text and what is behind it differ, as the contrast ratio of WCAG 2.
CONTRAST = """() => {
    const parts = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = colour => {
        const [red, green, blue] = parts(colour).slice(0, 3)
            .map(value => value / 255)
            .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const style = getComputedStyle(document.querySelector('.md-content .md-typeset'));
    const alpha = parts(style.color)[3] ?? 1;
    const text = light(style.color);
    const behind = light(getComputedStyle(document.body).backgroundColor);
    const mixed = alpha * text + (1 - alpha) * behind;
    return (Math.max(mixed, behind) + 0.05) / (Math.min(mixed, behind) + 0.05);
}"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `invoke build-docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def pages(site: Path) -> list[str]:
    """The paths of all pages."""
    found = [path.relative_to(site).parent.as_posix() for path in site.rglob("index.html")]
    assert len(found) == len(list((ROOT / "docs").glob("*.md")))
    return sorted("" if path == "." else f"{path}/" for path in found)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def open_page(page: Page, address: str) -> None:
    """Go to a page, and see each of its pictures."""
    response = page.goto(address)
    assert response is not None
    assert response.status == 200, address
    pictures = page.locator(".md-content img")
    for number in range(pictures.count()):
        pictures.nth(number).scroll_into_view_if_needed()
        page.wait_for_function(
            "number => document.querySelectorAll('.md-content img')[number].naturalWidth > 0", arg=number
        )


@pytest.mark.parametrize(
    ("size", "colours"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "dark"), (PHONE, "light")], ids=str
)
def test_every_page_fits_the_screen_can_be_read_and_needs_no_other_machine(
    browser: Browser, address: str, pages: list[str], tmp_path: Path, size: tuple[int, int], colours: str
) -> None:
    errors: list[str] = []
    with visit(browser, address, tmp_path, size, color_scheme=colours) as page:
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        for path in pages:
            open_page(page, f"{address}/{path}")
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
            assert page.evaluate(TOO_WIDE) == [], path
            assert page.evaluate(CUT_OFF) == [], path
            assert page.evaluate(CONTRAST) > 4.5, path
    assert errors == []


def test_the_front_page_shows_the_product_at_first_sight(browser: Browser, address: str, tmp_path: Path) -> None:
    with visit(browser, address, tmp_path, DESKTOP) as page:
        box = page.locator(".md-content img[src$='frontend.png']").bounding_box()
    assert box is not None
    assert box["width"] > 600
    # Most of a face and of the answer to it.
    assert box["y"] + box["height"] / 2 < DESKTOP[1]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=str)
@pytest.mark.parametrize(
    ("words", "page_title"),
    [("rollback", "Retrain"), ("data.balance", "Config keys"), ("API_KEY", "Environment settings")],
)
def test_the_search_finds_and_leads_to_the_page(
    browser: Browser, address: str, tmp_path: Path, words: str, page_title: str, size: tuple[int, int]
) -> None:
    with visit(browser, address, tmp_path, size) as page:
        if size == PHONE:
            page.locator("label.md-header__button[for=__search]").click()
        page.locator(".md-search__input").click()
        expect(page.locator(".md-search-result__meta")).to_have_text("Type to start searching")
        page.locator(".md-search__input").press_sequentially(words)
        found = page.locator(".md-search-result__item").filter(has=page.locator("h1", has_text=page_title)).first
        expect(found).to_be_visible()
        found.get_by_role("link").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(page_title)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=str)
def test_a_block_is_copied_without_the_breaks_that_the_screen_adds(
    browser: Browser, address: str, tmp_path: Path, size: tuple[int, int]
) -> None:
    shown = blocks(ROOT / "docs/training.md")
    with visit(
        browser, f"{address}/training/", tmp_path, size, permissions=["clipboard-read", "clipboard-write"]
    ) as page:
        buttons = page.locator("[data-md-type=copy]")
        copied = []
        for number in range(buttons.count()):
            buttons.nth(number).click()
            copied.append(page.evaluate("navigator.clipboard.readText()"))
    # Buttons are on blocks of other languages, too.
    expected = [block.text.rstrip("\n") for block in shown]
    assert [text for text in copied if text in expected] == expected


def test_the_menu_leads_from_the_landing_page_to_a_page_in_two_clicks(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    with visit(browser, address, tmp_path, DESKTOP) as page:
        page.locator(".md-tabs").get_by_role("link", name="Operate").click()
        page.locator(".md-sidebar--primary").get_by_role("link", name="Monitoring and alerts").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Monitoring")
