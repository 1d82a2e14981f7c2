"""What the pages say of a model, out of the spec that `/model` gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlopsproject.core.schemas import ModelInfo


@dataclass(frozen=True)
class ModelFacts:
    """A model card's headline. What the spec does not say is `None`.

    Attributes:
        version: the bundle's name.
        precision: that answers.
        classes: in the model's order.
        threshold: confidence below which an answer is uncertain.
        accuracy: on test pictures, 0 to 1.
        macro_f1: likewise.
        calibration_error: likewise.
        test_pictures: on how many.
        data: name of the training data.
        training_pictures: how many.
        parameters: of the network.
    """

    version: str
    precision: str
    classes: tuple[str, ...]
    threshold: float | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    calibration_error: float | None = None
    test_pictures: int | None = None
    data: str = ""
    training_pictures: int | None = None
    parameters: int | None = None

    @classmethod
    def of(cls, info: ModelInfo) -> ModelFacts:
        """Read a spec, whatever it lacks.

        Args:
            info: the API's answer.
        """
        spec = info.spec
        metrics, data = _group(spec, "metrics"), _group(spec, "training_data")
        precision = _group(_group(spec, "precisions"), info.precision)
        classes = spec.get("classes")
        return cls(
            version=info.model_version,
            precision=info.precision,
            classes=tuple(str(name) for name in classes) if isinstance(classes, list) else (),
            threshold=_number(precision, "abstain_threshold"),
            accuracy=_number(metrics, "test/accuracy"),
            macro_f1=_number(metrics, "test/macro_f1"),
            calibration_error=_number(metrics, "test/ece"),
            test_pictures=_count(data, "test"),
            data=str(data.get("name") or ""),
            training_pictures=_count(data, "train"),
            parameters=_count(_group(spec, "network"), "parameters"),
        )


def _group(node: dict[str, Any], name: str) -> dict[str, Any]:
    value = node.get(name)
    return value if isinstance(value, dict) else {}


def _number(node: dict[str, Any], name: str) -> float | None:
    value = node.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(node: dict[str, Any], name: str) -> int | None:
    value = _number(node, name)
    return None if value is None else int(value)
