"""Migrations make exactly the tables that the code uses, once, whole or not at all."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from tests.prediction_rows import ids, make_row, make_rows, store_rows, stored

from mlopsproject import log_migrate
from mlopsproject.prediction_log import migrate as migrate_module
from mlopsproject.prediction_log.database import Database, open_engine
from mlopsproject.prediction_log.errors import DatabaseDown, NotMigrated
from mlopsproject.prediction_log.migrate import alembic_config, migrate
from mlopsproject.prediction_log.old_spool import UNREADABLE, has_old_spool
from mlopsproject.prediction_log.rows import FeedbackRow, PredictionRow, Row
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import HEAD, VERSION_TABLE, feedback, metadata


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
    assert [migrate(settings)[0].before for _ in range(2)] == [None, HEAD]
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
        assert waiting.result(10)[0].before is None


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
        assert waiting.result(10)[0].before is None


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
    assert migrate(settings)[0].before is None


def test_a_log_of_the_first_revision_becomes_one_of_this_version_with_its_rows(tmp_path: Path) -> None:
    settings = LogSettings(data_dir=tmp_path)
    with open_engine(settings.url).begin() as connection:
        migrate_module.command.upgrade(alembic_config(connection), "0001")
    database = Database(settings.url)
    rows = make_rows(3)
    store_rows(database, rows)
    with pytest.raises(NotMigrated, match="older version"):
        database.check()
    assert migrate(settings)[0].before == "0001"
    database.check()
    assert stored(database) == ids(rows)


def set_revision(database: Database, revision: str) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")


def test_a_newer_database_is_used_as_it_is(database: Database, settings: LogSettings) -> None:
    set_revision(database, "9999")
    database.check()
    assert (migrate(settings)[0].before, migrate(settings)[0].after) == ("9999", "9999")
    assert database.revision() == "9999"


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_migrations_only_add_so_that_older_versions_go_on(tmp_path: Path, revision: str) -> None:
    """Two versions serve on one folder while one replaces the other."""
    settings = LogSettings(data_dir=tmp_path)
    with open_engine(settings.url).begin() as connection:
        migrate_module.command.upgrade(alembic_config(connection), revision)
        old = {name: inspect(connection).get_columns(name) for name in ("predictions", "feedback")}
    migrate(settings)
    with open_engine(settings.url).begin() as connection:
        for table, columns in old.items():
            names = [column["name"] for column in columns]
            marks = ", ".join("0" for _ in names)
            connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})")


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


def test_rows_are_still_there_after_a_migration(database: Database, settings: LogSettings) -> None:
    store_rows(database, make_rows(2))
    migrate(settings)
    assert len(stored(database)) == 2


def test_a_queue_is_migrated_with_its_server_where_there_is_one(tmp_path: Path) -> None:
    settings = LogSettings(data_dir=tmp_path, database_url="postgresql://me@127.0.0.1:1/log")
    with pytest.raises(DatabaseDown, match="refused"):
        migrate(settings)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "predictions.db").touch()
    with pytest.raises(DatabaseDown, match="refused"):
        migrate(settings)
    Database(settings.local_url).check_writable()


class TestOldSpool:
    """What versions before this one left in files."""

    @pytest.fixture
    def spool(self, tmp_path: Path) -> Path:
        folder = tmp_path / "spool"
        (folder / "quarantine").mkdir(parents=True)
        return folder

    @staticmethod
    def line(row: Row) -> bytes:
        kind = "prediction" if isinstance(row, PredictionRow) else "feedback"
        body = json.dumps({"kind": kind, **asdict(row), "version": 1}).encode()
        return b"%08x %b\n" % (zlib.crc32(body), body)

    def test_its_rows_are_taken_over_once(self, spool: Path, tmp_path: Path) -> None:
        rows = [make_row(), make_row(box=None), FeedbackRow("0" * 32, "sad"), make_row()]
        lines = [self.line(row) for row in rows]
        (spool / "a.00000001.jsonl").write_bytes(b"".join(lines[:2]) + lines[3][:50])
        (spool / "b.00000001.jsonl").write_bytes(b"".join(lines))
        settings = LogSettings(data_dir=tmp_path)
        assert [migrate(settings)[0].taken_over for _ in range(2)] == [6, 0]
        database = Database(settings.url)
        assert stored(database) == ids([rows[0], rows[1], rows[3]])
        assert stored(database, feedback) == ["0" * 32]
        assert sorted(path.name for path in spool.iterdir()) == ["quarantine"]

    def test_what_is_no_row_is_kept(self, spool: Path, tmp_path: Path) -> None:
        good, poison = make_row(), replace(make_row(), width=2**70)
        damaged = bytearray(self.line(make_row()))
        damaged[100] ^= 1
        (spool / "a.00000001.jsonl").write_bytes(b"".join((bytes(damaged), self.line(good), self.line(poison))))
        (spool / "quarantine" / "b-again.00000001.jsonl").write_bytes(b"nothing\n" + self.line(good))
        settings = LogSettings(data_dir=tmp_path)
        assert migrate(settings)[0].taken_over == 2
        assert stored(Database(settings.url)) == ids([good])
        assert (spool / UNREADABLE).read_bytes() == bytes(damaged) + self.line(poison)
        assert (spool / "quarantine" / UNREADABLE).read_bytes() == b"nothing\n"
        assert not has_old_spool(tmp_path)

    def test_files_that_a_server_still_writes_stay(self, spool: Path, tmp_path: Path) -> None:
        path = spool / "a.00000001.jsonl"
        path.write_bytes(self.line(make_row()))
        settings = LogSettings(data_dir=tmp_path)
        with path.open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            assert migrate(settings)[0].taken_over == 0
        assert migrate(settings)[0].taken_over == 1

    def test_a_crash_in_the_middle_doubles_nothing(
        self, spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows, settings = make_rows(3), LogSettings(data_dir=tmp_path)
        (spool / "a.00000001.jsonl").write_bytes(b"".join(map(self.line, rows)))

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", killed)
            with pytest.raises(KeyboardInterrupt):
                migrate(settings)
        migrate(settings)
        assert stored(Database(settings.url)) == ids(rows)
