"""The Predictor: calibrated class probabilities of pictures, by a bundle's network in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from mlopsproject.core.bundle import Bundle, open_bundle
from mlopsproject.core.errors import BundleError, first_line
from mlopsproject.core.preprocess import ImageSource, load_input, normalise
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.spec import InputSpec, ModelSpec, Precision
from mlopsproject.core.store_files import DEFAULT_STORE


@dataclass(frozen=True, slots=True)
class Prediction:
    """The apparent expression of one face.

    Attributes:
        label: the most probable class.
        confidence: its calibrated probability, 0-1.
        probabilities: of every class, in the model's order; they sum to 1.
        uncertain: whether the confidence is below the model's abstain threshold (selective prediction).
        model_version: name of the bundle.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    uncertain: bool
    model_version: str

    def document(self) -> dict[str, Any]:
        """What `schemas.Answer` describes."""
        return {
            "predicted_emotion": self.label,
            "confidence": self.confidence,
            "uncertain": self.uncertain,
            "probabilities": self.probabilities,
            "probs": list(self.probabilities.values()),
        }


class Predictor:
    """Runs the network of a bundle. Safe to share between threads.

    Args:
        bundle: an opened bundle.
        precision: `fp32` or `int8`; by default the `default_precision` of the bundle's spec.
        threads: CPU threads of one inference. More processes scale better than more threads.

    Raises:
        BundleError: if the bundle lacks that precision, or its network does not fit its spec, gives values that are not
            finite, probabilities that do not sum to 1, or other values for a single picture than in a batch.
    """

    def __init__(self, bundle: Bundle, precision: Precision | None = None, *, threads: int = 1) -> None:
        self.bundle = bundle
        self.spec: ModelSpec = bundle.spec
        self.precision: Precision = precision or bundle.spec.default_precision
        self._session = _open_session(bundle.model_file(self.precision), threads)
        fitted = self.spec.precisions[self.precision]
        self.temperature = fitted.temperature
        self.abstain_threshold = fitted.abstain_threshold
        _check_network(self._session, self.spec, bundle.path)
        self._check_answers()

    @classmethod
    def load(
        cls,
        uri_or_alias: str | Path = "production",
        precision: Precision | None = None,
        *,
        store: str | Path = DEFAULT_STORE,
        threads: int = 1,
    ) -> Self:
        """Load a model by alias, bundle name, folder, `gs://…` or `s3://…`, and verify it.

        Args:
            uri_or_alias: which model; aliases and names are looked up in `store`.
            precision: `fp32` or `int8`; by default the `default_precision` of the bundle's spec.
            store: folder, `gs://…` or `s3://…`.
            threads: CPU threads of one inference.

        Raises:
            BundleError: for a missing or damaged bundle, or a precision that it lacks.
            StoreError: if the store cannot be reached or knows no such model.
        """
        return cls(resolve_bundle(uri_or_alias, store), precision, threads=threads)

    @classmethod
    def from_folder(
        cls, path: str | Path, precision: Precision | None = None, *, verify: bool = True, threads: int = 1
    ) -> Self:
        """Load the bundle in a folder.

        Args:
            path: the folder.
            precision: `fp32` or `int8`; by default the `default_precision` of the bundle's spec.
            verify: compare every file with its hash; without it a folder that is not sealed yet is accepted.
            threads: CPU threads of one inference.

        Raises:
            BundleError: for a missing or damaged bundle, or a precision that it lacks.
        """
        return cls(open_bundle(path, verify=verify), precision, threads=threads)

    @property
    def model_version(self) -> str:
        """The bundle's name."""
        return self.spec.name

    def predict(self, images: ImageSource | Iterable[ImageSource], *, batch_size: int = 64) -> list[Prediction]:
        """Classify the apparent expression in pictures of one face each.

        Args:
            images: each the bytes of a file, a path, a Pillow picture or uint8 pixels `[H, W]`, `[H, W, 1]` or
                `[H, W, 3]`. A single picture counts as a list of one.
            batch_size: pictures per inference.

        Returns:
            One prediction per picture, in order.

        Raises:
            ImageError: for the first picture that cannot be used.
        """
        single = isinstance(images, (bytes, str, Path, Image.Image)) or (
            isinstance(images, np.ndarray) and images.ndim <= 3
        )
        sources = cast("Iterable[ImageSource]", [images] if single else images)
        inputs = [load_input(source, self.spec.input) for source in sources]
        return self.predict_inputs(np.stack(inputs), batch_size=batch_size) if inputs else []

    def predict_inputs(self, inputs: NDArray[np.uint8], *, batch_size: int = 64) -> list[Prediction]:
        """Classify the apparent expression in pictures that have the network's size already.

        Args:
            inputs: uint8 `[N, C, H, W]`, stacked results of `preprocess.load_input`.
            batch_size: pictures per inference.

        Returns:
            One prediction per picture.
        """
        logits, _ = self.logits(inputs, batch_size)
        return [self.prediction(row) for row in self.probabilities(logits)]

    def prediction(self, probabilities: NDArray[np.float64]) -> Prediction:
        """Make a `Prediction` of one row of `probabilities`.

        Args:
            probabilities: float64 `[K]`.
        """
        values = probabilities.tolist()
        confidence = max(values)
        return Prediction(
            label=self.spec.classes[values.index(confidence)],
            confidence=confidence,
            probabilities=dict(zip(self.spec.classes, values, strict=True)),
            uncertain=confidence < self.abstain_threshold,
            model_version=self.model_version,
        )

    def logits(
        self, images: NDArray[np.uint8], batch_size: int = 64
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the network.

        Args:
            images: uint8 `[N, C, H, W]` of the spec's channels and size, N may be 0.
            batch_size: pictures per inference.

        Returns:
            Logits `[N, K]` in the order of the classes, and embeddings `[N, E]`; both float32, not calibrated.

        Raises:
            ValueError: for another dtype or shape.
        """
        wanted = (self.spec.input.channels, self.spec.input.size, self.spec.input.size)
        if images.dtype != np.uint8 or images.shape[1:] != wanted:
            raise ValueError(f"need uint8 [N, {', '.join(map(str, wanted))}], got {images.dtype} {list(images.shape)}")
        # An empty batch still runs the network once, to get the width of the embedding.
        parts = [self._run(images[start : start + batch_size]) for start in range(0, max(len(images), 1), batch_size)]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated class probabilities: softmax of the logits divided by the temperature.

        Args:
            logits: float32 `[N, K]`.

        Returns:
            float64 `[N, K]`; every row sums to 1.
        """
        scaled = logits.astype(np.float64) / self.temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        np.exp(scaled, out=scaled)
        scaled /= scaled.sum(axis=1, keepdims=True)
        return scaled

    def _check_answers(self) -> None:
        """Run generated pictures; refuse outputs that have a wrong shape, are not finite, or depend on the batch."""
        pictures, problem = generated_pictures(self.spec.input), ""
        try:
            logits, embedding = self.logits(pictures)
            single = np.concatenate([self.logits(picture[None])[0] for picture in pictures])
        except Exception as error:  # ONNX Runtime raises types of its own
            raise BundleError(f"The network of {self.bundle.path} cannot be run ({first_line(error)}).") from error
        if logits.shape != (len(pictures), len(self.spec.classes)):
            problem = f"gives {logits.shape[-1]} values for {len(self.spec.classes)} classes"
        elif not (np.isfinite(logits).all() and np.isfinite(embedding).all()):
            problem = "gives values that are not finite"
        elif not np.allclose((probabilities := self.probabilities(logits)).sum(axis=1), 1):
            problem = "gives probabilities that do not sum to 1"
        elif not np.allclose(self.probabilities(single), probabilities, atol=1e-3):
            problem = "answers differently alone and in a batch"
        if problem:
            name = self.model_version or self.bundle.path
            raise BundleError(f"Bundle {name} {problem} ({self.precision}).", "Train or export it again.")

    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        values = normalise(images, self.spec.input.mean, self.spec.input.std)
        logits, embedding = self._session.run(["logits", "embedding"], {"image": values})
        return logits, embedding

    def __repr__(self) -> str:
        size, channels = self.spec.input.size, self.spec.input.channels
        name = self.model_version or str(self.bundle.path)
        return (
            f"Predictor({name!r}, precision={self.precision!r}, classes={list(self.spec.classes)}, "
            f"input={channels}x{size}x{size})"
        )


def generated_pictures(spec: InputSpec) -> NDArray[np.uint8]:
    """Test pictures (black, white, noise, a gradient and a blob): uint8 `[5, C, size, size]`."""
    ramp = np.linspace(0, 255, spec.size)
    distance = np.hypot(*np.meshgrid(ramp - 127.5, ramp - 127.5))
    flat = (spec.size, spec.size)
    drawn = [
        np.zeros(flat),
        np.full(flat, 255),
        np.random.default_rng(0).uniform(0, 255, flat),
        np.broadcast_to(ramp, flat),
        np.clip(255 - 2 * distance, 0, 255),
    ]
    return np.repeat(np.stack(drawn).astype(np.uint8)[:, None], spec.channels, axis=1)


def _open_session(model: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises types of its own, one per kind of failure
        reason = first_line(error)
        raise BundleError(f"{model} is not a network that ONNX Runtime can run ({reason}).") from error


def _check_network(session: ort.InferenceSession, spec: ModelSpec, path: Path) -> None:
    """Refuse a network whose names or shapes of input and outputs do not match the spec."""
    inputs = {item.name: item.shape for item in session.get_inputs()}
    outputs = {item.name: item.shape for item in session.get_outputs()}
    if list(inputs) != ["image"] or not {"logits", "embedding"} <= outputs.keys():
        found = f"{', '.join(inputs)} -> {', '.join(outputs)}"
        raise BundleError(f"The network of {path} has {found}; it needs image -> logits, embedding.")
    expected = [spec.input.channels, spec.input.size, spec.input.size]
    fixed = [(want, have) for want, have in zip(expected, inputs["image"][1:], strict=True) if isinstance(have, int)]
    classes = outputs["logits"][-1]
    if any(want != have for want, have in fixed) or (isinstance(classes, int) and classes != len(spec.classes)):
        raise BundleError(f"The network of {path} does not have the input size or the classes that its spec names.")
