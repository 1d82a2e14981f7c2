"""The drift job from its config to its report, with the shipped bundle `sample` and the sample faces."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.prediction_rows import make_row, store_rows

from mlopsproject.config import load_config, values
from mlopsproject.core.bundle import Bundle, seal_bundle
from mlopsproject.core.drift_reports import DriftReports
from mlopsproject.core.errors import BundleError, ConfigError, DataError, UserError
from mlopsproject.core.image_statistics import STATISTICS
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.schemas import DriftReport
from mlopsproject.core.store import Store
from mlopsproject.drift import drift
from mlopsproject.monitoring.job import exit_code, publish_report, run_drift
from mlopsproject.monitoring.reference import read_reference
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.rows import FeedbackRow
from mlopsproject.prediction_log.settings import LogSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return resolve_bundle("sample", ROOT / "models")


@pytest.fixture
def store(bundle: Bundle, tmp_path: Path) -> Path:
    """A store of its own with the bundle `sample`."""
    shutil.copytree(bundle.path, tmp_path / "models" / bundle.name)
    Store(tmp_path / "models").set_alias("sample", bundle.name)
    return tmp_path / "models"


@pytest.fixture
def run(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DriftReport]:
    """``run("current=drift_data", …)``: the job, in a working folder of its own beside the sample faces."""
    (tmp_path / "work").mkdir()
    for name in ("train_data", "drift_data"):
        (tmp_path / "work" / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "serving"))

    def job(*overrides: str) -> DriftReport:
        fixed = ["bundle=sample", f"store.uri={store}", "progress=false", f"data.root={tmp_path}/data"]
        settings = values(load_config("drift", [*fixed, *overrides]))
        report = run_drift(settings, tmp_path / "out")
        publish_report(report, settings, tmp_path / "out")
        return report

    return job


def test_clean_sample_faces_are_no_drift_to_the_model_that_knows_them(run: Callable[..., DriftReport]) -> None:
    report = run("current=train_data", "publish=false")
    assert (report.verdict, report.source, exit_code(report)) == ("ok", "pictures", 0)
    assert report.performance is None
    assert report.current_rows == 2600


def test_faces_of_another_camera_are_drift_and_the_report_shows_them(
    run: Callable[..., DriftReport], store: Path, tmp_path: Path
) -> None:
    report = run("current=drift_data", "publish=true")
    assert (report.verdict, exit_code(report)) == ("drift", 3)
    assert report.drifted_share == 1.0
    assert {column.column for column in report.columns if column.drifted} >= {*STATISTICS, "embedding", "predicted"}
    written = DriftReport.model_validate_json((tmp_path / "out" / "drift.json").read_bytes())
    assert written.columns == report.columns
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "sharpness" in page
    with Image.open(tmp_path / "out" / "drift.png") as picture:
        assert picture.width > 1000
    # Where the API looks for it.
    assert DriftReports(store).latest(report.bundle) == report
    assert Path(report.report).is_relative_to(store)


def test_only_reports_of_the_log_are_published_unasked(
    run: Callable[..., DriftReport], fill_log: Callable[..., Database], store: Path
) -> None:
    run("current=drift_data")
    assert DriftReports(store).ids() == []
    fill_log(150, 1)
    run("current=log")
    assert len(DriftReports(store).ids()) == 1


def test_labels_of_a_data_set_show_decay(run: Callable[..., DriftReport]) -> None:
    report = run("current=dataset:drift_data", "publish=false")
    assert report.performance is not None
    assert report.performance.verdict == "decay"
    assert report.performance.labels == 300
    assert report.performance.accuracy is not None
    assert report.performance.accuracy < 0.7
    assert report.performance.baseline == pytest.approx(0.938, abs=0.001)


@pytest.fixture
def fill_log(bundle: Bundle, tmp_path: Path) -> Callable[..., Database]:
    """``fill_log(count, seed, moved=0.0, labels=0)``: rows as `sample` answers faces like those of its reference."""
    settings = LogSettings(data_dir=tmp_path / "serving")
    migrate(settings)
    database = Database(settings.url)
    reference = read_reference(bundle, ("brightness",))

    def fill(count: int, seed: int, *, moved: float = 0.0, labels: int = 0, model: str = bundle.name) -> Database:
        drawn = reference.sample(count, replace=True, random_state=seed)
        noise = np.random.default_rng(seed).normal(0, 0.002, count)
        rows = []
        for extra, (_, face) in zip(noise, drawn.iterrows(), strict=True):
            given: dict[str, Any] = {name: float(face[name]) for name in STATISTICS}
            given["brightness"] += moved + extra
            given |= {"predicted": face["predicted"], "confidence": float(face["confidence"])}
            rows.append(make_row(**given, model_version=model, box=None, width=64, height=64))
        feedback = [FeedbackRow(row.prediction_id, row.predicted) for row in rows[:labels]]
        store_rows(database, [*rows, *feedback])
        return database

    return fill


def test_the_log_of_faces_that_the_model_knows_is_no_drift(
    run: Callable[..., DriftReport], fill_log: Callable[..., Database]
) -> None:
    fill_log(600, 1, labels=150)
    report = run("current=log", "since=7d")
    assert (report.verdict, report.source, exit_code(report)) == ("ok", "log", 0)
    assert report.since is not None
    assert "embedding" not in {column.column for column in report.columns}
    assert report.performance is not None
    assert (report.performance.verdict, report.performance.labels) == ("ok", 150)


def test_the_log_of_darker_faces_is_drift(run: Callable[..., DriftReport], fill_log: Callable[..., Database]) -> None:
    fill_log(600, 1, moved=-0.1)
    report = run("current=log")
    assert report.verdict == "drift"
    assert [column.column for column in report.columns if column.drifted] == ["brightness"]


def test_too_few_rows_are_not_enough_and_a_client_that_repeats_itself_gives_no_more(
    run: Callable[..., DriftReport], fill_log: Callable[..., Database], tmp_path: Path
) -> None:
    database = fill_log(60, 1)
    row = make_row(model_version=resolve_bundle("sample", ROOT / "models").name)
    store_rows(database, [replace(row, prediction_id=f"{number:032x}") for number in range(500)])
    report = run("current=log", "publish=false")
    assert (report.verdict, exit_code(report)) == ("not_enough_data", 4)
    assert (report.current_rows, report.repeated_rows) == (61, 499)
    assert report.columns == []
    assert not (tmp_path / "out" / "report.html").exists()
    assert json.loads((tmp_path / "out" / "drift.json").read_text())["drifted_share"] is None


def test_a_log_of_another_bundle_is_not_compared(
    run: Callable[..., DriftReport], fill_log: Callable[..., Database]
) -> None:
    with pytest.raises(DataError, match=r"holds no row\. Serve some"):
        run("current=log")
    fill_log(150, 1, model="other-aaaaaaaaaaaa")
    with pytest.raises(DataError, match=r"only of other-aaaaaaaaaaaa \(150\)"):
        run("current=log")
    with pytest.raises(ConfigError, match="bundle=other-aaaaaaaaaaaa"):
        run("current=log", "model_version=other-aaaaaaaaaaaa")


def test_a_bundle_without_reference_is_a_clear_error(
    run: Callable[..., DriftReport], make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    tiny = make_bundle(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"has no reference\.parquet"):
        run(f"bundle={tiny.path}", "current=drift_data")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["current=drift_dat"], "did you mean 'drift_data'"),
        (["current=drift_data", "since=7d"], "since=7d is of the log only"),
        (["current=log", "since=2026-02-01", "until=2026-01-01"], "is not before"),
        (["current=log", "since=lately"], "since=lately"),
        (["current=drift_data", "faces=some"], "faces='some' is unknown"),
        (["current=drift_data", "threads=0"], "threads=0"),
        (["current=dataset:nothing"], "No data set 'nothing'"),
        (["current=dataset:drift_data", "split=tset"], "split=tset is unknown"),
    ],
)
def test_mistakes_are_answered_before_any_work(
    run: Callable[..., DriftReport], overrides: list[str], said: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=said):
        run(*overrides)


def test_the_job_prints_what_moved(
    run: Callable[..., DriftReport], store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["bundle=sample", f"store.uri={store}", "current=drift_data", "progress=false", "publish=false"]
    drift(load_config("drift", overrides), tmp_path / "out")
    said = " ".join(capsys.readouterr().out.split())
    assert "sharpness" in said
    assert "Drift: drift – 300 different faces of drift_data" in said
    assert str(tmp_path / "out" / "report.html") in said


def test_a_store_that_cannot_be_written_hides_no_verdict(
    run: Callable[..., DriftReport], store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / "drift").write_text("in the way")
    overrides = ["bundle=sample", f"store.uri={store}", "current=drift_data", "progress=false", "publish=true"]
    config = load_config("drift", overrides)
    with pytest.raises((UserError, OSError)):
        drift(config, tmp_path / "out")
    assert "Drift: drift" in " ".join(capsys.readouterr().out.split())


def spoil(bundle: Bundle, store: Path, **columns: Any) -> Path:
    """A copy of a bundle whose reference has other values in some columns; `None` leaves one out."""
    table = pq.read_table(bundle.file("reference.parquet")).to_pandas()
    for name, value in columns.items():
        table = table.drop(columns=name) if value is None else table.assign(**{name: value})
    shutil.copytree(bundle.path, store / "copy")
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), store / "copy" / "reference.parquet")
    return seal_bundle(store / "copy", bundle.spec, store, "spoilt").path


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"brightness": float("nan")}, "the column brightness has values that cannot be compared"),
        ({"contrast": "high"}, "the column contrast has values that cannot be compared"),
        ({"predicted": 3}, "the column predicted has values that cannot be compared"),
        ({"e_0": float("inf")}, "the column e_0 has values that cannot be compared"),
        ({"sharpness": None}, "has no column sharpness"),
        ({"e_31": None}, "embeddings of 31 values, the bundle's network gives 32"),
    ],
)
def test_a_reference_that_cannot_be_compared_with_is_a_clear_error(
    run: Callable[..., DriftReport], bundle: Bundle, store: Path, columns: dict[str, Any], said: str
) -> None:
    spoilt = spoil(bundle, store, **columns)
    with pytest.raises(BundleError, match=said):
        run(f"bundle={spoilt}", "current=drift_data")


def test_wandb_gets_the_figures_and_the_page(
    run: Callable[..., DriftReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "staging"))
    run("current=drift_data", "publish=false", "wandb.enabled=true", "wandb.mode=offline")
    (folder,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    assert list(folder.rglob("*.png"))
    assert list(folder.rglob("*.html"))


def test_every_column_of_the_reference_can_be_tested(run: Callable[..., DriftReport]) -> None:
    columns = "[brightness,contrast,sharpness,width,height,confidence,predicted,embedding,p_happy]"
    report = run("current=drift_data", "publish=false", f"detect.columns={columns}")
    moved = {column.column: column.distance for column in report.columns}
    assert moved["width"] == moved["height"] == 0.0
    assert moved["p_happy"] > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        (["current=train_data"], 0),
        (["current=nowhere"], 1),
        (["current=drift_data"], 3),
        (["current=few"], 4),
    ],
)
def test_the_command_ends_with_the_exit_code_of_the_contract(
    run: Callable[..., DriftReport], store: Path, tmp_path: Path, overrides: list[str], code: int
) -> None:
    few = Path("few")
    few.mkdir()
    for path in sorted((ROOT / "drift_data").rglob("*.jpg"))[:99]:
        shutil.copy(path, few)
    command = [sys.executable, "-m", "mlopsproject.drift", "bundle=sample", f"store.uri={store}", *overrides]
    done = subprocess.run(command, cwd=tmp_path / "work", capture_output=True, text=True, timeout=200)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_invoke_passes_the_exit_code_on(store: Path) -> None:
    command = [sys.executable, "-m", "invoke", "drift"]
    for override in ("bundle=sample", f"store.uri={store}", "current=drift_data", "publish=false"):
        command += ["-o", override]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=200).returncode == 3


def test_the_log_the_api_writes_and_the_folder_give_the_same_figures(bundle: Bundle) -> None:
    """One function measures for the reference, the log and the drift job: here its values for a picture as a file."""
    from mlopsproject.monitoring.current import from_pictures

    path = sorted((ROOT / "drift_data").rglob("*.jpg"))[0]
    predictor = Predictor(bundle)
    current = from_pictures(str(path), predictor, "none", shown=1, seed=0, progress=False)
    (prediction,) = predictor.predict(io.BytesIO(path.read_bytes()).getvalue())
    assert current.table["confidence"].tolist() == pytest.approx([prediction.confidence], abs=1e-6)
    assert current.table["predicted"].tolist() == [prediction.label]
