"""The model bundle: one folder with everything needed to use a trained model, verified by SHA-256 hashes.

``<prefix>-<12 hex>/`` holds ``spec.json`` and the files that it lists with their SHA-256. The twelve digits are the
hash of ``spec.json`` without its name. They depend on the content of every file, so that a name identifies a content.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pydantic import ValidationError

from mlopsproject.core.errors import BundleError, nearest
from mlopsproject.core.files import move_folder, put_in_place, sha256_file, staging_folder, writing
from mlopsproject.core.spec import SCHEMA_VERSION, ModelSpec, Precision

SPEC_FILE: Final = "spec.json"
_DIGITS: Final = 12
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]*-[0-9a-f]{{{_DIGITS}}}")
_AGAIN: Final = "Fetch, pull or export the bundle again."


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Attributes:
        path: its folder.
        spec: content of `spec.json`.
    """

    path: Path
    spec: ModelSpec

    @property
    def name(self) -> str:
        """The name, which ends in the content hash; called `model_version` in answers, tables and the log."""
        return self.spec.name

    def file(self, name: str) -> Path:
        """Path of one of the bundle's files.

        Raises:
            BundleError: if the bundle has no such file.
        """
        if name != SPEC_FILE and name not in self.spec.files:
            raise BundleError(f"Bundle {self.name} has no {name}; it holds {', '.join(sorted(self.spec.files))}.")
        return self.path / name

    def model_file(self, precision: Precision) -> Path:
        """Path of the ONNX file of one precision.

        Raises:
            BundleError: if the bundle was exported without it.
        """
        entry = self.spec.precisions.get(precision)
        if entry is None:
            known = ", ".join(self.spec.precisions)
            hint = nearest(precision, self.spec.precisions)
            raise BundleError(f"Bundle {self.name} has no precision {precision!r} (it has {known}).", hint)
        return self.path / entry.file

    def metrics(self) -> dict[str, Any]:
        """Content of `metrics.json`: the metrics on the test split, per class and overall.

        Raises:
            BundleError: if the bundle has none.
        """
        metrics: dict[str, Any] = json.loads(self.file("metrics.json").read_text(encoding="utf-8"))
        if "bundle" in metrics:
            # The name is not in the file, because it is a hash over that file too.
            metrics["bundle"]["name"] = self.name
        return metrics


def is_bundle_name(text: str) -> bool:
    """Whether `text` has the form of a bundle's name, ``<prefix>-<12 hex>``."""
    return _NAME.fullmatch(text) is not None


def seal_bundle(staging: Path, spec: ModelSpec, destination: Path, prefix: str) -> Bundle:
    """Hash the files of a folder, write its `spec.json` and move it to its place as a bundle.

    Args:
        staging: the folder with the bundle's files, without `spec.json`. It is moved and does not exist afterwards.
        spec: the model's spec; `name` and `files` are filled in here.
        destination: the store's folder, created if missing. The bundle becomes `destination/<name>`.
        prefix: start of the name: letters, digits, ``.``, ``_``, ``-``.

    Returns:
        The bundle at its destination; if an identical bundle is there already, that one.

    Raises:
        BundleError: if a precision's file is missing, the spec is not plain JSON, or the prefix is not allowed.
        UserError: for a full disk or a folder that cannot be written; nothing is left at the destination.
    """
    if not is_bundle_name(f"{prefix}-{'0' * _DIGITS}"):
        raise BundleError(f"{prefix!r} cannot start a bundle's name.", "Use letters, digits, '.', '_' and '-'.")
    (staging / SPEC_FILE).unlink(missing_ok=True)
    files = {
        item.relative_to(staging).as_posix(): sha256_file(item) for item in sorted(staging.rglob("*")) if item.is_file()
    }
    for precision, entry in spec.precisions.items():
        if entry.file not in files:
            raise BundleError(f"{staging} lacks {entry.file}, the model of precision {precision}.")
    document = spec.model_copy(update={"files": files, "name": ""}).model_dump(mode="json")
    try:
        document["name"] = f"{prefix}-{content_hash(document)}"
    except (TypeError, ValueError) as error:
        raise BundleError(f"The spec holds a value that JSON cannot keep ({error}).") from error
    sealed = ModelSpec.model_validate(document)
    with writing(destination / sealed.name):
        (staging / SPEC_FILE).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return Bundle(install_folder(staging, destination, sealed.name), sealed)


def install_folder(folder: Path, destination: Path, name: str) -> Path:
    """Move a complete bundle folder to `destination/name` atomically.

    Returns:
        `destination/name`; if an intact bundle of that name is there already, `folder` is removed instead.

    Raises:
        BundleError: if a damaged bundle of that name is there already.
        UserError: for a full disk or a folder that cannot be written.
    """
    target = destination / name
    with staging_folder(destination) as place:
        ready = place / name
        # Between file systems this copies; the rename that makes the bundle visible is atomic in any case.
        move_folder(folder, ready)
        try:
            put_in_place(ready, target)
        except OSError:
            if not target.exists():
                raise
            open_bundle(target)
    return target


def open_bundle(path: str | Path, verify: bool = True) -> Bundle:
    """Open a bundle folder; its name is the one in the spec, whatever the folder is called.

    Args:
        path: the folder.
        verify: compare every file with its hash and refuse unlisted files; otherwise only check that the listed files
            exist, and accept a folder that is not sealed yet (its spec has no name).

    Raises:
        BundleError: for a folder that is not a bundle, a newer schema version, or a missing or changed file.
    """
    folder = Path(path)
    spec = _read_spec(folder, draft=not verify)
    for name, expected in spec.files.items():
        item = folder / name
        if not item.is_file():
            raise BundleError(f"Bundle {folder} is damaged: {name} is missing.", _AGAIN)
        if verify and sha256_file(item) != expected:
            raise BundleError(f"Bundle {folder} is damaged: {name} is not the file that was sealed.", _AGAIN)
    if verify:
        _check_no_other_files(folder, spec)
    return Bundle(folder, spec)


def _check_no_other_files(folder: Path, spec: ModelSpec) -> None:
    """Refuse symbolic links, and files without a hash in the spec, such as external weights of the network."""
    for item in sorted(folder.rglob("*")):
        name = item.relative_to(folder).as_posix()
        if item.is_symlink():
            raise BundleError(f"Bundle {folder} is damaged: {name} is a link.", _AGAIN)
        if not item.is_dir() and name not in spec.files and name != SPEC_FILE:
            raise BundleError(f"Bundle {folder} is damaged: its spec does not list {name}.", "Remove the file.")


def parse_spec(text: str | bytes, source: str, *, draft: bool = False) -> ModelSpec:
    """Parse a `spec.json` and verify it against the hash in its name.

    Args:
        text: the file's content.
        source: its name in error messages, such as its path.
        draft: accept a spec without a name, of a bundle that is not sealed yet.

    Raises:
        BundleError: if it is not a spec, has a newer schema version, or was changed after sealing.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BundleError(f"{source} is damaged: not JSON ({error}).", _AGAIN) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise BundleError(f"{source} is not a bundle's spec: it has no schema_version.")
    if version > SCHEMA_VERSION:
        newer = f"{source} has schema version {version}; this mlopsproject reads up to {SCHEMA_VERSION}."
        raise BundleError(newer, "Upgrade mlopsproject.")
    try:
        spec = ModelSpec.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{source} is damaged: {where or 'spec'}: {first['msg']}.", _AGAIN) from error
    if draft and not spec.name:
        return spec
    if not is_bundle_name(spec.name) or not spec.name.endswith(content_hash(document)):
        raise BundleError(f"{source} was changed after it was sealed: its content does not match its name.", _AGAIN)
    for name in [*spec.files, *(entry.file for entry in spec.precisions.values())]:
        if name not in spec.files or not _is_inside(name):
            raise BundleError(f"{source} names {name!r}, which is not one of the bundle's files.")
    return spec


def content_hash(document: dict[str, Any]) -> str:
    """The first twelve hex digits of the SHA-256 of a spec's JSON document without its name.

    It is computed from the document and not from `ModelSpec`, so that fields added later do not change old hashes.

    Raises:
        TypeError, ValueError: if the document is not plain JSON (NaN included).
    """
    content = {key: value for key, value in document.items() if key != "name"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_DIGITS]


def _read_spec(folder: Path, *, draft: bool) -> ModelSpec:
    path = folder / SPEC_FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        missing = "does not exist" if not folder.exists() else f"is not a model bundle: it has no {SPEC_FILE}"
        raise BundleError(f"{folder} {missing}.", "Give a folder that `train` or `export` made.") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}).") from error
    return parse_spec(text, str(path), draft=draft)


def _is_inside(name: str) -> bool:
    """Whether a file name from a spec stays within the bundle's folder."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and name == str(path) != SPEC_FILE
