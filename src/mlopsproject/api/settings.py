"""The settings of the API, from environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from limits import parse as parse_rate
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mlopsproject.core.settings import read_settings
from mlopsproject.core.spec import Precision
from mlopsproject.core.store_files import DEFAULT_STORE

#: Keys that stand in examples and in nobody's mind.
_PLACEHOLDERS: Final = ("change", "example", "placeholder", "secret", "password", "your", "todo", "xxxx", "1234")
_SHORTEST_KEY: Final = 16
#: Bytes in what the settings call MB.
MB: Final = 1_000_000

#: Several values in one variable, separated by commas.
Words = Annotated[tuple[str, ...], NoDecode]


class ApiSettings(BaseSettings):
    """How the API runs; each field is an environment variable in capitals.

    Attributes:
        host: address to listen on; `0.0.0.0` for all.
        port: to listen on.
        workers: processes; scale by these, each computes with one thread.
        root_path: path under which a proxy shows the API, such as `/faces`.
        forwarded_allow_ips: proxies whose word is taken for a caller's address, separated by commas.
        log_level: least severe level that is logged.
        log_format: one JSON object per line, or text.
        model_uri: alias, bundle name, folder, `gs://…` or `s3://…`.
        model_store: where aliases, bundle names and drift reports are looked up.
        model_precision: `fp32` or `int8`; by default what the bundle prefers.
        model_reload_seconds: pause between two looks whether the alias has moved or a drift report was made; 0 never
            looks.
        face_model: a YuNet model file for finding faces; by default OpenCV's Haar cascade is used.
        api_key: callers must send it as `X-API-Key`; without it everybody is answered.
        cors_origins: web pages of other origins that may call, separated by commas; `*` for all.
        max_body_mb: largest request, in MB.
        max_files: most pictures of one batch.
        max_waiting: requests that are worked on or wait in one process; more are refused with 503.
        max_waiting_mb: bodies of all requests that one process holds, in MB, at least `max_body_mb`; beyond, requests
            are refused with 503.
        rate_limit: most requests of one caller to one process, such as `600/minute`; by default there is no limit.
        request_timeout_seconds: for a request's body to arrive, and for its pictures to be worked on.
        shutdown_timeout_seconds: for requests in work when the server is stopped, and then for the log.
        fetch_timeout_seconds: for fetching the picture of a URL.
        fetch_max_mb: largest picture that is fetched, in MB.
    """

    # The input may hold the key.
    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True, env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=256)
    root_path: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    forwarded_allow_ips: str = "127.0.0.1"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "text"
    model_uri: str = Field(default="production", min_length=1)
    model_store: str = Field(default=DEFAULT_STORE, min_length=1)
    model_precision: Precision | None = None
    model_reload_seconds: float = Field(default=10, ge=0, le=86400)
    face_model: Path | None = None
    api_key: SecretStr | None = None
    cors_origins: Words = ()
    max_body_mb: float = Field(default=10, gt=0, le=1000)
    max_files: int = Field(default=64, ge=1, le=1000)
    max_waiting: int = Field(default=128, ge=1, le=10_000)
    max_waiting_mb: float = Field(default=256, gt=0, le=1_000_000)
    rate_limit: str | None = None
    request_timeout_seconds: float = Field(default=30, gt=0, le=3600)
    shutdown_timeout_seconds: float = Field(default=20, gt=0, le=600)
    fetch_timeout_seconds: float = Field(default=10, gt=0, le=120)
    fetch_max_mb: float = Field(default=10, gt=0, le=1000)

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            scheme, _, rest = origin.partition("://")
            if origin != "*" and (scheme not in ("http", "https") or not rest or "/" in rest):
                raise ValueError(f"{origin!r} is not an origin such as https://example.org")
        return value

    @field_validator("api_key")
    @classmethod
    def _is_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        key = value.get_secret_value()
        advice = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        if len(key) < _SHORTEST_KEY or any(word in key.lower() for word in _PLACEHOLDERS):
            raise ValueError(f"a placeholder, or shorter than {_SHORTEST_KEY} characters; {advice}")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError(f"use letters, digits and signs; {advice}")
        return value

    @field_validator("rate_limit")
    @classmethod
    def _is_rate(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parse_rate(value)
        except ValueError:
            raise ValueError("write it as COUNT/UNIT, such as 600/minute or 10/second") from None
        return value

    @classmethod
    def read(cls, env_file: Path | str | None = ".env") -> Self:
        """Read the environment, and a file of `NAME=value` lines beneath it.

        Args:
            env_file: need not exist.

        Raises:
            ConfigError: naming the variable that has an impossible value.
        """
        return read_settings(cls, env_file)
