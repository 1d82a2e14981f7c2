"""Migrations make exactly the tables that the code uses, once, whole or not at all."""

from __future__ import annotations

import fcntl
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from tests.prediction_rows import ids, make_rows, stored, write_segment

from mlopsproject import log_migrate
from mlopsproject.prediction_log import migrate as migrate_module
from mlopsproject.prediction_log.database import Database, open_engine
from mlopsproject.prediction_log.drainer import Drainer
from mlopsproject.prediction_log.errors import DatabaseDown, NotMigrated
from mlopsproject.prediction_log.migrate import alembic_config, migrate
from mlopsproject.prediction_log.rows import to_document
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import HEAD, VERSION_TABLE, metadata, to_record


def test_the_tables_are_what_the_migrations_make(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        script = ScriptDirectory.from_config(alembic_config(connection))
    assert script.get_heads() == [HEAD]
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)


def test_the_migrations_are_part_of_the_package() -> None:
    folder = resources.files("mlopsproject.prediction_log") / "migrations"
    assert (folder / "env.py").is_file()
    assert any(path.name.startswith(f"v{HEAD}") for path in (folder / "versions").iterdir())


def test_a_second_migration_changes_nothing(tmp_path: Path) -> None:
    settings = LogSettings(data_dir=tmp_path / "new" / "folder")
    assert (migrate(settings).before, migrate(settings).before) == (None, HEAD)
    Database(settings.url).check()


def test_processes_that_migrate_at_once_wait_for_each_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlopsproject.log_migrate", "--env-file", ""]
    started = [
        subprocess.Popen(command, env={"DATA_DIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sum("migrated from nothing" in text for text in said) == 1
    assert sum("up to date" in text for text in said) == 1


def test_a_migration_waits_for_the_one_that_has_the_lock(tmp_path: Path) -> None:
    settings = LogSettings(data_dir=tmp_path)
    with (tmp_path / "predictions.db.lock").open("w") as lock, ThreadPoolExecutor() as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = pool.submit(migrate, settings)
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert waiting.result(10).before is None


def test_a_migration_waits_for_a_writer_in_the_middle_of_its_work(tmp_path: Path) -> None:
    settings = LogSettings(data_dir=tmp_path)
    with sqlite3.connect(tmp_path / "predictions.db", isolation_level=None) as writer, ThreadPoolExecutor() as pool:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("CREATE TABLE of_somebody_else (number INTEGER)")
        waiting = pool.submit(migrate, settings)
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        writer.execute("COMMIT")
        assert waiting.result(10).before is None


def test_an_interrupted_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LogSettings(data_dir=tmp_path)

    def upgrade_and_fail(*_: object) -> None:
        upgrade(*_)
        raise KeyboardInterrupt

    upgrade = migrate_module.command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(migrate_module.command, "upgrade", upgrade_and_fail)
        with pytest.raises(KeyboardInterrupt):
            migrate(settings)
    assert inspect(open_engine(settings.url)).get_table_names() == []
    assert migrate(settings).before is None


def test_a_log_of_the_first_revision_becomes_one_of_this_version_with_its_rows(tmp_path: Path) -> None:
    settings = LogSettings(data_dir=tmp_path)
    with open_engine(settings.url).begin() as connection:
        migrate_module.command.upgrade(alembic_config(connection), "0001")
    database = Database(settings.url)
    rows = make_rows(3)
    database.insert([to_record(to_document(row)) for row in rows])
    with pytest.raises(NotMigrated, match="older version"):
        database.check()
    assert migrate(settings).before == "0001"
    database.check()
    assert stored(database) == ids(rows)


def set_revision(database: Database, revision: str) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")


def test_a_newer_database_is_refused_and_left_alone(database: Database, settings: LogSettings) -> None:
    set_revision(database, "9999")
    for action in (database.check, lambda: migrate(settings)):
        with pytest.raises(DatabaseDown, match=rf"revision 9999.* knows up to {HEAD}\. Use a newer version"):
            action()


def test_an_older_database_waits_for_its_migration(database: Database) -> None:
    set_revision(database, "0000")
    with pytest.raises(NotMigrated, match=r"older version\. Run: python -m mlopsproject\.log_migrate"):
        database.check()


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    settings = LogSettings(data_dir=tmp_path)
    (tmp_path / "predictions.db").write_text("not a database" * 100)
    for action in (Database(settings.url).check, lambda: migrate(settings)):
        with pytest.raises(DatabaseDown, match="file is not a database"):
            action()


def test_the_command_needs_no_hydra(tmp_path: Path) -> None:
    code = "import sys, mlopsproject.log_migrate\nprint('hydra' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_the_command_answers_a_mistake_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file" / "folder"))
    monkeypatch.setattr(sys, "argv", ["log_migrate", "--env-file", ""])
    with pytest.raises(SystemExit) as stopped:
        log_migrate.main()
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Not a directory" in said


def test_rows_are_still_there_after_a_migration(database: Database, settings: LogSettings, drainer: Drainer) -> None:
    write_segment(settings.spool_dir, make_rows(2))
    drainer.drain()
    migrate(settings)
    assert len(stored(database)) == 2
