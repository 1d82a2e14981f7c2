"""The code blocks of the documentation: what a reader would run, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Final

ROOT: Final = Path(__file__).parents[1]
#: Pages whose commands are run.
PAGES: Final = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
NOT_RUN: Final = "Not run by the tests: "
#: A server or another program that goes on until it is stopped.
OWN_TERMINAL: Final = "In a terminal of its own"
#: What may keep a block from being run.
REASONS: Final = (
    r"needs an? [\w&' ]*(account|project)",
    "needs a GPU",
    "needs a (Docker|container) engine",
    "needs a Kubernetes cluster",
    "needs data that the project does not ship",
    "needs the internet",
    "installs system packages",
    "takes over two minutes",
)

_FENCE: Final = re.compile(
    r"^(?P<indent> *)```(?P<language>bash|python)(?P<options>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A block of code that a page shows.

    Attributes:
        page: the file.
        line: of the fence that opens it.
        language: `bash` or `python`.
        options: what follows the language in the fence.
        text: the code.
    """

    page: Path
    line: int
    language: str
    options: str
    text: str

    @property
    def title(self) -> str:
        """What stands above the block; empty for one without title."""
        found = re.fullmatch(r' title="([^"]*)"', self.options)
        return found[1] if found else self.options

    @property
    def reason(self) -> str | None:
        """Why the block is not run; nothing if it is."""
        return self.title.removeprefix(NOT_RUN) if self.title.startswith(NOT_RUN) else None

    @property
    def place(self) -> str:
        """Page and line, as editors take them."""
        return f"{page_id(self.page)}:{self.line}"


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """Every shell and Python block of a page.

    Args:
        page: a Markdown file.
    """
    text = page.read_text(encoding="utf-8")
    return tuple(
        Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            found["language"],
            found["options"],
            dedent(found["text"]),
        )
        for found in _FENCE.finditer(text)
    )


def page_id(page: Path) -> str:
    """A page's path in the repository."""
    return page.relative_to(ROOT).as_posix()
