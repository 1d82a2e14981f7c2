"""One worker as a process: what it costs, what it imports, and what it makes of callers of every kind."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mlopsproject.core.predictor import Predictor

ROOT = Path(__file__).parents[3]
UVICORN = ["uvicorn", "mlopsproject.api:app", "--port", "PORT"]
HEAVY = {
    "torch",
    "torchvision",
    "pytorch_lightning",
    "pandas",
    "pyarrow",
    "matplotlib",
    "hydra",
    "omegaconf",
    "sklearn",
}
LIGHT = """
import asyncio, sys, httpx
from mlopsproject.api import app
async def main():
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            with open(sys.argv[1], "rb") as file:
                content = file.read()
            for fields in ({}, {"face": "all"}):
                answer = await client.post("/predict/", files={"data": content}, data=fields)
                assert answer.status_code == 200, answer.text
            for path in ("/", "/ready", "/model", "/metrics", "/openapi.json", "/stats"):
                await client.get(path)
            await client.post("/explain", files={"data": content})
            await client.post("/feedback", json={"prediction_id": "0" * 32, "label": "happy"})
asyncio.run(main())
print(*sorted(sys.modules), sep="\\n")
"""

pytestmark = pytest.mark.slow


def test_the_first_answer_comes_soon_and_a_worker_stays_small(start_server, tmp_path, face, encode, smooth_picture):
    (tmp_path / "models").symlink_to(ROOT / "models")
    server = start_server(model_store="models")  # migrates the database
    server.stop()
    server = start_server(UVICORN, model_store="models", model_precision="int8")
    assert server.predict(face).status_code == 200
    # Of its own time, because the machine may be shared; on an idle one it is the time that passes.
    assert server.cpu_seconds <= 3
    large = encode(smooth_picture(1600, 1200), "JPEG")
    for _ in range(10):
        assert server.predict(large).status_code == 200
    for _ in range(300):
        assert server.predict(face).status_code == 200
    server.client.get("/metrics")
    assert server.memory_mb <= 250


def test_none_of_the_heavy_libraries_is_ever_imported(tmp_path, encode, smooth_picture, tiny_bundle, plain_environment):
    (tmp_path / "picture.png").write_bytes(encode(smooth_picture(200, 150)))
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(tmp_path / "picture.png")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**plain_environment, "MODEL_URI": str(tiny_bundle.path), "DATA_DIR": str(tmp_path / "data")},
    )
    assert not set(done.stdout.split()) & HEAVY


def test_a_body_without_end_is_cut_off(start_server):
    server = start_server(max_body_mb=1)
    sent = 0

    def endless():
        nonlocal sent
        yield b"--x\r\nContent-Disposition: form-data; name=data; filename=a\r\n\r\n"
        while sent < 200_000_000:
            sent += 100_000
            yield bytes(100_000)

    before = server.memory_mb
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = server.client.post("/predict/", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (413, "too_large")
    assert server.memory_mb < before + 30


def test_a_caller_that_goes_away_leaves_no_trace_but_a_line(start_server, face):
    server = start_server()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            b"POST /predict/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: 5000\r\n\r\n--x\r\n"
        )
        time.sleep(0.3)
    deadline = time.monotonic() + 20
    while '"status":499' not in server.log:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.predict(face).status_code == 200
    assert "Traceback" not in server.log


def test_answers_over_http_are_the_predictors(start_server, tmp_path, encode, smooth_picture):
    (tmp_path / "models").symlink_to(ROOT / "models")
    predictor = Predictor.load("production", "fp32", store=ROOT / "models")
    server = start_server(model_store="models", model_precision="fp32")
    worst = 0.0
    for seed in range(60):
        width, height = 40 + 7 * seed, 300 - 3 * seed
        content = encode(smooth_picture(width, height, seed=seed), ("PNG", "JPEG", "WEBP")[seed % 3])
        answer = server.predict(content, face="none").json()
        (expected,) = predictor.predict(content)
        worst = max(worst, float(np.abs(np.array(answer["probs"]) - list(expected.probabilities.values())).max()))
    assert worst <= 1e-4
