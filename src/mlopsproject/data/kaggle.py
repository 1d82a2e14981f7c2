"""Kaggle data sets by name, through `kagglehub`, which keeps downloads in its own cache."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from mlopsproject.core.errors import DataError

KAGGLE_PREFIX = "kaggle:"


def download(slug: str) -> Path:
    """Fetch a Kaggle data set, or find it in kagglehub's cache.

    Args:
        slug: `owner/name`, for example `msambare/fer2013`.

    Returns:
        The folder that holds its files.

    Raises:
        DataError: the slug is malformed, `kagglehub` is not installed, or the download failed.
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
        reason = str(error).strip().splitlines()[:1]
        raise DataError(
            f"Downloading {KAGGLE_PREFIX}{slug} failed ({type(error).__name__}: {' '.join(reason)}).",
            "Check the name, the network and, for data sets behind a login, ~/.kaggle/kaggle.json; "
            "or download it by hand and import the folder or zip.",
        ) from error
