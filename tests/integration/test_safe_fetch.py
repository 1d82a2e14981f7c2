"""Fetching a stranger's address: real servers on loopback that misbehave in every way, behind names of a test's own.

Only the rules given to `fetch` let a test reach its own server: by default nothing here would be connected to.
"""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopsproject.core import safe_fetch
from mlopsproject.core.safe_fetch import Address, FetchError, Rules, fetch, is_public

LOOPBACK = ipaddress.ip_address("127.0.0.1")
PICTURE = b"\x89PNG pretends to be a picture"

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


def whole(body: bytes = PICTURE, status: str = "200 OK", **headers: str) -> bytes:
    """An answer as a well-behaved server gives it."""
    named = {"Content_Type": "image/png", "Content_Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


def moved(location: str) -> bytes:
    return whole(b"", "302 Found", Location=location)


@dataclass
class Site:
    """A server on 127.0.0.1 and what it saw.

    Attributes:
        answers: per path, the bytes to send, or what sends them; any other path gets a picture.
        tls: its certificate.
        names: addresses of names, as the test's resolver tells them.
        is_open: whether the rules let loopback through.
        connections: how often it was connected to.
        requests: heads of the requests.
        asked: names that were resolved.
    """

    answers: dict[str, bytes | Answer] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    names: dict[str, list[str]] = field(default_factory=lambda: {"faces.example": ["127.0.0.1"]})
    is_open: bool = True
    connections: int = 0
    requests: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def fetch(self, url: str = "{base}/", *, max_bytes: int = 100_000, timeout: float = 5, **rules: Any) -> bytes:
        """Start the server, fetch a URL of it and stop it; `{base}` and `{port}` in URLs and answers are filled in."""
        return asyncio.run(self._fetch(url, max_bytes, timeout, rules))

    async def _fetch(self, url: str, max_bytes: int, timeout: float, rules: dict[str, Any]) -> bytes:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            allowed = Rules(
                ports=frozenset({self.port}),
                resolve=self.resolve,
                is_allowed=lambda address: is_public(address) or (self.is_open and address.packed[0] == 127),
            )
            return await fetch(self.fill(url), max_bytes=max_bytes, timeout=timeout, rules=replace(allowed, **rules))

    def fill(self, text: str) -> str:
        scheme = "https" if self.tls else "http"
        return text.replace("{base}", f"{scheme}://faces.example:{self.port}").replace("{port}", str(self.port))

    async def resolve(self, name: str, port: int) -> list[Address]:
        self.asked.append(name)
        if name not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [ipaddress.ip_address(text) for text in self.names[name]]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            answer = self.answers.get(head.split()[1], whole())
            if isinstance(answer, bytes):
                writer.write(self.fill(answer.decode("latin-1")).encode("latin-1"))
                await writer.drain()
            else:
                await answer(head, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has left, as it should
        finally:
            writer.close()


def reason_of(failing: Callable[[], object]) -> str:
    with pytest.raises(FetchError) as caught:
        failing()
    assert "\n" not in str(caught.value)
    return caught.value.reason


# What works


def test_a_picture_comes_with_a_plain_request_that_names_the_host() -> None:
    site = Site()
    assert site.fetch("{base}/face.png?size=64") == PICTURE
    (head,) = site.requests
    assert head.startswith("GET /face.png?size=64 HTTP/1.1\r\n")
    sent = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
    assert {name.lower(): value for name, value in sent.items()} == {
        "host": f"faces.example:{site.port}",
        "user-agent": "mlopsproject",
        "accept": "image/*",
        "accept-encoding": "identity",
        "connection": "close",
    }


def test_an_address_that_does_not_take_connections_leaves_the_next_a_chance() -> None:
    site = Site(names={"faces.example": ["127.0.0.2", "127.0.0.1"]})
    assert site.fetch() == PICTURE


def test_proxies_and_credentials_of_the_environment_are_not_used(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine faces.example login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    site = Site()
    assert site.fetch() == PICTURE
    assert "authorization" not in site.requests[0].lower()


def test_a_name_in_other_letters_is_resolved_as_the_wire_spells_it() -> None:
    site = Site(names={"xn--80ak6aa92e.example": ["127.0.0.1"]})
    assert site.fetch("http://аррӏе.example:{port}/") == PICTURE  # noqa: RUF001 - Cyrillic on purpose
    assert site.asked == ["xn--80ak6aa92e.example"]


# Where it does not go


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0",
        "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "2852039166", "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]", "[fe80::1]", "[fec0::1]", "[ff02::1]", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    ],
)  # fmt: skip
def test_internal_addresses_are_forbidden_in_every_spelling(host: str) -> None:
    with pytest.raises(FetchError) as caught:
        asyncio.run(fetch(f"http://{host}/face.png", max_bytes=1000, timeout=5))
    assert caught.value.reason == "forbidden_address"


def test_a_public_name_that_leads_inside_is_forbidden_and_not_connected_to() -> None:
    site = Site(is_open=False)
    assert reason_of(site.fetch) == "forbidden_address"
    assert site.connections == 0


def test_one_internal_address_among_public_ones_is_enough_to_refuse() -> None:
    site = Site(names={"faces.example": ["93.184.215.14", "127.0.0.1"]}, is_open=False)
    assert reason_of(site.fetch) == "forbidden_address"
    assert site.connections == 0


def test_a_trailing_dot_changes_nothing() -> None:
    site = Site(names={"faces.example.": ["127.0.0.1"]}, is_open=False)
    assert reason_of(lambda: site.fetch("http://faces.example.:{port}/")) == "forbidden_address"


def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked() -> None:
    """DNS rebinding: the second answer, which would lead inside, is never asked for."""
    site = Site(answers={"/again": moved("/face.png")})

    async def turncoat(name: str, port: int) -> list[Address]:
        site.asked.append(name)
        return [LOOPBACK if len(site.asked) == 1 else ipaddress.ip_address("169.254.169.254")]

    assert site.fetch(resolve=turncoat) == PICTURE
    assert site.asked == ["faces.example"]
    # A redirect to the same name is a new connection: resolved anew and refused.
    site.asked.clear()
    assert reason_of(lambda: site.fetch("{base}/again", resolve=turncoat)) == "forbidden_address"


@pytest.mark.parametrize("port", [22, 0, 8000, 99999])
def test_other_ports_are_forbidden(port: int) -> None:
    failing = fetch(f"http://93.184.215.14:{port}/", max_bytes=1000, timeout=5)
    assert reason_of(lambda: asyncio.run(failing)) == "forbidden_port"


@pytest.mark.parametrize(
    "url",
    [
        "", "face.png", "file:///etc/passwd", "ftp://faces.example/", "gopher://faces.example/", "data:image/png,x",
        "http://", "http:///face.png", "http://:80/", "http://user@faces.example/", "http://user:pw@faces.example/",
        "http://93.184.215.14\\@127.0.0.1/", "http://[fe80::1%25eth0]/", "http://[::1", "http://0177.0.0.1/",
        "http://%31%32%37.0.0.1/", "http://①②⑦.⓪.⓪.①/", "http://faces\r\nHost: x.example/", "http://xn--\u2025/",
        "http://a b/", "http://93.184.215.14:\u0668\u0660/", "//faces.example/", f"http://faces.example/{'x' * 70_000}",
    ],
)  # fmt: skip
def test_what_is_no_plain_http_address_is_refused_unresolved(url: str) -> None:
    site = Site()
    assert reason_of(lambda: site.fetch(url)) == "bad_url"
    assert site.asked == []


@given(st.text() | st.from_regex(r"https?://[^/]{0,40}(/.*)?", fullmatch=True))
@settings(deadline=None)
def test_no_text_gives_anything_but_a_fetch_error(text: str) -> None:
    async def nowhere(name: str, port: int) -> list[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    with pytest.raises(FetchError):
        asyncio.run(fetch(text, max_bytes=1000, timeout=5, rules=Rules(resolve=nowhere)))


# Redirects


def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    hops = {"/0": moved("/1"), "/1": moved("{base}/2"), "/2": moved("3"), "/3": moved("/4")}
    assert reason_of(lambda: Site(hops).fetch("{base}/0")) == "too_many_redirects"
    assert Site(hops).fetch("{base}/1") == PICTURE


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://169.254.169.254:{port}/latest/meta-data", "forbidden_address"),
        ("http://inside.example:{port}/", "forbidden_address"),
        ("http://[::1]:{port}/", "forbidden_address"),
        ("//0x7f000001:{port}/", "forbidden_address"),
        ("http://faces.example:22/", "forbidden_port"),
        ("http://me:secret@faces.example:{port}/", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("http://[", "bad_url"),
    ],
)
def test_each_redirect_is_checked_anew(location: str, reason: str) -> None:
    site = Site(
        {"/": moved(location)},
        names={
            "faces.example": ["127.0.0.1"],
            "inside.example": ["10.0.0.7"],
            "169.254.169.254": ["169.254.169.254"],
            "::1": ["::1"],
            "0x7f000001": ["0.0.0.1"],
        },
    )
    assert reason_of(site.fetch) == reason
    assert site.connections == 1


# Names and certificates


def make_certificate(folder: Path, name: str) -> Path:
    """A certificate for one name that vouches for itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"), "faces.example")


@pytest.fixture
def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def secure(certificate: Path) -> Site:
    """A site with the certificate of faces.example; other.example leads there too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    both = {"faces.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]}
    return Site({"/other": moved("https://other.example:{port}/")}, tls=context, names=both)


def test_the_certificate_is_checked_for_the_name_though_the_address_is_connected_to(secure: Site, trust) -> None:
    named: list[str | None] = []
    assert secure.tls is not None
    secure.tls.sni_callback = lambda _, name, __: named.append(name)
    assert secure.fetch(trust=trust) == PICTURE
    assert named == ["faces.example"]
    assert f"Host: faces.example:{secure.port}" in secure.requests[0]


def test_the_certificate_of_another_name_is_refused(secure: Site, trust) -> None:
    assert reason_of(lambda: secure.fetch("https://other.example:{port}/", trust=trust)) == "bad_certificate"
    assert secure.requests == []


def test_a_redirect_to_another_name_at_the_same_address_checks_that_names_certificate(secure: Site, trust) -> None:
    assert reason_of(lambda: secure.fetch("{base}/other", trust=trust)) == "bad_certificate"
    assert len(secure.requests) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused_whatever_the_environment_says(
    secure: Site, certificate: Path, monkeypatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    safe_fetch._usual_authorities.cache_clear()
    assert reason_of(secure.fetch) == "bad_certificate"


# Answers that are not a picture


@pytest.mark.parametrize("kind", ["image/png", "IMAGE/JPEG; q=1", "application/octet-stream", "binary/octet-stream"])
def test_pictures_and_plain_bytes_are_taken(kind: str) -> None:
    assert Site({"/": whole(Content_Type=kind)}).fetch() == PICTURE


@pytest.mark.parametrize("kind", ["text/html", "application/json", "", "text/plain; image/png", "x-image/png"])
def test_anything_else_is_not_a_picture(kind: str) -> None:
    assert reason_of(Site({"/": whole(Content_Type=kind)}).fetch) == "not_a_picture"


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "204 No Content", "206 Partial Content", "302 Found"])
def test_only_a_whole_good_answer_counts(status: str) -> None:
    assert reason_of(Site({"/": whole(b"", status)}).fetch) == "bad_status"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        whole(Content_Length="5000"),
        whole(b"zz\r\n", Transfer_Encoding="chunked", Content_Length=""),
    ],
    ids=["nothing", "another protocol", "no number", "huge header", "cut off", "bad chunk"],
)
def test_what_is_not_http_or_breaks_off_is_a_bad_answer(sent: bytes) -> None:
    assert reason_of(Site({"/": sent}).fetch) == "bad_answer"


def test_a_closed_port_is_unreachable() -> None:
    assert reason_of(Site(names={"faces.example": ["127.0.0.2"]}).fetch) == "unreachable"


def test_a_name_that_leads_inside_and_one_that_does_not_exist_get_the_same_answer() -> None:
    site = Site(names={"inside.example": ["10.0.0.7"]})
    answers = set()
    for name in ("inside.example", "nowhere.example", f"{'x' * 64}.example"):
        with pytest.raises(FetchError) as caught:
            site.fetch(f"http://{name}:{{port}}/")
        assert caught.value.reason == "forbidden_address"
        answers.add((caught.value.reason, str(caught.value).replace(name, "")))
    assert len(answers) == 1


# Size and time


async def endless(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")
        await writer.drain()


async def without_length(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: image/png\r\n\r\n" + b"x" * 1001)


@pytest.mark.parametrize(
    "answer", [whole(b"x" * 1001), endless, without_length], ids=["announced", "endless", "unannounced"]
)
def test_a_picture_beyond_the_limit_is_not_taken(answer: bytes | Answer) -> None:
    assert reason_of(lambda: Site({"/": answer}).fetch(max_bytes=1000)) == "too_large"


def test_a_picture_of_exactly_the_limit_is() -> None:
    assert len(Site({"/": whole(b"x" * 1000)}).fetch(max_bytes=1000)) == 1000


def test_a_length_that_is_too_short_cuts_the_picture_off() -> None:
    assert Site({"/": whole(b"x" * 900, Content_Length="10")}).fetch(max_bytes=1000) == b"x" * 10


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip"])
def test_compression_that_was_not_asked_for_is_a_bad_answer(coding: str) -> None:
    body = gzip.compress(PICTURE)
    assert reason_of(Site({"/": whole(body, Content_Encoding=coding)}).fetch) == "bad_answer"


async def dripping_body(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def dripping_head(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: x\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def silence(_: str, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def waiting_redirect(_: str, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.2)
    writer.write(moved("/"))


@pytest.mark.parametrize("answer", [dripping_body, dripping_head, silence, waiting_redirect])
def test_the_time_limit_is_for_all_of_it(answer: Answer) -> None:
    start = time.monotonic()
    assert reason_of(lambda: Site({"/": answer}).fetch(timeout=0.4)) == "timeout"
    assert time.monotonic() - start < 3


def test_a_slow_name_server_counts_too() -> None:
    async def slow(name: str, port: int) -> list[Address]:
        await asyncio.sleep(3600)
        return [LOOPBACK]

    assert reason_of(lambda: Site().fetch(timeout=0.3, resolve=slow)) == "timeout"
