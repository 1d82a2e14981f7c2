"""The other ways to give a picture, in a real browser: the camera plays a drawn face, a stub plays the web."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tests.e2e.browser import chromium, visit
from tests.e2e.test_frontend_browser import Frontend, frontend_of
from tests.unit.frontend.stub_api import Answer, StubApi, face, picture, ready

from mlopsproject.data.synthetic import sample_face

pytestmark = pytest.mark.slow
ADDRESS = "https://example.org/two.png"


def drawing(file_format: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(sample_face("happy", 0, seed=0, size=320)).save(stream, file_format)
    return stream.getvalue()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose camera shows a drawn face and need not be allowed."""
    film = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    film.write_bytes(drawing("JPEG") * 30)
    with chromium(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def api() -> Iterator[StubApi]:
    """A stub of the API: the real one fetches pictures of public addresses only, and none is reached from here."""
    stub = StubApi()
    yield stub
    stub.stop()


@pytest.fixture(scope="module")
def frontend(api: StubApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    """A frontend before the stub."""
    with frontend_of(api.address, tmp_path_factory.mktemp("frontend")) as running:
        yield running


@pytest.fixture
def page(browser: Browser, frontend: Frontend, tmp_path: Path) -> Iterator[Page]:
    """The first page; its last look is kept."""
    with visit(browser, frontend.address, tmp_path, web=[urlsplit(ADDRESS).hostname or ""]) as opened:
        yield opened


def test_the_camera_takes_a_picture(api, page):
    page.get_by_text("Camera", exact=True).click()
    shutter = page.get_by_role("button", name="Take Photo")
    expect(shutter).to_be_enabled()
    page.wait_for_function("[...document.querySelectorAll('video')].some(video => video.videoWidth > 0)")
    shutter.click()
    expect(page.get_by_role("heading", name="happy", exact=True)).to_be_visible()
    (shot,) = api.of("/predict/")[-1].files
    image = Image.open(io.BytesIO(shot))
    assert image.format == "JPEG"
    assert min(image.size) > 100


def test_a_picture_of_the_web_is_shown_with_its_faces_and_one_can_be_clicked(api, page):
    large, small = face("happy", number=1, box=[160, 40, 140, 140]), face("fear", number=2, box=[20, 80, 80, 80])
    api.says["POST /predict/url"] = Answer(picture(large, small))
    fetched: list[dict[str, str]] = []

    def serve(route) -> None:
        fetched.append(route.request.headers)
        route.fulfill(body=drawing("PNG"), content_type="image/png")

    page.route("https://example.org/**", serve)
    page.get_by_text("Web address").click()
    page.get_by_label("Address of a picture").fill(ADDRESS)
    page.get_by_role("button", name="Recognise", exact=True).click()
    expect(page.locator(".face")).to_have_count(2)
    assert "referer" not in fetched[0]
    whole, box = page.locator(".frame img").first.bounding_box(), page.locator(".face.chosen").bounding_box()
    assert (box["x"] - whole["x"]) / whole["width"] == pytest.approx(160 / 320, abs=0.02)
    assert box["width"] / whole["width"] == pytest.approx(140 / 320, abs=0.02)
    page.locator(".face:not(.chosen)").click()
    expect(page.get_by_role("heading", name="fear", exact=True)).to_be_visible()


def test_a_picture_that_the_browser_cannot_show_leaves_the_answer(api, page):
    api.says["POST /predict/url"] = Answer(picture(face(box=[0, 0, 9, 9])))
    page.route("https://example.org/**", lambda route: route.fulfill(status=403))
    page.get_by_text("Web address").click()
    page.get_by_label("Address of a picture").fill(ADDRESS)
    page.get_by_role("button", name="Recognise", exact=True).click()
    expect(page.get_by_text("The browser cannot show this picture.")).to_be_visible()
    expect(page.get_by_role("heading", name="happy", exact=True)).to_be_visible()


def test_a_look_at_another_page_keeps_the_picture_and_the_table(api, page):
    page.locator("input[type=file]").first.set_input_files(
        {"name": "face.png", "mimeType": "image/png", "buffer": drawing("PNG")}
    )
    expect(page.get_by_role("heading", name="happy", exact=True)).to_be_visible()
    sent = len(api.of("/predict/"))
    page.get_by_role("link", name="Batch").click()
    # The first page's own field of files would take them until then.
    expect(page.get_by_text("No pictures yet")).to_be_visible()
    for name in ("first.png", "second.png"):
        # Each file is sent once, also if others follow.
        page.locator("input[type=file]").first.set_input_files(
            {"name": name, "mimeType": "image/png", "buffer": b"face of " + name.encode()}
        )
        page.get_by_role("button", name="Recognise 1 picture").click()
        expect(page.get_by_role("button", name="Recognise 1 picture")).to_be_hidden()
    assert [request.files for request in api.of("/predict/batch")] == [[b"face of first.png"], [b"face of second.png"]]
    page.get_by_role("link", name="Recognise").click()
    expect(page.get_by_role("heading", name="happy", exact=True)).to_be_visible()
    assert len(api.of("/predict/")) == sent
    page.get_by_role("button", name="Remove this picture").click()
    expect(page.get_by_text("No picture yet")).to_be_visible()
    page.get_by_role("link", name="Batch").click()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    # Tables have no export of their own, which would not be safe for spreadsheets.
    expect(page.get_by_role("button", name="Download as CSV")).to_have_count(1)
    page.get_by_role("button", name="Remove this table").click()
    expect(page.get_by_text("No pictures yet")).to_be_visible()


def test_the_state_of_the_service_changes_by_itself(api, page):
    expect(page.get_by_text("Service ready")).to_be_visible()
    api.says["GET /ready"] = ready("degraded", database="connection refused")
    try:
        expect(page.get_by_text("database: connection refused")).to_be_visible()
    finally:
        api.says["GET /ready"] = ready()
    expect(page.get_by_text("Service ready")).to_be_visible()
