# syntax=docker/dockerfile:1
# The AWS Lambda function, for x86_64 and arm64
# uv run invoke docker-build --images lambda
ARG PYTHON=3.12

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM docker.io/library/python:${PYTHON}-slim-bookworm AS packages
COPY --from=uv /uv /bin/uv
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/app UV_CACHE_DIR=/uv-cache
WORKDIR /src
# Without what is never used: the packages' own tests, OpenCV's other cascades, ONNX Runtime's library for programs in C
# (its Python module holds all of it once more) and its tools. 45 MB less.
RUN --mount=type=cache,target=/uv-cache \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    uv sync --locked --no-dev --no-install-project --extra aws \
    && find /app/lib -type d -name tests -prune -exec rm -r {} + \
    && rm -r /app/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so* \
        /app/lib/python*/site-packages/onnxruntime/datasets /app/lib/python*/site-packages/onnxruntime/quantization \
        /app/lib/python*/site-packages/onnxruntime/tools /app/lib/python*/site-packages/onnxruntime/transformers \
    && find /app/lib/python*/site-packages/cv2/data -name '*.xml' ! -name haarcascade_frontalface_alt2.xml -delete

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
# Lambda's disk cannot be written: without bytecode every cold start would compile anew.
RUN ["/app/bin/python", "-m", "compileall", "-q", "/project/mlopsproject/aws", "/project/mlopsproject/core"]

FROM docker.io/library/python:${PYTHON}-slim-bookworm
ARG PYTHON
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /data --shell /usr/sbin/nologin app \
    && install --directory --owner app --group app /data
COPY --from=packages /app /app
# Bytecode of what every start imports, also of the standard library, and of no more.
RUN ["/app/bin/python", "-c", "import anyio, asyncio, awslambdaric.bootstrap, cv2, fsspec, httpcore, httpx, multiprocessing.popen_fork, onnxruntime, pebble, pillow_heif, pydantic_settings"]
# Lambda runs it as a user of its own, and only /tmp can be written there.
ENV PATH=/app/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /data
VOLUME /data
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["mlopsproject.aws.lambda_handler"]
LABEL org.opencontainers.image.title="mlopsproject-lambda" \
    org.opencontainers.image.description="The AWS Lambda function" \
    org.opencontainers.image.source="https://github.com/mlopsproject/mlopsproject" \
    org.opencontainers.image.licenses="MIT"
# Last, so that a change of code makes one layer anew.
COPY --from=project /project /app/lib/python${PYTHON}/site-packages
ARG REVISION=unknown
LABEL org.opencontainers.image.revision="${REVISION}"
