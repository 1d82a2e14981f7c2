"""Fixtures that several rooms' tests share: a tiny model bundle that needs no training, and pictures as files."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from mlopsproject.core.bundle import Bundle, seal_bundle
from mlopsproject.core.classes import FIVE
from mlopsproject.core.spec import Histogram, InputSpec, ModelSpec, PrecisionSpec


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs that tests start: a shell's background job ignores it, and they would too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def tiny_onnx(path: Path, *, channels: int = 1, classes: int = 5, size: int = 64, seed: int = 0) -> None:
    """Write a small conv-ReLU-pool-linear network with the contract's names; its answers depend on the picture."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    weights = {
        "kernel": rng.normal(0, 0.5, (8, channels, 3, 3)),
        "kernel_bias": rng.normal(0, 0.5, 8),
        "head": rng.normal(0, 1.5, (8, classes)),
        "head_bias": rng.normal(0, 0.3, classes),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "kernel_bias"], ["features"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "head", "head_bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", channels, size, size])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 8]),
        ],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def tiny_spec(*, channels: int = 1, size: int = 64, classes: tuple[str, ...] = FIVE, int8: bool = True) -> ModelSpec:
    """The spec of the tiny network: a temperature and an abstain threshold of its own per precision."""
    precisions = {"fp32": PrecisionSpec(file="model.onnx", temperature=1.5, abstain_threshold=0.3)}
    if int8:
        precisions["int8"] = PrecisionSpec(file="model.int8.onnx", temperature=0.5, abstain_threshold=0.4)
    return ModelSpec(
        classes=classes,
        input=InputSpec(size=size, channels=channels, mean=(0.5,) * channels, std=(0.25,) * channels),
        precisions=precisions,
        network={"name": "tiny", "parameters": 125},
        training_data={"name": "none", "fingerprint": "0" * 16},
        metrics={"test/accuracy": 0.2},
        reference_histograms={
            name: Histogram(edges=(0.0, 0.25, 0.5, 0.75, 1.0), counts=(1, 2, 3, 4))
            for name in ("brightness", "contrast", "sharpness")
        },
        created_at="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., Bundle]:
    """Seal a tiny bundle: ``make_bundle(destination, seed=0, channels=1, size=64, classes=FIVE, int8=True)``.

    Both precisions hold fp32 networks, the second of another seed.
    """

    def build(
        destination: Path,
        *,
        seed: int = 0,
        channels: int = 1,
        size: int = 64,
        classes: tuple[str, ...] = FIVE,
        int8: bool = True,
        prefix: str = "tiny",
    ) -> Bundle:
        staging = destination / f".making-{seed}"
        staging.mkdir(parents=True)
        spec = tiny_spec(channels=channels, size=size, classes=classes, int8=int8)
        for number, entry in enumerate(spec.precisions.values()):
            tiny_onnx(
                staging / entry.file, channels=channels, classes=len(classes), size=size, seed=seed + 1000 * number
            )
        (staging / "metrics.json").write_text(json.dumps({"accuracy": 0.2}), encoding="utf-8")
        (staging / "MODEL_CARD.md").write_text(
            "# Tiny\n\nA network with random weights, for tests.\n", encoding="utf-8"
        )
        return seal_bundle(staging, spec, destination, prefix)

    return build


@pytest.fixture(scope="session")
def tiny_bundle(make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A sealed five-class bundle of random weights, gray 64 x 64 input, fp32 and "int8". Shared: do not change it."""
    return make_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encode pixels or a picture: ``encode(array_or_image, "JPEG", quality=90)``."""

    def to_bytes(picture: np.ndarray | Image.Image, file_format: str = "PNG", **options: object) -> bytes:
        image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
        if file_format == "HEIF":
            pillow_heif.register_heif_opener()
        stream = io.BytesIO()
        image.save(stream, file_format, **options)
        return stream.getvalue()

    return to_bytes


@pytest.fixture(scope="session")
def smooth_picture() -> Callable[..., Image.Image]:
    """A picture with soft structure: ``smooth_picture(width=64, height=64, seed=0, mode="RGB")``."""

    def draw(width: int = 64, height: int = 64, *, seed: int = 0, mode: str = "RGB") -> Image.Image:
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)

    return draw


@pytest.fixture(scope="session")
def drawn_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of data sets that holds `drawn`: 16 + 8 + 8 noisy patterns of five classes, which a network can learn.

    The pictures themselves are in `source/` beside it, 24 x 24 pixels in train/, valid/ and test/, cached at 16 x 16.
    Shared: do not change it.
    """
    from mlopsproject.data.importer import import_dataset

    folder = tmp_path_factory.mktemp("drawn")
    rng = np.random.default_rng(0)
    patterns = rng.integers(40, 216, (len(FIVE), 6, 6)).repeat(4, 1).repeat(4, 2)
    for split, count in (("train", 16), ("valid", 8), ("test", 8)):
        for name, pattern in zip(FIVE, patterns, strict=True):
            (folder / "source" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(pattern + rng.normal(0, 60, pattern.shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "source" / split / name / f"{number}.png")
    import_dataset(
        folder / "source", "drawn", root=folder / "data", split="official", size=16, workers=1, progress=False
    )
    return folder / "data"


@pytest.fixture(scope="session")
def quick_training(drawn_faces: Path) -> list[str]:
    """Overrides of `train` for a run of seconds on `drawn`: a tiny reference CNN, ten batches of eight per epoch."""
    return [
        f"data.root={drawn_faces}",
        "data.name=drawn",
        "data.size=16",
        "model=reference",
        "model.filters=[4,8]",
        "model.hidden=16",
        "model.dropout=0.1",
        "augment=light",
        "batch_size=8",
        "epochs=2",
        "lr=0.05",
        "trainer.threads=1",
        "export.bootstrap_samples=20",
        "export.calibration_images=32",
    ]
