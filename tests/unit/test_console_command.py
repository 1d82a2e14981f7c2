"""`mlopsproject JOB …`: the same jobs as `python -m mlopsproject.JOB`, from any folder."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlopsproject import __main__ as command
from mlopsproject import __version__
from mlopsproject.core import commands, resolve, shipped
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.commands import job_command
from mlopsproject.core.errors import StoreError
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.promotion import promote, roll_back
from mlopsproject.core.resolve import find_bundle
from mlopsproject.core.store import Store

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mlopsproject", *arguments])
    return command.main()


def test_every_entry_point_is_a_job() -> None:
    modules = {path.stem for path in (ROOT / "src/mlopsproject").glob("*.py")} - {"__init__", "__main__"}
    modules |= {path.parent.name for path in (ROOT / "src/mlopsproject").glob("*/__main__.py")}
    assert {job.module for job in command.JOBS.values()} == modules - {"config", "config_help", "overrides"} | {
        "data.synthetic"
    }


@pytest.mark.parametrize("name", command.JOBS)
def test_a_job_names_extras_that_exist(name: str) -> None:
    job = command.JOBS[name]
    assert importlib.util.find_spec(f"mlopsproject.{job.module}")
    assert set(job.extra.split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_versions_agree() -> None:
    assert PROJECT["version"] == __version__


def test_the_jobs_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run(monkeypatch, "--help")
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"^  {name} +\S", said, re.MULTILINE) for name in command.JOBS)


def test_an_unknown_job_names_those_that_exist(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run(monkeypatch, "trian")
    assert left.value.code == 2
    assert "invalid choice: 'trian'" in capsys.readouterr().err


def test_a_package_that_is_missing_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hydra", None)
    monkeypatch.delitem(sys.modules, "mlopsproject.config", raising=False)
    assert run(monkeypatch, "predict", "input=face.png") == 1
    said = capsys.readouterr().err
    assert said == (
        "error: mlopsproject predict needs the package 'hydra'. Install it with: pip install 'mlopsproject[data]'\n"
    )


def test_a_job_runs_in_a_foreign_folder_with_its_exit_code(tmp_path: Path) -> None:
    # Another project's configs, as many that use Hydra have them.
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/train.yaml").write_text("foreign: true\n", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "mlopsproject", "predict", "input=empty"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 1
    assert "error: input=empty holds no pictures." in done.stderr


@pytest.mark.parametrize(
    ("repository", "said"),
    [
        (True, "uv run invoke import-data -o 'source=my faces' -o name=mine"),
        (False, "mlopsproject import-data 'source=my faces' name=mine"),
    ],
)
def test_messages_name_the_command_that_there_is(repository: bool, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "from_repository", lambda: repository)
    assert job_command("import_data", "source=my faces", "name=mine") == said


def test_bundles_that_ship_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Predictor.load("production").model_version == (ROOT / "models/aliases/production").read_text().strip()


def test_a_folder_of_ones_own_stands_before_what_ships(
    tmp_path: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Store("models").publish(tiny_bundle.path)
    Store("models").set_alias("production", tiny_bundle.name)
    assert Predictor.load("production").model_version == tiny_bundle.name
    assert Predictor.load("sample").model_version.startswith("sample-")


def test_nothing_stands_behind_another_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="has no model 'production'"):
        find_bundle("production", tmp_path / "other")


def test_a_store_that_names_a_bundle_which_is_gone_is_not_passed_over(
    tmp_path: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/aliases").mkdir(parents=True)
    (tmp_path / "models/aliases/production").write_text(tiny_bundle.name, encoding="utf-8")
    with pytest.raises(StoreError, match="which is not there"):
        find_bundle("production")


def test_a_typo_names_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="did you mean 'production'"):
        find_bundle("productoin")


def test_what_ships_is_listed_and_never_written_to(
    tmp_path: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped_names, shipped_aliases = Store(ROOT / "models").names(), Store(ROOT / "models").aliases()
    monkeypatch.chdir(tmp_path)
    promote(tiny_bundle.path, "production")
    store = Store("models")
    assert set(store.names()) == {*shipped_names, tiny_bundle.name}
    assert store.aliases() == shipped_aliases | {"production": tiny_bundle.name}
    assert Store(ROOT / "models").aliases() == shipped_aliases


def test_a_promotion_of_what_ships_keeps_a_copy_and_can_be_rolled_back(
    tmp_path: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Store(ROOT / "models").aliases()
    monkeypatch.chdir(tmp_path)
    promote("sample", "chosen")
    assert (tmp_path / "models" / before["sample"] / "spec.json").is_file()
    promote(tiny_bundle.path, "production")
    assert roll_back("production").new == before["production"]
    assert Predictor.load("production").model_version == before["production"]


def test_what_does_not_ship_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "lib/mlopsproject")
    with pytest.raises(StoreError, match="has no model 'production'"):
        resolve.find_bundle("production")
