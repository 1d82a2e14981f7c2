"""What `POST /predict/` refuses, and how: always a problem document, never a 5xx."""

from __future__ import annotations

import struct
import zlib

import pytest

from mlopsproject.core.schemas import Problem


def refused(response, status, kind):
    """Check a problem document and return its detail."""
    problem = response.json()
    assert (response.status_code, problem["type"]) == (status, kind), response.text
    assert response.headers["content-type"] == "application/problem+json"
    Problem.model_validate(problem)
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem["detail"]


def post(client, content, content_type="image/jpeg"):
    return client.post("/predict/", files={"data": ("face", content, content_type)})


def png_of(width, height):
    """A PNG whose header promises a size, with hardly any data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "status", "kind"),
    [
        (b"", 400, "empty"),
        (b"hello", 400, "not_an_image"),
        (bytes(1000), 400, "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400, "not_an_image"),
        (b"\xff\xd8\xff\xe0", 400, "truncated"),
        (b"%PDF-1.7\n" + bytes(100), 415, "unsupported"),
        (b"\0\0\0\x20ftypheic" + bytes(100), 400, "truncated"),
        (b"II*\0" + bytes(100), 415, "unsupported"),
        (png_of(30_000, 30_000), 413, "too_large"),
        (png_of(200_000, 200_000), 413, "too_large"),
        (png_of(64, 64), 400, "truncated"),
        (png_of(3000, 3000), 400, "truncated"),
        (png_of(0, 5), 400, "truncated"),
    ],
)
def test_what_is_no_picture_is_refused(client, content, status, kind):
    refused(post(client, content), status, kind)


def test_a_picture_that_is_cut_off_is_refused_wherever_it_is_cut(client, face):
    for end in range(1, len(face) - 2, 97):
        assert post(client, face[:end]).status_code == 400


def test_a_file_that_says_it_is_no_picture_is_refused(client, face):
    for content_type in ("text/html", "application/pdf", "text/plain; charset=utf-8", "x" * 300, "image"):
        assert "send a picture" in refused(post(client, face, content_type), 415, "wrong_type")


@pytest.mark.parametrize("content_type", ["image/png", "IMAGE/JPEG", "application/octet-stream", "image/x-unheard-of"])
def test_any_type_of_picture_is_taken_for_what_it_is(client, face, content_type):
    assert post(client, face, content_type).status_code == 200


def test_another_kind_of_request_is_refused(client, face):
    for headers in ({}, {"Content-Type": "image/jpeg"}, {"Content-Type": "application/json"}):
        detail = refused(client.post("/predict/", content=face, headers=headers), 415, "wrong_type")
        assert "curl -F data=@face.jpg" in detail
    refused(client.post("/predict/", data={"data": "x"}), 415, "wrong_type")


def test_a_form_without_the_picture_is_refused(client, face):
    detail = refused(client.post("/predict/", files={"face": (None, "auto")}), 422, "missing_field")
    assert detail == "The field data is missing; send a file, as in: curl -F data=@face.jpg"
    refused(client.post("/predict/", files={"data": (None, "text")}), 422, "missing_field")
    detail = refused(client.post("/predict/", files={"picture": face}), 422, "unknown_field")
    assert detail == "The field 'picture' is unknown; there are data, face and boxes."
    refused(client.post("/predict/", files={"data": face}, data={"faces": "all"}), 422, "unknown_field")
    empty = client.post("/predict/", content=b"--x--\r\n", headers={"Content-Type": "multipart/form-data; boundary=x"})
    refused(empty, 422, "missing_field")


def test_one_request_takes_one_picture_and_few_fields(client, face):
    refused(client.post("/predict/", files=[("data", face), ("data", face)]), 422, "too_many_files")
    fields = {f"field{number}": "x" for number in range(9)}
    refused(client.post("/predict/", files={"data": face}, data=fields), 400, "malformed")
    detail = refused(client.post("/predict/", files={"data": face}, data={"face": "x" * 70_000}), 400, "malformed")
    assert detail == "The form is malformed: Part exceeded maximum size of 64KB."
    twice = [("data", ("a", face)), ("face", (None, "all")), ("face", (None, "none"))]
    refused(client.post("/predict/", files=twice), 422, "invalid")


@pytest.mark.parametrize(
    "body",
    [
        b"nothing of the kind",
        b"--x\r\nContent-Disposition: form-data; filename=a\r\n\r\nabc\r\n--x--",
        b"--x\r\n\r\nabc\r\n--x--",
        b"--x\r\nContent Disposition: form-data\r\n\r\nabc\r\n--x--",
        b"--x\r\n" + b"A: b\r\n" * 500 + b"\r\nabc\r\n--x--",
        b"--x\r\nContent-Disposition: form-data; name=data; filename=" + b"a" * 9000 + b"\r\n\r\nabc\r\n--x--",
    ],
)
def test_a_malformed_form_is_refused(client, body):
    response = client.post("/predict/", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    refused(response, 400, "malformed")


@pytest.mark.parametrize("body", [b"", b"--x\r\nContent-Disposition: form-data; name=data; filename=a\r\n\r\nabc"])
def test_a_form_that_ends_too_early_has_no_picture(client, body):
    response = client.post("/predict/", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    refused(response, 422, "missing_field")


def test_a_form_without_a_usable_boundary_is_refused(client):
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=" + "x" * 300):
        refused(client.post("/predict/", content=b"--x--", headers={"Content-Type": content_type}), 400, "malformed")


def test_a_request_that_says_it_is_too_large_is_refused(serve):
    client = serve(max_body_mb=0.1)
    detail = refused(post(client, bytes(100_001)), 413, "too_large")
    assert detail == "The request has more than 100,000 bytes."


def test_a_request_that_turns_out_too_large_is_refused_before_it_has_ended(serve, face):
    client = serve(max_body_mb=0.1)
    sent = []

    def pieces():
        yield b"--x\r\nContent-Disposition: form-data; name=data; filename=a\r\n\r\n"
        for _ in range(1000):
            sent.append(10_000)
            yield bytes(10_000)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(client.post("/predict/", content=pieces(), headers=headers), 413, "too_large")
    refused(client.post("/feedback", content=pieces(), headers={"Content-Type": "application/json"}), 413, "too_large")
    assert post(client, face).status_code == 200


def test_unknown_addresses_and_methods_get_problems_too(client):
    assert refused(client.get("/nothing"), 404, "not_found") == "There is nothing at this address."
    refused(client.get("/predict/x"), 404, "not_found")
    response = client.get("/predict/")
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    refused(client.request("UNHEARD", "/health"), 405, "method_not_allowed")
