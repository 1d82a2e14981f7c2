"""What the build puts into the wheel beside code: see `hatch_build.py`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shipped(hook: ModuleType, root: Path, version: str = "standard") -> dict[str, str]:
    """Places in the wheel of files and folders of the repository."""
    data: dict[str, Any] = {"force_include": {}}
    hook.ShippedFiles(str(root), {}, None, None, "", "wheel").initialize(version, data)
    return {place: str(Path(source).relative_to(root)) for source, place in data["force_include"].items()}


def make_models(root: Path, **aliases: str) -> None:
    (root / "models/aliases").mkdir(parents=True)
    for alias, name in aliases.items():
        (root / "models/aliases" / alias).write_text(f"{name}\n", encoding="utf-8")
        (root / "models" / name).mkdir(exist_ok=True)
        (root / "models" / name / "spec.json").touch()


def test_the_wheel_carries_configs_and_what_the_shipped_aliases_hold(hook: ModuleType) -> None:
    found = shipped(hook, ROOT)
    assert found["mlopsproject/configs"] == "configs"
    for alias in hook.ALIASES:
        name = (ROOT / "models/aliases" / alias).read_text().strip()
        assert f"mlopsproject/models/{name}" in found
    assert len(found) == 2 + 2 * len(hook.ALIASES)
    assert all((ROOT / source).exists() for source in found.values())


def test_a_bundle_that_was_promoted_here_goes_along_and_others_stay(hook: ModuleType, tmp_path: Path) -> None:
    make_models(tmp_path, production="mine-0123456789ab", sample="s-0", seven="s-7", latest="other-1")
    found = shipped(hook, tmp_path)
    assert "mlopsproject/models/mine-0123456789ab" in found
    assert "mlopsproject/models/aliases/latest" not in found
    assert "mlopsproject/models/other-1" not in found


def test_an_alias_without_its_bundle_is_an_error(hook: ModuleType, tmp_path: Path) -> None:
    make_models(tmp_path, production="mine-0", sample="s-0", seven="s-7")
    (tmp_path / "models/mine-0/spec.json").unlink()
    with pytest.raises(SystemExit, match="production holds 'mine-0', which is no bundle"):
        shipped(hook, tmp_path)


def test_an_editable_installation_reads_the_repository_itself(hook: ModuleType) -> None:
    assert shipped(hook, ROOT, "editable") == {}
