"""`POST /predict/`: one picture in, an answer out, and a row in the log."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from mlopsproject.core.image_statistics import image_statistics
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.preprocess import load_input
from mlopsproject.core.schemas import PredictResponse


def post(client, content, name="face.jpg", **fields):
    return client.post("/predict/", files={"data": (name, content)}, data=fields)


def logged(client, answer):
    return client.app.state.service.log.knows(answer["faces"][0]["prediction_id"])


def test_an_answer_says_everything_the_schema_names(client, face):
    response = post(client, face)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    PredictResponse.model_validate(answer, strict=False)
    assert set(answer) == set(PredictResponse.model_fields)
    assert answer["request_id"] == response.headers["x-request-id"]
    assert answer["model_version"].startswith("tiny-")
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert list(answer["probabilities"].values()) == answer["probs"]
    assert answer["confidence"] == max(answer["probs"]) == answer["probabilities"][answer["predicted_emotion"]]
    assert answer["uncertain"] == (answer["confidence"] < 0.3)
    (only,) = answer["faces"]
    assert {key: only[key] for key in ("predicted_emotion", "confidence", "uncertain", "probabilities", "probs")} == {
        key: answer[key] for key in ("predicted_emotion", "confidence", "uncertain", "probabilities", "probs")
    }


def test_the_slash_at_the_end_may_be_left_out(client, face):
    assert client.post("/predict", files={"data": face}).status_code == 200


def test_the_row_in_the_log_is_the_answer_with_the_statistics_of_the_input(client, face, tiny_bundle):
    answer = post(client, face).json()
    row = logged(client, answer)
    pixels = load_input(face, tiny_bundle.spec.input)[None]
    measured = {name: float(value[0]) for name, value in image_statistics(pixels).items()}
    assert (row.request_id, row.model_version, row.precision) == (answer["request_id"], tiny_bundle.name, "fp32")
    assert (row.predicted, row.confidence, row.uncertain) == (
        answer["predicted_emotion"],
        answer["confidence"],
        answer["uncertain"],
    )
    assert row.probabilities == answer["probabilities"]
    assert (row.source, row.face_search, row.box, row.width, row.height) == ("upload", "skipped", None, 64, 64)
    assert {"brightness": row.brightness, "contrast": row.contrast, "sharpness": row.sharpness} == measured
    assert 0 < row.latency_ms < 5000


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def kinds(smooth_picture):
    """Every kind of picture that is read, as bytes."""

    def save(image, file_format, **options):
        stream = io.BytesIO()
        image.save(stream, file_format, **options)
        return stream.getvalue()

    rgb, gray = smooth_picture(80, 60, seed=1), smooth_picture(70, 90, seed=2, mode="L")
    alpha = smooth_picture(60, 60, seed=3)
    alpha.putalpha(Image.linear_gradient("L").resize((60, 60)))
    wide = Image.fromarray(np.asarray(gray, dtype=np.uint16) * 257)
    frames = [smooth_picture(64, 64, seed=seed).convert("P") for seed in (4, 5, 6)]
    return {
        "jpeg": save(rgb, "JPEG"),
        "gray jpeg": save(gray, "JPEG"),
        "cmyk jpeg": save(rgb.convert("CMYK"), "JPEG"),
        "progressive jpeg": save(rgb, "JPEG", progressive=True),
        "turned jpeg": save(rgb, "JPEG", exif=exif(6)),
        "mirrored jpeg": save(rgb, "JPEG", exif=exif(5)),
        "png": save(rgb, "PNG"),
        "png with alpha": save(alpha, "PNG"),
        "gray png with alpha": save(alpha.convert("LA"), "PNG"),
        "palette png": save(rgb.convert("P"), "PNG"),
        "black and white png": save(gray.convert("1"), "PNG"),
        "16-bit png": save(wide, "PNG"),
        "webp": save(rgb, "WEBP"),
        "webp with alpha": save(alpha, "WEBP", lossless=True),
        "bmp": save(rgb, "BMP"),
        "gif": save(frames[0], "GIF"),
        "animated gif": save(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "large jpeg": save(smooth_picture(1600, 1200, seed=7), "JPEG"),
        "large png": save(smooth_picture(400, 300, seed=8), "PNG"),
    }


def test_every_kind_of_picture_gets_the_answer_that_the_predictor_gives(client, tiny_bundle, smooth_picture):
    predictor = Predictor(tiny_bundle, "fp32")
    answers = {}
    for name, content in kinds(smooth_picture).items():
        response = post(client, content, face="none")
        assert response.status_code == 200, (name, response.text)
        (expected,) = predictor.predict(content)
        difference = np.abs(np.array(response.json()["probs"]) - list(expected.probabilities.values())).max()
        assert difference <= 1e-6, name
        answers[name] = tuple(response.json()["probs"])
    assert len(set(answers.values())) > len(answers) * 0.7  # the answers depend on the picture


def test_what_a_file_calls_itself_does_not_matter(client, face):
    hostile = ["../../etc/passwd", "a\x00b.jpg", 'x".jpg', "<script>.jpg", "\u202egnp.jpg", "ä" * 900, " ", "C:\\con"]
    for name in hostile:
        response = client.post("/predict/", files={"data": (name, face, "application/octet-stream")})
        assert response.status_code == 200, name
        assert "passwd" not in json.dumps(response.json())


def test_a_picture_without_a_file_name_is_taken_if_it_says_it_is_one(client, face):
    body = b"--x\r\nContent-Disposition: form-data; name=data\r\nContent-Type: image/jpeg\r\n\r\n" + face + b"\r\n--x--"
    response = client.post("/predict/", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert response.status_code == 200


def test_a_form_may_come_in_pieces(client, face):
    body = b"--x\r\nContent-Disposition: form-data; name=data; filename=a\r\n\r\n" + face + b"\r\n--x--\r\n"

    def pieces():
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    response = client.post("/predict/", content=pieces(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert response.status_code == 200
