"""Finds a bundle by folder, address, alias or name."""

from __future__ import annotations

from pathlib import Path

from mlopsproject.core.bundle import SPEC_FILE, Bundle, open_bundle
from mlopsproject.core.errors import StoreError
from mlopsproject.core.store import Store
from mlopsproject.core.store_files import DEFAULT_STORE


def resolve_bundle(uri_or_alias: str | Path, store_uri: str | Path = DEFAULT_STORE) -> Bundle:
    """Find a bundle, download it if it is in a bucket, and verify it.

    Args:
        uri_or_alias: as in `find_bundle`.
        store_uri: the store for names and aliases.

    Raises:
        BundleError: for a missing or damaged bundle.
        StoreError: if the store cannot be reached or knows no such name.
    """
    found = find_bundle(uri_or_alias, store_uri)
    return open_bundle(found) if isinstance(found, Path) else found[0].open(found[1])


def find_bundle(uri_or_alias: str | Path, store_uri: str | Path = DEFAULT_STORE) -> tuple[Store, str] | Path:
    """Find a bundle without opening it.

    Args:
        uri_or_alias: a bundle's folder, `gs://…/<name or alias>`, `s3://…/<name or alias>`, `<folder of a
            store>/<alias>`, or a name or alias in `store_uri`.
        store_uri: the store for names and aliases.

    Returns:
        Its store and its name in that store, or its folder.

    Raises:
        StoreError: if the store cannot be reached or knows no such name.
    """
    text = str(uri_or_alias).rstrip("/")
    if not text:
        raise StoreError("No model is named.", "Give an alias, a bundle's name, a folder, gs://… or s3://….")
    parent, _, last = text.rpartition("/")
    if "://" in text and not text.startswith("file://"):
        store = Store(parent)
        return store, store.resolve(last)
    folder = Path(text.removeprefix("file://"))
    if (folder / SPEC_FILE).is_file():
        return folder
    if not parent and not isinstance(uri_or_alias, Path):
        store = Store(store_uri)
        return store, store.resolve(last)
    if not folder.exists() and folder.parent.is_dir():
        store = Store(folder.parent)
        return store, store.resolve(folder.name)
    return folder
