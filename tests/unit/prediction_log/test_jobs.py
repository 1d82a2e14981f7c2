"""The jobs of the log say what they did, and answer mistakes with one line."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from tests.prediction_rows import make_row, make_rows, store_rows, stored

from mlopsproject.config import load_config
from mlopsproject.core.errors import ConfigError, DataError, UserError
from mlopsproject.log_export import log_export
from mlopsproject.log_export import main as log_export_command
from mlopsproject.log_migrate import log_migrate
from mlopsproject.log_prune import log_prune
from mlopsproject.log_prune import main as log_prune_command
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.queries import count_waiting
from mlopsproject.prediction_log.rows import FeedbackRow
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import HEAD, to_record

DAY = 86_400


@pytest.fixture
def filled(settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A log of three rows that are 100, 50 and 0 days old, named by the environment."""
    rows = [make_row(created_at=time.time() - days * DAY) for days in (100, 50, 0)]
    given = [FeedbackRow(rows[0].prediction_id, "sad")]
    database.insert([to_record(row) for row in [*rows, *given]])
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    return database


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_the_export_says_what_it_wrote(filled: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = [f"output={tmp_path}/log.csv", "progress=false"]
    assert log_export(load_config("log_export", overrides)).rows == 3
    assert said(capsys) == f"3 rows, 1 of them with feedback: {tmp_path}/log.csv"


def test_rows_that_wait_for_a_server_are_counted(settings: LogSettings, database: Database) -> None:
    store_rows(database, [*make_rows(2), FeedbackRow("0" * 32, "sad")])
    assert count_waiting(settings) == 0
    queued = settings.model_copy(update={"database_url": "postgresql://me@127.0.0.1:1/log"})
    assert count_waiting(queued) == 3
    assert count_waiting(queued.model_copy(update={"data_dir": Path("nowhere")})) == 0


def test_a_database_may_be_named_instead_of_the_environments(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "elsewhere"))
    overrides = [f"output={tmp_path}/log.csv", "progress=false"]
    with pytest.raises(UserError, match="There is no database"):
        log_export(load_config("log_export", overrides))
    named = [*overrides, f"database_url='sqlite:///{filled.url.database}'"]
    assert log_export(load_config("log_export", named)).rows == 3


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("output=null", "output= is missing"),
        ("since=soon", "since=soon is not possible"),
        ("'until=2026-01-32'", "until=2026-01-32 is not possible"),
        ("until=2020-01-01", "is not before"),
        ("progress=1", "progress=1 is not possible"),
        ("database_url=mysql://a/b", "DATABASE_URL is not possible"),
    ],
)
def test_the_export_refuses_what_it_cannot_do(filled: Database, override: str, text: str, tmp_path: Path) -> None:
    overrides = [f"output={tmp_path}/log.csv", "since=2021-01-01", override.strip("'")]
    with pytest.raises(ConfigError, match=text):
        log_export(load_config("log_export", overrides))


def test_an_empty_selection_is_an_error(filled: Database, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no row of since="):
        log_export(load_config("log_export", [f"output={tmp_path}/log.csv", "since=2100-01-01"]))


def test_pruning_says_what_it_deletes_before_and_after(filled: Database, capsys: pytest.CaptureFixture[str]) -> None:
    log_prune(load_config("log_prune", ["keep_days=70", "dry_run=true"]))
    assert "1 answers and 1 feedback rows from before" in (text := said(capsys))
    assert text.endswith("would be deleted (dry_run=true).")
    assert len(stored(filled)) == 3
    log_prune(load_config("log_prune", ["keep_days=70"]))
    assert said(capsys).endswith("UTC deleted.")
    assert len(stored(filled)) == 2


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("keep_days=null", "keep_days= is missing"),
        ("keep_days=0", "keep_days=0 is not possible"),
        ("keep_days=1.5", "keep_days=1.5 is not possible"),
        ("keep_days=1000000000", "from 1 to 36500"),
        ("dry_run=maybe", "dry_run=maybe is not true or false"),
    ],
)
def test_pruning_refuses_what_it_cannot_do(filled: Database, override: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        log_prune(load_config("log_prune", ["keep_days=1", override]))
    assert len(stored(filled)) == 3


def test_migrating_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    for expected in (f"migrated from nothing, revision {HEAD}", f"up to date, revision {HEAD}"):
        log_migrate("")
        assert said(capsys) == f"sqlite:///{tmp_path}/predictions.db: {expected}"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (log_export_command, ["log_export", "output=x.csv"]),
        (log_prune_command, ["log_prune", "keep_days=3"]),
    ],
)
def test_a_database_that_is_not_there_is_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], command, arguments: list[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:geheim@127.0.0.1:1/log")
    monkeypatch.setattr(sys, "argv", [*arguments, f"hydra.run.dir={tmp_path}"])
    with pytest.raises(SystemExit) as stopped:
        command()
    assert stopped.value.code == 75
    text = capsys.readouterr().err
    assert "me:***@127.0.0.1:1/log cannot be used" in text
    assert "geheim" not in text
    assert text.count("\n") == 1
