"""Opens the fsspec file systems of stores (local folder, `gs://`, `s3://`)."""

from __future__ import annotations

from typing import Any, Final

from mlopsproject.core.errors import StoreError

_SYNONYMS: Final = {"gcs": "gs", "s3a": "s3"}
_PACKAGES: Final = {"s3": "s3fs", "gs": "gcsfs"}
#: Per protocol: time out after about a minute if the service is unreachable, and do not cache listings.
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"max_attempts": 3, "mode": "standard"},
        },
    },
    "gs": {"use_listings_cache": False, "timeout": 60},
}


def connect(protocol: str, uri: str) -> Any:
    """Open the fsspec file system of a protocol.

    Args:
        protocol: `file`, `gs`, `s3`, or another one that fsspec knows.
        uri: address of the store, for error messages.

    Returns:
        An fsspec file system.

    Raises:
        StoreError: as `filesystem_class`.
    """
    return filesystem_class(protocol, uri)(**_OPTIONS.get(_SYNONYMS.get(protocol, protocol), {}))


def filesystem_class(protocol: str, uri: str) -> Any:
    """Find the fsspec class of a protocol, without connecting.

    Args:
        protocol: `file`, `gs`, `s3`, or another one that fsspec knows.
        uri: address of the store, for error messages.

    Returns:
        A class of fsspec file systems.

    Raises:
        StoreError: for an unknown protocol, or one whose package is not installed.
    """
    # Imported late: most processes use a folder, and the cloud packages take a second to load.
    import fsspec

    name = _SYNONYMS.get(protocol, protocol)
    try:
        return fsspec.get_filesystem_class(name)
    except ImportError as error:
        fix = "Install the extra 'store': pip install 'mlopsproject[store]'."
        raise StoreError(
            f"{uri} needs the package {_PACKAGES.get(name, name)}, which is not installed.", fix
        ) from error
    except ValueError as error:
        known = "Use a folder, gs://bucket/path or s3://bucket/path."
        raise StoreError(f"{uri} is an address of an unknown kind.", known) from error
