"""The drift job: reads the current faces, detects drift and decay, and writes and publishes the report."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.checks import check_choice, check_flag, check_text, check_whole
from mlopsproject.core.drift_reports import DRIFT_FILE, PAGE_FILE, PICTURE_FILE, DriftReports
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.face_inputs import FACES_WANTED
from mlopsproject.core.files import atomic_file
from mlopsproject.core.moments import parse_moment
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.schemas import DriftReport
from mlopsproject.evaluation.tracking import check_wandb
from mlopsproject.monitoring.current import (
    DATASET_PREFIX,
    LOG,
    Current,
    check_source,
    from_dataset,
    from_log,
    from_pictures,
    is_dataset,
)
from mlopsproject.monitoring.detection import Detection, detect, write_page
from mlopsproject.monitoring.performance import judge_performance
from mlopsproject.monitoring.picture import SHOWN_FACES, plot_drift
from mlopsproject.monitoring.reference import read_reference, reference_pictures
from mlopsproject.monitoring.settings import EMBEDDING, DecaySettings, DetectionSettings
from mlopsproject.monitoring.tracking import log_drift
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.settings import LogSettings

log = logging.getLogger(__name__)

#: Exit codes: no drift or decay, drift or decay, too few faces for a verdict.
OK, DRIFT, NOT_ENOUGH_DATA = 0, 3, 4


def run_drift(settings: Mapping[str, Any], output: Path) -> DriftReport:
    """Compare current faces with a bundle's reference, measure its performance, and write the report.

    Args:
        settings: as composed from `configs/drift.yaml`.
        output: folder for `drift.json`, `report.html` (Evidently's page) and `drift.png`.

    Returns:
        The report, for `publish_report`.

    Raises:
        UserError: for a bundle without a reference, a source that does not exist or has no face, or a log that is
            empty, of another bundle or cannot be read.
    """
    began = time.perf_counter()
    current_name = check_source(settings["current"], settings["split"])
    _check(settings)
    predictor = Predictor.load(
        settings["bundle"],
        precision=settings["precision"],
        store=settings["store"]["uri"],
        threads=settings["threads"],
    )
    detection_settings = DetectionSettings.of(settings["detect"], predictor.spec.classes)
    decay = DecaySettings.of(settings["decay"])
    if current_name == LOG:
        # The log has neither pixels nor embeddings.
        detection_settings = detection_settings.without(EMBEDDING)
    reference = read_reference(predictor.bundle, detection_settings.columns)
    since, until = _window(settings)
    current = _read_current(settings, predictor, detection_settings, since, until)
    detection = detect(reference, current.table, detection_settings)
    report = DriftReport(
        verdict=detection.verdict,
        bundle=predictor.model_version,
        created_at=datetime.now(UTC),
        source=current.source,
        current=current_name,
        since=since,
        until=until,
        reference_rows=len(reference),
        current_rows=len(current.table),
        repeated_rows=current.repeated,
        unusable=current.unusable,
        min_rows=detection_settings.min_rows,
        alpha=detection_settings.alpha,
        drifted_share=len(detection.drifted) / len(detection.columns) if detection.columns else None,
        columns=detection.columns,
        performance=judge_performance(current, predictor.bundle, decay),
        report=str(output),
        seconds=0.0,
    )
    faces = _faces(settings, predictor, current)
    _write(report, detection, faces, output, began)
    return report


def publish_report(report: DriftReport, settings: Mapping[str, Any], output: Path) -> str | None:
    """Publish a report in the store and, if enabled, to W&B.

    Args:
        report: from `run_drift`.
        settings: of that run.
        output: its folder.

    Returns:
        The report's address in the store; `None` if it is not published there.

    Raises:
        UserError: for a store that cannot be written; the report stays in `output`.
    """
    log_drift(settings["wandb"], report, output)
    if settings["publish"] or (settings["publish"] is None and report.source == LOG):
        return DriftReports(settings["store"]["uri"]).publish(report, output)
    return None


def exit_code(report: DriftReport) -> int:
    """Exit code of the job: 0 no drift or decay, 3 drift or decay, 4 too few faces for a verdict."""
    decayed = report.performance is not None and report.performance.verdict == "decay"
    if report.verdict == "drift" or decayed:
        return DRIFT
    return NOT_ENOUGH_DATA if report.verdict == "not_enough_data" else OK


def _check(settings: Mapping[str, Any]) -> None:
    check_whole("threads", settings["threads"], lowest=1)
    check_choice("faces", settings["faces"], FACES_WANTED)
    check_text("data.root", settings["data"]["root"])
    for key in ("examples", "progress"):
        check_flag(key, settings[key])
    if settings["publish"] is not None:
        check_flag("publish", settings["publish"])
    check_wandb(settings["wandb"])
    if settings["current"] != LOG:
        for key in ("since", "until", "model_version"):
            if settings[key] is not None:
                raise ConfigError(f"{key}={settings[key]} is of the log only.", f"Give current={LOG}, or leave it out.")


def _window(settings: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    since, until = parse_moment("since", settings["since"]), parse_moment("until", settings["until"])
    if since and until and since >= until:
        raise ConfigError(f"since={since} is not before until={until}.")
    return since, until


def _read_current(
    settings: Mapping[str, Any],
    predictor: Predictor,
    detection: DetectionSettings,
    since: datetime | None,
    until: datetime | None,
) -> Current:
    name, seed = settings["current"], detection.seed
    if name == LOG:
        version = settings["model_version"] or predictor.model_version
        if version != predictor.model_version:
            raise ConfigError(
                f"model_version={version} did not make the reference of {predictor.model_version}.",
                f"Compare answers with the bundle that gave them: bundle={version}",
            )
        database = Database(LogSettings.read(database_url=settings["database_url"]).url)
        return from_log(database, version, since, until, limit=detection.max_rows, columns=detection.columns)
    data = settings["data"]
    if is_dataset(name, Path(data["root"])):
        name = name.removeprefix(DATASET_PREFIX)
        return from_dataset(name, settings["split"], data, predictor, shown=SHOWN_FACES, seed=seed)
    return from_pictures(
        name, predictor, settings["faces"], shown=SHOWN_FACES, seed=seed, progress=settings["progress"]
    )


def _faces(settings: Mapping[str, Any], predictor: Predictor, current: Current) -> list[tuple[str, NDArray[np.uint8]]]:
    if current.pictures is None or not settings["examples"]:
        return []
    root, seed = Path(settings["data"]["root"]), settings["detect"]["seed"]
    known = reference_pictures(predictor.bundle, root, SHOWN_FACES, seed)
    sides = [("Faces of the reference", known)] if known is not None else []
    return [*sides, ("Current faces", current.pictures)]


def _write(
    report: DriftReport,
    detection: Detection,
    faces: list[tuple[str, NDArray[np.uint8]]],
    output: Path,
    began: float,
) -> None:
    """Write the report's files; `drift.json` is the last, because its presence marks the report as complete."""
    output.mkdir(parents=True, exist_ok=True)
    plot_drift(report, detection.reference, detection.current, output / PICTURE_FILE, faces)
    if detection.columns:
        with atomic_file(output / PAGE_FILE) as temporary:
            write_page(detection, temporary)
    report.seconds = round(time.perf_counter() - began, 2)
    with atomic_file(output / DRIFT_FILE) as temporary:
        temporary.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
