"""Damaged and hostile pictures, eight at a time: others are answered beside them, and memory stays as it is."""

from __future__ import annotations

import io
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.hostile_pictures import HOSTILE

MUTANTS = 2000
AT_A_TIME = 8
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "AVIF", "HEIF")


def originals(smooth_picture) -> Iterator[bytes]:
    """One picture per format and size, some of them large or with extras."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    for file_format in FORMATS:
        for size in ((64, 64), (300, 200)):
            picture = smooth_picture(*size, seed=len(file_format))
            tags = Image.Exif()
            tags[0x0112] = 6
            for options in ({}, {"exif": tags}) if file_format in ("JPEG", "PNG", "WEBP") else ({},):
                stream = io.BytesIO()
                picture.save(stream, file_format, **options)
                yield stream.getvalue()


def mutant(content: bytes, rng: np.random.Generator) -> bytes:
    """A picture with something wrong: bytes changed, cut, repeated, swapped or put in front."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        start = int(rng.integers(0, len(data)))
        length = int(rng.integers(1, max(2, min(64, len(data) - start))))
        match rng.integers(0, 6):
            case 0:
                data[start : start + length] = rng.bytes(length)
            case 1:
                del data[start:]
            case 2:
                del data[start : start + length]
            case 3:
                data[start:start] = data[start : start + length] * 3
            case 4:  # where sizes and types stand
                place = int(rng.integers(0, min(64, len(data))))
                data[place] = int(rng.integers(0, 256))
            case 5:
                data[start : start + length] = b"\xff" * length
        if not data:
            return b""
    return bytes(data)


class Watch:
    """Looks at a server from outside while others work: plain requests, memory, processes.

    Args:
        server: to look at.
        face: a small picture that is asked for all the time.
    """

    def __init__(self, server, face: bytes) -> None:
        self._server, self._face = server, face
        self._stop = threading.Event()
        self.seconds: list[float] = []
        self.memory_mb: list[float] = []
        self._threads = [threading.Thread(target=part) for part in (self._ask, self._measure)]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with self._server.again() as client:
            while not self._stop.wait(0.02):
                start = time.monotonic()
                assert client.post("/predict/", files={"data": self._face}).status_code == 200
                self.seconds.append(time.monotonic() - start)

    def _measure(self) -> None:
        while not self._stop.wait(0.05):
            self.memory_mb.append(sum(map(resident_mb, processes(self._server))))


def processes(server) -> list[int]:
    """The server's process and its helpers."""
    pid = server.process.pid
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = {int(child) for task in tasks for child in (task / "children").read_text(encoding="utf-8").split()}
    return [pid, *children]


def resident_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024 if "VmRSS:" in status else 0.0


def send_all(server, contents: list[bytes]) -> Counter[int]:
    """Send pictures to one route after the other, with one option after the other; how often each status came."""

    def send(numbered: tuple[int, bytes]) -> int:
        number, content = numbered
        route = ("/predict/", "/predict/", "/explain", "/predict/batch")[number % 4]
        data = {"face": ("auto", "all", "none")[number % 3]}
        response = clients[threading.get_ident() % AT_A_TIME].post(route, files={"data": content}, data=data)
        if response.status_code == 503:
            assert response.headers["retry-after"]
        return response.status_code

    clients = [server.again() for _ in range(AT_A_TIME)]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        found = Counter(pool.map(send, enumerate(contents)))
    for client in clients:
        client.close()
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_damaged_and_hostile_pictures_hold_up_nobody(start_server, smooth_picture, face, capsys):
    server = start_server(model_reload_seconds=0)
    rng = np.random.default_rng(0)
    sources = list(originals(smooth_picture))
    mutants = [mutant(sources[number % len(sources)], rng) for number in range(MUTANTS)]
    hostile = [make() for make in HOSTILE.values()]
    server.predict(face, face="all")
    with Watch(server, face) as watch:
        once = send_all(server, mutants)
        bombs = send_all(server, hostile * 2)
        before = len(watch.memory_mb)
        again = send_all(server, mutants)
        time.sleep(2)
        at_the_end = sum(map(resident_mb, processes(server)))
    assert set(once) <= {200, 400, 413, 415}, once
    assert once == again
    # Much damage is mended or does not matter.
    assert min(once[200], once[400]) > MUTANTS / 10
    assert set(bombs) <= {200, 400, 413, 415, 503}, bombs
    seconds = sorted(watch.seconds)
    p99 = seconds[int(len(seconds) * 0.99)]
    first, last = max(watch.memory_mb[:before]), max(watch.memory_mb[before:])
    with capsys.disabled():
        sys.stdout.write(
            f"\nmutants {dict(once)}, hostile {dict(bombs)}; {len(seconds)} plain requests, p99 {p99 * 1000:.0f} ms; "
            f"worker and helper at most {first:.0f} MB, then {last:.0f} MB, at the end {at_the_end:.0f} MB\n"
        )
    assert p99 <= 0.25
    assert first <= 700
    assert last <= first + 10
    assert "Traceback" not in server.log


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_helper_lives_beyond_its_limit(start_server, face):
    """Callers that go away, or wait too long, take the helper with them."""
    server = start_server(model_reload_seconds=0, request_timeout_seconds=1)
    server.predict(face, face="all")
    helper = max(processes(server)[1:])
    response = server.predict(HOSTILE["png_of_many_profiles"]())
    assert (response.status_code, response.json()["type"]) == (503, "timeout")
    deadline = time.monotonic() + 2
    while helper in processes(server):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.predict(face, face="all").status_code == 200


def test_mutants_differ_from_their_originals():
    rng = np.random.default_rng(0)
    stream = io.BytesIO()
    Image.new("L", (64, 64)).save(stream, "PNG")
    content = stream.getvalue()
    assert sum(mutant(content, rng) != content for _ in itertools.repeat(None, 200)) > 190
