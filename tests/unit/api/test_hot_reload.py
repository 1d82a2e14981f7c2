"""The model changes when its alias moves, and no request notices more than another answer."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mlopsproject.core.bundle import seal_bundle
from mlopsproject.core.errors import BundleError
from mlopsproject.core.face_inputs import FaceOptions, read_faces
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.store import Store


@pytest.fixture
def store(make_bundle, tmp_path):
    """A store with two bundles; `production` points at the first."""
    folder = tmp_path / "store"
    bundles = [make_bundle(folder, seed=seed) for seed in (1, 2)]
    store = Store(folder)
    store.set_alias("production", bundles[0].name)
    return store, bundles


def start(serve, store, **settings):
    return serve(model_uri="production", model_store=store.uri, **{"log_durability": "off", **settings})


def look(client):
    """Have the service look at the alias now."""
    client.portal.call(client.app.state.service.model.look)


def ask(client, face):
    return client.post("/predict/", files={"data": face}).json()


def test_the_alias_is_followed(serve, store, face):
    store, (first, second) = store
    client = start(serve, store)
    before = ask(client, face)
    look(client)
    assert ask(client, face)["model_version"] == first.name
    store.set_alias("production", second.name)
    assert ask(client, face)["model_version"] == first.name
    look(client)
    after = ask(client, face)
    assert (before["model_version"], after["model_version"]) == (first.name, second.name)
    assert before["probs"] != after["probs"]
    assert client.get("/model").json()["model_version"] == client.get("/ready").json()["model_version"] == second.name
    metrics = client.get("/metrics").text
    assert 'mlopsproject_model_reloads_total{outcome="ok"} 1.0' in metrics
    assert f'mlopsproject_model_info{{model="{first.name}",precision="fp32"}} 0.0' in metrics
    assert f'mlopsproject_model_info{{model="{second.name}",precision="fp32"}} 1.0' in metrics


def test_it_is_followed_by_itself(serve, store, face):
    store, (_, second) = store
    client = start(serve, store, model_reload_seconds=0.05)
    store.set_alias("production", second.name)
    deadline = time.monotonic() + 10
    while ask(client, face)["model_version"] != second.name:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_damaged_model_is_not_taken_and_the_state_says_so(serve, store, face, caplog):
    store, (first, second) = store
    client = start(serve, store)
    model = store.folder / second.name / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1])
    store.set_alias("production", second.name)
    look(client)
    look(client)
    assert ask(client, face)["model_version"] == first.name
    ready = client.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "model.onnx is not the file that was sealed" in ready.json()["details"]["model"]
    assert ready.json()["checks"]["model"] == "not_replaced"
    assert "mlopsproject_model_reload_failing 1.0" in client.get("/metrics").text
    assert caplog.text.count("The model is not replaced") == 1  # not once per look
    assert 'mlopsproject_model_reloads_total{outcome="failed"} 1.0' in client.get("/metrics").text
    model.write_bytes(whole)
    look(client)
    assert ask(client, face)["model_version"] == second.name
    assert client.get("/ready").json()["checks"]["model"] == "ok"
    assert "mlopsproject_model_reload_failing 0.0" in client.get("/metrics").text


def test_a_model_without_the_wanted_precision_is_not_taken(serve, make_bundle, tmp_path, face):
    folder = tmp_path / "store"
    both, plain = make_bundle(folder, seed=1), make_bundle(folder, seed=2, int8=False)
    store = Store(folder)
    store.set_alias("production", both.name)
    client = start(serve, store, model_precision="int8")
    store.set_alias("production", plain.name)
    look(client)
    assert ask(client, face)["model_version"] == both.name
    assert "no precision 'int8'" in client.get("/ready").json()["details"]["model"]


def test_a_store_that_cannot_be_reached_changes_nothing(serve, store, face, tmp_path):
    store, (first, _) = store
    client = start(serve, store)
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    look(client)
    assert ask(client, face)["model_version"] == first.name
    assert client.get("/ready").json()["status"] == "degraded"
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    look(client)
    assert client.get("/ready").json()["checks"]["model"] == "ok"


def test_a_link_to_a_folder_is_followed_as_well(serve, store, face, tmp_path):
    store, (first, second) = store
    link = tmp_path / "current"
    link.symlink_to(first.path)
    client = serve(model_uri=str(link), log_durability="off")
    link.unlink()
    link.symlink_to(second.path)
    look(client)
    assert ask(client, face)["model_version"] == second.name


def test_a_request_in_work_keeps_the_model_it_began_with(serve, store, face):
    store, (first, second) = store
    client = start(serve, store)
    service = client.app.state.service
    entered, release = threading.Event(), threading.Event()

    async def slow(content, options, spec):
        entered.set()
        await asyncio.to_thread(release.wait, 20)
        return read_faces(content, FaceOptions("none"), spec)

    service.read_faces = slow
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(client.post("/predict/", files={"data": face}, data={"face": "all"}).json())
    )
    thread.start()
    assert entered.wait(10)
    store.set_alias("production", second.name)
    look(client)
    assert ask(client, face)["model_version"] == second.name
    release.set()
    thread.join()
    assert answers[0]["model_version"] == first.name


def test_under_load_every_request_is_answered_by_one_model_or_the_other(serve, store, face):
    store, (first, second) = store
    client = start(serve, store)
    expected = {}
    answers = []
    stop = threading.Event()

    def load():
        while not stop.is_set():
            answers.append(client.post("/predict/", files={"data": face}))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for name in (second.name, first.name, second.name):
        store.set_alias("production", name)
        look(client)
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    for answer in answers:
        document = answer.json()
        assert expected.setdefault(document["model_version"], document["probs"]) == document["probs"]
    assert set(expected) == {first.name, second.name}


def test_looking_does_not_hold_up_the_event_loop(serve, store):
    """The new model is loaded in a thread: an alias read takes no longer on the loop than the switch itself."""
    store, (_, second) = store
    client = start(serve, store)
    store.set_alias("production", second.name)
    longest = 0.0

    async def watch():
        nonlocal longest
        task = asyncio.ensure_future(client.app.state.service.model.look())
        while not task.done():
            start = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - start)

    client.portal.call(watch)
    assert client.app.state.service.model.current.model_version == second.name
    assert longest < 1


def test_a_model_that_answers_with_no_numbers_never_answers(serve, store, face, tmp_path):
    """Moved to by hand, past promotion's own test."""
    import onnx
    from onnx import numpy_helper

    store, (first, second) = store
    client = start(serve, store)
    staging = shutil.copytree(second.path, tmp_path / "staging")
    for name in (entry.file for entry in second.spec.precisions.values()):
        model = onnx.load(staging / name)
        head = next(item for item in model.graph.initializer if item.name == "head")
        head.CopyFrom(numpy_helper.from_array(np.full((8, 5), np.nan, np.float32), "head"))
        onnx.save(model, staging / name)
    broken = seal_bundle(staging, second.spec, Path(store.uri), "broken")
    store.set_alias("production", broken.name)
    look(client)
    assert ask(client, face)["model_version"] == first.name
    ready = client.get("/ready").json()
    assert (ready["status"], ready["checks"]["model"]) == ("degraded", "not_replaced")
    assert "values that are not finite" in ready["details"]["model"]
    with pytest.raises(BundleError, match="not finite"):
        Predictor.load(broken.name, store=store.uri)
