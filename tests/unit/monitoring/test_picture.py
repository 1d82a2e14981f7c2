"""The picture of a report is drawn whatever it says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlopsproject.core.schemas import DriftReport
from mlopsproject.monitoring.detection import detect
from mlopsproject.monitoring.picture import plot_drift
from mlopsproject.monitoring.settings import DetectionSettings

SETTINGS = DetectionSettings(("contrast", "predicted"), 0.01, 0.1, 20, 50_000, 0)


def table(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"contrast": rng.normal(seed, 1, count), "predicted": rng.choice(["sad", "happy"], count)})


@pytest.mark.parametrize("count", [10, 50])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_drawn(tmp_path: Path, count: int, channels: int) -> None:
    found = detect(table(60, 0), table(count, 1), SETTINGS)
    report = DriftReport(
        verdict=found.verdict,
        bundle="tiny-0123456789ab",
        created_at=datetime.now(UTC),
        source="pictures",
        current="somewhere",
        reference_rows=60,
        current_rows=count,
        min_rows=20,
        alpha=0.01,
        drifted_share=None,
        columns=found.columns,
        seconds=0.0,
    )
    faces = np.random.default_rng(0).integers(0, 256, (3, channels, 16, 16), dtype=np.uint8)
    plot_drift(report, found.reference, found.current, tmp_path / "plain.png")
    plot_drift(report, found.reference, found.current, tmp_path / "faces.png", [("Faces", faces), ("More", faces)])
    with Image.open(tmp_path / "plain.png") as plain, Image.open(tmp_path / "faces.png") as with_faces:
        assert plain.width > 1000
        assert with_faces.height > plain.height
