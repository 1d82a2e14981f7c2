"""Several worker processes, and models that change while they work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.drift_examples import make_report, publish

from mlopsproject.core.store import Store

UVICORN = ["uvicorn", "mlopsproject.api:app", "--port", "PORT", "--workers", "2"]

pytestmark = pytest.mark.slow


def test_two_workers_count_as_one(start_server, tmp_path, face):
    server = start_server(workers=2)
    assert len(server.workers()) == 2

    def ask(number):
        with server.again() as client:
            good = [client.post("/predict/", files={"data": face}).json() for _ in range(5)]
            assert client.post("/predict/", files={"data": b"no"}).status_code == 400
            return [answer["faces"][0]["prediction_id"] for answer in good]

    with ThreadPoolExecutor(4) as pool:
        identifiers = [each for answered in pool.map(ask, range(20)) for each in answered]
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert len({*identifiers}) == 100
    requests = server.counts("requests_total")
    label = (("method", "POST"), ("route", "/predict/"), ("status", "200"))
    assert requests[label] == 100
    assert requests[(*label[:2], ("status", "400"))] == 20
    assert sum(server.counts("predictions_total").values()) == 100
    assert list(server.counts("brightness_count").values()) == [100]
    assert sum(server.counts("model_info").values()) == 1
    assert server.counts("requests_in_progress") == {(): 0}
    assert len([line for line in lines if line.get("path") == "/predict/"]) == 120
    assert server.stop() == 0
    assert sorted(server.logged_ids()) == sorted(identifiers)


@pytest.mark.parametrize("command", [None, UVICORN], ids=["module", "uvicorn"])
def test_a_killed_worker_is_replaced_and_what_it_counted_stays(start_server, face, command):
    server = start_server(command, workers=2)
    for _ in range(30):
        with server.again() as client:
            assert client.post("/predict/", files={"data": face}).status_code == 200
    before = server.workers()
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while len(after := server.workers()) < 2 or before[0] in after:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    server.client.close()
    server.client = server.again()
    assert sum(server.counts("predictions_total").values()) == 30
    assert server.predict(face).status_code == 200
    assert sum(server.counts("predictions_total").values()) == 31
    assert list(server.counts("model_info").values()) == [1]


def test_counts_begin_anew_with_a_new_server(start_server, tmp_path, face):
    for _ in range(2):
        server = start_server(workers=2)
        assert server.predict(face).status_code == 200
        assert sum(server.counts("predictions_total").values()) == 1
        assert len(list((tmp_path / "data" / "metrics").iterdir())) == 1
        server.stop()


def test_two_servers_may_share_a_data_folder(start_server, face):
    first, second = start_server(workers=2), start_server(workers=2)
    for server, number in ((first, 3), (second, 5)):
        for _ in range(number):
            assert server.predict(face).status_code == 200
    assert sum(first.counts("predictions_total").values()) == 3
    assert sum(second.counts("predictions_total").values()) == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_the_alias_moves_under_load_and_no_request_is_lost(start_server, model_store, face, workers):
    first, second = (model_store.get_alias(alias) for alias in ("production", "next"))
    server = start_server(workers=workers)
    stop = threading.Event()
    failures, versions = [], []

    def load():
        with server.again() as client:
            while not stop.is_set():
                answer = client.post("/predict/", files={"data": face})
                if answer.status_code == 200:
                    versions.append(answer.json()["model_version"])
                else:
                    failures.append(answer.text)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for name in (second, first, second):
            time.sleep(1)
            model_store.set_alias("production", name)
        time.sleep(2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        model_store.set_alias("production", first)
    assert not failures
    assert set(versions) == {first, second}
    assert versions[0] == first
    assert versions[-1] == second


def drift_of(server, model):
    """The verdicts that hold of a model's newest report, and its time."""
    verdicts = server.counts("drift_verdict")
    holds = {word for word in ("ok", "drift") if verdicts.get((("model", model), ("verdict", word)))}
    return holds, server.counts("drift_report_timestamp_seconds").get((("model", model),))


def test_two_workers_show_one_drift_verdict_of_the_model_that_answers(start_server, model_store, tmp_path):
    store = Store(shutil.copytree(model_store.uri, tmp_path / "store"))
    first, second = (store.get_alias(alias) for alias in ("production", "next"))
    server = start_server(workers=2, model_store=store.uri)

    def wait_for(model, *expected):
        deadline = time.monotonic() + 30
        while drift_of(server, model) != expected:
            assert time.monotonic() < deadline, (drift_of(server, model), server.log)
            time.sleep(0.05)
        time.sleep(1)  # some looks later no worker has gone back
        assert drift_of(server, model) == expected

    wait_for(first, set(), 0)
    for hours, verdict in enumerate(("drift", "ok", "drift")):
        report = make_report(first, hours=hours, verdict=verdict)
        publish(store.uri, tmp_path / "run", report)
        wait_for(first, {verdict}, report.created_at.timestamp())
    other = make_report(second, hours=5, verdict="ok")
    publish(store.uri, tmp_path / "run", other)
    store.set_alias("production", second)
    wait_for(second, {"ok"}, other.created_at.timestamp())
    wait_for(first, set(), 0)
    before = server.workers()
    server.client.close()
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while len(after := server.workers()) < 2 or before[0] in after:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    server.client = server.again()
    wait_for(second, {"ok"}, other.created_at.timestamp())
    assert drift_of(server, first) in ((set(), 0), (set(), None))
