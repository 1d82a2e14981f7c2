"""The bundles that travel with the project: intact, small, complete, and as good as their cards say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mlopsproject.core.predictor import Predictor
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.store import Store
from mlopsproject.data.synthetic.non_faces import non_face_pictures
from mlopsproject.evaluation.model_card import empty_sections

STORE = Path(__file__).parents[2] / "models"
SHIPPED = ["production", "seven", "fer2013-five", "fer2013-seven", "sample"]
#: All of them together, and `sample` alone, in bytes.
LARGEST, LARGEST_SAMPLE = 32_000_000, 1_000_000


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("alias", SHIPPED)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_shipped_bundle_is_intact_and_answers(alias: str, precision: str) -> None:
    predictor = Predictor.load(alias, precision, store=STORE)  # type: ignore[arg-type]
    answer = predictor.predict(list(non_face_pictures(2, 80)))[0]
    assert answer.label in predictor.spec.classes
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.model_version == Store(STORE).get_alias(alias)


@pytest.mark.parametrize("alias", SHIPPED)
def test_its_card_is_complete_and_says_what_its_metrics_say(alias: str) -> None:
    bundle = resolve_bundle(alias, STORE)
    card = bundle.file("MODEL_CARD.md").read_text(encoding="utf-8")
    metrics = bundle.metrics()
    assert empty_sections(card) == []
    assert f"| all | {metrics['images']:,} | {100 * metrics['accuracy']:.1f}%" in card
    assert "uv run invoke train" in card
    assert "uv run invoke evaluate" in card
    for kind, accuracies in metrics["robustness"]["corruptions"].items():
        assert f"| {kind} | {100 * accuracies[0]:.1f}% |" in card


@pytest.mark.parametrize("alias", SHIPPED)
def test_it_was_made_from_a_clean_commit_and_holds_no_path_of_a_machine(alias: str) -> None:
    bundle = resolve_bundle(alias, STORE)
    assert len(bundle.spec.git_commit) == 40
    text = json.dumps(bundle.spec.model_dump(mode="json")) + bundle.file("MODEL_CARD.md").read_text(encoding="utf-8")
    assert re.findall(r"""(?:^|[\s"'=(])(/[\w.-]+/[\w./-]*)""", text) == []


def test_shipped_bundles_are_small_enough_for_git() -> None:
    folders = {alias: resolve_bundle(alias, STORE).path for alias in SHIPPED}
    assert size(folders["sample"]) <= LARGEST_SAMPLE
    assert sum(size(folder) for folder in set(folders.values())) <= LARGEST
