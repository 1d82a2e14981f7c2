"""The settings of the Lambda function, from environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlopsproject.core.settings import read_settings
from mlopsproject.core.spec import Precision
from mlopsproject.core.store_files import DEFAULT_STORE


class LambdaSettings(BaseSettings):
    """How the Lambda function answers; each field is an environment variable in capitals, as for the API.

    Attributes:
        model_uri: alias, bundle name or folder; `s3://…` where the extra `store` is installed.
        model_store: where aliases and bundle names are looked up.
        model_precision: `fp32` or `int8`; by default what the bundle prefers.
        face_model: a YuNet model file for finding faces; by default OpenCV's Haar cascade is used.
        fetch_timeout_seconds: for fetching the picture of a URL.
        fetch_max_mb: largest picture that is fetched, in MB.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    model_uri: str = Field(default="production", min_length=1)
    model_store: str = Field(default=DEFAULT_STORE, min_length=1)
    model_precision: Precision | None = None
    face_model: Path | None = None
    fetch_timeout_seconds: float = Field(default=10, gt=0, le=120)
    fetch_max_mb: float = Field(default=10, gt=0, le=1000)

    @classmethod
    def read(cls) -> Self:
        """Read the environment.

        Raises:
            ConfigError: naming the variable that has an impossible value.
        """
        return read_settings(cls, None)
