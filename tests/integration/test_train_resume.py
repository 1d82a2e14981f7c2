"""Equal seeds, interruptions and resuming; only the fit is run here, nothing is exported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from mlopsproject.evaluation.plots import read_epochs
from mlopsproject.training.module import ExpressionModule
from mlopsproject.training.run import best_checkpoint
from mlopsproject.training.tracking import carry_curves

pytestmark = pytest.mark.filterwarnings("ignore:The number of training batches")


#: The fixture `run_fit` and what it returns.
Fitted = Any
Fit = Callable[..., Fitted]


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


def figures(fitted: Fitted, *names: str) -> list[list[float]]:
    return [[entry[name] for name in names] for entry in fitted.history]


ALL = ("train/loss", "train/acc", "val/loss", "val/acc", "val/macro_f1")


def test_equal_seeds_give_equal_metrics_and_others_do_not(run_fit: Fit) -> None:
    first, again, other = run_fit(name="a"), run_fit(name="b"), run_fit("seed=1", name="c")
    assert figures(first, *ALL) == figures(again, *ALL)
    assert figures(first, "train/loss") != figures(other, "train/loss")


def test_equal_seeds_give_equal_metrics_with_every_kind_of_randomness(run_fit: Fit) -> None:
    chosen = (
        "augment=default",
        "augment.mixup_alpha=0.3",
        "augment.outlier_exposure=0.2",
        "data.balance=weighted",
        "model.dropout=0.5",
        "epochs=2",
    )
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
    monkeypatch.setattr(sys, "argv", ["train", "data.name=drawn", "batch_size=8", "resume=earlier.ckpt"])
    with pytest.raises(SystemExit):
        run_fit()
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert f"uv run invoke train -o data.name=drawn -o batch_size=8 -o resume={last}" in caplog.text


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


def test_a_run_with_another_monitor_says_that_it_starts_its_own_best(
    run_fit: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_fit("epochs=2", name="old")
    last = tmp_path / "old" / "checkpoints" / "last.ckpt"
    resumed = run_fit("callbacks.monitor=val/loss", resume=last, name="new")
    assert "best checkpoint is not taken over: it was not chosen by callbacks.monitor=val/loss" in caplog.text
    assert resumed.checkpoint("best")["epoch"] == 2, "the only epoch that this run has seen"


@pytest.mark.parametrize("name", ["resumed", "stopped"])
def test_a_resumed_run_has_the_learning_curves_of_every_epoch(run_fit: Fit, tmp_path: Path, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, "training_step", 1, 4)
        with pytest.raises(SystemExit):
            run_fit(name="stopped")
    resumed = run_fit(resume=tmp_path / "stopped" / "checkpoints" / "last.ckpt", name=name)
    curves = read_epochs(resumed.folder / "metrics.csv", ["train/loss", "val/acc"])
    assert [sorted(curve) for curve in curves.values()] == [[0, 1, 2]] * 2


def test_learning_curves_begin_at_the_checkpoint_and_repeat_nothing_after_it(run_fit: Fit, tmp_path: Path) -> None:
    run_fit(name="old")
    carry_curves([CSVLogger(tmp_path / "new", name="", version="")], tmp_path / "old", 20)
    curves = read_epochs(tmp_path / "new" / "metrics.csv", ["train/loss", "val/acc"])
    assert [sorted(curve) for curve in curves.values()] == [[0, 1]] * 2


def test_a_resumed_run_has_the_patience_it_is_given_now(run_fit: Fit, tmp_path: Path) -> None:
    still = ("lr=1e-12", "callbacks.ema=null", "callbacks.monitor=val/loss", "epochs=9")
    run_fit(*still, "callbacks.patience=1", name="impatient")
    last = tmp_path / "impatient" / "checkpoints" / "last.ckpt"
    patient = run_fit(*still, "callbacks.patience=3", resume=last, name="patient")
    assert [entry["epoch"] for entry in patient.history] == [2, 3], "one epoch without improvement came before"
