"""A server that speaks the API's schemas and says what a test tells it to; it keeps what it was asked."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image
from tests.drift_examples import PAGE

from mlopsproject.core.drift_reports import report_id
from mlopsproject.core.schemas import DriftReport

CLASSES = ("angry", "fear", "happy", "sad", "surprise")
MODEL = "stub-0123456789ab"


@dataclass
class Request:
    """One request, read."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> list[tuple[str, str | None, bytes]]:
        """Name, file name and content of each field of a form."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        form = message_from_bytes(head + self.body, policy=HTTP)
        return [
            (str(part.get_param("name", header="content-disposition")), part.get_filename(), part.get_content())
            if part.get_filename()
            else (str(part.get_param("name", header="content-disposition")), None, part.get_payload(decode=True))
            for part in form.iter_parts()
        ]

    @property
    def form(self) -> dict[str, bytes]:
        """Content by name, for forms in which each name occurs once."""
        return {name: content for name, _, content in self.fields}

    @property
    def files(self) -> list[bytes]:
        return [content for _, file_name, content in self.fields if file_name]


@dataclass
class Answer:
    """What the stub says."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    seconds: float = 0.0

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Says = Answer | Callable[[Request], Answer]


def problem(status: int, kind: str, detail: str, **headers: str) -> Answer:
    """A refusal as the API words it."""
    document = {"type": kind, "title": "No", "status": status, "detail": detail, "request_id": "r" * 32}
    return Answer(document, status, {name.replace("_", "-"): value for name, value in headers.items()})


def face(label: str = "happy", share: float = 0.9, *, number: int = 1, box: Any = None) -> dict[str, Any]:
    """One face's answer; below 0.7 it is uncertain."""
    rest = (1 - share) / (len(CLASSES) - 1)
    shares = {name: share if name == label else rest for name in CLASSES}
    return {
        "prediction_id": f"{number:032x}",
        "box": box,
        "predicted_emotion": label,
        "confidence": share,
        "uncertain": share < 0.7,
        "probabilities": shares,
        "probs": list(shares.values()),
    }


def picture(*faces: dict[str, Any], search: str = "found") -> dict[str, Any]:
    """The answer to a picture with these faces, the largest first."""
    top = {name: value for name, value in faces[0].items() if name not in ("prediction_id", "box")}
    return {
        "request_id": "a" * 32,
        "model_version": MODEL,
        "face": faces[0]["box"],
        "face_search": search,
        "faces": list(faces),
        **top,
    }


def ready(status: str = "ok", **checks: str) -> Answer:
    """How the service fares."""
    document = {
        "status": status,
        "model_version": MODEL,
        "checks": {"model": "ok", "log": "ok", "database": "ok"} | checks,
    }
    return Answer(document, 503 if status == "not_ready" else 200)


def model() -> Answer:
    """The model that answers."""
    spec = {
        "classes": list(CLASSES),
        "precisions": {"fp32": {"abstain_threshold": 0.7}},
        "metrics": {"test/accuracy": 0.733, "test/macro_f1": 0.7, "test/ece": 0.02},
        "training_data": {"name": "drawn", "train": 2000, "test": 300},
        "network": {"parameters": 381_493},
    }
    return Answer({"model_version": MODEL, "precision": "fp32", "spec": spec})


def stats(total: int = 10, uncertain: int = 3, feedback: int = 4, agrees: int = 3, pending: int = 2) -> Answer:
    """What the log holds."""
    now = datetime(2026, 1, 2, tzinfo=UTC)
    buckets = [
        {
            "start": (now - timedelta(minutes=30 * (48 - number))).isoformat(),
            "count": total if number == 47 else 0,
            "uncertain": uncertain if number == 47 else 0,
            "mean_confidence": 0.8,
            "classes": {"happy": total} if number == 47 and total else {},
            "feedback": feedback if number == 47 else 0,
            "feedback_agrees": agrees if number == 47 else 0,
        }
        for number in range(48)
    ]
    answered = {"count": total, "first": buckets[47]["start"], "last": now.isoformat()}
    return Answer(
        {
            "since": (now - timedelta(days=1)).isoformat(),
            "until": now.isoformat(),
            "total": total,
            "uncertain": uncertain,
            "mean_confidence": 0.8 if total else None,
            "mean_latency_ms": 4.2 if total else None,
            "classes": [{"label": "happy", "count": total, "uncertain": uncertain, "mean_confidence": 0.8}][:total],
            "timeline": buckets,
            "models": [{"model_version": MODEL, **answered}] if total else [],
            "feedback": feedback,
            "feedback_agrees": agrees,
            "statistics": {"brightness": 0.5, "contrast": 0.2, "sharpness": 0.1} if total else {},
            "pending": pending,
        }
    )


def drift(report: DriftReport) -> dict[str, Says]:
    """What the API says of a report about the model that answers: the newest, and the only one."""
    document, identifier = report.model_dump(mode="json"), report_id(report)
    stream = io.BytesIO()
    Image.new("RGB", (60, 20)).save(stream, "PNG")
    return {
        "GET /drift": Answer(document),
        "GET /drift/history": Answer([{"id": identifier, "report": document}]),
        f"GET /drift/{identifier}/picture": Answer(stream.getvalue(), content_type="image/png"),
        f"GET /drift/{identifier}/report": Answer(PAGE, content_type="text/html; charset=utf-8"),
    }


class StubApi:
    """The server, in threads of this process. Change `says` to change an answer; `asked` holds every request.

    Attributes:
        says: what is answered, by method and path.
        asked: what was asked, in order.
    """

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.says: dict[str, Says] = {
            "GET /ready": ready(),
            "GET /model": model(),
            "GET /stats": stats(),
            "GET /drift": problem(404, "no_report", "There is no drift report about this model yet."),
            "GET /drift/history": Answer([]),
            "POST /predict/": Answer(picture(face(box=[10, 10, 40, 40]))),
            "POST /predict/url": Answer(picture(face(box=[10, 10, 40, 40]))),
            "POST /predict/batch": self._batch,
            "POST /explain": Answer(
                {
                    "request_id": "e" * 32,
                    "model_version": MODEL,
                    "predicted_emotion": "happy",
                    "confidence": 0.9,
                    "box": [10, 10, 40, 40],
                    "heatmap": [[0.25, -0.1], [0.0, 0.5]],
                }
            ),
            "POST /feedback": lambda request: Answer({**request.json, "agrees": request.json["label"] == "happy"}),
        }
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def of(self, path: str) -> list[Request]:
        """The requests to one path."""
        return [request for request in self.asked if request.path == path]

    def stop(self) -> None:
        """Close the port: from now on nothing answers."""
        self._server.shutdown()
        self._server.server_close()

    def _batch(self, request: Request) -> Answer:
        """Answers every picture that holds `face`, and refuses the others."""
        entries = [
            {"file": f"{number}", "result": picture(face(number=number + 1, box=[0, 0, 9, 9]))}
            if b"face" in content
            else {"file": f"{number}", "problem": problem(400, "not_an_image", "The file is not a picture.").body}
            for number, content in enumerate(request.files)
        ]
        answered = sum("result" in entry for entry in entries)
        return Answer(
            {
                "request_id": "b" * 32,
                "model_version": MODEL,
                "answered": answered,
                "failed": len(entries) - answered,
                "results": entries,
            }
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, path, query, headers, body)
                stub.asked.append(request)
                says = stub.says.get(f"{self.command} {path}", problem(404, "not_found", "There is nothing here."))
                answer = says(request) if callable(says) else says
                if answer.seconds:
                    threading.Event().wait(answer.seconds)
                self.send_response(answer.status)
                for name, value in {"Content-Type": answer.content_type, **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
