"""The settings of the prediction log, from environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from mlopsproject.core.settings import read_settings

#: Per kind of database: the SQLAlchemy dialect with its driver.
_DRIVERS: Final = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class LogSettings(BaseSettings):
    """Where the log is kept and what happens when it cannot be; each field is an environment variable in capitals.

    Attributes:
        data_dir: folder of the spool, and of the SQLite database if no other is named.
        database_url: `sqlite:///…` or `postgresql://…`; without it SQLite in `data_dir`.
        log_durability: `spool` answers when a row is on this machine's disk, `database` when the database has it,
            `off` keeps nothing.
        log_when_full: when rows cannot be kept, `refuse` to answer, or `answer` and drop them.
        log_segment_mb: size at which a spool file is closed and the next one begun, in MB.
        log_spool_max_mb: size of all spool files together at which rows are no longer taken, in MB.
        log_batch_rows: rows per transaction of the drainer.
        log_drain_seconds: pause between two looks of the drainer.
    """

    # The input may hold the database's password.
    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True, env_ignore_empty=True)

    data_dir: Path = Path("runs/serving")
    database_url: str | None = Field(default=None, repr=False)
    log_durability: Literal["spool", "database", "off"] = "spool"
    log_when_full: Literal["refuse", "answer"] = "refuse"
    log_segment_mb: float = Field(default=8, gt=0)
    log_spool_max_mb: float = Field(default=2048, gt=0)
    log_batch_rows: int = Field(default=1000, ge=1, le=20_000)
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
    def spool_dir(self) -> Path:
        """Folder of the spool."""
        return self.data_dir / "spool"

    @property
    def url(self) -> URL:
        """Address of the database, with the driver that is used. It shows no password when it is printed."""
        if self.database_url is None:
            return URL.create("sqlite", database=str(self.data_dir / "predictions.db"))
        url = make_url(self.database_url)
        return url.set(drivername=_DRIVERS[url.get_backend_name()])
