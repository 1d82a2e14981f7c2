"""The settings of the frontend, from environment variables."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Self

import httpx
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlopsproject.core.settings import read_settings


class FrontendSettings(BaseSettings):
    """How the frontend runs; each field is an environment variable in capitals.

    Attributes:
        backend: address of the API, with the path under which a proxy shows it.
        backend_api_key: sent to the API as `X-API-Key`; browsers never see it.
        backend_timeout_seconds: for an answer of the API.
        frontend_host: address to listen on; `0.0.0.0` for all.
        frontend_port: to listen on.
        upload_max_mb: largest picture that a person may upload, in MB of 1,048,576 bytes, as Streamlit counts them; 9
            of these are less than the API's 10 of 1,000,000.
    """

    # The input may hold the key.
    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True, env_ignore_empty=True)

    backend: str = "http://localhost:8000"
    backend_api_key: SecretStr | None = None
    backend_timeout_seconds: float = Field(default=30, gt=0, le=3600)
    frontend_host: str = Field(default="127.0.0.1", min_length=1)
    frontend_port: int = Field(default=8501, ge=1, le=65535)
    upload_max_mb: int = Field(default=9, ge=1, le=1000)

    @field_validator("backend")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            url = httpx.URL(value.rstrip("/"))
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment or url.userinfo:
            raise ValueError("give the address of the API, such as http://localhost:8000")
        return str(url)

    @field_validator("backend_api_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        key = value.get_secret_value() if value is not None else ""
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("use letters, digits and signs, as the API does")
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

    @property
    def backend_is_local(self) -> bool:
        """Whether the API is expected on this machine."""
        host = httpx.URL(self.backend).host
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"
