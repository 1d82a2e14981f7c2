"""The LightningModule that trains any network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from mlopsproject.core.spec import InputSpec
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.votes import LabelRule
from mlopsproject.training.augment import Augmentation, augment_batch, mixup_batch, scramble
from mlopsproject.training.factory import build_network
from mlopsproject.training.hardware import Compute
from mlopsproject.training.online_distillation import OnlineTeachers
from mlopsproject.training.optimisation import build_optimiser, build_schedule

#: What a checkpoint records of the config's `data` group.
_DATA_RECORD = ("drop_twins", "leave_out", "validate_on", "balance", "per_class", *LabelRule.__dataclass_fields__)
#: Pictures, labels and, where pictures are taught something else than their label, probabilities of the classes.
Batch = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]


class ExpressionModule(pl.LightningModule):
    """Cross-entropy training of a `Network` on uint8 batches.

    All arguments are primitives, so that a checkpoint loads under `weights_only=True` and rebuilds its network.
    Logs `train/loss`, `train/acc`, `val/loss`, `val/acc`, `val/macro_f1`, one value per epoch.

    Args:
        model: `_target_` and arguments of the network.
        classes: class names in output order.
        input_spec: `InputSpec` as a dict.
        optim: optimiser, schedule and `label_smoothing`.
        augment: arguments of `Augmentation`.
        epochs: planned epochs, which the schedule and `calm_epochs` count in.
        lr: peak learning rate.
        channels_last: keep weights and pictures as NHWC in memory.
        compile_network: compile the network with `torch.compile`.
        seed: of augmentation and dropout, mixed with epoch and batch so that a resumed run goes on exactly.
        data: name, fingerprint and balance of the training data, kept for the record.
        teaching: share of online teachers' answers in the loss, 0-1.
        prior: how often each class is taught, for `optim.logit_adjustment`.
        record: other settings that a resumed run must share, by config key, such as `batch_size`.
    """

    def __init__(
        self,
        *,
        model: dict[str, Any],
        classes: list[str],
        input_spec: dict[str, Any],
        optim: dict[str, Any],
        augment: dict[str, Any],
        epochs: int,
        lr: float,
        channels_last: bool = True,
        compile_network: bool = False,
        seed: int = 0,
        data: Mapping[str, Any] | None = None,
        teaching: float = 0.0,
        prior: list[float] | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.input_spec = spec = InputSpec.model_validate(input_spec)
        self.network = build_network(model, classes=len(classes), channels=spec.channels, size=spec.size)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network.to(memory_format=self.memory_format)
        if compile_network:
            self.network.compile()
        self.augmentation = Augmentation(**augment)
        self.epochs, self.lr, self.optim, self.seed, self.teaching = epochs, lr, dict(optim), seed, teaching
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(1, -1, 1, 1), persistent=False)
        # Logits of the loss only: what the network itself says is then as if all classes were equally frequent (Menon
        # et al., "Long-tail learning via logit adjustment", 2021).
        strength = float(optim.get("logit_adjustment", 0.0))
        shift = strength * torch.tensor(prior).log() if prior and strength else torch.zeros(len(classes))
        self.register_buffer("adjustment", shift, persistent=False)
        #: Answer to the very pictures that the network is trained on; set before training, not part of a checkpoint.
        self.teachers: OnlineTeachers | None = None
        self.val_accuracy = MulticlassAccuracy(len(classes), average="micro")
        self.val_macro_f1 = MulticlassF1Score(len(classes), average="macro")
        self._sums = torch.zeros(3)

    @property
    def calm(self) -> bool:
        """Whether the run is in its last epochs, which go without mixup and erasing."""
        return self.current_epoch >= self.epochs * (1 - self.augmentation.calm_epochs)

    def normalise(self, images: Tensor) -> Tensor:
        """Map pictures 0-1, float `[N, C, H, W]`, to the network's input."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        return (images - mean).div_(std).contiguous(memory_format=self.memory_format)

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 pictures `[N, C, H, W]` to logits `[N, classes]`."""
        logits: Tensor = self.network(self.normalise(images.float().div_(255)))
        return logits

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the batch's augmentation and dropout, so that a resumed epoch goes on as it would have."""
        seed = ((self.seed * 100_003 + self.current_epoch) * 100_003 + batch_idx) * 1_009 + self.global_rank
        # Not `torch.manual_seed`, which formats a stack trace for every backend that is absent: 1 ms a step.
        torch.default_generator.manual_seed(seed % 2**63)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed % 2**63)
        if batch_idx == 0:
            self._sums = torch.zeros(3, device=self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one augmented batch."""
        images, labels, *given = batch
        pictures = augment_batch(images.float().div_(255), self.augmentation, calm=self.calm)
        strange = round(self.augmentation.outlier_exposure * len(labels))
        # Batches are shuffled: the first pictures are random ones.
        scrambled, pictures, labels = pictures[:strange], pictures[strange:], labels[strange:]
        target = given[0][strange:] if given else smoothed(labels, len(self.hparams["classes"]), self.optim)
        mixes = self.augmentation.mixup_alpha > 0 and not self.calm
        if mixes and float(torch.rand(())) < self.augmentation.mixup_share:
            pictures, partner, share = mixup_batch(pictures, self.augmentation.mixup_alpha)
            target = torch.lerp(target[partner], target, share)
        if self.teachers is not None:
            # They are shown what was mixed: an answer to the blend, not a blend of answers.
            target = torch.lerp(target, self.teachers.answers(pictures), self.teaching)
        seen = torch.cat([scramble(scrambled), pictures]) if strange else pictures
        every = self.network(self.normalise(seen)).float()
        nothing = torch.full_like(every[:strange], 1 / every.shape[1])
        # Both means over the batch, the scrambled pictures' too, in one.
        adjusted = torch.cat([every[:strange], every[strange:] + self.get_buffer("adjustment")])
        loss = functional.cross_entropy(adjusted, torch.cat([nothing, target]))
        # Summed here and logged once per epoch: Lightning's per-step logging costs more than a small network's step.
        correct = (every[strange:].detach().argmax(1) == labels).sum()
        count = torch.tensor(len(labels), device=loss.device)
        # A run resumed in mid-epoch starts from the sums of a new module, on the CPU.
        self._sums = self._sums.to(loss.device) + torch.stack([loss.detach() * len(labels), correct, count])
        if self.trainer.is_last_batch:
            # Not at the end of the epoch, where Lightning calls the callbacks before the module.
            self._log_epoch()
        return loss

    def _log_epoch(self) -> None:
        """Log the epoch's training loss and accuracy (on augmented pictures)."""
        loss, correct, seen = self._sums
        shared = {"on_step": False, "on_epoch": True, "sync_dist": True}
        self.log("train/loss", loss / seen, **shared)  # type: ignore[arg-type]
        self.log("train/acc", correct / seen, prog_bar=True, **shared)  # type: ignore[arg-type]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss and accuracy of one plain batch."""
        images, labels = batch[:2]
        logits = self(images).float()
        self.val_accuracy(logits, labels)
        self.val_macro_f1(logits, labels)
        shared = {"on_step": False, "on_epoch": True, "batch_size": len(labels)}
        self.log("val/loss", functional.cross_entropy(logits, labels), sync_dist=True, **shared)  # type: ignore[arg-type]
        self.log("val/acc", self.val_accuracy, prog_bar=True, **shared)  # type: ignore[arg-type]
        self.log("val/macro_f1", self.val_macro_f1, **shared)  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        """The optimiser and its per-step schedule over the planned epochs."""
        optimiser = build_optimiser(self.network, self.lr, self.optim)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = build_schedule(optimiser, self.optim, steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def class_shares(dataset: FaceDataset) -> NDArray[np.float64]:
    """How often each class is taught, `[K]`; rows of training pictures count as their votes say, if they have some."""
    rows, count = dataset.splits["train"], len(dataset.classes)
    if dataset.targets is not None:
        sums = dataset.targets[rows].sum(axis=0, dtype=np.float64)
    else:
        sums = np.bincount(dataset.labels[rows], minlength=count).astype(np.float64)
    # A class without pictures must not become infinitely unlikely.
    sums = np.maximum(sums, 1)
    return np.asarray(sums / sums.sum())


def smoothed(labels: Tensor, classes: int, optim: Mapping[str, Any]) -> Tensor:
    """Labels, int64 `[N]`, as probabilities with `label_smoothing`, float32 `[N, K]`."""
    smoothing = float(optim["label_smoothing"])
    return functional.one_hot(labels, classes).float().mul_(1 - smoothing).add_(smoothing / classes)


def build_module(
    settings: Mapping[str, Any], spec: InputSpec, dataset: FaceDataset, compute: Compute
) -> ExpressionModule:
    """The module of a run.

    Args:
        settings: as composed from `configs/train.yaml`.
        spec: the network's input.
        dataset: to train on.
        compute: memory layout and compilation.

    Raises:
        ConfigError: for a network or augmentation that cannot be built from its settings.
    """
    return ExpressionModule(
        model=dict(settings["model"]),
        classes=list(dataset.classes),
        input_spec=spec.model_dump(mode="json"),
        optim=dict(settings["optim"]),
        augment=dict(settings["augment"]),
        epochs=int(settings["epochs"]),
        lr=float(settings["lr"]),
        channels_last=compute.channels_last,
        compile_network=compute.compile,
        seed=int(settings["seed"]),
        teaching=float(settings["distill"]["weight"]) if settings["distill"]["teachers"] else 0.0,
        prior=class_shares(dataset).tolist(),
        data={
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            **{key: settings["data"][key] for key in _DATA_RECORD},
        },
        record={
            "batch_size": settings["batch_size"],
            **{f"callbacks.{key}": settings["callbacks"][key] for key in ("ema", "ema_ramp")},
            **{
                f"distill.{key}": settings["distill"][key]
                for key in ("teachers", "weight", "online", "views", "unseen")
            },
            **{f"trainer.{key}": settings["trainer"][key] for key in ("gradient_clip_val", "limit_train_batches")},
        },
    )
