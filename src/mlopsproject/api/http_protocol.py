"""uvicorn's HTTP protocol with limits before a request reaches the application.

uvicorn bounds the size of a request's head only with h11, which takes 0.3 ms longer, and its time not at all.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

#: Most bytes of a request's line and headers, and seconds for them to arrive.
MAX_HEAD: Final = 32 * 1024
HEAD_SECONDS: Final = 10.0
#: Most connections of one process; more are told to come again.
MAX_CONNECTIONS: Final = 2_000


class LimitedProtocol(HttpToolsProtocol):
    """One connection. What is beyond the limits is answered with 400, 408, 431 or 503, and closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_size = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, "Too many connections.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; a head may come in any number of pieces."""
        if self._timer is not None:
            self._head_size += len(data)
        super().data_received(data)
        if self._timer is not None and self._head_size > MAX_HEAD:
            self._refuse(431, f"The request line and headers have more than {MAX_HEAD:,} bytes.")

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """A caller that has said all it has to say still gets its answer."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """A request begins; on a connection that is kept, only now its time does."""
        super().on_message_begin()
        if self._timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Hand the request on, if it names a host as HTTP/1.1 has it (RFC 9112, 3.2)."""
        self._stop_timer()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts != 1 and self.parser.get_http_version() == "1.1":
            # The parser gives up, and the caller gets a 400.
            raise ValueError("no header Host, or several")
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_size = 0
        self._timer = self.loop.call_later(HEAD_SECONDS, self._refuse, 408, "The request did not arrive in time.")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, detail: str) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        head = f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(detail)}\r\nconnection: close\r\n"
        retry = "retry-after: 1\r\n" if status == 503 else ""
        self.transport.write(STATUS_LINE[status] + f"{head}{retry}\r\n{detail}".encode())
        self.transport.close()


def allow_connections() -> None:
    """Let this process have a file for each connection, as far as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + 512
    if soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))
