"""Which loggers a run gets, without a network and without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from mlopsproject.core.errors import ConfigError
from mlopsproject.training.tracking import build_loggers, finish

CSV = {"csv": {"_target_": "pytorch_lightning.loggers.CSVLogger", "name": "", "version": ""}}
WANDB: dict[str, Any] = {"enabled": True, "mode": "offline", "project": "test", "entity": None, "group": None}


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)


def test_csv_is_written_into_the_runs_folder(tmp_path: Path) -> None:
    (logger,) = build_loggers(CSV, WANDB | {"enabled": False}, tmp_path / "run", {})
    assert isinstance(logger, CSVLogger)
    assert Path(logger.log_dir) == tmp_path / "run"


def test_wandb_comes_beside_csv_when_it_is_enabled(tmp_path: Path) -> None:
    loggers = build_loggers(CSV, WANDB, tmp_path, {"epochs": 3})
    assert [type(logger) for logger in loggers] == [CSVLogger, WandbLogger]


def test_disabled_wandb_writes_nothing(tmp_path: Path) -> None:
    loggers = build_loggers({}, WANDB | {"mode": "disabled"}, tmp_path / "run", {"epochs": 3})
    loggers[0].log_metrics({"val/acc": 0.5}, 1)
    finish(loggers, failed=False)
    assert not list((tmp_path / "run").rglob("*.wandb"))


def test_online_without_a_login_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nobody is logged in.*wandb login"):
        build_loggers(CSV, WANDB | {"mode": "online"}, tmp_path, {})


def test_an_unknown_mode_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"wandb\.mode='ofline'.*offline"):
        build_loggers(CSV, WANDB | {"mode": "ofline"}, tmp_path, {})


def test_a_logger_outside_the_allowed_packages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="may not be built"):
        build_loggers({"mine": {"_target_": "os.system"}}, WANDB | {"enabled": False}, tmp_path, {})
