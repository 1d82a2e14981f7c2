"""People's side, as they see it: a real browser in front of the real frontend in front of the real API."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tests.drift_examples import make_performance, make_report
from tests.e2e.api.conftest import ROOT, Server, clean_environment, free_port
from tests.e2e.browser import DESKTOP, PHONE, chromium, visit
from tests.e2e.test_drift_page import write_page

from mlopsproject.core.drift_reports import PAGE_FILE, PICTURE_FILE, DriftReports
from mlopsproject.data.synthetic import render_expression, sample_expression
from mlopsproject.data.synthetic.identity import sample_identity
from mlopsproject.data.synthetic.scene import STUDIO
from mlopsproject.frontend.settings import FrontendSettings

pytestmark = pytest.mark.slow
SHIPPED = {"MODEL_STORE": str(ROOT / "models"), "MODEL_URI": "production", "LOG_DRAIN_SECONDS": "0.2"}
UPLOAD = "input[type=file]"


class Frontend:
    """The frontend in a process of its own."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log_file = folder / f"frontend-{self.port}.log"
        names = {name.upper() for name in FrontendSettings.model_fields}
        environment = {name: value for name, value in clean_environment().items() if name not in names}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlopsproject.frontend"],
                cwd=folder,
                env=environment | {"BACKEND": backend, "FRONTEND_PORT": str(self.port)},
                stdout=log,
                stderr=log,
            )

    def wait(self, seconds: float = 60) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, self.log
            try:
                httpx.get(f"{self.address}/_stcore/health")
            except httpx.TransportError:
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop it."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        """What it wrote."""
        return self.log_file.read_text(encoding="utf-8")


@contextmanager
def frontend_of(backend: str, folder: Path) -> Iterator[Frontend]:
    """A frontend that answers, and has logged no traceback when it is no longer needed."""
    running = Frontend(backend, folder)
    try:
        running.wait()
        yield running
        assert "Traceback" not in running.log
    finally:
        running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of all tests here; each has a session of its own in it."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped models, for drift reports beside them."""
    folder = tmp_path_factory.mktemp("store") / "models"
    shutil.copytree(ROOT / "models", folder, ignore=shutil.ignore_patterns("drift"))
    return folder


@pytest.fixture(scope="module")
def api(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API with the shipped model."""
    server = Server(["mlopsproject.api"], tmp_path_factory.mktemp("api"), SHIPPED | {"MODEL_STORE": str(store)})
    server.wait()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def frontend(api: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    """A frontend before it."""
    with frontend_of(f"http://127.0.0.1:{api.port}", tmp_path_factory.mktemp("frontend")) as running:
        yield running


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a drawn smile, two and six faces side by side, a file that is cut off and one with a wicked name.

    The folder `other/` in it holds another picture called `smile.png`.
    """
    folder = tmp_path_factory.mktemp("drawings")
    smile, surprise = _face("happy", 4), _face("surprise", 3)
    Image.fromarray(smile).save(folder / "smile.png")
    Image.fromarray(np.hstack([smile, surprise])).save(folder / "two.png")
    row = np.hstack([smile, surprise, smile])
    Image.fromarray(np.vstack([row, row])).save(folder / "six.png")
    (folder / "other").mkdir()
    Image.fromarray(surprise).save(folder / "other/smile.png")
    content = (folder / "smile.png").read_bytes()
    (folder / "broken.png").write_bytes(content[:900])
    (folder / "=1+1.png").write_bytes(content)
    return folder


def _face(expression: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return render_expression(sample_expression(expression, rng), sample_identity(rng), STUDIO, rng, 320)


def give(page: Page, *files: Path) -> None:
    """Choose files, as with the dialogue of the browser."""
    page.locator(UPLOAD).first.set_input_files(list(files))


def has_no_sideways_scroll(page: Page) -> bool:
    return bool(
        page.evaluate(
            "[document.documentElement, ...document.querySelectorAll('.stMain, main')]"
            ".every(part => part.scrollWidth <= part.clientWidth)"
        )
    )


def test_an_uploaded_face_gets_its_label_its_chart_and_takes_feedback(browser, api, frontend, drawings, tmp_path):
    before = api.client.get("/stats").json()
    with visit(browser, frontend.address, tmp_path) as page:
        expect(page.get_by_text("Service ready")).to_be_visible()
        give(page, drawings / "smile.png")
        expect(page.get_by_role("heading", name="happy", exact=True)).to_be_visible()
        expect(page.get_by_text("with a probability of")).to_be_visible()
        chart = page.get_by_test_id("stVegaLiteChart")
        expect(chart.locator("canvas, svg").first).to_be_visible()
        assert chart.bounding_box()["height"] > 100
        expect(page.locator(".face.chosen")).to_have_count(1)
        expect(page.locator(".frame img").first).to_be_visible()
        page.get_by_role("button", name="happy, I agree").click()
        expect(page.get_by_text("Thank you.")).to_be_visible()
    deadline = time.monotonic() + 20
    while (after := api.client.get("/stats").json())["feedback"] == before["feedback"]:
        assert time.monotonic() < deadline, after
        time.sleep(0.1)
    assert after["feedback"] - before["feedback"] == after["feedback_agrees"] - before["feedback_agrees"] == 1


def test_the_answer_shows_what_it_rests_on_and_speaks_of_the_face_that_is_clicked(
    browser, frontend, drawings, tmp_path
):
    with visit(browser, frontend.address, tmp_path) as page:
        give(page, drawings / "two.png")
        expect(page.locator(".face")).to_have_count(2)
        # The largest is chosen first; a click on it would say nothing.
        for name in ("happy", "surprise", "happy"):
            page.locator(f".face[aria-label*={name}]").click()
            expect(page.locator(f".face.chosen[aria-label*={name}]")).to_be_visible()
            expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        page.get_by_text("Show what the answer rests on").click()
        expect(page.locator(".layer .heat")).to_be_visible()
        expect(page.locator(".legend")).to_have_text("Speaks against happySpeaks for happy")
        expect(page.get_by_text("divides the odds of happy by")).to_be_visible()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_numbers_of_many_faces_cover_none_and_the_faces_are_summed_up(browser, frontend, drawings, tmp_path, size):
    with visit(browser, frontend.address, tmp_path, size) as page:
        give(page, drawings / "six.png")
        expect(page.locator(".tag")).to_have_count(6)
        expect(page.get_by_text("6 faces: 4 happy, 2 surprise.")).to_be_visible()
        expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2)
        boxes, tags = ([part.bounding_box() for part in page.locator(name).all()] for name in (".face", ".tag"))
        picture = page.locator(".frame > img").bounding_box()
        for tag in tags:
            assert tag["height"] >= 12
            assert not any(overlap(tag, box) for box in boxes)
            assert overlap(tag, picture) == pytest.approx(tag["width"] * tag["height"])
        # A tag can be clicked as the face itself; enlarged, a small face shows its heat map.
        page.locator(".tag", has_text="4").click()
        expect(page.locator(".tag.chosen")).to_have_text("4")
        page.get_by_text("Show what the answer rests on").click()
        expect(page.locator(".close-up .heat")).to_be_visible()
        assert has_no_sideways_scroll(page)


def overlap(one: dict[str, float], other: dict[str, float]) -> float:
    """Area that two elements share on the screen, beyond rounding."""
    across, down = (
        min(one[start] + one[length], other[start] + other[length]) - max(one[start], other[start])
        for start, length in (("x", "width"), ("y", "height"))
    )
    return across * down if min(across, down) > 0.6 else 0.0


def test_a_batch_with_a_broken_file_gets_a_table_and_a_csv_that_spreadsheets_do_not_run(
    browser, frontend, drawings, tmp_path
):
    names = ["smile.png", "broken.png", "=1+1.png", "other/smile.png"]
    with visit(browser, f"{frontend.address}/batch", tmp_path, accept_downloads=True) as page:
        give(page, *(drawings / name for name in names))
        page.get_by_role("button", name="Recognise 4 pictures").click()
        expect(page.get_by_text("Without an answer")).to_be_visible()
        expect(page.get_by_text("broken.png: ")).to_be_visible()
        expect(page.get_by_test_id("stDataFrame")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_test_id("stDownloadButton").get_by_role("button").click()
        content = download.value.path().read_bytes()
        assert download.value.suggested_filename == "expressions.csv"
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert [row["file"] for row in rows] == ["smile.png (1)", "broken.png", "'=1+1.png", "smile.png (2)"]
    smile, broken, wicked, other = rows
    assert smile["label"] == wicked["label"] == "happy"
    assert other["label"] == "surprise"
    shares = {name: float(value) for name, value in smile.items() if name.startswith("p_")}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert float(smile["confidence"]) == pytest.approx(max(shares.values())) == pytest.approx(shares["p_happy"])
    assert (broken["label"], broken["confidence"]) == ("", "")
    assert "cut off" in broken["problem"]


def test_the_monitoring_page_draws_what_was_answered_over_time(browser, api, frontend, drawings, tmp_path):
    api.predict((drawings / "smile.png").read_bytes()).raise_for_status()
    with visit(browser, f"{frontend.address}/monitoring", tmp_path) as page:
        expect(page.get_by_text("Faces answered")).to_be_visible()
        for title in ("Answers", "Shares of the expressions", "Confidence and doubt", "Agreement of feedback"):
            expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        for span in ("Hour", "Quarter", "Day"):
            page.get_by_role("radio", name=span, exact=True).click()
            for title in ("Answers", "Shares of the expressions"):
                chart = page.locator(f"[aria-label='{title} over time'], [alt='{title} over time']").first
                expect(chart).to_be_visible()
        expect(page.get_by_role("heading", name="The model that answers now")).to_be_visible()


def test_the_monitoring_page_tells_drift_and_shows_the_report_without_giving_it_rights(
    browser, api, frontend, store, tmp_path
):
    with visit(browser, f"{frontend.address}/monitoring", tmp_path) as page:
        expect(page.get_by_text("No drift report about this model yet")).to_be_visible()
        model = api.client.get("/ready").json()["model_version"]
        (tmp_path / "run").mkdir()
        write_page(tmp_path / "run" / PAGE_FILE)
        Image.fromarray(_face("happy", 1)).save(tmp_path / "run" / PICTURE_FILE)
        for report in (make_report(model, -24, verdict="ok"), make_report(model, performance=make_performance())):
            DriftReports(store).publish(report, tmp_path / "run")
        page.reload()
        expect(page.get_by_text("Drift: the faces look different")).to_be_visible()
        expect(page.get_by_text("25.0 % of the faces apart, mean 0.5 → 0.25")).to_be_visible()
        expect(page.get_by_text("Less accurate than on test")).to_be_visible()
        expect(page.get_by_test_id("stImage").locator("img")).to_be_visible()
        expect(page.get_by_role("heading", name="Drift reports so far")).to_be_visible()
        expect(page.locator("iframe")).to_have_count(0)
        page.get_by_text("Show the newest report in full").click()
        inside = page.frame_locator("iframe[title='The drift report']")
        expect(inside.get_by_text("Drifted Columns", exact=True)).to_be_visible()
        inside.get_by_role("row", name="brightness").get_by_role("button").click()
        expect(inside.locator(".js-plotly-plot").first).to_be_visible()
        assert inside.locator("body").evaluate("() => window.origin") == "null"
        with page.expect_download() as download:
            page.get_by_test_id("stDownloadButton").get_by_role("button").click()
        assert download.value.path().read_bytes() == (tmp_path / "run" / PAGE_FILE).read_bytes()
        assert has_no_sideways_scroll(page)


def test_every_page_fits_a_phone(browser, frontend, drawings, tmp_path):
    with visit(browser, frontend.address, tmp_path, PHONE, color_scheme="dark") as page:
        give(page, drawings / "two.png")
        expect(page.get_by_text("Calibrated probabilities.")).to_be_visible()
        assert has_no_sideways_scroll(page)
        page.goto(f"{frontend.address}/batch")
        expect(page.get_by_text("No pictures yet")).to_be_visible()
        give(page, drawings / "smile.png", drawings / "broken.png")
        page.get_by_role("button", name="Recognise 2 pictures").click()
        expect(page.get_by_test_id("stDownloadButton")).to_be_visible()
        assert has_no_sideways_scroll(page)
        page.goto(f"{frontend.address}/monitoring")
        expect(page.get_by_text("As of")).to_be_visible()
        expect(page.get_by_text("Do the faces still look like those that the model knows?")).to_be_visible()
        assert has_no_sideways_scroll(page)


def test_an_api_that_is_down_gets_a_friendly_message_and_the_page_goes_on_by_itself(browser, drawings, tmp_path):
    port = free_port()
    frontend = Frontend(f"http://127.0.0.1:{port}", tmp_path)
    server = None
    try:
        frontend.wait()
        with visit(browser, frontend.address, tmp_path) as page:
            expect(page.get_by_text("This page goes on by itself once it answers.")).to_be_visible()
            expect(page.get_by_text("Service does not answer", exact=True)).to_be_visible()
            give(page, drawings / "smile.png")
            expect(page.get_by_text("Waiting for the service.")).to_be_visible()
            assert "Traceback" not in page.inner_text("body")
            server = Server(["mlopsproject.api"], tmp_path, {**SHIPPED, "PORT": str(port)})
            expect(page.get_by_role("heading", name="happy", exact=True)).to_be_visible()
            expect(page.get_by_text("Service ready")).to_be_visible()
        assert "Traceback" not in frontend.log
    finally:
        frontend.stop()
        if server is not None:
            server.stop()


def test_the_apis_own_page_needs_no_frontend(browser, api, drawings, tmp_path):
    with visit(browser, f"http://127.0.0.1:{api.port}/", tmp_path, PHONE) as page:
        page.locator("#file").set_input_files(drawings / "smile.png")
        answer = page.locator("#answer .answer")
        expect(answer).to_contain_text("happy")
        bars = page.locator(".bars li")
        expect(bars).to_have_count(len(api.client.get("/").json()["classes"]))
        expect(page.locator(".bars li.top")).to_contain_text("happy")
        widths = [bar.bounding_box()["width"] for bar in page.locator(".bars .fill").all()]
        assert max(widths) > 5 * sorted(widths)[-2]
        expect(page.locator("#picture .face")).to_have_count(1)
        assert has_no_sideways_scroll(page)
        page.locator("#file").set_input_files(drawings / "broken.png")
        expect(page.locator("#answer .problem")).to_contain_text("cut off")


def test_the_apis_documentation_needs_no_other_machine_and_can_be_tried_out(browser, api, tmp_path):
    with visit(browser, f"http://127.0.0.1:{api.port}/docs", tmp_path) as page:
        for path in ("/predict/", "/predict/batch", "/predict/url", "/explain", "/feedback", "/ready"):
            expect(page.locator(f'[data-path="{path}"]')).to_be_visible()
        page.locator('.opblock:has([data-path="/health"]) button').first.click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table .response .response-col_status")).to_contain_text("200")
