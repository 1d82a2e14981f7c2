"""Thousands of damaged pictures: every one gets an answer below 500, in time, and memory stays as it is."""

from __future__ import annotations

import io
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image

MUTANTS = 2000
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


def originals(smooth_picture):
    """One picture per format and size, some of them large or with extras."""
    for file_format in FORMATS:
        for size in ((64, 64), (300, 200)):
            picture = smooth_picture(*size, seed=len(file_format))
            tags = Image.Exif()
            tags[0x0112] = 6
            for options in ({}, {"exif": tags}) if file_format in ("JPEG", "PNG", "WEBP") else ({},):
                stream = io.BytesIO()
                picture.save(stream, file_format, **options)
                yield stream.getvalue()


def mutant(content, rng):
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


def send(server, number, content):
    """Send a picture to one route after the other, with one option after the other."""
    route = ("/predict/", "/predict/", "/explain", "/predict/batch")[number % 4]
    return server.client.post(route, files={"data": content}, data={"face": ("auto", "all", "none")[number % 3]})


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_damaged_pictures_never_break_the_server(start_server, smooth_picture):
    server = start_server(model_reload_seconds=0)
    rng = np.random.default_rng(0)
    sources = list(originals(smooth_picture))
    mutants = [mutant(sources[number % len(sources)], rng) for number in range(MUTANTS)]
    statuses = Counter()
    for number, content in enumerate(mutants):
        start = time.monotonic()
        response = send(server, number, content)
        assert response.status_code < 500, response.text
        assert time.monotonic() - start < 10
        statuses[response.status_code] += 1
    assert set(statuses) <= {200, 400, 413, 415}
    assert statuses[200] > MUTANTS / 10  # much damage is mended or does not matter
    assert statuses[400] > MUTANTS / 10
    # The allocator keeps what the largest of them took, once.
    before = server.memory_mb
    for number, content in enumerate(mutants):
        send(server, number, content)
    assert server.memory_mb < before + 10
    assert "Traceback" not in server.log


def test_mutants_differ_from_their_originals():
    rng = np.random.default_rng(0)
    stream = io.BytesIO()
    Image.new("L", (64, 64)).save(stream, "PNG")
    content = stream.getvalue()
    assert sum(mutant(content, rng) != content for _ in range(200)) > 190
