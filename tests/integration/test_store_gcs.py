"""A store on Google Cloud Storage: the real gcsfs against a small local server that speaks the JSON API."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from tests.drift_examples import check_reports_come_back

from mlopsproject import Predictor
from mlopsproject.core.errors import StoreError
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.store import Store

BUCKET = "faces"


class FakeStorage(BaseHTTPRequestHandler):
    """Objects of one bucket in a dict: list, read, write (multipart and resumable), metadata."""

    objects: dict[str, bytes]
    broken: set[str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        bucket, _, rest = url.path.partition("/b/")[2].partition("/")
        name = unquote(rest.removeprefix("o").removeprefix("/"))
        if bucket != BUCKET:
            self._answer(404, {"error": {"code": 404, "message": "no such bucket"}})
        elif not rest:
            self._answer(200, {"kind": "storage#bucket", "name": bucket})
        elif not name:
            self._list(query.get("prefix", ""), query.get("delimiter", ""))
        elif name not in self.objects:
            self._answer(404, {"error": {"code": 404, "message": "no such object"}})
        elif query.get("alt") == "media":
            self._media(self.objects[name])
        else:
            self._answer(200, self._describe(name))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        query = parse_qs(urlsplit(self.path).query)
        if f"/b/{BUCKET}/" not in self.path:
            self._answer(404, {"error": {"code": 404, "message": "no such bucket"}})
        elif query["uploadType"] == ["multipart"]:
            boundary = self.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
            _, description, media, _ = body.split(b"--" + boundary)
            name = json.loads(description.split(b"\n\n", 1)[1])["name"]
            self._store(name, media.split(b"\n\n", 1)[1].removesuffix(b"\n"))
        else:
            name = query["name"][0] if "name" in query else json.loads(body)["name"]
            self._answer(200, {}, Location=f"http://{self.headers['Host']}/resume/{name}")

    def do_PUT(self) -> None:
        self._store(unquote(self.path.removeprefix("/resume/")), self.rfile.read(int(self.headers["Content-Length"])))

    def _store(self, name: str, content: bytes) -> None:
        if any(part in name for part in self.broken):
            self._answer(403, {"error": {"code": 403, "message": "quota of the bucket is used up"}})
            return
        self.objects[name] = content
        self._answer(200, self._describe(name))

    def _describe(self, name: str) -> dict[str, str]:
        digest = base64.b64encode(hashlib.md5(self.objects[name], usedforsecurity=False).digest()).decode()
        size = str(len(self.objects[name]))
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": BUCKET,
            "size": size,
            "md5Hash": digest,
            "generation": "1",
        }

    def _list(self, prefix: str, delimiter: str) -> None:
        items, folders = [], set()
        for name in sorted(self.objects):
            if name.startswith(prefix):
                folder, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
                if found:
                    folders.add(f"{prefix}{folder}{delimiter}")
                else:
                    items.append(self._describe(name))
        self._answer(200, {"kind": "storage#objects", "items": items, "prefixes": sorted(folders)})

    def _media(self, content: bytes) -> None:
        asked = self.headers.get("Range")
        first, last = 0, len(content) - 1
        if asked:
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(start or 0), min(int(end or last), last)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[first : last + 1])

    def _answer(self, status: int, document: dict, **headers: str) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    """Says nothing when a client hangs up early."""

    def handle_error(self, *_: object) -> None:
        pass


@pytest.fixture
def storage(monkeypatch, tmp_path) -> Iterator[type[FakeStorage]]:
    import gcsfs
    from gcsfs import extended_gcsfs

    async def plain_bucket(*_: object) -> extended_gcsfs.BucketType:
        # What kind of bucket it is, gcsfs asks by gRPC of Google itself, wherever the emulator is.
        return extended_gcsfs.BucketType.NON_HIERARCHICAL

    handler = type("Handler", (FakeStorage,), {"objects": {}, "broken": set()})
    server = QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MLOPSPROJECT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(extended_gcsfs.ExtendedGcsFileSystem, "_get_bucket_type", plain_bucket)
    gcsfs.GCSFileSystem.clear_instance_cache()
    yield handler
    gcsfs.GCSFileSystem.clear_instance_cache()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_bundle_goes_up_and_comes_back(storage, make_bundle, tmp_path, smooth_picture):
    bundle = make_bundle(tmp_path / "models")
    store = Store(f"gs://{BUCKET}/models")
    assert store.names() == []
    store.publish(bundle.path)
    assert store.publish(bundle.path) == bundle.name
    assert storage.objects[f"models/{bundle.name}/model.onnx"] == (bundle.path / "model.onnx").read_bytes()
    assert store.names() == [bundle.name]
    assert store.set_alias("production", bundle.name) is None
    assert storage.objects["models/aliases/production"] == f"{bundle.name}\n".encode()
    fetched = resolve_bundle(f"gs://{BUCKET}/models/production")
    assert fetched.path == tmp_path / "cache" / "bundles" / bundle.name
    assert Predictor(fetched).predict(smooth_picture()) == Predictor(bundle).predict(smooth_picture())


def test_a_moved_alias_is_seen_at_once(storage, make_bundle, tmp_path):
    first, second = make_bundle(tmp_path / "models", seed=1), make_bundle(tmp_path / "models", seed=2)
    reader, writer = Store(f"gs://{BUCKET}"), Store(f"gs://{BUCKET}")
    for bundle in (first, second):
        writer.publish(bundle.path)
        writer.set_alias("production", bundle.name)
        assert reader.resolve("production") == bundle.name
    assert reader.names() == sorted([first.name, second.name])


@pytest.mark.parametrize("file", ["model.onnx", "spec.json"])
def test_a_failed_upload_is_an_error_and_shows_no_bundle(storage, make_bundle, tmp_path, file):
    bundle = make_bundle(tmp_path / "models")
    storage.broken.add(file)
    with pytest.raises(StoreError, match=r"cannot upload .*kept in .*models"):
        Store(f"gs://{BUCKET}").publish(bundle.path)
    assert Store(f"gs://{BUCKET}").names() == []
    assert bundle.path.is_dir()
    storage.broken.clear()
    Store(f"gs://{BUCKET}").publish(bundle.path)
    assert Store(f"gs://{BUCKET}").names() == [bundle.name]


def test_a_missing_bucket_is_a_clear_error(storage, make_bundle, tmp_path):
    bundle = make_bundle(tmp_path / "models")
    with pytest.raises(StoreError, match=r"Store gs://no-such-bucket/models: cannot upload"):
        Store("gs://no-such-bucket/models").publish(bundle.path)


def test_drift_reports_go_up_and_come_back(storage, tmp_path):
    check_reports_come_back(f"gs://{BUCKET}/models", tmp_path)
