"""Finds the configs and bundles that ship with the package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder(name: str) -> Path | None:
    """Path of a folder that ships with the package.

    Args:
        name: `configs` or `models`.

    Returns:
        The folder inside an installed package, or in the repository that the package runs from; ``None`` if neither
        has it.
    """
    found = (folder for folder in (_PACKAGE / name, _PACKAGE.parents[1] / name) if folder.is_dir())
    return next(found, None)


def from_repository() -> bool:
    """Whether the package runs from the project's repository, where `invoke` has its tasks."""
    return (_PACKAGE.parents[1] / "tasks.py").is_file()
