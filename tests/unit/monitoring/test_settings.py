"""What drift detection and the judgement of performance may be told."""

from __future__ import annotations

from typing import Any

import pytest

from mlopsproject.config import load_config, values
from mlopsproject.core.classes import FIVE
from mlopsproject.core.errors import ConfigError
from mlopsproject.monitoring.settings import DecaySettings, DetectionSettings


@pytest.fixture
def groups() -> dict[str, Any]:
    return values(load_config("drift"))


def test_the_chance_of_a_false_alarm_is_shared_among_the_columns(groups: dict[str, Any]) -> None:
    settings = DetectionSettings.of(groups["detect"], FIVE)
    assert settings.threshold * len(settings.columns) == pytest.approx(settings.alpha)
    fewer = settings.without("embedding")
    assert "embedding" not in fewer.columns
    assert fewer.threshold > settings.threshold


def test_a_column_that_is_named_twice_is_tested_once(groups: dict[str, Any]) -> None:
    settings = DetectionSettings.of({**groups["detect"], "columns": ["contrast", "contrast"]}, FIVE)
    assert settings.columns == ("contrast",)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("columns", ["brightnes"], "did you mean 'brightness'"),
        ("columns", ["p_bored"], "detect.columns='p_bored' is unknown"),
        ("columns", [], "detect.columns"),
        ("columns", "brightness", "detect.columns"),
        ("alpha", 0, "detect.alpha"),
        ("alpha", 1, "detect.alpha"),
        ("alpha", "high", "detect.alpha"),
        ("min_distance", 1.1, "detect.min_distance"),
        ("min_rows", 5, "detect.min_rows"),
        ("max_rows", 50, "detect.max_rows"),
        ("seed", -1, "detect.seed"),
    ],
)
def test_impossible_detection_is_refused(groups: dict[str, Any], key: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DetectionSettings.of({**groups["detect"], key: value}, FIVE)


@pytest.mark.parametrize(("key", "value"), [("min_labels", 0), ("margin", -0.1), ("confidence", 1), ("confidence", 95)])
def test_impossible_judgement_is_refused(groups: dict[str, Any], key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"decay.{key}"):
        DecaySettings.of({**groups["decay"], key: value})


def test_a_source_without_the_only_column_is_refused(groups: dict[str, Any]) -> None:
    settings = DetectionSettings.of({**groups["detect"], "columns": ["embedding"]}, FIVE)
    with pytest.raises(ConfigError, match="leaves nothing to test"):
        settings.without("embedding")
