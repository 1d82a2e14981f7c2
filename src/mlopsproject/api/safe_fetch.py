"""Fetching a picture from an address that a stranger named: public hosts only, bounded in size and time.

The name is resolved once, every address it has is checked, and the connection goes to a checked address itself, so that
a name which changes its mind in between (DNS rebinding) gains nothing. Host header, TLS name and certificate stay those
of the name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Literal

from mlopsproject.api.addresses import Address, is_public
from mlopsproject.api.threads import DaemonPool
from mlopsproject.core.errors import UserError

if TYPE_CHECKING:  # half a second, of which the first picture of an address pays
    import httpx

Resolve = Callable[[str, int], Awaitable[list[Address]]]
FetchReason = Literal[
    "bad_url",
    "forbidden_address",
    "forbidden_port",
    "unreachable",
    "bad_certificate",
    "bad_answer",
    "bad_status",
    "too_many_redirects",
    "not_a_picture",
    "too_large",
    "timeout",
]

MAX_REDIRECTS: Final = 3
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_HEADERS: Final = {
    "User-Agent": "mlopsproject",
    "Accept": "image/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
#: Of `zlib`: both of its formats that servers send, gzip and zlib, told apart by their headers.
_ANY_WINDOW: Final = 47
#: Names waited for at once. A pool of their own: a slow name server must not hold up other work.
_LOOKUPS: Final = 8


class FetchError(UserError):
    """An address that gave no picture.

    Args:
        reason: a stable word.
        message: what is wrong, without anything about the network that the server is in.
    """

    def __init__(self, reason: FetchReason, message: str) -> None:
        self.reason: FetchReason = reason
        super().__init__(message)


class ForbiddenAddress(FetchError):  # noqa: N818
    """An address or port that this server does not connect to."""


@cache
def _lookup_pool() -> DaemonPool:
    return DaemonPool(_LOOKUPS, "lookup")


async def look_up(name: str, port: int) -> list[Address]:
    """Resolve a name as the operating system does.

    Args:
        name: of a host, or an address in any spelling that the system knows.
        port: that will be connected to.

    Returns:
        Its addresses, the preferred first.

    Raises:
        OSError, UnicodeError: if it has none.
    """
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_lookup_pool(), _getaddrinfo, name, port)
    return [ip_address(str(entry[4][0])) for entry in found]


def _getaddrinfo(name: str, port: int) -> list[Any]:
    return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)


@dataclass(frozen=True, slots=True)
class Rules:
    """Where pictures may be fetched from.

    Attributes:
        ports: that may be connected to.
        resolve: gives the addresses of a name.
        is_allowed: whether an address may be connected to; a name is refused for a single one that may not.
        trust: certificates that are trusted; by default those of the usual authorities.
    """

    ports: frozenset[int] = frozenset(_PORTS.values())
    resolve: Resolve = look_up
    is_allowed: Callable[[Address], bool] = is_public
    trust: ssl.SSLContext | None = None


PUBLIC: Final = Rules()


async def fetch(url: str, *, max_bytes: int, timeout: float, rules: Rules = PUBLIC) -> bytes:
    """Fetch a picture.

    Redirects are followed, at most three, and each is checked like the first address. Proxies, credentials and
    certificates named by environment variables are not used.

    Args:
        url: http or https, without user and password.
        max_bytes: most bytes taken, before and after decompression.
        timeout: seconds for all of it together.
        rules: which addresses and ports are allowed.

    Returns:
        The answer's body. Nothing looked at it yet: it may be anything.

    Raises:
        ForbiddenAddress: if the address, one that it redirects to, or the port is not allowed, or a name unknown.
        FetchError: if no picture came; its `reason` says why.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _follow(url, max_bytes, timeout, rules)
    except TimeoutError:
        raise FetchError("timeout", f"The address gave no picture within {timeout:g} s.") from None


async def _follow(text: str, max_bytes: int, timeout: float, rules: Rules) -> bytes:
    await asyncio.to_thread(import_module, "httpx")
    trust = rules.trust if rules.trust is not None else await asyncio.to_thread(_usual_authorities)
    url = _parse(text)
    for _ in range(MAX_REDIRECTS + 1):
        async with _answer(url, rules, trust, timeout) as response:
            if response.status_code not in _REDIRECTS or "location" not in response.headers:
                return await _body(response, max_bytes)
            url = _parse(response.headers["location"], url)
    raise FetchError("too_many_redirects", f"The address redirects more than {MAX_REDIRECTS} times.")


@cache
def _usual_authorities() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def _parse(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """Read an address, or what one redirects to."""
    import httpx

    try:
        url = httpx.URL(text) if base is None else base.join(text)
        usable = url.scheme in _PORTS and bool(url.host)
    except (httpx.InvalidURL, ValueError):  # UnicodeError is a ValueError
        usable = False
    if not usable:
        raise FetchError("bad_url", "This is not an http or https address.")
    if url.userinfo:
        raise FetchError("bad_url", "An address with a user name or password is not fetched.")
    if "%" in url.host:
        raise FetchError("bad_url", "An address with an IPv6 zone or an escaped host name is not fetched.")
    return url


@asynccontextmanager
async def _answer(url: httpx.URL, rules: Rules, trust: ssl.SSLContext, timeout: float) -> AsyncIterator[httpx.Response]:
    """Connect to a checked address of `url` and give the answer before its body is read."""
    import httpx

    addresses = await _checked_addresses(url, rules)
    try:
        # A transport for each answer: an open connection would be used again for another name at the same address,
        # without a look at that name's certificate.
        async with httpx.AsyncHTTPTransport(verify=trust, trust_env=False) as transport:
            response = await _first_to_answer(transport, url, addresses, timeout)
            try:
                yield response
            finally:
                await response.aclose()
    except httpx.TimeoutException as error:
        raise FetchError("timeout", f"The address gave no picture within {timeout:g} s.") from error
    except httpx.ConnectError as error:
        if _is_about_trust(error):
            raise FetchError("bad_certificate", f"The certificate of {url.host} cannot be trusted.") from error
        raise FetchError("unreachable", f"{url.host} does not take connections.") from error
    except httpx.HTTPError as error:
        raise FetchError("bad_answer", f"{url.host} broke off, or its answer is not HTTP.") from error


async def _checked_addresses(url: httpx.URL, rules: Rules) -> list[Address]:
    port = _PORTS[url.scheme] if url.port is None else url.port
    if port not in rules.ports:
        raise ForbiddenAddress("forbidden_port", f"Port {port} is not allowed.")
    try:
        found = await rules.resolve(url.raw_host.decode("ascii"), port)
    except (OSError, UnicodeError):
        found = []
    # One answer for both: whether a name exists inside is nobody's business.
    if not found or not all(map(rules.is_allowed, found)):
        raise ForbiddenAddress("forbidden_address", f"{url.host} does not exist or is not a public address.")
    return list(dict.fromkeys(found))


async def _first_to_answer(
    transport: httpx.AsyncHTTPTransport, url: httpx.URL, addresses: list[Address], timeout: float
) -> httpx.Response:
    """Ask the addresses in turn; those after the first matter when one of them cannot be reached from here."""
    import httpx

    name = url.raw_host.decode("ascii").removesuffix(".")
    limits = {"connect": timeout / len(addresses), "read": timeout, "write": timeout, "pool": timeout}
    for left, address in enumerate(addresses, start=1 - len(addresses)):
        request = httpx.Request(
            "GET",
            url.copy_with(host=str(address)),
            headers={**_HEADERS, "Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": name, "timeout": limits},
        )
        try:
            return await transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if not left:
                raise
    raise AssertionError("there is always an address")


def _is_about_trust(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


async def _body(response: httpx.Response, max_bytes: int) -> bytes:
    """Read the body of a picture's answer, no further than allowed."""
    if response.status_code != 200:
        raise FetchError("bad_status", f"The address answered with status {response.status_code}.")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and not kind.endswith("/octet-stream"):
        raise FetchError("not_a_picture", f"The address gave {kind or 'no content type'}, not a picture.")
    too_large = FetchError("too_large", f"The picture has more than {max_bytes:,} bytes.")
    if int(response.headers.get("content-length", 0)) > max_bytes:
        raise too_large
    decode = _decoder(response.headers.get("content-encoding", "identity").strip().lower())
    body, received = bytearray(), 0
    async for chunk in response.aiter_raw():
        received += len(chunk)
        body += decode(chunk, max_bytes + 1 - len(body))
        if max(received, len(body)) > max_bytes:
            raise too_large
    return bytes(body)


def _decoder(coding: str) -> Callable[[bytes, int], bytes]:
    """What undoes a content coding, giving no more bytes than its second argument says."""
    if coding == "identity":
        return lambda chunk, _: chunk
    if coding not in ("gzip", "deflate"):
        raise FetchError("bad_answer", f"The address compresses with {coding!r}, which was not asked for.")
    unpack = zlib.decompressobj(_ANY_WINDOW)

    def decode(chunk: bytes, most: int) -> bytes:
        try:
            return unpack.decompress(chunk, most)
        except zlib.error:
            raise FetchError("bad_answer", "The address compresses in a way that cannot be undone.") from None

    return decode
