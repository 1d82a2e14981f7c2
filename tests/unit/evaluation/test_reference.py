"""What a bundle remembers of its data."""

from __future__ import annotations

import numpy as np
import pytest

from mlopsproject.core.image_statistics import image_statistics
from mlopsproject.evaluation.reference import build_reference, reference_histograms, train_hashes


def test_the_reference_describes_each_validation_image(predictor, faces) -> None:
    table = build_reference(predictor, faces)
    probabilities = [f"p_{name}" for name in faces.classes]
    columns = ["brightness", "contrast", "sharpness", "width", "height", "predicted", "confidence", *probabilities]
    assert table.column_names == [*columns, "e_0", "e_1", "e_2", "e_3"]
    rows = faces.splits["validation"]
    assert table["predicted"].to_pylist() == ["happy", "sad", "surprise"]
    assert table["brightness"].to_numpy() == pytest.approx(image_statistics(faces.images[rows])["brightness"])
    assert table["width"].to_pylist() == [48] * 3
    total = np.sum([table[name].to_numpy() for name in probabilities], axis=0)
    assert total == pytest.approx(1)
    assert table["confidence"].to_numpy() == pytest.approx(table["p_happy"].to_numpy().max(), abs=1e-6)


def test_many_validation_images_are_thinned_evenly(predictor, faces) -> None:
    assert build_reference(predictor, faces, max_rows=2)["predicted"].to_pylist() == ["happy", "surprise"]


def test_histograms_count_every_image(predictor, faces) -> None:
    histograms = reference_histograms(build_reference(predictor, faces))
    assert set(histograms) == {"brightness", "contrast", "sharpness", "confidence"}
    for histogram in histograms.values():
        assert sum(histogram.counts) == 3
        assert len(histogram.edges) == len(histogram.counts) + 1
        assert list(histogram.edges) == sorted(histogram.edges)


def test_train_hashes_lists_the_training_images_only(faces) -> None:
    table = train_hashes(faces)
    assert table.column_names == ["pixel_hash", "perceptual_hash"]
    assert table["pixel_hash"].to_pylist() == [f"{i:032x}" for i in range(6)]
