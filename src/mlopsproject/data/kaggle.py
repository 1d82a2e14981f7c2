"""Kaggle data sets by name, through `kagglehub`, which keeps downloads in its own cache."""

from __future__ import annotations

import importlib
import os
import re
from http import HTTPStatus
from pathlib import Path

from mlopsproject.core.errors import DataError, DownloadError, first_line
from mlopsproject.core.files import is_disk_full

KAGGLE_PREFIX = "kaggle:"


def download(slug: str) -> Path:
    """Fetch a Kaggle data set, or find it in kagglehub's cache.

    Args:
        slug: `owner/name`, for example `msambare/fer2013`.

    Returns:
        The folder that holds its files.

    Raises:
        DataError: the slug is malformed, `kagglehub` is not installed, or Kaggle does not give that data set out.
        DownloadError: Kaggle was not reached, had an error of its own, or the connection broke.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", slug):
        raise DataError(f"source={KAGGLE_PREFIX}{slug} names no Kaggle data set.", "Write kaggle:owner/name.")
    try:
        kagglehub = importlib.import_module("kagglehub")
    except ImportError:
        raise DataError("Kaggle data sets need the package kagglehub.", "Install the extra `kaggle`.") from None
    try:
        return Path(kagglehub.dataset_download(slug))
    except Exception as error:  # kagglehub passes on whatever its HTTP client raises
        if is_disk_full(error):
            raise
        keys = "KAGGLE_USERNAME and KAGGLE_KEY, or ~/.kaggle/kaggle.json"
        given = bool(os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"))
        kind = DownloadError if _is_temporary(error) else DataError
        raise kind(
            f"Downloading {KAGGLE_PREFIX}{slug} failed ({type(error).__name__}: {first_line(error)}).",
            f"Check the name, the network and, for data sets behind a login, {keys}"
            f"{'' if given else ' (no such variables are set)'}; or download it by hand and import the folder or zip.",
        ) from error


def _is_temporary(error: Exception) -> bool:
    """Whether a download may succeed when it is tried again: the network, or a fault of Kaggle's."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return bool(status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR)
    # Those of `requests` are OSErrors, too.
    return isinstance(error, OSError) or type(error).__name__ == "DataCorruptionError"
