"""A mix of good and bad pictures for an API that runs somewhere.

    locust -f tests/performance/locustfile.py --host http://localhost:8000

A bad picture's right answer is its 4xx. A 503 with `Retry-After` is back-pressure: it is counted apart, and the client
waits as it is told. `--answers FILE` notes the prediction ids that clients received. An API with a key takes it from
the environment variable API_KEY.
"""

from __future__ import annotations

import os
import random
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, stats, task
from locust.env import Environment

from mlopsproject.core.classes import FIVE
from mlopsproject.load.locust_run import BACK_PRESSURE
from mlopsproject.load.pictures import CONTENT_TYPE, bad_pictures, draw_faces, draw_photos, encode, form

#: A server that says more is not waited for longer.
LONGEST_WAIT = 5.0

#: Different faces, of another seed than the sample data: enough for the drift job to compare the log with a reference.
DRAWN = 300
SEED = 2
BATCH = 8

faces = [encode(pixels) for pixels in draw_faces(DRAWN, seed=SEED)]
FACES = [form([face]) for face in faces]
PNG_FACES = [form([encode(pixels, "PNG")]) for pixels in draw_faces(20, seed=SEED + 1)]
PHOTOS = [form([encode(pixels)]) for pixels in draw_photos(5)]
BATCHES = [form(faces[start : start + BATCH]) for start in range(0, 40, BATCH)]
BAD = bad_pictures()
#: Megabytes are sent less often.
BAD_WEIGHTS = [1 if len(bad.form) > 1_000_000 else 10 for bad in BAD]

# gevent's clock stood still while the pictures were drawn, and --run-time would end that much earlier.
gevent.get_hub().loop.update_now()


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--answers", metavar="FILE", default="", help="Append the prediction ids that were received")


@events.quitting.add_listener
def let_csv_files_catch_up(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    if options is not None and options.csv_prefix:
        # Locust writes them once per second, and not at the end.
        gevent.sleep(stats.CSV_STATS_INTERVAL_SEC + 0.2)


class Client(FastHttpUser):
    """Sends the next request as soon as it has the answer to the last one."""

    network_timeout = connection_timeout = 30.0

    def on_start(self) -> None:
        key = os.environ.get("API_KEY")
        self.default_headers = {"X-API-Key": key} if key else {}
        options = self.environment.parsed_options
        path = options.answers if options is not None else ""
        # One write per answer: other processes of the same test may append to it as well.
        self.notes = Path(path).open("ab", buffering=0) if path else None  # noqa: SIM115  # closed by on_stop
        #: Answered faces, each with the expression that it was drawn with.
        self.answers: list[tuple[dict[str, Any], str]] = []

    def on_stop(self) -> None:
        if self.notes is not None:
            self.notes.close()

    @task(60)
    def send_face(self) -> None:
        self.send_one("face, JPEG", FACES)

    @task(10)
    def send_png(self) -> None:
        self.send_one("face, PNG", PNG_FACES)

    @task(3)
    def send_photo(self) -> None:
        self.send_one("photo", PHOTOS)

    @task(3)
    def send_batch(self) -> None:
        number = random.randrange(len(BATCHES))
        self.send("/predict/batch", f"{BATCH} faces", BATCHES[number], first=number * BATCH)

    @task(12)
    def send_bad_picture(self) -> None:
        (bad,) = random.choices(BAD, BAD_WEIGHTS)
        self.send("/predict/", f"bad: {bad.name}", bad.form, bad.statuses)

    @task(6)
    def give_feedback(self) -> None:
        if self.answers:
            answer, drawn = random.choice(self.answers)
            label = drawn if drawn in answer["probabilities"] else answer["predicted_emotion"]
            feedback = {"prediction_id": answer["prediction_id"], "label": label}
            self.ask("POST", "/feedback", "/feedback", (200,), json=feedback)

    @task(4)
    def look_at_health(self) -> None:
        self.ask("GET", "/health", "/health", (200,))

    def send_one(self, what: str, forms: list[bytes]) -> None:
        """Send one of several pictures, by chance."""
        number = random.randrange(len(forms))
        self.send("/predict/", what, forms[number], first=number)

    def send(self, path: str, what: str, body: bytes, statuses: tuple[int, ...] = (200,), first: int = 0) -> None:
        """Send pictures; note what was answered, and remember the newest of it for feedback.

        Args:
            path: of the route.
            what: is sent, for the report.
            body: the form.
            statuses: that are right.
            first: number of the first picture; pictures show the five expressions in turn.
        """
        headers = {"Content-Type": CONTENT_TYPE}
        faces = self.ask("POST", path, f"{path} {what}", statuses, data=body, headers=headers)
        if self.notes is not None:
            self.notes.write("".join(f"{face['prediction_id']}\n" for face in faces).encode())
        drawn = [FIVE[number % len(FIVE)] for number in range(first, first + len(faces))]
        self.answers = [*self.answers, *zip(faces, drawn, strict=True)][-20:]

    def ask(
        self,
        method: str,
        path: str,
        name: str,
        statuses: tuple[int, ...],
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """Send a request and judge its answer; gives the faces in it."""
        sent = {**self.default_headers, **(headers or {})}
        with self.client.request(method, path, name=name, headers=sent, catch_response=True, **options) as response:
            status = response.status_code
            if status == 503 and response.headers.get("Retry-After"):
                response.request_meta["name"] = BACK_PRESSURE
                response.success()
                gevent.sleep(min(LONGEST_WAIT, float(response.headers["Retry-After"])))
            elif status not in statuses:
                response.failure(reason(status, response))
            else:
                try:
                    faces = faces_of(response.json()) if status == 200 else []
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    response.failure(f"the answer is not as documented ({type(error).__name__})")
                else:
                    response.success()
                    return faces
        return []


def faces_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The faces of an answer; all pictures of a batch must have been answered."""
    entries = [entry["result"] for entry in document["results"]] if "results" in document else [document]
    return [face for entry in entries for face in entry.get("faces", [])]


def reason(status: int, response: Any) -> str:
    """Why an answer is wrong, in words that many such answers share."""
    if not status:
        return f"no answer ({type(response.error).__name__})"
    try:
        kind = response.json()["type"]
    except (ValueError, KeyError, TypeError):
        kind = "no problem document"
    return f"answered {status} ({kind})"
