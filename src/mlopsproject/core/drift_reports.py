"""Drift reports, kept in a store beside the bundles: ``<store>/drift/<id>/``.

An id is ``<UTC time>-<the bundle's twelve hash digits>``, so that ids sort by time and identify the bundle. A report
is complete when its ``drift.json`` exists, which is written last.
"""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from mlopsproject.core.errors import StoreError, first_line
from mlopsproject.core.schemas import DriftEntry, DriftReport
from mlopsproject.core.store_files import DEFAULT_STORE, StoreFiles

log = logging.getLogger(__name__)

DRIFT_FOLDER: Final = "drift"
DRIFT_FILE: Final = "drift.json"
#: Evidently's page with every distribution, and the summary plot.
PAGE_FILE: Final = "report.html"
PICTURE_FILE: Final = "drift.png"
FILES: Final = (DRIFT_FILE, PAGE_FILE, PICTURE_FILE)
#: Threads that download reports from a bucket.
_READERS: Final = 8
_ID: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{6}Z-[0-9a-f]{12}")


class DamagedReportError(StoreError):
    """A report that exists and cannot be parsed."""


def report_id(report: DriftReport) -> str:
    """The id of a report, from its creation time and its bundle's hash digits."""
    return f"{report.created_at.astimezone(UTC):%Y-%m-%dT%H-%M-%S-%fZ}-{bundle_digits(report.bundle)}"


def is_report_id(text: str) -> bool:
    """Whether `text` has the form of a report's id."""
    return _ID.fullmatch(text) is not None


def bundle_digits(bundle: str) -> str:
    """The hash digits at the end of a bundle's name."""
    return bundle.rpartition("-")[2]


def read_report(content: bytes, source: str) -> DriftReport:
    """Parse a `drift.json`.

    Args:
        content: of the file.
        source: its name in error messages, such as its address.

    Raises:
        DamagedReportError: if it is damaged.
    """
    try:
        return DriftReport.model_validate_json(content)
    except ValidationError as error:
        reason = first_line(error)
        raise DamagedReportError(
            f"{source} is damaged ({reason}).", "Remove it, or run the drift job again."
        ) from error


class DriftReports:
    """The drift reports of a store.

    Args:
        uri: of the store: a folder, `gs://…` or `s3://…`.

    Every method raises `StoreError` if the store cannot be reached.
    """

    def __init__(self, uri: str | Path = DEFAULT_STORE) -> None:
        self._store = StoreFiles(uri)
        self._read: dict[str, DriftReport] = {}

    def ids(self, bundle: str | None = None) -> list[str]:
        """Ids of the reports, the newest first.

        Args:
            bundle: only reports about the bundle of this name.
        """
        found = [name for name in self._store.children(DRIFT_FOLDER) if is_report_id(name)]
        wanted = [name for name in found if bundle is None or name.endswith(f"-{bundle_digits(bundle)}")]
        return sorted(wanted, reverse=True)

    def read(self, identifier: str) -> DriftReport | None:
        """A report by its id, ``None`` if there is none. Reports never change, so they are cached.

        Raises:
            DamagedReportError: if it is damaged.
        """
        if identifier not in self._read:
            content = self.file(identifier, DRIFT_FILE)
            if content is None:
                return None
            report = read_report(content, f"{self._store.uri}/{DRIFT_FOLDER}/{identifier}/{DRIFT_FILE}")
            self._read[identifier] = report
        return self._read[identifier]

    def latest(self, bundle: str | None = None) -> DriftReport | None:
        """The newest complete report; ``None`` if there is none.

        Args:
            bundle: only reports about the bundle of this name.

        Raises:
            DamagedReportError: if it is damaged.
        """
        return next((report for name in self.ids(bundle) if (report := self.read(name)) is not None), None)

    def history(self, limit: int) -> list[DriftEntry]:
        """The newest reports of all bundles, the newest first; damaged ones are skipped with a warning.

        Args:
            limit: largest number of reports.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            found = pool.map(self._read_or_warn, names := self.ids()[:limit])
            return [DriftEntry(id=name, report=report) for name, report in zip(names, found, strict=True) if report]

    def _read_or_warn(self, identifier: str) -> DriftReport | None:
        try:
            return self.read(identifier)
        except DamagedReportError as error:
            log.warning("%s", error)
            return None

    def file(self, identifier: str, name: str) -> bytes | None:
        """The content of one of a report's `FILES`, ``None`` if there is none.

        Raises:
            ValueError: for another file name, or an invalid id.
        """
        if not is_report_id(identifier) or name not in FILES:
            raise ValueError(f"{identifier}/{name} names no file of a drift report")
        return self._store.read_file(f"{DRIFT_FOLDER}/{identifier}/{name}")

    def publish(self, report: DriftReport, folder: Path) -> str:
        """Copy a report into the store.

        Args:
            report: its field `report` is set to its address in the store.
            folder: with its page and plot.

        Returns:
            Its address in the store.

        Raises:
            StoreError: if the store cannot be written.
            UserError: for a full disk or a folder that cannot be written.
        """
        identifier = report_id(report)
        place = f"{DRIFT_FOLDER}/{identifier}"
        report.report = f"{self._store.uri}/{place}"
        for name in (PAGE_FILE, PICTURE_FILE):
            if (folder / name).is_file():
                self._store.write_file(f"{place}/{name}", (folder / name).read_bytes())
        self._store.write_file(f"{place}/{DRIFT_FILE}", report.model_dump_json(indent=2).encode() + b"\n")
        return report.report
