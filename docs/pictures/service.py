"""Pictures of the running service: the API's own page, and the frontend with its monitoring."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
from browser import open_page
from PIL import Image
from playwright.sync_api import Page, expect
from reports import ROOT, run_job

from mlopsproject.core.drift_reports import DRIFT_FILE, DriftReports, read_report
from mlopsproject.data.synthetic import render_expression, sample_expression
from mlopsproject.data.synthetic.identity import sample_identity
from mlopsproject.data.synthetic.scene import STUDIO
from mlopsproject.load.generated_log import GeneratedLog
from mlopsproject.load.processes import Server, api_server, free_port
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.settings import LogSettings

_UPLOAD: Final = "input[type=file]"
_WINDOW: Final = (1280, 884)
_FACE: Final = 320
#: Expressions and seeds of the faces that the frontend shows; the last is calm, which the model has no class for.
_FACES: Final = (("sad", 10), ("surprise", 3), ("angry", 8), ("happy", 7), ("happy", 4), ("neutral", 9))
#: Of the log that is made up for the monitoring page.
_ROWS, _REMARKS, _DAYS = 14_000, 600, 7
_EARLIER_MODEL: Final = "fer2013-fine-five-all-0890d27075a5"


def show_api_page(picture: Path, folder: Path) -> None:
    """The page that the API alone gives to a browser, with an answer.

    Args:
        picture: to write.
        folder: for what is made on the way.
    """
    face = folder / "face.png"
    Image.fromarray(_draw("happy", 4)).save(face)
    with _api(folder) as api, open_page(f"{api.url}/", (760, 800)) as page:
        page.locator("#file").set_input_files(face)
        expect(page.locator("#answer .answer")).to_be_visible()
        page.screenshot(path=picture)


def show_frontend(picture: Path, folder: Path) -> None:
    """An answer to one of six drawn faces, with its heat map, below what they show in all.

    Args:
        picture: to write.
        folder: for what is made on the way.
    """
    faces = [_draw(*face) for face in _FACES]
    Image.fromarray(np.vstack([np.hstack(faces[:3]), np.hstack(faces[3:])])).save(folder / "six.png")
    with _api(folder) as api, _frontend(api, folder) as address, open_page(address, _WINDOW) as page:
        page.locator(_UPLOAD).first.set_input_files(folder / "six.png")
        page.locator(".face[aria-label*=happy]").first.click()
        expect(page.get_by_role("heading", name="happy", exact=True)).to_be_visible()
        # Streamlit draws the switch anew for another face.
        _settle(page)
        page.get_by_text("Show what the answer rests on").click()
        expect(page.locator(".close-up .heat")).to_be_visible()
        _settle(page)
        page.screenshot(path=picture)


def show_web_page(picture: Path, folder: Path) -> None:
    """The page that answers in the browser.

    Args:
        picture: to write.
        folder: for what is made on the way.
    """
    build = [sys.executable, str(ROOT / "examples/web/build.py"), "--out", str(folder / "web")]
    subprocess.run(build, cwd=ROOT, check=True)  # noqa: S603  # a program of our own
    face, port = folder / "face.png", free_port()
    Image.fromarray(_draw("happy", 4)).save(face)
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", "web", str(port)]
    with Server(command, port, folder, folder / "web.log") as server:
        server.wait_until_ready("/")
        with open_page(server.url, (1000, 760)) as page:
            expect(page.locator("#model")).to_contain_text("Model ")
            page.locator("#file").set_input_files(face)
            expect(page.locator(".bar")).to_have_count(5)
            page.screenshot(path=picture)


def show_monitoring(picture: Path, folder: Path) -> None:
    """A week of answers that are made up, with the drift reports about them.

    Args:
        picture: to write.
        folder: for what is made on the way.
    """
    with _api(folder) as api, _frontend(api, folder) as address:
        _make_up_a_week(folder)
        with open_page(f"{address}/monitoring", _WINDOW) as page:
            page.get_by_role("radio", name="Week", exact=True).click()
            expect(page.get_by_text("Drift reports so far")).to_be_visible()
            _settle(page)
            height = int(page.locator(".stMain").evaluate("part => part.scrollHeight"))
            page.set_viewport_size({"width": _WINDOW[0], "height": height})
            _settle(page)
            end = page.get_by_text("Show the newest report in full").bounding_box()
            assert end is not None
            page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": _WINDOW[0], "height": end["y"] - 20})


@contextmanager
def _api(folder: Path) -> Iterator[Server]:
    """An API with the bundle that ships, and a store in which reports may be published."""
    store = folder / "models"
    shutil.copytree(ROOT / "models", store, ignore=shutil.ignore_patterns("drift"))
    settings = {"MODEL_STORE": store, "MODEL_URI": "production"}
    with api_server(folder, folder / "api.log", settings) as api:
        api.wait_until_ready("/ready")
        yield api


@contextmanager
def _frontend(api: Server, folder: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "mlopsproject.frontend"]
    settings = {"BACKEND": api.url, "FRONTEND_PORT": port}
    with Server(command, port, folder, folder / "frontend.log", settings) as frontend:
        frontend.wait_until_ready("/_stcore/health")
        yield frontend.url


def _make_up_a_week(folder: Path) -> None:
    production = (ROOT / "models/aliases/production").read_text(encoding="utf-8").strip()
    settings = LogSettings(data_dir=folder / "data", _env_file=None)
    migrate(settings)
    log = GeneratedLog(_ROWS, time.time(), days=_DAYS, remarks=_REMARKS, seed=1)
    log.fill(Database(settings.url))
    with sqlite3.connect(folder / "data/predictions.db") as database:
        for number, name in enumerate((_EARLIER_MODEL, production)):
            generated = f"generated-{number:012x}"
            database.execute("UPDATE predictions SET model_version = ? WHERE model_version = ?", (name, generated))
    run_job(
        "drift",
        "current=log",
        "since=3d",
        "publish=false",
        "progress=false",
        f"store.uri={folder / 'models'}",
        f"database_url=sqlite:///{folder / 'data/predictions.db'}",
        f"hydra.run.dir={folder / 'run'}",
        codes=(0, 3),
    )
    _publish(folder)


def _publish(folder: Path) -> None:
    """Publish the report, and before it some of earlier days that found nothing."""
    text = (folder / "run" / DRIFT_FILE).read_text(encoding="utf-8")
    reports = DriftReports(folder / "models")
    for days in range(_DAYS - 1, -1, -1):
        report = read_report(text.encode(), DRIFT_FILE)
        report.created_at -= timedelta(days=days)
        if days:
            report.verdict, report.drifted_share = "ok", 0.0
            for column in report.columns:
                column.drifted = False
        reports.publish(report, folder / "run")


def _draw(expression: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return render_expression(sample_expression(expression, rng), sample_identity(rng), STUDIO, rng, _FACE)


def _settle(page: Page) -> None:
    """Wait until charts and pictures are drawn."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(3000)
