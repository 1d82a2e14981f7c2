"""Pictures of Airflow's page: a run of the pipeline, and the form that starts one."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
from browser import open_page
from playwright.sync_api import Page, expect
from reports import ROOT

from mlopsproject.load.processes import Server, free_port

_DAG: Final = "faces_to_production"
_WINDOW: Final = (1400, 760)
_START_SECONDS, _RUN_SECONDS = 120, 600


def show_airflow(picture: Path, folder: Path) -> None:
    """A run on the sample faces that has ended well.

    Args:
        picture: to write.
        folder: for what is made on the way.
    """
    with _airflow(folder) as (address, password):
        token = {"username": "admin", "password": password}
        signed_in = httpx.post(f"{address}/auth/token", json=token).raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {signed_in}"}
        runs = f"{address}/api/v2/dags/{_DAG}/dagRuns"
        _wait(lambda: httpx.get(f"{address}/api/v2/dags/{_DAG}", headers=headers).is_success, _START_SECONDS)
        started = httpx.post(runs, headers=headers, json={"logical_date": None}).raise_for_status().json()
        run = f"{runs}/{started['dag_run_id']}"
        _wait(lambda: httpx.get(run, headers=headers).json()["state"] == "success", _RUN_SECONDS)
        with _signed_in(address, password, f"/dags/{_DAG}/runs/{started['dag_run_id']}") as page:
            expect(page.get_by_role("link", name="promote").last).to_be_visible()
            _settle(page)
            page.screenshot(path=picture)


def show_airflow_form(picture: Path, folder: Path) -> None:
    """The form that starts a run, filled in.

    Args:
        picture: to write.
        folder: for what is made on the way.
    """
    with _airflow(folder) as (address, password), _signed_in(address, password, f"/dags/{_DAG}") as page:
        page.get_by_role("button", name="Trigger").first.click()
        page.locator("input[name=element_source]").fill("kaggle:msambare/fer2013")
        page.locator("input[name=element_store]").fill("gs://your-bucket/models")
        page.get_by_text("Advanced Options").scroll_into_view_if_needed()
        _settle(page)
        page.screenshot(path=picture)


@contextmanager
def _airflow(folder: Path) -> Iterator[tuple[str, str]]:
    """Airflow's address, and the password of `admin`."""
    os.environ.pop("VIRTUAL_ENV", None)
    port, place = free_port(), ROOT / "orchestration/airflow"
    command = ["uv", "run", "--locked", "--project", str(place), "python", str(place / "standalone.py")]
    command += ["--home", str(folder / "home"), "--port", str(port)]
    with Server(command, port, ROOT, folder / "log", {"PIPELINE_FOLDER": folder / "pipelines"}):
        address = f"http://localhost:{port}"
        _wait(lambda: httpx.get(f"{address}/api/v2/monitor/health").is_success, _START_SECONDS)
        passwords = json.loads((folder / "home/simple_auth_manager_passwords.json.generated").read_text())
        yield address, passwords["admin"]


@contextmanager
def _signed_in(address: str, password: str, path: str) -> Iterator[Page]:
    with open_page(address, _WINDOW) as page:
        page.locator("input[name=username]").fill("admin")
        page.locator("input[name=password]").fill(password)
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Dags").first).to_be_visible()
        page.goto(address + path)
        yield page


def _settle(page: Page) -> None:
    """Wait for charts and fades."""
    page.wait_for_timeout(2000)


def _wait(done: object, seconds: float) -> None:
    assert callable(done)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if done():
                return
        except httpx.TransportError:
            pass
        time.sleep(1)
    raise SystemExit(f"Airflow took more than {seconds:g} seconds.")
