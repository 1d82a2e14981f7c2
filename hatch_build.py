"""What the wheel carries besides code: configs, the locustfile, and the bundles that the aliases which ship hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Others, such as `latest`, are of one machine.
ALIASES = ("production", "sample", "seven")
PACKAGE = "mlopsproject"


class ShippedFiles(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the files, and nothing that training or promoting on this machine has left beside them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Say what goes where.

        Args:
            version: `editable` for an installation that reads the repository itself.
            build_data: of hatchling; `force_include` maps files and folders to their place in the wheel.

        Raises:
            SystemExit: if an alias, or the bundle that it holds, is not there.
        """
        if version == "editable":
            return
        root = Path(self.root)
        shipped = ["configs", "tests/performance/locustfile.py"]
        for alias in ALIASES:
            path = root / "models" / "aliases" / alias
            name = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
            if not name or not (root / "models" / name / "spec.json").is_file():
                raise SystemExit(f"error: {path} holds {name!r}, which is no bundle in models/, but must ship.")
            shipped += [f"models/aliases/{alias}", f"models/{name}"]
        build_data["force_include"].update(
            {str(root / place): f"{PACKAGE}/{place}" for place in dict.fromkeys(shipped)}
        )
