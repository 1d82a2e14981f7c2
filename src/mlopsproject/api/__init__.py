"""The FastAPI service. `uvicorn mlopsproject.api:app` serves it."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any


def __getattr__(name: str) -> Any:
    """Build `app` when it is asked for, from the environment and `.env`."""
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _app() -> Any:
    from mlopsproject.api.multiprocess import share_metrics
    from mlopsproject.api.settings import ApiSettings
    from mlopsproject.core.errors import UserError
    from mlopsproject.prediction_log.settings import LogSettings

    try:
        settings, log_settings = ApiSettings.read(), LogSettings.read()
        # Before prometheus_client is imported, which chooses then how it counts.
        share_metrics(log_settings.data_dir)

        from mlopsproject.api import logs
        from mlopsproject.api.application import create_app

        logs.configure(settings.log_level, settings.log_format)
        return create_app(settings, log_settings)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        # uvicorn's own code for a start that would fail again.
        sys.exit(3)
