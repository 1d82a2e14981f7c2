"""Building the application."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

import mlopsproject
from mlopsproject.api import openapi
from mlopsproject.api.middleware import ASSETS, RequestMiddleware
from mlopsproject.api.multiprocess import end_soon
from mlopsproject.api.routes import drift, explain, feedback, pages, predict, status
from mlopsproject.api.service import Service
from mlopsproject.api.settings import ApiSettings
from mlopsproject.core.allocator import return_freed_memory
from mlopsproject.core.errors import UserError
from mlopsproject.prediction_log.settings import LogSettings

logger = logging.getLogger(__name__)


def create_app(settings: ApiSettings | None = None, log_settings: LogSettings | None = None) -> FastAPI:
    """Build the application; nothing is loaded before it starts.

    Args:
        settings: of the API; by default from the environment and `.env`.
        log_settings: of the prediction log, likewise.

    Raises:
        ConfigError: if a setting is impossible.
    """
    settings = settings or ApiSettings.read()
    service = Service(settings, log_settings or LogSettings.read())
    # All of `/docs` comes from here. ReDoc would fetch its logo from elsewhere.
    app = FastAPIOffline(
        static_url=ASSETS,
        redoc_url=None,
        title=openapi.TITLE,
        description=openapi.DESCRIPTION,
        version=mlopsproject.__version__,
        openapi_tags=openapi.TAGS,
        lifespan=_lifespan,
        redirect_slashes=False,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    app.state.service = service
    keyed = [Security(openapi.KEY)] if settings.api_key else []
    for module in (predict, explain, feedback, status, drift):
        app.include_router(module.router, dependencies=keyed)
    for router in (pages.router, status.open_router):
        app.include_router(router)
    predict.add_predict(app, keyed)
    for kind in (HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _leave_to_middleware)
    app.add_middleware(RequestMiddleware, service=service)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["X-API-Key", "X-Request-ID", "Content-Type"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    try:
        await service.start()
    except UserError as error:
        app.state.startup_error = error
        await service.stop()
        raise
    return_freed_memory()
    # What is there now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    model = service.loaded_model()
    logger.info(
        "%s (%s) answers; the log is kept in %s.", model.model_version, model.precision, service.log_settings.data_dir
    )
    try:
        yield
    finally:
        gc.unfreeze()
        await service.stop()
        end_soon()


async def _leave_to_middleware(_: Request, error: Exception) -> Response:
    """All that goes wrong is answered in one place, `RequestMiddleware`."""
    raise error
