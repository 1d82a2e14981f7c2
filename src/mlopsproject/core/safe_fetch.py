"""Fetching a picture from an address that a stranger named: public hosts only, bounded in size and time.

httpcore makes the request; what it connects to is chosen here: the name is resolved once, every address it has is
checked, and the connection goes to a checked address itself, so that a name which changes its mind in between (DNS
rebinding) gains nothing. Host header, TLS name and certificate stay those of the name.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

import httpcore
import httpx
from anyio import CapacityLimiter, to_thread

from mlopsproject.core.errors import UserError

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[list[Address]]]
MAX_REDIRECTS: Final = 3
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_HEADERS: Final = (
    (b"User-Agent", b"mlopsproject"),
    (b"Accept", b"image/*"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
)
_STATUS: Final = {"bad_url": 422, "forbidden_address": 422, "forbidden_port": 422, "too_large": 413}
_FOREIGN_DIGIT: Final = re.compile(r"(?![0-9])\d")
#: IANA's special-purpose blocks, written out because releases of `ipaddress` do not agree on all of them, with
#: documentation, benchmarks, multicast, 6to4 and Teredo. Some hold the metadata services of clouds: 100.64/10
#: (Alibaba), 169.254/16 (most), 192.0.0/24 (Oracle), and 168.63.129.16 (Azure), which lies in the public range.
_SPECIAL: Final = tuple(map(ip_network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)))  # fmt: skip
#: All that is assigned for global unicast; loopback, link-local, unique-local, site-local and multicast lie outside.
_UNICAST_6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
#: Names waited for at once. A pool of their own: a slow name server must not hold up other work.
_lookups: Final = CapacityLimiter(8)


class FetchError(UserError):
    """An address that gave no picture: a stable word, and a sentence without anything about the server's network.

    Attributes:
        reason: the word.
        status: for the caller over HTTP.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.status = _STATUS.get(reason, 502)
        super().__init__(message)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet.

    An IPv6 address that stands for an IPv4 address (mapped, NAT64) is judged by that one.
    """
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.scope_id is not None or address not in _UNICAST_6:
            return False
    return not any(address in block for block in _SPECIAL)


async def look_up(name: str, port: int) -> list[Address]:
    """Resolve a name, or an address in any spelling, as the operating system does; the preferred address first.

    Raises:
        OSError, UnicodeError: if it has none.
    """
    ask = partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
    found = await to_thread.run_sync(ask, abandon_on_cancel=True, limiter=_lookups)
    return [ip_address(str(entry[4][0])) for entry in found]


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
        max_bytes: most bytes taken.
        timeout: seconds for all of it together.
        rules: which addresses and ports are allowed.

    Returns:
        The answer's body. Nothing looked at it yet: it may be anything.

    Raises:
        FetchError: if no picture came, or the address, or one that it redirects to, is not allowed or unknown.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _follow(url, max_bytes, timeout, rules)
    except TimeoutError:
        raise FetchError("timeout", f"The address gave no picture within {timeout:g} s.") from None


async def _follow(text: str, max_bytes: int, timeout: float, rules: Rules) -> bytes:
    trust = rules.trust if rules.trust is not None else await asyncio.to_thread(_usual_authorities)
    url = _parse(text, rules)
    async with httpcore.AsyncConnectionPool(
        trust, network_backend=_CheckedAddresses(rules), keepalive_expiry=0
    ) as pool:
        for _ in range(MAX_REDIRECTS + 1):
            with _explained(url, timeout):
                async with pool.stream(
                    "GET",
                    # The name as it is resolved and stands in certificates.
                    httpcore.URL(
                        scheme=url.raw_scheme, host=url.raw_host.removesuffix(b"."), port=url.port, target=url.raw_path
                    ),
                    headers=[*_HEADERS, (b"Host", url.netloc)],
                    extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout)},
                ) as response:
                    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
                    if response.status not in _REDIRECTS or b"location" not in headers:
                        return await _body(response, headers, max_bytes)
            url = _parse(headers[b"location"], rules, url)
    raise FetchError("too_many_redirects", f"The address redirects more than {MAX_REDIRECTS} times.")


@cache
def _usual_authorities() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _parse(text: str, rules: Rules, base: httpx.URL | None = None) -> httpx.URL:
    """Read an address, or what one redirects to."""
    try:
        url = httpx.URL(text) if base is None else base.join(text)
        # httpx takes digits of any script for a port.
        usable = url.scheme in _PORTS and bool(url.host) and not _FOREIGN_DIGIT.search(text)
    except (httpx.InvalidURL, ValueError):  # UnicodeError is a ValueError
        usable = False
    if not usable:
        raise FetchError("bad_url", "This is not an http or https address.")
    if url.userinfo:
        raise FetchError("bad_url", "An address with a user name or password is not fetched.")
    if "%" in url.host:
        raise FetchError("bad_url", "An address with an IPv6 zone or an escaped host name is not fetched.")
    port = _PORTS[url.scheme] if url.port is None else url.port
    if port not in rules.ports:
        raise FetchError("forbidden_port", f"Port {port} is not allowed.")
    return url


class _CheckedAddresses(httpcore.AnyIOBackend):
    """Connects to addresses that the rules allow, and to nothing else."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        try:
            found = list(dict.fromkeys(await self._rules.resolve(host, port)))
        except (OSError, UnicodeError):
            found = []
        # One answer for both: whether a name exists inside is nobody's business.
        if not found or not all(map(self._rules.is_allowed, found)):
            raise FetchError("forbidden_address", f"{host} does not exist or is not a public address.")
        # Those after the first matter when one of them cannot be reached from here.
        options["timeout"] /= len(found)
        for address in found[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await super().connect_tcp(str(address), port, *args, **options)
        return await super().connect_tcp(str(found[-1]), port, *args, **options)


@contextmanager
def _explained(url: httpx.URL, timeout: float) -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise FetchError("timeout", f"The address gave no picture within {timeout:g} s.") from error
    except httpcore.ConnectError as error:
        if _is_about_trust(error):
            raise FetchError("bad_certificate", f"The certificate of {url.host} cannot be trusted.") from error
        raise FetchError("unreachable", f"{url.host} does not take connections.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise FetchError("bad_answer", f"{url.host} broke off, or its answer is not HTTP.") from error


def _is_about_trust(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


async def _body(response: httpcore.Response, headers: Mapping[bytes, str], max_bytes: int) -> bytes:
    """Read the body of a picture's answer, no further than allowed."""
    if response.status != 200:
        raise FetchError("bad_status", f"The address answered with status {response.status}.")
    kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and not kind.endswith("/octet-stream"):
        raise FetchError("not_a_picture", f"The address gave {kind or 'no content type'}, not a picture.")
    too_large = FetchError("too_large", f"The picture has more than {max_bytes:,} bytes.")
    if int(headers.get(b"content-length", 0)) > max_bytes:
        raise too_large
    coding = headers.get(b"content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise FetchError("bad_answer", f"The address compresses with {coding!r}, which was not asked for.")
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)
