"""`GET /`: a welcome for programs, an upload page for people."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import HTMLResponse, Response

from mlopsproject.api.openapi import responses
from mlopsproject.api.routes import TheService
from mlopsproject.core.schemas import Welcome

_PAGE: Final = "templates/upload.html"
router = APIRouter(tags=["status"])


@router.head("/", include_in_schema=False)
@router.get(
    "/",
    response_model=Welcome,
    responses=responses(503, content={"text/html": {"schema": {"type": "string"}}}),
    summary="Welcome; to a browser, an upload page",
)
async def welcome(request: Request, service: TheService) -> Response:
    """What this is; `Accept: text/html` gets a page on which a person can try it."""
    headers = {"Vary": "Accept"}
    if _wants_page(request.headers.get("accept", "")):
        page, policy = _page()
        headers |= {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        return HTMLResponse(page, headers=headers)
    model = service.loaded_model()
    document = {
        "message": "Send a picture to /predict/ to get its apparent expression.",
        "model_version": model.model_version,
        "classes": model.spec.classes,
        "docs": f"{request.scope.get('root_path', '')}/docs",
    }
    return Response(to_json(document), media_type="application/json", headers=headers)


def _wants_page(accept: str) -> bool:
    """Whether HTML is named before JSON and before `*/*`, as browsers do and programs do not."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    first = next((kind for kind in kinds if kind in ("text/html", "application/json", "*/*")), "")
    return first == "text/html"


@cache
def _page() -> tuple[bytes, str]:
    """The page, and a policy that lets it run its own script and style and speak to this server only."""
    text = files("mlopsproject.api").joinpath(_PAGE).read_text(encoding="utf-8")
    sources = {}
    for tag in ("script", "style"):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[0]
        sources[tag] = f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
    policy = (
        f"default-src 'none'; script-src '{sources['script']}'; style-src '{sources['style']}'; "
        "img-src 'self' blob: data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy
