"""Release notes come from the changelog, for the version of pyproject.toml alone."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.docs_blocks import ROOT
from tests.unit.automation.conftest import Said

CHANGELOG = """# Changelog

## [Unreleased]

- Not yet

## [{version}] - {date}

### Added

- Something

## [0.0.1] - 2026-01-01

- First

[Unreleased]: https://example.org
"""


@pytest.mark.parametrize(
    ("tag", "date", "said", "code"),
    [
        ("v1.2.3", "2026-12-01", "### Added\n\n- Something\n", 0),
        ("v1.2.4", "2026-12-01", "error: v1.2.4 is not v1.2.3", 1),
        ("v1.2.3", "unreleased", "error: CHANGELOG.md says nothing", 1),
    ],
)
def test_a_release_takes_its_notes_from_the_changelog(
    run: Callable[..., Said], tmp_path: Path, tag: str, date: str, said: str, code: int
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n', encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG.format(version="1.2.3", date=date), encoding="utf-8")
    found = run("release_notes.py", tag, "--root", str(tmp_path))
    assert found.code == code
    assert found.text == said if code == 0 else found.text.startswith(said)


def test_the_changelog_has_a_section_for_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
