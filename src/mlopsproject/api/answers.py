"""What the API says about a picture, and the rows that the prediction log keeps of it."""

from __future__ import annotations

import time
from typing import Any

from mlopsproject.api.live_model import LoadedModel
from mlopsproject.core.face_inputs import FaceInputs
from mlopsproject.core.image_statistics import STATISTICS, image_statistics
from mlopsproject.prediction_log.rows import PredictionRow, Source, new_id


def answer(
    model: LoadedModel, faces: FaceInputs, request_id: str, started: float, source: Source
) -> tuple[dict[str, Any], list[PredictionRow]]:
    """Recognise the apparent expressions of a picture's faces; blocks.

    Args:
        model: that answers.
        faces: of the picture.
        request_id: of the request.
        started: when it arrived, by `time.perf_counter`.
        source: where the picture came from.

    Returns:
        The document that `schemas.PredictResponse` describes, and one row per face.
    """
    rows = _rows(model, faces, request_id, started, source)
    return _document(rows, faces, request_id), rows


def _rows(
    model: LoadedModel, faces: FaceInputs, request_id: str, started: float, source: Source
) -> list[PredictionRow]:
    predictor = model.predictor
    logits, _ = predictor.logits(faces.inputs)
    predictions = [predictor.prediction(row) for row in predictor.probabilities(logits)]
    measured = image_statistics(faces.inputs)
    columns = zip(predictions, faces.boxes, *(measured[name].tolist() for name in STATISTICS), strict=True)
    now = time.time()
    latency_ms = (time.perf_counter() - started) * 1000
    return [
        PredictionRow(
            prediction_id=new_id(),
            request_id=request_id,
            created_at=now,
            model_version=prediction.model_version,
            precision=predictor.precision,
            source=source,
            predicted=prediction.label,
            confidence=prediction.confidence,
            uncertain=prediction.uncertain,
            probabilities=prediction.probabilities,
            face_search=faces.search,
            box=box,
            width=faces.size[0],
            height=faces.size[1],
            brightness=brightness,
            contrast=contrast,
            sharpness=sharpness,
            latency_ms=latency_ms,
        )
        for prediction, box, brightness, contrast, sharpness in columns
    ]


def _document(rows: list[PredictionRow], faces: FaceInputs, request_id: str) -> dict[str, Any]:
    entries = [
        {
            "prediction_id": row.prediction_id,
            "box": row.box,
            "predicted_emotion": row.predicted,
            "confidence": row.confidence,
            "uncertain": row.uncertain,
            "probabilities": row.probabilities,
            "probs": list(row.probabilities.values()),
        }
        for row in rows
    ]
    top = entries[faces.largest]
    return {
        "request_id": request_id,
        "model_version": rows[0].model_version,
        "predicted_emotion": top["predicted_emotion"],
        "confidence": top["confidence"],
        "uncertain": top["uncertain"],
        "probabilities": top["probabilities"],
        "probs": top["probs"],
        "face": top["box"],
        "face_search": faces.search,
        "faces": entries,
    }
