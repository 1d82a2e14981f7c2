"""The gauges say what the newest drift report about the model that answers says, and nothing of another model."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.drift_examples import START, make_column, make_performance, make_report, publish

from mlopsproject.core.drift_reports import report_id
from mlopsproject.core.store import Store

VERDICTS = ("ok", "drift", "not_enough_data")
PERFORMANCE = ("ok", "decay", "not_enough_data", "chosen_labels")


def scrape(client, model):
    """Samples about drift and performance of one model, by name and the value of the other label."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        name = family.name.removeprefix("mlopsproject_")
        for sample in family.samples:
            if name.startswith(("drift_", "performance_")) and sample.labels["model"] == model:
                found[name, *(value for label, value in sample.labels.items() if label != "model")] = sample.value
    return found


def shown(samples, name, words):
    return {word for word in words if samples[name, word]}


def look(client):
    """Have the service look for a report now."""
    client.portal.call(client.app.state.service.drift.look)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def client(serve, store):
    return serve(model_store=str(store), log_durability="off")


@pytest.fixture
def tell(store, tmp_path, tiny_bundle):
    """Publish a report about the model that answers: ``tell(hours=1, verdict="ok")``."""
    return lambda **changes: publish(store, tmp_path / "run", make_report(tiny_bundle.name, **changes))


def test_without_a_report_no_verdict_holds_and_the_time_is_zero(client, tiny_bundle):
    assert scrape(client, tiny_bundle.name) == {}  # not looked yet
    look(client)
    assert scrape(client, tiny_bundle.name) == {
        **{("drift_verdict", word): 0 for word in VERDICTS},
        **{("performance_verdict", word): 0 for word in PERFORMANCE},
        ("drift_report_timestamp_seconds",): 0,
    }


def test_a_report_is_shown_whole(client, tell, tiny_bundle):
    tell(performance=make_performance())
    look(client)
    assert scrape(client, tiny_bundle.name) == {
        ("drift_verdict", "ok"): 0,
        ("drift_verdict", "drift"): 1,
        ("drift_verdict", "not_enough_data"): 0,
        ("drift_column_distance", "brightness"): 0.25,
        ("drift_column_distance", "contrast"): 0.05,
        ("drift_drifted_share",): 0.5,
        ("drift_report_timestamp_seconds",): START.timestamp(),
        ("performance_verdict", "ok"): 0,
        ("performance_verdict", "decay"): 1,
        ("performance_verdict", "not_enough_data"): 0,
        ("performance_verdict", "chosen_labels"): 0,
        ("performance_accuracy", "estimate"): 0.75,
        ("performance_accuracy", "low"): 0.7,
        ("performance_accuracy", "high"): 0.8,
        ("performance_baseline",): 0.9,
    }


def test_a_newer_report_takes_the_place_of_the_older_one(client, tell, tiny_bundle):
    tell(performance=make_performance())
    look(client)
    tell(hours=24, verdict="ok", drifted_share=0, columns=[make_column("contrast", distance=0.125)])
    look(client)
    samples = scrape(client, tiny_bundle.name)
    assert shown(samples, "drift_verdict", VERDICTS) == {"ok"}
    assert shown(samples, "performance_verdict", PERFORMANCE) == set()
    assert samples["drift_column_distance", "contrast"] == 0.125
    assert samples["drift_report_timestamp_seconds",] == START.timestamp() + 86400
    # What it does not say is not known; 0 would be a value.
    assert math.isnan(samples["drift_column_distance", "brightness"])
    assert math.isnan(samples["performance_accuracy", "estimate"])
    assert math.isnan(samples["performance_baseline",])


def test_what_could_not_be_measured_has_no_value(client, tell, tiny_bundle):
    few = make_performance(verdict="not_enough_data", labels=0, correct=0, accuracy=None, low=None, high=None)
    tell(verdict="not_enough_data", drifted_share=None, columns=[], performance=few)
    look(client)
    samples = scrape(client, tiny_bundle.name)
    assert shown(samples, "drift_verdict", VERDICTS) == {"not_enough_data"}
    assert shown(samples, "performance_verdict", PERFORMANCE) == {"not_enough_data"}
    assert not {name for name, *_ in samples} & {"drift_drifted_share", "drift_column_distance", "performance_accuracy"}


def test_a_new_model_has_no_report_of_the_old_one(serve, make_bundle, tmp_path):
    folder = tmp_path / "store"
    first, second = (make_bundle(folder, seed=seed) for seed in (1, 2))
    Store(folder).set_alias("production", first.name)
    client = serve(model_uri="production", model_store=str(folder), log_durability="off")
    publish(folder, tmp_path / "run", make_report(first.name, performance=make_performance()))
    look(client)
    assert shown(scrape(client, first.name), "drift_verdict", VERDICTS) == {"drift"}
    Store(folder).set_alias("production", second.name)
    client.portal.call(client.app.state.service.model.look)
    look(client)
    old, new = scrape(client, first.name), scrape(client, second.name)
    for samples in (old, new):
        assert shown(samples, "drift_verdict", VERDICTS) == shown(samples, "performance_verdict", PERFORMANCE) == set()
        assert samples["drift_report_timestamp_seconds",] == 0
    assert math.isnan(old["drift_column_distance", "brightness"])
    # And back again.
    Store(folder).set_alias("production", first.name)
    client.portal.call(client.app.state.service.model.look)
    look(client)
    assert shown(scrape(client, first.name), "drift_verdict", VERDICTS) == {"drift"}
    assert scrape(client, first.name)["drift_column_distance", "brightness"] == 0.25


def test_a_report_that_cannot_be_read_is_said_once_and_leaves_the_last_one(client, tell, store, tiny_bundle, caplog):
    tell()
    look(client)
    damaged = store / "drift" / report_id(make_report(tiny_bundle.name, hours=1)) / "drift.json"
    damaged.parent.mkdir()
    damaged.write_bytes(b"{")
    look(client)
    look(client)
    assert caplog.text.count("The drift report is not read") == 1
    assert "Traceback" not in caplog.text
    assert scrape(client, tiny_bundle.name)["drift_report_timestamp_seconds",] == START.timestamp()
    damaged.unlink()
    look(client)
    damaged.write_bytes(b"{")
    look(client)
    assert caplog.text.count("The drift report is not read") == 2  # it had been well in between


def test_while_the_store_is_away_a_new_model_does_not_keep_the_old_report(serve, make_bundle, tmp_path, monkeypatch):
    folder = tmp_path / "store"
    first, second = (make_bundle(folder, seed=seed) for seed in (1, 2))
    client = serve(model_uri=str(first.path), model_store=str(folder), log_durability="off")
    publish(folder, tmp_path / "run", make_report(first.name))
    look(client)
    service = client.app.state.service
    monkeypatch.setattr(service.drift_reports, "latest", lambda name: 1 / 0)
    monkeypatch.setattr(service.model, "_uri", str(second.path))
    client.portal.call(service.model.look)
    look(client)
    assert scrape(client, first.name)["drift_report_timestamp_seconds",] == 0
    assert scrape(client, second.name)["drift_report_timestamp_seconds",] == 0
    assert shown(scrape(client, first.name), "drift_verdict", VERDICTS) == set()


def test_reports_are_looked_for_by_themselves_whatever_went_wrong_before(serve, store, tell, tiny_bundle, caplog):
    store.mkdir()
    (store / "drift").mkdir()
    damaged = store / "drift" / report_id(make_report(tiny_bundle.name)) / "drift.json"
    damaged.parent.mkdir()
    damaged.write_bytes(b"{")
    client = serve(model_store=str(store), log_durability="off", model_reload_seconds=0.05)
    wait_for(lambda: "The drift report is not read" in caplog.text)
    tell(hours=1, verdict="ok")
    wait_for(lambda: scrape(client, tiny_bundle.name).get(("drift_verdict", "ok")) == 1)
    tell(hours=2)
    wait_for(lambda: scrape(client, tiny_bundle.name)["drift_verdict", "drift"] == 1)


def test_a_slow_store_does_not_hold_up_the_event_loop(client, monkeypatch):
    service = client.app.state.service
    monkeypatch.setattr(service.drift_reports, "latest", lambda name: time.sleep(0.3))
    longest = 0.0

    async def watch():
        nonlocal longest
        task = asyncio.ensure_future(service.drift.look())
        while not task.done():
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - start)

    client.portal.call(watch)
    assert longest < 0.25


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
