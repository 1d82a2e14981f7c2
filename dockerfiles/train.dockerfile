# syntax=docker/dockerfile:1
# Training, export and retraining
# uv run invoke docker-build --images train
ARG PYTHON=3.12

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM docker.io/library/python:${PYTHON}-slim-bookworm AS packages
COPY --from=uv /uv /bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/app UV_CACHE_DIR=/uv-cache
WORKDIR /src
RUN --mount=type=cache,target=/uv-cache \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    uv sync --locked --no-dev --no-install-project --extra train --extra drift --extra store --extra kaggle

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
    DATA_DIR=/data
# The one place that is written: prediction log, runs, downloaded bundles. The root file system may be read-only.
WORKDIR /data
VOLUME /data
USER 10001:10001
# A job that ends has no health; its exit code says how it went.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "mlopsproject", "train"]
LABEL org.opencontainers.image.title="mlopsproject-train" \
    org.opencontainers.image.description="Training, export and retraining" \
    org.opencontainers.image.source="https://github.com/mlopsproject/mlopsproject" \
    org.opencontainers.image.licenses="MIT"
# Last, so that a change of code makes one layer anew.
COPY --from=project /project /app/lib/python${PYTHON}/site-packages
ARG REVISION=unknown
LABEL org.opencontainers.image.revision="${REVISION}"
