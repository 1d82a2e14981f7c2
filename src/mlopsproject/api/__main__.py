"""`python -m mlopsproject.api`: serve with the settings of the environment and `.env`."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from mlopsproject.api import logs
from mlopsproject.api.http_protocol import LimitedProtocol, allow_connections
from mlopsproject.api.settings import ApiSettings
from mlopsproject.core.errors import UserError
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.settings import take_no_arguments
from mlopsproject.prediction_log.log import prepare
from mlopsproject.prediction_log.settings import LogSettings

_APP = "mlopsproject.api:app"
_BACKLOG = 2048
logger = logging.getLogger("mlopsproject.api")


def main() -> int:
    """Serve until stopped.

    Returns:
        The exit code: 0 after a stop, 1 if the service could not start.
    """
    summary = "Serve a model over HTTP, with an upload page at / and the documentation at /docs."
    take_no_arguments("mlopsproject api", summary, ApiSettings, LogSettings)
    try:
        settings, log_settings = ApiSettings.read(), LogSettings.read()
        logs.configure(settings.log_level, settings.log_format)
        _check_model(settings)
        prepare(log_settings)
        listener = _listen(settings)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    with listener:
        return _serve(settings, listener)


def _check_model(settings: ApiSettings) -> None:
    """Say here, once, what every worker would trip over; a bundle of a bucket is fetched before they start."""
    bundle = resolve_bundle(settings.model_uri, settings.model_store)
    bundle.model_file(settings.model_precision or bundle.spec.default_precision)


def _listen(settings: ApiSettings) -> socket.socket:
    """A socket that listens at the configured address.

    Raises:
        UserError: if the port is taken, or the address is not of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        # `create_server` writes the address into the message itself.
        plain = isinstance(error, socket.gaierror) or error.errno is None
        reason = error.strerror if plain else os.strerror(error.errno or 0)
        where = f"{settings.host}:{settings.port}"
        raise UserError(f"Cannot listen at {where} ({reason}).", "Set PORT or HOST.") from error
    listener.set_inheritable(True)
    return listener


def _serve(settings: ApiSettings, listener: socket.socket) -> int:
    config = uvicorn.Config(
        _APP,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=LimitedProtocol,
        log_config=None,
        access_log=False,
        ws="none",
        proxy_headers=True,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        backlog=_BACKLOG,
        server_header=False,
        # A worker that is short of time on a busy machine is not dead.
        timeout_worker_healthcheck=30,
        timeout_graceful_shutdown=int(settings.shutdown_timeout_seconds) or 1,
    )
    allow_connections()
    host, port = listener.getsockname()[:2]
    logger.info("Listening at http://%s:%d", f"[{host}]" if ":" in host else host, port)
    if settings.workers > 1:
        supervisor = Multiprocess(config, [listener])
        supervisor.run()
        return int(any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes))
    server = uvicorn.Server(config)
    # After an orderly end uvicorn raises the signal that asked for it once more; it is no news here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    with suppress(SystemExit):
        server.run([listener])
    return 0 if server.started else 1


def leave(code: int) -> NoReturn:
    """End the process; Python's own end would wait for threads in the middle of a query or an explanation."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
