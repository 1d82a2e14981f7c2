"""A candidate passes only if it is certainly better on new data, and certainly not much worse on old."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mlopsproject.config import load_config, values
from mlopsproject.core.errors import ConfigError
from mlopsproject.monitoring.comparison import Comparison, decide, write_comparison
from mlopsproject.monitoring.gate import Gate, Part, compare_answers

GATE = Gate(margin=0.02, confidence=0.95, min_accuracy=0, samples=500, min_test=20, seed=0)


def answers(count: int, right: int) -> NDArray[np.bool_]:
    return np.arange(count) < right


def part(count: int, before: int, after: int, seen: int = 0, twins: int = 1) -> Part:
    everything = np.ones(count, bool)
    labels = np.array(["happy", "sad"])[np.arange(count) % 2]
    left_out = np.arange(count) >= count - seen
    group = np.arange(count) // twins
    return compare_answers(answers(count, before), answers(count, after), labels, group, everything, left_out, GATE)


def comparison(old: Part, new: Part) -> Comparison:
    found = Comparison(
        production="a", candidate="b", data="d", old=old, new=new, margin=0.02, confidence=0.95, min_test=20
    )
    found.better, found.reason = decide(found)
    return found


def test_a_better_model_passes() -> None:
    found = comparison(part(400, 370, 372), part(200, 120, 170))
    assert found.better
    assert "Better on the new data (+25.0 points" in found.reason


def test_a_better_model_that_is_not_good_enough_is_kept_aside() -> None:
    found = comparison(part(400, 370, 372), part(200, 120, 170))
    found.min_accuracy = 0.9
    assert decide(found) == (False, "It is right on 85.0 % of the new data; 90 % is the least.")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (part(400, 370, 370), part(200, 150, 150), "not certainly better"),
        (part(400, 370, 370), part(200, 150, 130), "not certainly better"),
        # Better, and it may be chance.
        (part(400, 370, 370), part(30, 18, 20), "not certainly better"),
        (part(400, 370, 350), part(200, 120, 170), "may be worse by more than 2 points"),
        (part(400, 370, 370), part(19, 0, 19), "19 test images of the new data are too few"),
        (part(10, 0, 10), part(200, 120, 170), "10 test images of the old data are too few"),
        (part(0, 0, 0), part(200, 120, 170), "0 test images of the old data are too few"),
    ],
)
def test_any_other_is_kept_aside_and_the_reason_is_named(old: Part, new: Part, why: str) -> None:
    found = comparison(old, new)
    assert not found.better
    assert why in found.reason


def test_the_interval_is_of_the_differences_on_the_same_images() -> None:
    """Two models that are right on the same 300 of 400 differ for certain by the 20 that one has more."""
    found = part(400, 300, 320)
    assert found.difference == pytest.approx(0.05)
    assert found.low is not None
    assert found.high is not None
    # Unpaired, the standard error would be 0.03, and the interval would hold 0.
    assert 0.02 < found.low < 0.05 < found.high < 0.08


def test_twins_are_no_further_evidence() -> None:
    """Ten frames of each scene: the interval is that of the scenes, and so is the number of test images."""
    single, frames = part(60, 30, 42), part(600, 300, 420, twins=10)
    assert frames.groups == single.groups == 60
    assert frames.difference == pytest.approx(single.difference)
    assert frames.low is not None
    assert single.low is not None
    assert frames.low == pytest.approx(single.low, abs=0.03)
    # 190 frames of 19 scenes are 19 test images.
    assert (
        "19 test images of the new data are too few"
        in comparison(part(400, 370, 370), part(190, 0, 190, twins=10)).reason
    )


def test_images_that_either_model_has_seen_do_not_count() -> None:
    found = part(100, 60, 100, seen=40)
    assert (found.images, found.seen) == (60, 40)
    assert found.difference == 0.0
    assert sum(count for count, *_ in found.per_class.values()) == 60


def test_the_same_comparison_gives_the_same_interval_again() -> None:
    assert part(300, 200, 210) == part(300, 200, 210)


@pytest.mark.parametrize("old", [part(400, 370, 372), part(0, 0, 0)])
def test_a_report_says_it_all_whatever_was_found(tmp_path: Path, old: Part) -> None:
    found = comparison(old, part(200, 120, 170))
    write_comparison(found, tmp_path)
    assert Comparison.model_validate_json((tmp_path / "comparison.json").read_bytes()) == found
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert found.reason.split("(")[0] in page
    assert "happy" in page
    with Image.open(tmp_path / "comparison.png") as picture:
        assert picture.width > 1000


@pytest.mark.parametrize(
    ("key", "value"), [("margin", -1), ("confidence", 0), ("samples", 10), ("min_test", 1), ("seed", 0.5)]
)
def test_an_impossible_gate_is_refused(key: str, value: object) -> None:
    settings = values(load_config("retrain"))["gate"]
    assert Gate.of(settings).margin == 0.02
    with pytest.raises(ConfigError, match=f"gate.{key}"):
        Gate.of({**settings, key: value})
