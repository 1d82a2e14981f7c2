"""Reference data of a bundle for drift detection, and hashes of its training images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.image_statistics import STATISTICS, image_statistics
from mlopsproject.core.spec import Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mlopsproject.core.bundle import Bundle
    from mlopsproject.core.predictor import Predictor
    from mlopsproject.data.dataset import FaceDataset

#: More rows enlarge the bundle without making the distributions more precise.
MAX_ROWS = 10_000
_CHUNK = 1024
_BINS = 20
_NARROW = 1e-3


def build_reference(predictor: Predictor, dataset: FaceDataset, *, max_rows: int = MAX_ROWS) -> pa.Table:
    """Compute the reference table, a description of the validation images, with which live data are compared.

    Args:
        predictor: of the precision to describe, with its fitted temperature.
        dataset: loaded at the predictor's input size and channels.
        max_rows: of more validation images than this, an evenly spaced subset is used.

    Returns:
        One row per image: `brightness`, `contrast`, `sharpness` (of the network's gray input, 0-1 scale), `width`,
        `height` (of the original, pixels), `predicted` (class name), `confidence`, `p_<class>` (calibrated, 0-1) and
        `e_0`, `e_1`, … (embedding).
    """
    import pyarrow as pa

    rows = dataset.splits["validation"]
    if len(rows) > max_rows:
        rows = rows[np.linspace(0, len(rows) - 1, max_rows).astype(np.int64)]
    manifest = dataset.manifest.take(pa.array(rows))
    sizes = (manifest[name].to_numpy() for name in ("width", "height"))
    return pa.table(describe_faces(predictor, dataset.images, rows, *sizes))


def describe_faces(
    predictor: Predictor,
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    width: NDArray[np.int64],
    height: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:
    """Compute image statistics, predictions and embeddings of faces.

    Args:
        predictor: of the bundle.
        images: uint8 `[M, C, S, S]`, the network's input.
        rows: int64 `[N]`, indices of the images to describe.
        width: `[N]`, of the originals, pixels.
        height: `[N]`, of the originals, pixels.

    Returns:
        The columns of `build_reference`, `[N]` each.
    """
    statistics: dict[str, list[NDArray[np.float64]]] = {name: [] for name in STATISTICS}
    logits, embeddings = [], []
    for start in range(0, max(len(rows), 1), _CHUNK):
        chunk = np.asarray(images[rows[start : start + _CHUNK]])
        for name, values in image_statistics(chunk).items():
            statistics[name].append(values)
        scores, part = predictor.logits(chunk)
        logits.append(scores)
        embeddings.append(part)
    probabilities = predictor.probabilities(np.concatenate(logits))
    embedding = np.concatenate(embeddings)
    classes = np.asarray(predictor.spec.classes)
    columns: dict[str, NDArray[Any]] = {name: np.concatenate(parts) for name, parts in statistics.items()}
    columns |= {"width": width, "height": height}
    columns |= {"predicted": classes[probabilities.argmax(axis=1)], "confidence": probabilities.max(axis=1)}
    columns |= {f"p_{name}": probabilities[:, i].astype(np.float32) for i, name in enumerate(predictor.spec.classes)}
    columns |= {f"e_{i}": embedding[:, i].astype(np.float32) for i in range(embedding.shape[1])}
    return columns


def reference_histograms(reference: pa.Table) -> dict[str, Histogram]:
    """Bin the image statistics and the confidence of a reference table for the spec.

    Args:
        reference: from `build_reference`.

    Returns:
        Name → 20 equal bins over the observed range.
    """
    histograms = {}
    for name in (*STATISTICS, "confidence"):
        values = reference[name].to_numpy()
        low, high = float(values.min()), float(values.max())
        if high - low < _NARROW:
            # Values that are nearly equal: widen the range.
            low, high = low - _NARROW, high + _NARROW
        counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
        histograms[name] = Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))
    return histograms


def train_hashes(dataset: FaceDataset, lineage: Sequence[Bundle] = ()) -> pa.Table:
    """List the hashes of every training image, by which twins (duplicates) in any other data are found.

    Args:
        dataset: the training data.
        lineage: bundles that the network was fine-tuned or distilled from; their training images are included.

    Returns:
        Columns `pixel_hash` (hex string) and `perceptual_hash` (uint64); images of `lineage` that are also in the data
        set's training split are listed once.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = dataset.manifest.select(["pixel_hash", "perceptual_hash"])
    hashes = columns.take(pa.array(dataset.splits["train"])).combine_chunks()
    for bundle in lineage:
        other = pq.read_table(bundle.file("train_hashes.parquet"), columns=hashes.column_names).cast(hashes.schema)
        known = pc.is_in(other["pixel_hash"], value_set=hashes["pixel_hash"].combine_chunks())
        hashes = pa.concat_tables([hashes, other.filter(pc.invert(known))]).combine_chunks()
    return hashes
