"""`python -m mlopsproject.frontend`: show the pages with the settings of the environment and `.env`."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from streamlit.web import cli

from mlopsproject.core.errors import UserError
from mlopsproject.core.settings import take_no_arguments
from mlopsproject.frontend import theme
from mlopsproject.frontend.settings import FrontendSettings

_SCRIPT = Path(__file__).with_name("app.py")


def main() -> int:
    """Serve until stopped.

    Returns:
        The exit code: 0 after a stop, 1 if the frontend could not start.
    """
    take_no_arguments("mlopsproject frontend", "Show the pages on which people upload faces.", FrontendSettings)
    try:
        settings = FrontendSettings.read()
        _check_port(settings)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    code = cli.main(arguments(settings), prog_name="streamlit", standalone_mode=False)
    return code if isinstance(code, int) else 0


def arguments(settings: FrontendSettings) -> list[str]:
    """The command line of Streamlit; it outweighs what `.streamlit/` folders and Streamlit's own variables say.

    Args:
        settings: of the frontend.
    """
    chosen = {
        "server.address": settings.frontend_host,
        "server.port": str(settings.frontend_port),
        "server.headless": "true",
        "server.maxUploadSize": str(settings.upload_max_mb),
        "server.fileWatcherType": "none",
        "server.runOnSave": "false",
        "runner.magicEnabled": "false",
        # Otherwise Streamlit would ask another server for the address of this machine.
        "browser.serverAddress": _shown(settings.frontend_host),
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        "client.toolbarMode": "minimal",
        # Tables would offer a CSV of their own, with names that spreadsheets run as formulas.
        "client.disableDataExport": "true",
        **dict(theme.options()),
    }
    return ["run", str(_SCRIPT), *(f"--{name}={value}" for name, value in chosen.items())]


def _shown(host: str) -> str:
    """An address that a browser on this machine can open."""
    return "localhost" if host in ("0.0.0.0", "::") else host  # noqa: S104  # compared, not listened on


def _check_port(settings: FrontendSettings) -> None:
    """Streamlit would say less, or take another port.

    Raises:
        UserError: if the port is taken, or the address is not of this machine.
    """
    host, port = settings.frontend_host, settings.frontend_port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        # Python adds the address to what the system says.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise UserError(f"Cannot listen at {host}:{port} ({reason}).", "Set FRONTEND_PORT or FRONTEND_HOST.") from error


if __name__ == "__main__":
    sys.exit(main())
