# syntax=docker/dockerfile:1
# The page where people upload faces
# uv run invoke docker-build --images frontend
ARG PYTHON=3.12

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM docker.io/library/python:${PYTHON}-slim-bookworm AS packages
COPY --from=uv /uv /bin/uv
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/app UV_CACHE_DIR=/uv-cache
WORKDIR /src
# The page asks the API: it runs no model, finds no face and draws no map.
RUN --mount=type=cache,target=/uv-cache \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    uv sync --locked --no-dev --no-install-project --extra frontend \
        --no-install-package onnxruntime --no-install-package opencv-python-headless --no-install-package pydeck
# Bytecode of what the page imports, and of no more: it starts faster and is 60 MB smaller than with all.
RUN ["/app/bin/python", "-c", "import altair, httpx, numpy, pandas, PIL.Image, pyarrow, pydantic_settings, streamlit.web.bootstrap, streamlit.web.cli, streamlit.testing"]

# The project itself, in a stage and a layer of its own: a change of code installs no package again.
FROM packages AS project
COPY pyproject.toml uv.lock hatch_build.py README.md LICENSE ./
COPY models models
COPY configs configs
COPY tests/performance/locustfile.py tests/performance/locustfile.py
COPY src src
RUN --mount=type=cache,target=/uv-cache \
    uv build --quiet --wheel --out-dir /wheel \
    && uv pip install --quiet --no-deps --python /app/bin/python --target /project /wheel/*.whl

FROM docker.io/library/python:${PYTHON}-slim-bookworm
ARG PYTHON
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /data --shell /usr/sbin/nologin app \
    && install --directory --owner app --group app /data
COPY --from=packages /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    DATA_DIR=/data \
    FRONTEND_HOST=0.0.0.0 \
    PORT=8501 \
    BACKEND=http://api:8000
# The one place that is written: prediction log, runs, downloaded bundles. The root file system may be read-only.
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/_stcore/health', timeout=2)"]
# A shell reads $PORT, which platforms set, and makes way for the program.
ENTRYPOINT ["sh", "-c", "FRONTEND_PORT=$PORT exec python -m mlopsproject frontend"]
LABEL org.opencontainers.image.title="mlopsproject-frontend" \
    org.opencontainers.image.description="The page where people upload faces" \
    org.opencontainers.image.source="https://github.com/mlopsproject/mlopsproject" \
    org.opencontainers.image.licenses="MIT"
# Last, so that a change of code makes one layer anew.
COPY --from=project /project /app/lib/python${PYTHON}/site-packages
ARG REVISION=unknown
LABEL org.opencontainers.image.revision="${REVISION}"
