"""A migrated log in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.settings import LogSettings


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in LogSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> LogSettings:
    """Settings of a log whose SQLite database is migrated."""
    found = LogSettings(data_dir=tmp_path / "serving", log_drain_seconds=0.05)
    migrate(found)
    return found


@pytest.fixture
def database(settings: LogSettings) -> Iterator[Database]:
    """The migrated database."""
    opened = Database(settings.url)
    yield opened
    opened.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Database]:
    """Another migrated database, in the place of the server that a queue is emptied into."""
    elsewhere = LogSettings(data_dir=tmp_path / "server")
    migrate(elsewhere)
    opened = Database(elsewhere.url)
    yield opened
    opened.close()
