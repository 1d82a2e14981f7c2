"""What `/metrics` says is what happened."""

from __future__ import annotations

import re
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlopsproject.api.metrics import Metrics
from mlopsproject.core.image_statistics import image_statistics
from mlopsproject.core.preprocess import load_input
from mlopsproject.prediction_log.drainer import QueueState
from mlopsproject.prediction_log.log import LogStatus


def scrape(client):
    """Every sample by name and labels."""
    text = client.get("/metrics").text
    return {
        (sample.name.removeprefix("mlopsproject_"), *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples, name, **labels):
    return samples.get((name, *sorted(labels.items())), 0)


def test_requests_are_counted_by_route_method_and_status(serve, face):
    client = serve(log_durability="off")
    for _ in range(3):
        client.post("/predict/", files={"data": face})
    client.post("/predict/", files={"data": b"no"})
    client.post("/predict", files={"data": face})
    client.get("/health")
    client.get("/unheard/of")
    client.get("/docs")
    client.request("UNHEARD", "/health")
    samples = scrape(client)
    counted = {
        (labels["method"], labels["route"], labels["status"]): count
        for (name, *pairs), count in samples.items()
        if name == "requests_total" and (labels := dict(pairs))
    }
    assert counted == {
        ("POST", "/predict/", "200"): 3,
        ("POST", "/predict/", "400"): 1,
        ("POST", "/predict", "200"): 1,
        ("GET", "/health", "200"): 1,
        ("GET", "other", "404"): 1,
        ("GET", "/docs", "200"): 1,
        ("other", "/health", "405"): 1,
    }
    labels = {"method": "POST", "route": "/predict/", "status": "200"}
    assert value(samples, "request_duration_seconds_count", **labels) == 3
    assert 0 < value(samples, "request_duration_seconds_sum", **labels) < 10
    assert value(samples, "request_duration_seconds_bucket", le="+Inf", **labels) == 3


def test_addresses_and_methods_of_strangers_do_not_become_labels(serve):
    client = serve(log_durability="off")
    before = len(scrape(client))
    for number in range(50):
        client.get(f"/nothing/{number}")
        client.request(f"METHOD{number}", f"/nothing/{number}")
    assert len(scrape(client)) <= before + 3 * 20  # three series with their buckets


def test_answers_are_counted_by_class_and_certainty(serve, encode, smooth_picture, tiny_bundle):
    client = serve(log_durability="off")
    pictures = [encode(smooth_picture(seed=seed)) for seed in range(12)]
    expected = {}
    confidences = []
    for picture in pictures:
        answer = client.post("/predict/", files={"data": picture}).json()
        key = (answer["predicted_emotion"], str(answer["uncertain"]).lower())
        expected[key] = expected.get(key, 0) + 1
        confidences.append(answer["confidence"])
    samples = scrape(client)
    for label in tiny_bundle.spec.classes:
        for uncertain in ("true", "false"):
            found = value(samples, "predictions_total", model=tiny_bundle.name, predicted=label, uncertain=uncertain)
            assert found == expected.get((label, uncertain), 0)
    assert value(samples, "confidence_count", model=tiny_bundle.name) == 12
    assert value(samples, "confidence_sum", model=tiny_bundle.name) == pytest.approx(sum(confidences))
    assert value(samples, "pictures_total", search="skipped") == 12


def test_statistics_of_pictures_fall_into_the_edges_of_the_reference(serve, encode, smooth_picture, tiny_bundle):
    client = serve(log_durability="off")
    pictures = [encode(smooth_picture(seed=seed)) for seed in range(12)]
    inputs = [load_input(picture, tiny_bundle.spec.input)[None] for picture in pictures]
    client.post("/predict/batch", files=[("data", picture) for picture in pictures])
    samples = scrape(client)
    for name in ("brightness", "contrast", "sharpness"):
        values = [float(image_statistics(pixels)[name][0]) for pixels in inputs]
        for edge in (0.0, 0.25, 0.5, 0.75, 1.0):
            found = value(samples, f"{name}_bucket", model=tiny_bundle.name, le=str(edge))
            assert found == sum(each <= edge for each in values)
        assert value(samples, f"{name}_sum", model=tiny_bundle.name) == pytest.approx(sum(values))


def test_the_reference_stands_beside_them_on_the_same_edges(client, tiny_bundle):
    samples = scrape(client)
    for name in ("brightness", "contrast", "sharpness"):
        shares = [
            value(samples, "reference_cumulative_share", model=tiny_bundle.name, measure=name, le=str(edge))
            for edge in (0.0, 0.25, 0.5, 0.75, 1.0)
        ]
        assert shares == pytest.approx([0, 0.1, 0.3, 0.6, 1])
        mean = value(samples, "reference_mean", model=tiny_bundle.name, measure=name)
        assert mean == pytest.approx((0.125 + 2 * 0.375 + 3 * 0.625 + 4 * 0.875) / 10)


def test_a_model_with_other_edges_is_measured_on_its_own(serve, make_bundle, tmp_path, face, monkeypatch):
    """Two models of one process need not have the same reference."""
    client = serve(log_durability="off")
    metrics = client.app.state.service.metrics
    client.post("/predict/", files={"data": face})
    other = make_bundle(tmp_path, seed=5).spec.model_copy(update={"name": "other", "reference_histograms": {}})
    metrics.use_model(other, "fp32")
    samples = scrape(client)
    assert ("brightness_bucket", ("le", "0.05"), ("model", "other")) in samples
    assert not any(name == "reference_mean" and ("model", "other") in pairs for name, *pairs in samples)


def test_how_faces_were_found_is_counted(serve, encode, two_faces, face):
    client = serve(log_durability="off")
    for content, fields in (
        (encode(two_faces), {}),
        (encode(two_faces), {"face": "all"}),
        (face, {"face": "all"}),
        (face, {"boxes": "[[0,0,9,9]]"}),
        (face, {}),
    ):
        client.post("/predict/", files={"data": content}, data=fields)
    samples = scrape(client)
    searches = {
        name: value(samples, "pictures_total", search=name) for name in ("found", "not_found", "given", "skipped")
    }
    assert searches == {"found": 2, "not_found": 1, "given": 1, "skipped": 1}


def test_feedback_is_counted(client, face):
    answer = client.post("/predict/", files={"data": face}).json()
    for label in ("happy", "sad", "fear"):
        client.post("/feedback", json={"prediction_id": answer["faces"][0]["prediction_id"], "label": label})
    samples = scrape(client)
    agreed = value(samples, "feedback_total", agrees="true")
    assert agreed + value(samples, "feedback_total", agrees="false") == 3
    assert agreed == (answer["predicted_emotion"] in ("happy", "sad", "fear"))


def test_the_state_of_the_log_is_shown(serve, monkeypatch):
    client = serve(log_durability="off")
    log = client.app.state.service.log
    queue = QueueState("down", "down", rows=1200, bytes=345_678, oldest=time.time() - 42.5, refused=2)
    status = LogStatus("degraded", "down", queue, dropped_rows=3, error="down")
    monkeypatch.setattr(log, "status", lambda: status)
    scrape(client)
    samples = scrape(client)
    states = {state: value(samples, "log_state", state=state) for state in ("ok", "degraded", "failing")}
    assert states == {"ok": 0, "degraded": 1, "failing": 0}
    assert value(samples, "log_database_up") == 0
    assert value(samples, "log_queue_rows") == 1200
    assert value(samples, "log_queue_bytes") == 345_678
    assert 42.5 <= value(samples, "log_queue_age_seconds") < 60
    assert value(samples, "log_dropped_rows_total") == 3
    assert value(samples, "log_refused_rows") == 2


def test_refused_answers_count_as_requests_but_not_as_predictions(serve, face, monkeypatch):
    client = serve(log_durability="off")
    monkeypatch.setattr(client.app.state.service, "_log", None)
    assert client.post("/predict/", files={"data": face}).status_code == 503
    samples = scrape(client)
    assert value(samples, "requests_total", method="POST", route="/predict/", status="503") == 1
    assert not any(count for (name, *_), count in samples.items() if name == "predictions_total")


def test_the_text_is_what_prometheus_reads(client):
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = re.findall(r"^# TYPE (\S+)", response.text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert all(name.startswith(("mlopsproject_", "process_", "python_")) for name in names)
    assert "process_resident_memory_bytes" in names


def test_dropped_rows_are_counted_once_whoever_looks(monkeypatch):
    metrics = Metrics()
    count = metrics._log_dropped.inc
    monkeypatch.setattr(metrics._log_dropped, "inc", lambda amount: time.sleep(0.05) or count(amount))
    status = LogStatus("failing", "down", dropped_rows=3)
    threads = [threading.Thread(target=metrics.log, args=(status,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics.log(LogStatus("failing", "down", dropped_rows=2))  # an earlier state that comes late
    metrics.log(LogStatus("failing", "down", dropped_rows=4))
    assert b"mlopsproject_log_dropped_rows_total 4.0" in metrics.text()
