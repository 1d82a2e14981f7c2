"""Forms come out as they were put together, whatever their files hold."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from mlopsproject.api.problems import ProblemError
from mlopsproject.api.uploads import Upload, read_pictures
from mlopsproject.core.face_inputs import FaceOptions

NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="%\\"), min_size=1, max_size=40)
CONTENT = st.binary(max_size=300) | st.sampled_from([b"\r\n", b"--", b"\r\n--", b"\r\n\r\n", b"--x--", b"\r\n--x\r\n"])
TYPE = st.sampled_from(["image/jpeg", "application/octet-stream", "text/plain"])
CORNER, SIDE = st.integers(0, 10**6), st.integers(1, 10**6)
BOX = st.tuples(CORNER, CORNER, SIDE, SIDE)


def read(body: bytes, boundary: bytes, max_files: int) -> tuple[list[Upload], FaceOptions]:
    """Read a form that arrives in pieces."""
    pieces = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0) if pieces else b"", "more_body": bool(pieces)}

    headers = [(b"content-type", b"multipart/form-data; boundary=" + boundary)]
    return asyncio.run(read_pictures(Request({"type": "http", "headers": headers}, receive), max_files))


def encoded(files, fields):
    """A form as another program writes it, and its boundary."""
    request = httpx.Request("POST", "http://test/", files=files, data=fields)
    return request.read(), request.headers["content-type"].partition("boundary=")[2].encode()


@given(
    st.lists(st.tuples(NAME, CONTENT, TYPE), min_size=1, max_size=5),
    st.none() | st.sampled_from(["auto", "all", "none"]),
    st.none() | st.lists(BOX, min_size=1, max_size=5),
)
def test_what_was_put_in_comes_out(files, face, boxes):
    fields = {"face": face} if face else {}
    fields |= {"boxes": json.dumps(boxes)} if boxes else {}
    uploads, options = read(*encoded([("data", file) for file in files], fields), 5)
    assert uploads == [Upload(_escaped(name), kind, content) for name, content, kind in files]
    assert options == FaceOptions(face or "auto", tuple(boxes or ()))


def _escaped(name):
    """A name as browsers and httpx write it: quotes as percent signs, all else as it is."""
    return name.replace('"', "%22")


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b'form-data; name="data"; filename="a.jpg"', "a.jpg"),
        (b"form-data; name=data; filename=a.jpg", "a.jpg"),
        (b"FORM-DATA;NAME=data;FILENAME=a.jpg", "a.jpg"),
        (b'form-data; name="data"; filename="a; b=c.jpg"', "a; b=c.jpg"),
        (rb'form-data; name="data"; filename="a\"b\\c.jpg"', 'a"b\\c.jpg'),
        (b'form-data; name="data"; filename=""', ""),
        (b"form-data; filename=\"a.jpg\"; name='data'; name=data", "a.jpg"),
        ("form-data; name=data; filename=ä.jpg".encode(), "ä.jpg"),
        (b"form-data; name=data; filename=\xff.jpg", "\xff.jpg"),
        (b"form-data; name=data; filename*=UTF-8''f%C3%A4ce.jpg", "f\u00e4ce.jpg"),
        (b"form-data; name=data; filename*=iso-8859-1'de'f%E4ce.jpg", "f\u00e4ce.jpg"),
        (b"form-data; name=data; filename*=other''%FF.jpg", "\ufffd.jpg"),
        (b"form-data; name=data; filename*=utf-8''a%22b.jpg", "a%22b.jpg"),
    ],
)
def test_names_are_read_in_every_way_that_they_are_written(disposition, name):
    body = b"--x\r\nContent-Disposition: " + disposition + b"\r\n\r\nabc\r\n--x--"
    (upload,), _ = read(body, b"x", 1)
    assert (upload.name, upload.content) == (name, b"abc")


def test_what_is_behind_the_form_is_nobodys():
    part = b'--x\r\ncontent-disposition: form-data; name="data"; filename="a.jpg"\r\n\r\nabc\r\n'
    (upload,), _ = read(part + b"--x--\r\nafter\r\n" + part, b"x", 1)
    assert upload.content == b"abc"


def test_a_form_of_nothing_but_boundaries_costs_next_to_nothing():
    body = b"\r\n--x" * 1_000_000
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ProblemError):
        read(body, b"x", 64)
    assert time.process_time() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    tracemalloc.stop()
