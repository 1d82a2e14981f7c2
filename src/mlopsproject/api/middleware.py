"""The one middleware around every request: identity, admission, limits, and what is written down afterwards."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import re
import time
from ipaddress import ip_address
from typing import Any, Final

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from pydantic_core import to_json
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlopsproject.api.logs import access, request_id
from mlopsproject.api.problems import ProblemError, as_problem, busy
from mlopsproject.api.service import RequestInfo, Service
from mlopsproject.core.problems import MEDIA_TYPE

logger = logging.getLogger(__name__)

#: Where a request's `RequestInfo` is found in its scope.
INFO: Final = "mlopsproject.info"
#: Answered without a key and without counting: for probes, scrapers and people who look for the page.
OPEN_PATHS: Final = {"/", "/health", "/ready", "/metrics", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
#: Where the scripts and styles of `/docs` are; as open as that.
ASSETS: Final = "/static"
#: An identifier of the caller's that can stand in a header and a log line.
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
#: Seconds by which the wall clock may drift before it counts as set.
_JUMP: Final = 2.0
#: Said of a caller that went away before its answer, as nginx does.
_GONE: Final = 499


class RequestMiddleware:
    """Gives every request an id, decides whether it is let in, and counts and logs it when it is answered.

    Pure ASGI: what the server sends and receives is handed on as it is.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        settings = service.settings
        self._app = app
        self._service = service
        self._key = settings.api_key.get_secret_value().encode() if settings.api_key else None
        self._root_path = settings.root_path
        self._seconds = settings.request_timeout_seconds
        self._rate: RateLimitItem | None = parse(settings.rate_limit) if settings.rate_limit else None
        self._storage = MemoryStorage()
        self._limiter = FixedWindowRateLimiter(self._storage)
        self._clock = _clock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is none."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, _one_line(scope, send))
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._root_path:
            scope["root_path"] = root = self._root_path
            # Some proxies cut the path off, others leave it there; ASGI has it there.
            if scope["path"] != root and not scope["path"].startswith(f"{root}/"):
                scope["path"] = root + scope["path"]
        headers = _wanted(scope)
        identifier = headers.get(b"x-request-id", b"")
        name = identifier.decode() if _SANE_ID.fullmatch(identifier) else os.urandom(16).hex()
        scope[INFO] = info = RequestInfo(name, time.perf_counter())
        token = request_id.set(name)
        exchange = _Exchange(receive, send, name.encode(), self._service)
        try:
            await self._serve(scope, headers, exchange)
        finally:
            exchange.end()
            self._write_down(scope, info, exchange.status)
            request_id.reset(token)

    async def _serve(self, scope: Scope, headers: dict[bytes, bytes], exchange: _Exchange) -> None:
        info: RequestInfo = scope[INFO]
        try:
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if path not in OPEN_PATHS and not path.startswith(f"{ASSETS}/"):
                self._admit(scope, headers, exchange)
            if scope["method"] == "POST":
                await self._work(scope, exchange)
            else:
                await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = exchange.status or _GONE
        except Exception as error:
            problem = as_problem(error)
            if problem is None:
                # The last resort: nobody above could say more than that something is wrong here.
                logger.exception("A request failed.")
                problem = ProblemError(500, "internal", "Something is wrong here.")
            elif problem.inside is not None:
                logger.warning("A request is refused: %s", problem.inside)
            if exchange.status:
                raise
            trusted = problem.inside is not None and is_trusted(scope, self._service)
            document = to_json(problem.document(info.request_id, trusted=trusted))
            response = Response(document, problem.status_code, problem.headers, MEDIA_TYPE)
            await response(scope, exchange.receive, exchange.send)

    def _admit(self, scope: Scope, headers: dict[bytes, bytes], exchange: _Exchange) -> None:
        """Refuse too frequent callers, those without the key, and bodies that say they are too large."""
        if self._rate is not None:
            self._check_rate(self._rate, scope["client"][0] if scope.get("client") else "")
        # After the rate, which also limits how often keys can be tried.
        if self._key is not None and not hmac.compare_digest(headers.get(b"x-api-key", b""), self._key):
            raise ProblemError(
                401, "wrong_key", "Send the API key in the header X-API-Key.", {"WWW-Authenticate": "ApiKey"}
            )
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._service.max_body_bytes:
            raise exchange.too_large()

    def _check_rate(self, rate: RateLimitItem, caller: str) -> None:
        if abs(_clock() - self._clock) > _JUMP:
            # The limiter's windows end by the wall clock: set back, it would lock callers out until then.
            self._storage.reset()
            self._clock = _clock()
        if not self._limiter.hit(rate, caller):
            reset = self._limiter.get_window_stats(rate, caller).reset_time
            seconds = max(1, round(reset - time.time()))
            raise ProblemError(429, "too_many", f"No more than {rate}; try again.", {"Retry-After": str(seconds)})

    async def _work(self, scope: Scope, exchange: _Exchange) -> None:
        """Serve a request that takes work, unless there are too many, within its time."""
        exchange.begin()
        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            if exchange.status:  # the caller does not read what it is sent
                return
            if not exchange.arrived:
                raise ProblemError(
                    408, "too_slow", f"The request did not arrive within {self._seconds:g} s.", {"Connection": "close"}
                ) from None
            raise busy(f"The request took longer than {self._seconds:g} s.", "timeout") from None

    def _write_down(self, scope: Scope, info: RequestInfo, status: int) -> None:
        seconds = time.perf_counter() - info.started
        route = getattr(scope.get("route"), "path", None)
        method: str = scope["method"]
        self._service.metrics.request(method, route or "other", status, seconds)
        level = logging.INFO if status < 500 else logging.WARNING
        if access.isEnabledFor(level):
            fields: dict[str, Any] = {
                "method": method,
                "path": route or scope.get("raw_path", b"").decode("latin-1")[:200],
                "status": status,
                "ms": round(seconds * 1000, 2),
            }
            if info.model_version is not None:
                fields["model"] = info.model_version
            access.log(level, "answered", extra={"fields": fields})


class _Exchange:
    """One request's messages, with what must be known of them, and the place that it takes among the others.

    It takes a place when its body has arrived: callers that send slowly or not at all take none from others. How many
    of these there may be, the number of connections and the bytes that are held decide.
    """

    def __init__(self, receive: Receive, send: Send, identifier: bytes, service: Service) -> None:
        self._receive = receive
        self._send = send
        self._identifier = identifier
        self._service = service
        self._max_body = service.max_body_bytes
        self._size = 0
        self._takes_work = self._has_place = False
        #: Whether the request's body has arrived whole.
        self.arrived = False
        #: Of the answer; 0 until it has begun.
        self.status = 0

    def begin(self) -> None:
        """Begin with a request that takes work, unless too many are worked on."""
        self._check_room()
        self._takes_work = True

    def end(self) -> None:
        """Give back what the request took."""
        self._service.in_progress -= self._has_place
        self._service.held_bytes -= self._size

    async def receive(self) -> Message:
        """The next message of the request, unless the body is too large, or there is no room for it."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._hold(len(message.get("body", b"")))
            self.arrived = not message.get("more_body", False)
            if self.arrived and self._takes_work and not self._has_place:
                self._check_room()
                self._service.in_progress += 1
                self._has_place = True
        return message

    def _hold(self, size: int) -> None:
        service = self._service
        self._size += size
        service.held_bytes += size
        if self._size > self._max_body:
            raise self.too_large()
        if service.held_bytes > service.max_held_bytes:
            raise busy(f"{service.held_bytes // 1_000_000} MB of requests are held already.")

    def _check_room(self) -> None:
        if self._service.in_progress >= self._service.settings.max_waiting:
            raise busy(f"{self._service.in_progress} requests are worked on already.")

    async def send(self, message: Message) -> None:
        """Send a message of the answer; the first one tells the request's id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._identifier)]
        await self._send(message)

    def too_large(self) -> ProblemError:
        """The answer to a body beyond the limit."""
        return ProblemError(413, "too_large", f"The request has more than {self._max_body:,} bytes.")


def _clock() -> float:
    """What the wall clock is ahead of one that nobody sets, in seconds."""
    return time.time() - time.monotonic()


def is_trusted(scope: Scope, service: Service) -> bool:
    """Whether a caller may know what is wrong inside: it has the key; where there is none, it is this machine."""
    key = service.settings.api_key
    if key is not None:
        return hmac.compare_digest(_wanted(scope).get(b"x-api-key", b""), key.get_secret_value().encode())
    try:
        return ip_address(scope["client"][0]).is_loopback
    except (KeyError, TypeError, ValueError):  # none, or a socket of this machine's
        return False


def _wanted(scope: Scope) -> dict[bytes, bytes]:
    """The few headers that are looked at here; of a repeated one the last."""
    names = (b"x-request-id", b"x-api-key", b"content-length")
    return {name: value for name, value in scope["headers"] if name in names}


def _one_line(scope: Scope, send: Send) -> Send:
    """Say a start that failed for a reason the user can put right in one line instead of a traceback."""

    async def said(message: Message) -> None:
        error = getattr(scope["app"].state, "startup_error", None)
        if message["type"] == "lifespan.startup.failed" and error is not None:
            message = {**message, "message": f"error: {error}"}
        await send(message)

    return said
