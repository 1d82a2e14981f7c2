"""Where code and tables of the documentation's site may break, and what is said above blocks."""

from __future__ import annotations

import re

import pytest
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File
from mkdocs.structure.pages import Page
from tests.docs_hooks import layout

BREAK = "<wbr>"


def page(path: str) -> Page:
    config = MkDocsConfig()
    config.docs_dir, config.site_dir, config.site_url = "docs", "site", ""
    return Page(None, File(path, "docs", "site", use_directory_urls=True), config)


def text(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


def cell(code: str) -> str:
    return layout.on_page_content(f"<table><tr><td><code>{code}</code></td></tr></table>")


def table(titles: list[str], cells: list[str]) -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    row = "".join(f"<td>{each}</td>" for each in cells)
    return f"<table>\n<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n<tr>{row}</tr>\n</tbody>\n</table>"


def test_above_a_block_stands_what_it_needs_and_not_that_tests_leave_it_out() -> None:
    markdown = '```bash title="Not run by the tests: needs a GPU"\n```\n```bash title="In a terminal of its own"\n```'
    assert layout.on_page_markdown(markdown, page("training.md")) == (
        '```bash title="Needs a GPU"\n```\n```bash title="In a terminal of its own"\n```'
    )


@pytest.mark.parametrize(("path", "hidden"), [("index.md", ["navigation", "toc"]), ("training.md", None)])
def test_the_front_page_alone_has_no_menus_at_its_sides(path: str, hidden: list[str] | None) -> None:
    shown = page(path)
    layout.on_page_markdown("", shown)
    assert shown.meta.get("hide") == hidden


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("detect.max_share", ["detect.", "max_", "share"]),
        ("gs://bucket/models", ["gs://", "bucket/", "models"]),
        ("dict[str, list[float]]", ["dict[", "str, list[", "float]]"]),
        ("fer==25.10.3", ["fer==", "25.10.3"]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("1,281", ["1,281"]),
        ("runs/&lt;time&gt;/report.html", ["runs/", "&lt;time&gt;/", "report.", "html"]),
        ("--no-dev", ["--no-dev"]),
    ],
)
def test_words_in_a_table_may_break_behind_their_joints(code: str, parts: list[str]) -> None:
    assert BREAK.join(parts) in cell(code)


def test_links_in_code_of_a_table_stay_links() -> None:
    link = '<a href="../a_b/#c.d" title="e.f">list</a>[g.h]'
    assert f'<a href="../a_b/#c.d" title="e.f">list</a>[g.{BREAK}h]' in cell(link)


def test_a_line_of_a_block_breaks_neither_behind_hyphens_nor_behind_a_short_option() -> None:
    space = '<span class="w"> </span>'
    block = f"<pre><code><span>uv{space}run{space}-o{space}a-b --c</span></code></pre>"
    html = layout.on_page_content(block)
    assert text(html) == text(block)
    assert re.findall(r"<span[^>]* data-unbroken>([^<]+)</span>", html) == ["-o", " ", "-b", "--c"]


def test_a_wide_table_of_text_is_marked_and_its_cells_have_their_titles() -> None:
    titles = ["name", 'what "it" is', "a", "b", "<code>c</code>"]
    html = layout.on_page_content(table(titles, ["word " * 9] * 5))
    assert html.startswith("<table data-records>")
    assert re.findall(r'data-title="([^"]*)"', html) == ["name", "what &quot;it&quot; is", "a", "b", "c"]


@pytest.mark.parametrize(("columns", "cell"), [(5, "12.5 %"), (4, "word " * 9)])
def test_tables_of_figures_and_narrow_ones_stay_tables(columns: int, cell: str) -> None:
    html = table(["title"] * columns, [cell] * columns)
    assert layout.on_page_content(html) == html
