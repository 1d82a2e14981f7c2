"""The page that answers in the browser: the Predictor's answers, and nothing leaves the machine."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tests.e2e.browser import DESKTOP, PHONE, chromium, visit

from mlopsproject.core.predictor import Predictor
from mlopsproject.data.synthetic import sample_face
from mlopsproject.load.processes import Server, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
BUILD = ROOT / "examples/web/build.py"
FACES = 50
ANSWER = """async ([precision, pictures]) => {
    const { load, decode } = await import("./model.js");
    const model = await load("model", precision);
    const answers = [];
    for (const text of pictures) {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        answers.push(await model.predict(await decode(new Blob([bytes]))));
    }
    return answers;
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("web")
    subprocess.run([sys.executable, str(BUILD), "--out", str(folder / "page")], check=True, cwd=ROOT)
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", "page", str(port)]
    with Server(command, port, folder, folder / "log") as server:
        server.wait_until_ready("/")
        yield server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as started:
        yield started


def faces(encode: Callable[..., bytes]) -> list[bytes]:
    """Drawn faces of many sizes, as PNG and as JPEG."""
    classes = ("angry", "fear", "happy", "sad", "surprise")
    drawn = [sample_face(classes[n % 5], n, seed=0, size=40 + 5 * n) for n in range(FACES)]
    # Upright, square and across.
    cut = [(face[:, 9:], face, face[9:])[number % 3] for number, face in enumerate(drawn)]
    return [encode(face, "JPEG", quality=90) if number % 2 else encode(face, "PNG") for number, face in enumerate(cut)]


RESIZED = """async ([pixels, width, height]) => {
    const { resize } = await import("./preprocess.js");
    return Array.from(resize(Uint8Array.from(pixels), width, height, 64));
}"""


@pytest.mark.parametrize(
    "shape", [(64, 64), (31, 77), (200, 63), (640, 480), (480, 641), (480, 900), (100, 136), (100, 137), (7, 5)]
)
def test_pictures_are_resized_as_pillow_does(shape, address: str, browser: Browser, tmp_path: Path) -> None:
    picture = Image.effect_noise(shape, 90)
    with visit(browser, address, tmp_path) as page:
        found = page.evaluate(RESIZED, [list(picture.tobytes()), *shape])
    assert bytes(found) == picture.resize((64, 64), Image.Resampling.BILINEAR).tobytes()


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-3), ("int8", 3e-2)])
def test_answers_are_the_predictors(
    precision, tolerance, address: str, browser: Browser, tmp_path: Path, encode
) -> None:
    pictures = faces(encode)
    expected = Predictor.load("production", precision).predict(pictures)
    with visit(browser, address, tmp_path) as page:
        sent = [base64.b64encode(picture).decode() for picture in pictures]
        answers = page.evaluate(ANSWER, [precision, sent])
    assert [answer["label"] for answer in answers] == [found.label for found in expected]
    assert [answer["uncertain"] for answer in answers] == [found.uncertain for found in expected]
    differences = [
        abs(mine - theirs)
        for answer, found in zip(answers, expected, strict=True)
        for mine, theirs in zip(answer["probabilities"], found.probabilities.values(), strict=True)
    ]
    # In int8 each processor rounds sums in its own way.
    assert max(differences) <= tolerance


def wait_for_model(page: Page) -> None:
    expect(page.locator("#model")).to_contain_text("Model ")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_picture_is_answered_and_nothing_is_sent(
    size, address: str, browser: Browser, tmp_path: Path, encode
) -> None:
    picture = tmp_path / "face.png"
    picture.write_bytes(encode(sample_face("happy", 4, seed=0, size=320)))
    with visit(browser, address, tmp_path, size) as page:
        wait_for_model(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.locator("#file").set_input_files(picture)
        expect(page.locator("#answer")).to_contain_text("%")
        expect(page.locator(".bar")).to_have_count(5)
        assert [url for url in asked if not url.startswith(("blob:", "data:"))] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_square_around_a_face_is_what_is_answered(address: str, browser: Browser, tmp_path: Path, encode) -> None:
    scene = Image.new("L", (600, 400), 90)
    scene.paste(Image.fromarray(sample_face("happy", 4, seed=0, size=200)), (350, 150))
    picture = tmp_path / "scene.png"
    picture.write_bytes(encode(scene))
    expected = Predictor.load("production").predict(scene.crop((350, 150, 550, 350)))[0]
    with visit(browser, address, tmp_path) as page:
        wait_for_model(page)
        page.locator("#file").set_input_files(picture)
        expect(page.locator(".bar")).to_have_count(5)
        box = page.locator("#picture").bounding_box()
        assert box is not None
        scale = box["width"] / 600
        page.mouse.move(box["x"] + 350 * scale, box["y"] + 150 * scale)
        page.mouse.down()
        page.mouse.move(box["x"] + 550 * scale, box["y"] + 350 * scale, steps=5)
        page.mouse.up()
        expect(page.locator(".bar.first")).to_contain_text(expected.label)


def test_the_camera_gives_a_picture(address: str, browser: Browser, tmp_path: Path) -> None:
    with visit(browser, address, tmp_path) as page:
        wait_for_model(page)
        page.locator("#camera").click()
        expect(page.locator("#camera")).to_be_hidden()
        page.evaluate("window.tracks = document.getElementById('video').srcObject.getTracks()")
        page.locator("#take").click()
        expect(page.locator(".bar")).to_have_count(5)
        assert page.evaluate("tracks.every((track) => track.readyState === 'ended')")


def test_what_is_no_picture_is_said(address: str, browser: Browser, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("no picture")
    with visit(browser, address, tmp_path) as page:
        wait_for_model(page)
        page.locator("#file").set_input_files(text)
        expect(page.locator("#answer")).to_contain_text("no picture that the browser can read")


def test_a_model_that_is_not_there_is_said_and_nothing_can_be_chosen(
    address: str, browser: Browser, tmp_path: Path
) -> None:
    with visit(browser, "about:blank", tmp_path) as page:
        page.route("**/model.onnx", lambda route: route.fulfill(status=404))
        page.goto(address)
        expect(page.locator("#answer")).to_contain_text("model.onnx cannot be loaded (status 404)")
        expect(page.locator("#file")).to_be_disabled()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    command = [sys.executable, str(BUILD), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "holds something else" in done.stderr
    assert (tmp_path / "mine.txt").read_text() == "precious"
