"""The settings of the prediction log, from environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from mlopsproject.core.settings import read_settings

#: The SQLite database in `data_dir`.
DATABASE_FILE: Final = "predictions.db"
#: Per kind of database: the SQLAlchemy dialect with its driver.
_DRIVERS: Final = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class LogSettings(BaseSettings):
    """Where the log is kept and what happens when it cannot be; each field is an environment variable in capitals.

    Attributes:
        data_dir: folder of the SQLite database `predictions.db`.
        database_url: `sqlite:///…` or `postgresql://…`; without it the log is the SQLite database in `data_dir`.
        log_durability: `local` answers when this machine's SQLite database has the row, `database` when the database
            that `database_url` names has it, `off` keeps nothing.
        log_when_full: when rows cannot be kept, `refuse` to answer, or `answer` and drop them.
        log_queue_max_mb: size of the SQLite database, while it is the queue before PostgreSQL, at which no more rows
            are taken, in MB.
        log_batch_rows: rows that the drainer moves to PostgreSQL in one transaction.
        log_drain_seconds: pause between two looks of the drainer.
    """

    # The input may hold the database's password.
    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True, env_ignore_empty=True)

    data_dir: Path = Path("runs/serving")
    database_url: str | None = Field(default=None, repr=False)
    log_durability: Literal["local", "database", "off"] = "local"
    log_when_full: Literal["refuse", "answer"] = "refuse"
    log_queue_max_mb: float = Field(default=2048, gt=0)
    log_batch_rows: int = Field(default=100, ge=1, le=20_000)
    log_drain_seconds: float = Field(default=1.5, gt=0, le=60)

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = make_url(value)
        except (ArgumentError, ValueError):
            url = URL.create("nothing")
        # A database in memory would be another one for each connection.
        in_memory = url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
        if url.get_backend_name() not in _DRIVERS or in_memory:
            raise ValueError("use sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME") from None
        return value

    @classmethod
    def read(cls, env_file: Path | str | None = ".env", database_url: str | None = None) -> Self:
        """Read the environment, and a file of `NAME=value` lines beneath it.

        Args:
            env_file: need not exist.
            database_url: instead of what these say.

        Raises:
            ConfigError: naming the variable that has an impossible value.
        """
        given = {} if database_url is None else {"database_url": database_url}
        return read_settings(cls, env_file, **given)

    @property
    def url(self) -> URL:
        """Address of the log's database, with the driver that is used. It shows no password when it is printed."""
        if self.database_url is None:
            return URL.create("sqlite", database=str(self.data_dir / DATABASE_FILE))
        url = make_url(self.database_url)
        return url.set(drivername=_DRIVERS[url.get_backend_name()])

    @property
    def has_queue(self) -> bool:
        """Whether rows wait on this machine for a database server."""
        return self.url.get_backend_name() != "sqlite"

    @property
    def local_url(self) -> URL:
        """Address of the SQLite database of this machine: of the log itself, or of the queue."""
        return URL.create("sqlite", database=str(self.data_dir / DATABASE_FILE)) if self.has_queue else self.url
