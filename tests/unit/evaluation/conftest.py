"""Stand-ins with the methods that evaluation uses: a data set in memory and a predictor with known answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlopsproject.core.spec import InputSpec, ModelSpec, PrecisionSpec
from mlopsproject.data.votes import GIVEN, LabelRule, Votes
from mlopsproject.evaluation.calibration import softmax

CLASSES = ("happy", "sad", "surprise")


@dataclass
class MemoryDataset:
    """Images whose first pixel is their label and whose second says how sure the predictor is of it."""

    name: str
    classes: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray
    splits: dict[str, np.ndarray]
    manifest: pa.Table
    fingerprint: str = "f" * 32
    info: dict = field(default_factory=dict)
    votes: Votes | None = None
    label_names: np.ndarray = field(default_factory=lambda: np.empty(0, object))
    others: dict[str, np.ndarray] = field(default_factory=dict)
    rule: LabelRule = GIVEN


class ReadingPredictor:
    """Reads its answer off the image: pixel 0 is the class it names, pixel 1 how sure it is (logit)."""

    def __init__(self, folder: Path, classes: tuple[str, ...] = CLASSES, size: int = 8) -> None:
        self.spec = ModelSpec(
            classes=classes,
            input=InputSpec(size=size),
            precisions={"fp32": PrecisionSpec(file="model.onnx", temperature=2.0, abstain_threshold=0.5)},
            network={"name": "tiny", "parameters": 1234, "macs": 5678},
            training_data={"name": "faces", "fingerprint": "f" * 32, "train": 8},
            git_commit="0123abc",
            library_versions={"numpy": "2"},
        )
        self.bundle = SimpleNamespace(path=folder)
        self.precision, self.temperature, self.abstain_threshold = "fp32", 2.0, 0.5
        self.model_version = ""
        self.batches: list[int] = []

    def logits(self, images: np.ndarray, batch_size: int = 64) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(len(images))
        pixels = images.reshape(len(images), -1).astype(np.float32)
        logits = np.zeros((len(images), len(self.spec.classes)), np.float32)
        # A mirrored or corrupted picture has something else there.
        logits[np.arange(len(images)), pixels[:, 0].astype(int) % logits.shape[1]] = pixels[:, 1] / 10
        return logits, pixels[:, :4]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits, self.temperature)


@pytest.fixture
def make_dataset() -> Callable[..., MemoryDataset]:
    """Build a data set: ``make_dataset(labels, answers, splits, hashes=None, groups=None, ...)``."""

    def build(
        labels: list[int],
        answers: list[int],
        splits: list[str],
        *,
        hashes: list[str] | None = None,
        perceptual: list[int] | None = None,
        groups: list[int] | None = None,
        sure: list[int] | None = None,
    ) -> MemoryDataset:
        count = len(labels)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
        images[:, 0, 0, 0] = answers
        images[:, 0, 0, 1] = sure or [60] * count
        # Far apart by construction: every hash has its own random bits.
        spread = rng.integers(0, 2**63, count, dtype=np.uint64)
        manifest = pa.table(
            {
                "path": [f"{i}.png" for i in range(count)],
                "label": [CLASSES[label] for label in labels],
                "pixel_hash": hashes or [f"{i:032x}" for i in range(count)],
                "perceptual_hash": pa.array(spread if perceptual is None else perceptual, pa.uint64()),
                "group": pa.array(groups or list(range(count)), pa.int64()),
                "width": pa.array([48] * count, pa.int32()),
                "height": pa.array([50] * count, pa.int32()),
            }
        )
        rows = {s: np.array([i for i in range(count) if splits[i] == s], np.int64) for s in set(splits)}
        return MemoryDataset("faces", CLASSES, images, np.array(labels, np.int64), rows, manifest)

    return build


@pytest.fixture
def faces(make_dataset: Callable[..., MemoryDataset]) -> MemoryDataset:
    """Six training, three validation and six test images; the model is wrong on two of the test images.

    Test image 9 has the pixels of training image 0, test image 10 is in the group of training image 1.
    """
    splits = ["train"] * 6 + ["validation"] * 3 + ["test"] * 6
    labels = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]
    answers = [*labels[:13], 2, 0]
    hashes = [f"{i:032x}" for i in range(15)]
    hashes[9] = hashes[0]
    groups = list(range(15))
    groups[9], groups[10] = 0, 1
    sure = [60] * 14 + [5]
    return make_dataset(labels, answers, splits, hashes=hashes, groups=groups, sure=sure)


@pytest.fixture
def predictor(tmp_path: Path, faces: MemoryDataset) -> ReadingPredictor:
    """A predictor over an unsealed folder that holds the hashes of the training images of `faces`."""
    folder = tmp_path / "staging"
    folder.mkdir()
    train = faces.manifest.select(["pixel_hash", "perceptual_hash"]).take(pa.array(faces.splits["train"]))
    pq.write_table(train, folder / "train_hashes.parquet")
    return ReadingPredictor(folder)
