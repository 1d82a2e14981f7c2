"""Stores of bundles and aliases: a folder, or a bucket (`gs://…`, `s3://…`).

A store holds one folder per bundle and files ``aliases/<alias>``, each with the name of a bundle. A bundle exists when
its ``spec.json`` does, which is written last; existing bundles are never overwritten. Drift reports are kept beside
them, see `core.drift_reports`.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path
from typing import Final

from mlopsproject.core.alias_history import HISTORY_FOLDER, AliasChange, read_history
from mlopsproject.core.bundle import SPEC_FILE, Bundle, install_folder, is_bundle_name, open_bundle, parse_spec
from mlopsproject.core.errors import BundleError, StoreError, nearest
from mlopsproject.core.files import copy_folder, staging_folder
from mlopsproject.core.shipped import shipped_folder
from mlopsproject.core.store_files import DEFAULT_STORE, StoreFiles

log = logging.getLogger(__name__)

CACHE_VARIABLE: Final = "MLOPSPROJECT_CACHE"
_ALIASES: Final = "aliases"
_ALIAS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Store(StoreFiles):
    """A store of bundles and aliases. Every method raises `StoreError` as `StoreFiles` does.

    The default store, the folder `models`, falls back to the bundles and aliases that ship with the package: what the
    folder lacks is read from there, and everything is written to the folder. Other stores have no fallback.

    Args:
        uri: a folder, `gs://bucket/path`, `s3://bucket/path`, or another address that fsspec knows.
    """

    def __init__(self, uri: str | Path = DEFAULT_STORE) -> None:
        super().__init__(uri)
        folder = shipped_folder(DEFAULT_STORE) if self.uri == DEFAULT_STORE else None
        # In the repository both are the same folder.
        self._shipped = Store(folder) if folder is not None and folder != Path(DEFAULT_STORE).resolve() else None

    @staticmethod
    def local_folder(uri: str | Path) -> Path:
        """Folder in which new bundles of a store are sealed: its own, or `models` for a bucket (then published)."""
        return Store(uri).folder or Path(DEFAULT_STORE)

    @staticmethod
    def check_alias(alias: object) -> None:
        """Check the name of an alias.

        Raises:
            StoreError: for anything but 1 to 64 letters, digits, `.`, `_` and `-`, or for a bundle's name.
        """
        if not isinstance(alias, str) or not _ALIAS.fullmatch(alias) or is_bundle_name(alias):
            raise StoreError(f"{alias!r} cannot be an alias.", "Use a short word of letters, digits, '.', '_' and '-'.")

    def names(self) -> list[str]:
        """Names of the bundles in the store, sorted; empty if the store does not exist yet.

        Raises:
            StoreError: if the store cannot be reached.
        """
        found = {name for name in self.children("") if is_bundle_name(name) and self._has(name)}
        return sorted(found.union(self._shipped.names() if self._shipped else ()))

    def exists(self, name: str) -> bool:
        """Whether the store has a bundle of this name.

        Raises:
            StoreError: if the store cannot be reached.
        """
        return self._has(name) or (self._shipped is not None and self._shipped.exists(name))

    def _has(self, name: str) -> bool:
        """Whether the bundle is in the store itself, not only among those that ship."""
        with self._reaching(f"look for {name}"):
            return is_bundle_name(name) and bool(self._fs.exists(self._path(name, SPEC_FILE)))

    def aliases(self) -> dict[str, str]:
        """All aliases, each with the name of the bundle that it points at.

        Raises:
            StoreError: if the store cannot be reached.
        """
        found = {alias: self.get_alias(alias) for alias in self.children(_ALIASES) if _ALIAS.fullmatch(alias)}
        shipped = self._shipped.aliases() if self._shipped else {}
        return shipped | {alias: name for alias, name in found.items() if name is not None}

    def get_alias(self, alias: str) -> str | None:
        """Name of the bundle that an alias points at, ``None`` if there is no such alias.

        Raises:
            StoreError: if the store cannot be reached or the alias does not contain a bundle's name.
        """
        if not _ALIAS.fullmatch(alias):
            return None
        content = self.read_file(f"{_ALIASES}/{alias}")
        if content is None:
            return self._shipped.get_alias(alias) if self._shipped else None
        text = content.decode("utf-8", "replace").strip()
        if not is_bundle_name(text):
            raise StoreError(f"The alias {alias} of {self.uri} holds {text[:80]!r}, which is no bundle's name.")
        return text

    def set_alias(self, alias: str, name: str, *, rollback: bool = False) -> str | None:
        """Point an alias at a bundle of this store, and add the change to the alias's history.

        Args:
            alias: its name.
            name: of the bundle.
            rollback: whether the change is a rollback, for the history.

        Returns:
            Name of the bundle that the alias pointed at before, if any.

        Raises:
            StoreError: if the store has no such bundle, cannot be written, or the alias is not allowed.
        """
        self.check_alias(alias)
        if not self.exists(name):
            raise StoreError(f"{self.uri} has no bundle {name}, so {alias} cannot point at it.", "Publish it first.")
        try:
            old = self.get_alias(alias)
        except StoreError as error:
            log.warning("%s It is overwritten.", error)
            old = None
        if old != name:
            # Before the alias, so that no change is missing; `previous` ignores a change that then failed.
            change = AliasChange(bundle=name, before=old, rollback=rollback)
            path = f"{_ALIASES}/{HISTORY_FOLDER}/{alias}"
            self.write_file(path, (self.read_file(path) or b"") + change.model_dump_json().encode() + b"\n")
        self.write_file(f"{_ALIASES}/{alias}", f"{name}\n".encode())
        return old

    def alias_history(self, alias: str) -> list[AliasChange]:
        """Every change of an alias, the oldest first.

        Raises:
            StoreError: if the store cannot be reached.
        """
        return read_history(self.read_file(f"{_ALIASES}/{HISTORY_FOLDER}/{alias}"))

    def resolve(self, name_or_alias: str) -> str:
        """Resolve a bundle's name or an alias to the name of an existing bundle.

        Raises:
            StoreError: if there is no such bundle or alias; names the nearest one.
        """
        name = name_or_alias if is_bundle_name(name_or_alias) else self.get_alias(name_or_alias)
        if name is not None and self.exists(name):
            return name
        if name is not None and name != name_or_alias:
            raise StoreError(f"The alias {name_or_alias} of {self.uri} points at {name}, which is not there.")
        names, aliases = self.names(), list(self.aliases())
        if not names:
            raise StoreError(f"{self.uri} has no model {name_or_alias!r}: it holds no bundles.", "Train one first.")
        known = f"It has aliases [{', '.join(aliases)}] and {len(names)} bundle(s), such as {names[-1]}."
        hint = nearest(name_or_alias, [*aliases, *names])
        raise StoreError(f"{self.uri} has no bundle or alias {name_or_alias!r}.", hint or known)

    def open(self, name: str) -> Bundle:
        """Open a bundle by name and verify it; from a bucket, it is downloaded once to the local cache.

        Raises:
            StoreError: if it cannot be downloaded.
            BundleError: if it is damaged.
        """
        if not is_bundle_name(name):
            raise StoreError(f"{name!r} is not a bundle's name.")
        if self._shipped is not None and not self._has(name):
            return self._shipped.open(name)
        bundle = open_bundle(self.folder / name) if self.folder is not None else self._cached(name)
        if bundle.name != name:
            raise BundleError(f"{self.uri} holds {bundle.name} in the folder {name}.", "Give the folder its own name.")
        return bundle

    def _cached(self, name: str) -> Bundle:
        cache = cache_folder()
        if (cache / name).exists():
            try:
                return open_bundle(cache / name)
            except BundleError as error:
                log.warning("%s Downloading it again.", error.message)
                shutil.rmtree(cache / name)
        with staging_folder(cache) as place:
            self._download(name, place / name)
            bundle = open_bundle(place / name)
            return Bundle(install_folder(place / name, cache, name), bundle.spec)

    def publish(self, path: str | Path) -> str:
        """Copy a bundle into the store, unless it is there already.

        Args:
            path: the bundle's folder.

        Returns:
            The bundle's name.

        Raises:
            BundleError: if the bundle is damaged.
            StoreError: if it cannot be written, or the store has another content under its name.
        """
        bundle = open_bundle(path)
        try:
            # Shipped bundles are copied, too: the next version of the package may not have them.
            if self._has(bundle.name):
                self._compare(bundle)
            elif self.folder is not None:
                with staging_folder(self.folder) as place:
                    copy_folder(bundle.path, place / bundle.name)
                    install_folder(place / bundle.name, self.folder, bundle.name)
            else:
                self._upload(bundle)
        except StoreError as error:
            raise type(error)(error.message, f"{error.fix} The bundle is kept in {bundle.path}.".strip()) from error
        return bundle.name

    def _upload(self, bundle: Bundle) -> None:
        """Upload the files, check their sizes, then upload `spec.json`, which makes the bundle visible."""
        with self._reaching(f"upload {bundle.name}"):
            for name in bundle.spec.files:
                self._fs.put_file(str(bundle.path / name), self._path(bundle.name, name))
            self._check_sizes(bundle)
            self._fs.put_file(str(bundle.path / SPEC_FILE), self._path(bundle.name, SPEC_FILE))

    def _compare(self, bundle: Bundle) -> None:
        """Check that the store's bundle of the same name has the same content."""
        with self._reaching(f"compare {bundle.name}"):
            text = self._fs.cat_file(self._path(bundle.name, SPEC_FILE))
            try:
                same = parse_spec(text, self._path(bundle.name, SPEC_FILE)) == bundle.spec
            except BundleError:
                same = False
            if not same:
                raise StoreError(f"{self.uri} holds something else under the name {bundle.name}.", "Remove it there.")
            self._check_sizes(bundle)

    def _check_sizes(self, bundle: Bundle) -> None:
        for name in bundle.spec.files:
            there, here = self._fs.size(self._path(bundle.name, name)), (bundle.path / name).stat().st_size
            if there != here:
                raise StoreError(
                    f"{self.uri} holds {there} of {here} bytes of {bundle.name}/{name}.", "Remove it there."
                )

    def _download(self, name: str, target: Path) -> None:
        with self._reaching(f"download {name}"):
            text = self._fs.cat_file(self._path(name, SPEC_FILE))
            spec = parse_spec(text, self._path(name, SPEC_FILE))
            for file in spec.files:
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                self._fs.get_file(self._path(name, file), str(target / file))
            (target / SPEC_FILE).write_bytes(text)


def cache_folder() -> Path:
    """Folder of the bundles downloaded from buckets, below `$MLOPSPROJECT_CACHE`, or `~/.cache/mlopsproject`."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "mlopsproject") / "bundles"
