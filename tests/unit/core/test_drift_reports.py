"""Drift reports in a store: found by time and bundle, whole or not there, the same in a folder and in a bucket."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.drift_examples import PAGE, PICTURE, make_performance, make_report, publish

from mlopsproject.core.drift_reports import DriftReports, is_report_id, report_id
from mlopsproject.core.errors import StoreError
from mlopsproject.core.schemas import DriftReport

OTHER = "other-ba9876543210"


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    """The address of an empty store."""
    if request.param == "folder":
        return str(tmp_path / "store")
    return f"memory://{tmp_path.name}/models"


def test_a_store_without_reports_has_none(store):
    reports = DriftReports(store)
    assert reports.ids() == []
    assert reports.latest() is None
    assert reports.history(10) == []
    assert reports.read("2026-01-31T23-30-00-000000Z-0123456789ab") is None


def test_a_report_comes_back_as_it_was(store, tmp_path):
    report = make_report(performance=make_performance(), unusable={"truncated": 3})
    name = publish(store, tmp_path / "run", report)
    assert name == "2026-01-31T23-30-00-000000Z-0123456789ab"
    assert report.report == f"{store}/drift/{name}"
    assert DriftReports(store).read(name) == report
    assert DriftReports(store).latest() == report


def test_the_files_of_a_report_can_be_had(store, tmp_path):
    name = publish(store, tmp_path / "run", make_report())
    reports = DriftReports(store)
    assert reports.file(name, "report.html") == PAGE
    assert reports.file(name, "drift.png") == PICTURE
    assert DriftReport.model_validate_json(reports.file(name, "drift.json") or b"").current_rows == 500


def test_a_report_may_lack_page_and_picture(store, tmp_path):
    reports = DriftReports(store)
    reports.publish(make_report(), tmp_path)
    (name,) = reports.ids()
    assert reports.file(name, "report.html") is None
    assert reports.read(name) is not None


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("../aliases", "drift.json"),
        ("", "drift.json"),
        ("2026-01-31T23-30-00-000000Z-0123456789ab/..", "drift.json"),
        ("2026-01-31T23-30-00-000000Z-0123456789ab\n", "drift.json"),
        ("2026-01-31T23-30-00-000000Z-0123456789ab", "../../aliases/production"),
        ("2026-01-31T23-30-00-000000Z-0123456789ab", "notes.txt"),
    ],
)
def test_nothing_but_the_files_of_reports_can_be_had(tmp_path, identifier, name):
    with pytest.raises(ValueError, match="names no file"):
        DriftReports(tmp_path).file(identifier, name)


@pytest.mark.parametrize("text", ["", "2026-01-31", "2026-01-31T23-30-00-000000Z", "2026-01-31T23-30-00-000000Z-tiny"])
def test_what_is_no_id_is_told_apart(text):
    assert not is_report_id(text)
    assert is_report_id(report_id(make_report()))


def test_ids_are_sorted_by_the_time_the_newest_first(store, tmp_path):
    names = [publish(store, tmp_path / "run", make_report(hours=hours)) for hours in (0, 24 * 365, 1, 24)]
    expected = [names[1], names[3], names[2], names[0]]
    assert DriftReports(store).ids() == expected
    assert [entry.id for entry in DriftReports(store).history(10)] == expected
    assert [entry.id for entry in DriftReports(store).history(2)] == expected[:2]
    assert DriftReports(store).latest() == DriftReports(store).read(names[1])


def test_an_id_tells_the_time_in_utc():
    """Reports of machines in other places sort as they came."""
    berlin = datetime(2026, 2, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert report_id(make_report(created_at=berlin)) == report_id(make_report(created_at=berlin.astimezone(UTC)))


def test_reports_about_another_bundle_are_not_taken_for_this_ones(store, tmp_path):
    mine = publish(store, tmp_path / "run", make_report())
    others = publish(store, tmp_path / "run", make_report(OTHER, hours=1))
    reports = DriftReports(store)
    assert reports.ids() == [others, mine]
    assert reports.ids("tiny-0123456789ab") == [mine]
    assert reports.latest("tiny-0123456789ab") == reports.read(mine)
    assert reports.latest(OTHER) == reports.read(others)
    assert reports.latest("tiny-000000000000") is None
    assert {entry.report.bundle for entry in reports.history(10)} == {"tiny-0123456789ab", OTHER}


def test_a_report_is_there_once_its_verdict_is(tmp_path):
    """The job may end while it publishes, and others look meanwhile."""
    whole = publish(tmp_path, tmp_path / "run", make_report())
    half = tmp_path / "drift" / report_id(make_report(hours=1))
    half.mkdir()
    (half / "report.html").write_bytes(PAGE)
    reports = DriftReports(tmp_path)
    assert reports.latest() == reports.read(whole)
    assert [entry.id for entry in reports.history(10)] == [whole]
    (half / "drift.json").write_text(make_report(hours=1).model_dump_json())
    assert [entry.id for entry in reports.history(10)] == [half.name, whole]


def test_other_things_beside_reports_are_left_alone(tmp_path):
    name = publish(tmp_path, tmp_path / "run", make_report())
    (tmp_path / "drift" / "notes.txt").touch()
    (tmp_path / "drift" / "2026-01-31").mkdir()
    assert DriftReports(tmp_path).ids() == [name]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"verdict": "maybe"}', b"\xff\xfe"])
def test_a_damaged_report_is_a_clear_error(tmp_path, content):
    name = publish(tmp_path, tmp_path / "run", make_report())
    (tmp_path / "drift" / name / "drift.json").write_bytes(content)
    reports = DriftReports(tmp_path)
    for read in (lambda: reports.read(name), reports.latest):
        with pytest.raises(StoreError, match=rf"{re.escape(name)}/drift.json is damaged \(.*Remove it, or run"):
            read()


def test_a_damaged_report_does_not_hide_the_others(tmp_path, caplog):
    whole = publish(tmp_path, tmp_path / "run", make_report())
    damaged = publish(tmp_path, tmp_path / "run", make_report(hours=1))
    (tmp_path / "drift" / damaged / "drift.json").write_bytes(b"{")
    assert [entry.id for entry in DriftReports(tmp_path).history(5)] == [whole]
    assert f"{damaged}/drift.json is damaged" in caplog.text


def test_each_report_is_read_once(tmp_path):
    name = publish(tmp_path, tmp_path / "run", make_report())
    reports = DriftReports(tmp_path)
    before = reports.latest()
    (tmp_path / "drift" / name / "drift.json").write_bytes(b"{")
    assert reports.latest() == before


def test_an_address_of_an_unknown_kind_is_a_clear_error():
    with pytest.raises(StoreError, match="unknown kind"):
        DriftReports("nonsense://bucket").latest()
