"""MkDocs hook: blocks of code and tables as readers of the site want them, on a phone too."""

from __future__ import annotations

import re
from typing import Any, Final

from mkdocs.structure.pages import Page

#: A table of at least so many columns, and so many characters in a cell on average, is a list of records on a phone.
_COLUMNS, _CHARACTERS = 5, 18

_NOT_RUN: Final = re.compile(r'(?<=title=")Not run by the tests: (\w)')
_TABLE: Final = re.compile(r"<table>.*?</table>", re.DOTALL)
_ROW: Final = re.compile(r"<tr>.*?</tr>", re.DOTALL)
_TITLE: Final = re.compile(r"<th(?=[ >])[^>]*>(.*?)</th>", re.DOTALL)
_CELL: Final = re.compile(r"<td(?=[ >])[^>]*>(.*?)</td>", re.DOTALL)
_BLOCK: Final = re.compile(r"<pre>.*?</pre>", re.DOTALL)
#: Hyphens and the letter behind them, within text.
_HYPHEN: Final = re.compile(r"(-+\w)(?![^<]*>)")
#: The space behind an option of one letter in a shell command.
_SPACE: Final = re.compile(r'(?<=>-[a-zA-Z]|[ \n]-[a-zA-Z])<span class="w">(?= </span>)')
#: Within text, not within a tag: `data.`, `max_`, `runs/`, `list[`.
_JOINT: Final = re.compile(r"(?<=[\w;\])\"'])([._/=,:+\[(]+)(?<!\d[.,])(?=[\w&])(?![^<]*>)")


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Say above a block what it needs, in place of why the tests do not run it; give the front page all the width.

    Args:
        markdown: of the page.
        page: of the site.
    """
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    return _NOT_RUN.sub(lambda found: found[1].upper(), markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Say where lines of code may break, and prepare tables for phones.

    Blocks break at spaces, but keep `-o` beside its value, and not behind hyphens; words in tables break behind `data.`
    and `runs/`.

    Args:
        html: of the page's text.
    """

    def table(found: re.Match[str]) -> str:
        text = _JOINT.sub(r"\1<wbr>", found[0])
        titles, cells = _texts(_TITLE, text), _texts(_CELL, text)
        long = sum(map(len, cells)) >= _CHARACTERS * len(cells)
        return _records(text, titles) if len(titles) >= _COLUMNS and long else text

    def block(found: re.Match[str]) -> str:
        spaced = _SPACE.sub('<span class="w" data-unbroken>', found[0])
        return _HYPHEN.sub(r"<span data-unbroken>\1</span>", spaced)

    return _TABLE.sub(table, _BLOCK.sub(block, html))


def _texts(kind: re.Pattern[str], table: str) -> list[str]:
    """What the cells of a kind say, without tags."""
    return [" ".join(re.sub(r"<[^>]+>", "", inside).split()) for inside in kind.findall(table)]


def _records(table: str, titles: list[str]) -> str:
    """The table, marked as one of records, with the title of its column in every cell."""

    def row(found: re.Match[str]) -> str:
        quoted = (title.replace('"', "&quot;") for title in titles)
        return re.sub(r"<td(?=[ >])", lambda _: f'<td data-title="{next(quoted)}"', found[0])

    return _ROW.sub(row, table).replace("<table>", "<table data-records>", 1)
