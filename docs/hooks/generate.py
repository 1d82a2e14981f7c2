"""MkDocs hook: what stands elsewhere in the repository is put into its page when the site is built.

A page holds a line `<!-- generated: NAME -->` where that goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import config_reference
import http_reference
import model_cards
import settings_reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

PARTS: Final[dict[str, Callable[[], str]]] = {
    "configuration": config_reference.page,
    "settings": settings_reference.page,
    "http-api": http_reference.page,
    "model-cards": model_cards.page,
}
#: Where the site keeps the OpenAPI document.
OPENAPI: Final = "openapi.json"
LOGO: Final = Path(__file__).parents[2] / "src/mlopsproject/frontend/assets/logo.svg"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the OpenAPI document and the frontend's logo to the site.

    Args:
        files: of the site.
        config: of MkDocs.
    """
    files.append(File.generated(config, OPENAPI, content=json.dumps(http_reference.document(), indent=1)))
    files.append(File.generated(config, "images/logo.svg", content=LOGO.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the parts in that a page asks for.

    Args:
        markdown: of the page.

    Raises:
        PluginError: for a part that nothing makes.
    """

    def part(found: re.Match[str]) -> str:
        if found[1] not in PARTS:
            raise PluginError(f"No part {found[1]!r} is generated. Known: {', '.join(PARTS)}.")
        return PARTS[found[1]]()

    return re.sub(r"^<!-- generated: ([\w-]+) -->$", part, markdown, flags=re.MULTILINE)
