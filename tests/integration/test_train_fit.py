"""What a fit does with its settings: stopping, averaging, profiling, experiments; nothing is exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mlopsproject.core.errors import BundleError, ConfigError
from mlopsproject.data.dataset import load_dataset
from mlopsproject.overrides import choices, config_folder
from mlopsproject.training.augment import scramble
from mlopsproject.training.checkpoints import load_module
from mlopsproject.training.module import ExpressionModule
from mlopsproject.training.run import best_checkpoint

#: The fixture `run_fit`.
Fit = Callable[..., Any]

pytestmark = pytest.mark.filterwarnings("ignore:The number of training batches")


def test_a_run_that_diverges_stops_at_once_and_names_the_learning_rate(
    run_fit: Fit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original = ExpressionModule.training_step

    def exploding(self: ExpressionModule, batch: Any, batch_idx: int) -> Any:
        loss = original(self, batch, batch_idx)
        if self.current_epoch == 1 and batch_idx == 2:
            self._sums = self._sums * float("nan")
        return loss

    monkeypatch.setattr(ExpressionModule, "training_step", exploding)
    with pytest.raises(ConfigError, match=r"diverged in epoch 2 \(train/loss is nan\)\. Give a lower lr= than 0\.05"):
        run_fit()
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 0, "nothing of the epoch that diverged is saved"


def test_a_share_of_batches_that_is_none_is_one_line(run_fit: Fit) -> None:
    with pytest.raises(ConfigError, match=r"^The settings of trainer= do not work: .*limit_train_batches") as caught:
        run_fit("trainer.limit_train_batches=0.01")
    assert "\n" not in str(caught.value)


def test_a_run_without_its_best_checkpoint_names_what_is_missing(run_fit: Fit) -> None:
    fitted = run_fit("epochs=1")
    (fitted.folder / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(BundleError, match=r"no best checkpoint: .*best\.ckpt is gone"):
        best_checkpoint(fitted.trainer)
    fitted.trainer.checkpoint_callback.best_model_path = ""
    fitted.trainer.ckpt_path = fitted.folder / "checkpoints" / "last.ckpt"
    with pytest.raises(BundleError, match=r"no best checkpoint: val/acc was never measured"):
        best_checkpoint(fitted.trainer)


def test_scrambled_pictures_are_learnt_as_none_of_the_classes(run_fit: Fit, drawn_faces: Path) -> None:
    torch.manual_seed(0)
    images = torch.from_numpy(load_dataset("drawn", root=drawn_faces, size=16).images[:64].copy())
    noise = scramble(images.float() / 255).mul(255).round().to(torch.uint8)
    surest = []
    for share in (0.0, 0.3):
        module = run_fit(
            f"augment.outlier_exposure={share}", "epochs=8", "augment.mixup_alpha=0.2", name=f"share-{share}"
        ).module
        with torch.no_grad():
            surest.append([module.eval()(pictures).softmax(1).amax(1).mean().item() for pictures in (noise, images)])
    (noise_without, _), (noise_with, faces_with) = surest
    assert noise_with < noise_without - 0.1
    assert noise_with < faces_with - 0.1


def test_training_stops_early_without_improvement(run_fit: Fit, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="mlopsproject"):
        fitted = run_fit(
            "callbacks.patience=1", "callbacks.monitor=val/loss", "lr=1e-12", "callbacks.ema=null", "epochs=9"
        )
    assert len(fitted.history) == 2
    assert "Stopped early after epoch 2" in caplog.text


def test_validation_and_the_saved_weights_are_averaged(run_fit: Fit, drawn_faces: Path) -> None:
    dataset = load_dataset("drawn", root=drawn_faces, size=16)
    rows = dataset.splits["validation"]
    images, labels = torch.from_numpy(dataset.images[rows]), torch.from_numpy(dataset.labels[rows])

    def loss(state: dict[str, torch.Tensor]) -> float:
        module = load_module(fitted.folder / "checkpoints" / "best.ckpt")
        module.load_state_dict(state)
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(module(images), labels))

    fitted = run_fit("callbacks.ema=0.98", "epochs=1")
    saved = fitted.checkpoint("best")
    logged = fitted.history[0]["val/loss"]
    assert loss(saved["state_dict"]) == pytest.approx(logged, abs=1e-5)
    assert loss(saved["current_model_state"]) != pytest.approx(logged, abs=1e-3)


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


EXPERIMENTS = choices(config_folder() / "experiment")
#: Convolutions without padding leave nothing of pictures as small as these.
PADDED = {"dense1024": ["model.padding=same"]}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_trains(run_fit: Fit, small_data: list[str], experiment: str) -> None:
    settings = [f"experiment={experiment}", "debug=smoke", "batch_size=8", "trainer.limit_train_batches=2"]
    fitted = run_fit(*settings, base=[*small_data, *PADDED.get(experiment, [])])
    assert len(fitted.history) == 2
    assert fitted.checkpoint()["global_step"] == 4
