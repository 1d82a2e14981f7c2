"""Equal seeds, interruptions and resuming; only the fit is run here, nothing is exported."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch

from mlopsproject.config import load_config, values
from mlopsproject.data.dataset import FaceDataset, load_dataset
from mlopsproject.data.opening import input_spec
from mlopsproject.training.callbacks import MetricHistory
from mlopsproject.training.hardware import choose_compute
from mlopsproject.training.module import ExpressionModule, build_module
from mlopsproject.training.run import best_checkpoint, fit
from mlopsproject.training.tracking import build_loggers

pytestmark = pytest.mark.filterwarnings("ignore:The number of training batches")


class Fitted(NamedTuple):
    """A finished fit."""

    trainer: pl.Trainer
    module: ExpressionModule
    folder: Path

    @property
    def history(self) -> list[dict[str, float]]:
        return next(each for each in self.trainer.callbacks if isinstance(each, MetricHistory)).epochs

    def checkpoint(self, name: str = "last") -> dict[str, Any]:
        return torch.load(self.folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


Fit = Callable[..., Fitted]


@pytest.fixture
def run_fit(drawn_faces: Path, quick_training: list[str], tmp_path: Path) -> Iterator[Fit]:
    """``run_fit(*overrides, resume=None, name="run")`` trains three epochs of ten steps in ``tmp_path/name``."""
    dataset: FaceDataset = load_dataset("drawn", root=drawn_faces, size=16)
    handler = signal.getsignal(signal.SIGINT)

    def run(*overrides: str, resume: Path | None = None, name: str = "run", base: list[str] | None = None) -> Fitted:
        chosen = [*(base or [*quick_training, "epochs=3"]), "trainer.precision=32-true", *overrides]
        settings = values(load_config("train", chosen))
        pl.seed_everything(settings["seed"], verbose=False)
        compute = choose_compute("cpu", settings["trainer"]["precision"])
        module = build_module(settings, input_spec(settings["data"]), dataset, compute)
        loggers = build_loggers(settings["logger"], settings["wandb"], tmp_path / name, settings)
        return Fitted(
            fit(settings, module, dataset, compute, loggers, tmp_path / name, resume), module, tmp_path / name
        )

    yield run
    # Lightning ignores Ctrl-C for good once it has seen one.
    signal.signal(signal.SIGINT, handler)


def interrupt(monkeypatch: pytest.MonkeyPatch, hook: str, epoch: int, batch: int | None = None) -> None:
    """Press Ctrl-C when the module's `hook` runs in that epoch (and batch)."""
    original = getattr(ExpressionModule, hook)

    def pressed(self: ExpressionModule, *args: Any) -> Any:
        if self.current_epoch == epoch and (batch is None or args[-1] == batch):
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(ExpressionModule, hook, pressed)


def stop_and_resume(run_fit: Fit, hook: str, epoch: int, batch: int | None = None, *overrides: str) -> Fitted:
    """Interrupt a run, which ends with exit code 1, and resume it in a new folder."""
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, hook, epoch, batch)
        with pytest.raises(SystemExit) as stopped:
            run_fit(*overrides, name="stopped")
    assert stopped.value.code == 1
    last = next(iter(Path.cwd().glob("stopped/checkpoints/last.ckpt")))
    return run_fit(*overrides, resume=last, name="resumed")


@pytest.fixture(autouse=True)
def _in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def figures(fitted: Fitted, *names: str) -> list[list[float]]:
    return [[entry[name] for name in names] for entry in fitted.history]


ALL = ("train/loss", "train/acc", "val/loss", "val/acc", "val/macro_f1")


def test_equal_seeds_give_equal_metrics_and_others_do_not(run_fit: Fit) -> None:
    first, again, other = run_fit(name="a"), run_fit(name="b"), run_fit("seed=1", name="c")
    assert figures(first, *ALL) == figures(again, *ALL)
    assert figures(first, "train/loss") != figures(other, "train/loss")


def test_equal_seeds_give_equal_metrics_with_every_kind_of_randomness(run_fit: Fit) -> None:
    chosen = ("augment=default", "augment.mixup_alpha=0.3", "data.balance=weighted", "model.dropout=0.5", "epochs=2")
    assert figures(run_fit(*chosen, name="a"), *ALL) == figures(run_fit(*chosen, name="b"), *ALL)


@pytest.mark.parametrize("ema", ["0.9", "null"])
@pytest.mark.parametrize(
    ("hook", "epoch", "batch"),
    [
        pytest.param("on_train_batch_start", 1, 0, id="between epochs"),
        pytest.param("training_step", 1, 4, id="within an epoch"),
        pytest.param("validation_step", 1, 0, id="within validation"),
    ],
)
def test_an_interrupted_and_resumed_run_ends_like_one_that_was_not(
    run_fit: Fit, ema: str, hook: str, epoch: int, batch: int
) -> None:
    whole = run_fit(f"callbacks.ema={ema}", name="whole")
    resumed = stop_and_resume(run_fit, hook, epoch, batch, f"callbacks.ema={ema}")
    assert resumed.trainer.current_epoch == whole.trainer.current_epoch == 3
    assert resumed.checkpoint()["global_step"] == whole.checkpoint()["global_step"] == 30
    # The training figures of the interrupted epoch cover only what came after; everything learnt is the same.
    assert figures(resumed, "val/loss", "val/acc") == figures(whole, "val/loss", "val/acc")[epoch:]
    assert resumed.history[-1] == whole.history[-1]


def test_a_run_resumed_from_the_end_of_an_epoch_goes_on_exactly(run_fit: Fit, tmp_path: Path) -> None:
    # A rate that does not depend on the planned length, so that a shorter run has the same first epochs.
    steady = ("callbacks.ema=0.9", "optim.schedule=constant", "optim.warmup=0.0")
    whole = run_fit(*steady, name="whole")
    run_fit(*steady, "epochs=2", name="half")
    resumed = run_fit(*steady, resume=tmp_path / "half" / "checkpoints" / "last.ckpt", name="resumed")
    assert [entry["epoch"] for entry in resumed.history] == [2]
    assert figures(resumed, *ALL)[-1] == figures(whole, *ALL)[-1]


def test_an_interruption_while_validating_saves_the_trained_weights_not_the_averaged(
    run_fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "network.head.weight"
    interrupt(monkeypatch, "validation_step", 1, 0)
    seen = {}
    original = ExpressionModule.on_train_batch_start

    def note(self: ExpressionModule, batch: Any, batch_idx: int) -> None:
        original(self, batch, batch_idx)
        seen["module"] = self

    monkeypatch.setattr(ExpressionModule, "on_train_batch_start", note)
    with pytest.raises(SystemExit):
        run_fit("callbacks.ema=0.99", name="stopped")
    saved = torch.load("stopped/checkpoints/last.ckpt", weights_only=True)
    assert torch.equal(saved["current_model_state"][name], seen["module"].state_dict()[name])
    assert not torch.equal(saved["state_dict"][name], saved["current_model_state"][name])


def test_an_interrupted_run_says_how_to_resume(
    run_fit: Fit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    interrupt(monkeypatch, "training_step", 0, 3)
    with pytest.raises(SystemExit):
        run_fit()
    assert f"resume={tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}" in caplog.text


def test_the_last_checkpoint_is_of_the_last_epoch_even_if_an_earlier_one_was_best(run_fit: Fit) -> None:
    fitted = run_fit("lr=1e-12", "callbacks.ema=null")
    assert (fitted.checkpoint("best")["epoch"], fitted.checkpoint("last")["epoch"]) == (0, 2)


def test_a_resumed_run_keeps_the_best_checkpoint_of_the_earlier_one(run_fit: Fit, tmp_path: Path) -> None:
    # With monitor=val/acc and no progress the first epoch stays the best.
    still = ("lr=1e-12", "callbacks.ema=null")
    run_fit(*still, "epochs=2", name="earlier")
    last = tmp_path / "earlier" / "checkpoints" / "last.ckpt"
    resumed = run_fit(*still, resume=last, name="resumed")
    assert best_checkpoint(resumed.trainer) == tmp_path / "resumed" / "checkpoints" / "best.ckpt"
    assert resumed.checkpoint("best")["epoch"] == 0
    assert resumed.checkpoint("last")["epoch"] == 2


def test_resuming_a_finished_run_trains_nothing_and_still_has_its_best(run_fit: Fit, tmp_path: Path) -> None:
    run_fit(name="done")
    again = run_fit(resume=tmp_path / "done" / "checkpoints" / "last.ckpt", name="again")
    assert again.history == []
    assert best_checkpoint(again.trainer).is_file()


def test_a_checkpoint_moved_away_from_its_run_can_be_resumed(run_fit: Fit, tmp_path: Path) -> None:
    run_fit("epochs=2", name="old")
    (tmp_path / "old" / "checkpoints" / "last.ckpt").rename(tmp_path / "kept.ckpt")
    (tmp_path / "old" / "checkpoints" / "best.ckpt").unlink()
    resumed = run_fit(resume=tmp_path / "kept.ckpt", name="new")
    assert best_checkpoint(resumed.trainer) == tmp_path / "new" / "checkpoints" / "best.ckpt"
    finished = run_fit("epochs=2", resume=tmp_path / "kept.ckpt", name="nothing-left")
    assert best_checkpoint(finished.trainer) == tmp_path / "kept.ckpt"


def test_training_stops_early_without_improvement(run_fit: Fit, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="mlopsproject"):
        fitted = run_fit(
            "callbacks.patience=1", "callbacks.monitor=val/loss", "lr=1e-12", "callbacks.ema=null", "epochs=9"
        )
    assert len(fitted.history) == 2
    assert "Stopped early after epoch 2" in caplog.text


def test_validation_and_the_saved_weights_are_averaged(run_fit: Fit) -> None:
    fitted = run_fit("callbacks.ema=0.9999", "epochs=1")
    saved = fitted.checkpoint()
    assert "averaging_state" in saved
    assert "averaging_state" not in run_fit("callbacks.ema=null", "epochs=1", name="plain").checkpoint()


@pytest.mark.parametrize("profiler", ["simple", "advanced"])
def test_a_profiler_writes_its_report_into_the_runs_folder(run_fit: Fit, profiler: str) -> None:
    fitted = run_fit(f"trainer.profiler={profiler}", "epochs=1")
    (report,) = fitted.folder.glob("*profile*.txt")
    assert "training_step" in report.read_text()


@pytest.fixture
def small_data(drawn_faces: Path) -> list[str]:
    """Overrides that change only what is trained on."""
    return [f"data.root={drawn_faces}", "data.name=drawn", "data.size=16", "classes=five", "trainer.threads=1"]


def test_the_debug_group_trains_two_epochs_of_three_batches(run_fit: Fit, small_data: list[str]) -> None:
    fitted = run_fit("debug=smoke", "batch_size=8", base=small_data)
    assert len(fitted.history) == 2
    assert fitted.checkpoint()["global_step"] == 6


EXPERIMENTS = sorted(path.stem for path in Path(__file__).parents[2].joinpath("configs/experiment").glob("*.yaml"))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_trains(run_fit: Fit, small_data: list[str], experiment: str) -> None:
    settings = [f"experiment={experiment}", "debug=smoke", "batch_size=8", "trainer.limit_train_batches=2"]
    fitted = run_fit(*settings, base=small_data)
    assert len(fitted.history) == 2
    assert fitted.checkpoint()["global_step"] == 4
