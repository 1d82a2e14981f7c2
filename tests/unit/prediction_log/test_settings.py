"""The log's settings come from the environment; wrong ones are named, and passwords are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlopsproject.core.errors import ConfigError
from mlopsproject.prediction_log.database import Database, shown
from mlopsproject.prediction_log.errors import DatabaseDown
from mlopsproject.prediction_log.settings import LogSettings


def test_without_any_setting_sqlite_lies_in_the_data_folder() -> None:
    found = LogSettings.read(None)
    assert (found.log_durability, found.log_when_full) == ("local", "refuse")
    assert found.url.render_as_string() == f"sqlite:///{found.data_dir / 'predictions.db'}"
    assert found.local_url == found.url
    assert not found.has_queue


def test_before_postgresql_sqlite_is_the_queue() -> None:
    found = LogSettings(data_dir=Path("here"), database_url="postgresql://me@host/db")
    assert found.has_queue
    assert found.local_url.render_as_string() == "sqlite:///here/predictions.db"
    named = LogSettings(data_dir=Path("here"), database_url="sqlite:///named.db")
    assert (named.has_queue, named.local_url.database) == (False, "named.db")


def test_the_environment_stands_above_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("DATA_DIR=/from/file\nLOG_DURABILITY=database\nSOMETHING_ELSE=1\nDATABASE_URL=\n")
    monkeypatch.setenv("DATA_DIR", "/from/environment")
    found = LogSettings.read(file)
    assert (found.data_dir, found.log_durability) == (Path("/from/environment"), "database")
    assert found.database_url is None
    assert LogSettings.read(tmp_path / "nowhere").log_durability == "local"
    assert LogSettings.read(file, database_url="sqlite:///x.db").url.database == "x.db"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LOG_DURABILITY", "disk", "'local', 'database' or 'off'"),
        ("LOG_WHEN_FULL", "wait", "'refuse' or 'answer'"),
        ("LOG_QUEUE_MAX_MB", "0", "greater than 0"),
        ("LOG_BATCH_ROWS", "many", "integer"),
        ("LOG_DRAIN_SECONDS", "3600", "60"),
        ("DATABASE_URL", "mysql://me:geheim@host/db", "use sqlite:///PATH or postgresql://"),
        ("DATABASE_URL", "geheim", "use sqlite:///PATH or postgresql://"),
        ("DATABASE_URL", "postgresql://me:geheim@host:port/db", "use sqlite:///PATH or postgresql://"),
        ("DATABASE_URL", "sqlite://", "use sqlite:///PATH"),
        ("DATABASE_URL", "sqlite:///:memory:", "use sqlite:///PATH"),
    ],
)
def test_an_impossible_value_names_its_variable_only(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        LogSettings.read(None)
    assert str(caught.value).startswith(f"{name} is not possible")
    assert said in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_usual_address_of_postgresql_uses_the_driver_that_is_there(kind: str) -> None:
    assert LogSettings(database_url=f"{kind}://me@host/db").url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize("address", ["me:geheim@127.0.0.1:1/db", "me@127.0.0.1:1/db?password=geheim"])
def test_a_password_is_shown_nowhere(address: str) -> None:
    settings = LogSettings(database_url=f"postgresql://{address}")
    with pytest.raises(DatabaseDown, match=r"cannot be used: connection failed.*refused") as caught:
        Database(settings.url).check()
    for text in (str(caught.value), repr(settings), str(settings), shown(settings.url)):
        assert "geheim" not in text
