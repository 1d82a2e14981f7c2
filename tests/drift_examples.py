"""Drift reports for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlopsproject.core.drift_reports import PAGE_FILE, PICTURE_FILE, DriftReports, report_id
from mlopsproject.core.schemas import ColumnDrift, DriftReport, Performance
from mlopsproject.core.store import Store

#: When the first report of a test was made; hours are counted from here.
START = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
PAGE = b"<!doctype html><title>drift</title>"
PICTURE = b"\x89PNG\r\n\x1a\n"


def make_column(column: str = "brightness", **changes: Any) -> ColumnDrift:
    """A column that has moved by 0.25, with values of its own where asked for."""
    values: dict[str, Any] = {
        "column": column,
        "test": "ks",
        "p_value": 0.0001,
        "threshold": 0.002,
        "distance": 0.25,
        "min_distance": 0.1,
        "drifted": True,
        "reference": {"mean": 0.5, "sd": 0.1},
        "current": {"mean": 0.25, "sd": 0.1},
    }
    return ColumnDrift(**{**values, **changes})


def make_performance(**changes: Any) -> Performance:
    """Labels that agree three times of four, with values of its own where asked for."""
    values: dict[str, Any] = {
        "verdict": "decay",
        "labels": 400,
        "correct": 300,
        "accuracy": 0.75,
        "low": 0.7,
        "high": 0.8,
        "confidence": 0.95,
        "baseline": 0.9,
        "margin": 0.03,
        "per_class": {"happy": (200, 150), "sad": (200, 150)},
        "source": "feedback",
        "note": "Labelled faces look like a random sample.",
    }
    return Performance(**{**values, **changes})


def make_report(bundle: str = "tiny-0123456789ab", hours: float = 0, **changes: Any) -> DriftReport:
    """A report about a bundle, made some hours after `START`, with values of its own where asked for."""
    values: dict[str, Any] = {
        "verdict": "drift",
        "bundle": bundle,
        "created_at": START + timedelta(hours=hours),
        "source": "log",
        "current": "log",
        "reference_rows": 1000,
        "current_rows": 500,
        "min_rows": 100,
        "alpha": 0.01,
        "drifted_share": 0.5,
        "columns": [make_column(), make_column("contrast", distance=0.05, p_value=0.5, drifted=False)],
        "seconds": 1.5,
    }
    return DriftReport(**{**values, **changes})


def publish(store: str | Path, folder: Path, report: DriftReport) -> str:
    """Publish a report with a page and a picture.

    Args:
        store: its address.
        folder: for the files, which is made.
        report: what it says.

    Returns:
        Its id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE_FILE).write_bytes(PAGE)
    (folder / PICTURE_FILE).write_bytes(PICTURE)
    DriftReports(store).publish(report, folder)
    return report_id(report)


def check_reports_come_back(store: str, folder: Path) -> None:
    """What every kind of store must do with reports.

    Args:
        store: its address; without reports.
        folder: for files.
    """
    reports = DriftReports(store)
    assert reports.latest() is None
    old = publish(store, folder / "run", make_report())
    assert reports.latest() == reports.read(old)
    new = publish(store, folder / "run", make_report(hours=24))
    other = publish(store, folder / "run", make_report("other-ba9876543210", hours=48))
    # The same reader sees what came after its first look.
    assert reports.ids() == [other, new, old]
    assert reports.latest("tiny-0123456789ab") == reports.read(new)
    assert [entry.id for entry in reports.history(10)] == [other, new, old]
    assert reports.file(new, "drift.png") == PICTURE
    assert Store(store).names() == []
